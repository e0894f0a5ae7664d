"""Traces and readouts as parquet."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raml.errors import RunError
from raml.records import SCHEMA_VERSION, Readout, Trace
from raml.store.files import write_atomically
from raml.store.lines import check_schema

T = TypeVar("T", Trace, Readout)

_SHARED = [
    ("id", pa.string()),
    ("trajectory_id", pa.string()),
    ("model", pa.string()),
    ("settings", pa.string()),
    ("scorer", pa.string()),
    ("bridge_ids", pa.list_(pa.int32())),
]
_COLUMNS = {
    Trace: [
        *_SHARED,
        ("answer_ids", pa.list_(pa.int32())),
        ("prefix_lens", pa.list_(pa.int32())),
        ("nll", pa.list_(pa.float32())),
    ],
    Readout: [
        *_SHARED,
        ("prefix_lens", pa.list_(pa.int32())),
        ("token_ids", pa.list_(pa.list_(pa.int32()))),
        ("answers", pa.list_(pa.string())),
        ("correct", pa.list_(pa.bool_())),
        ("mean_logprob", pa.list_(pa.float32())),
        ("margin", pa.list_(pa.float32())),
    ],
}
_JSON = ("model", "settings")
_ARRAYS = {"prefix_lens": np.int32, "nll": np.float32, "mean_logprob": np.float32, "margin": np.float32}
_UNITS = {
    Trace: {"raml.nll": "[prefix answer], nats"},
    Readout: {"raml.mean_logprob": "[prefix], nats", "raml.margin": "[prefix], nats"},
}


def write_table(path: Path, records: Sequence[T], record_type: type[T]) -> None:
    """Write records as parquet: one a row, arrays flattened, model and settings as JSON text."""
    metadata = {
        "raml.schema_version": str(SCHEMA_VERSION),
        "raml.record": record_type.__name__,
        **_UNITS[record_type],
    }
    schema = pa.schema(_COLUMNS[record_type], metadata=metadata)
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.Table.from_pylist([_to_row(record) for record in records], schema=schema), sink, compression="zstd"
    )
    write_atomically(path, sink.getvalue().to_pybytes())


def read_table(path: Path, record_type: type[T]) -> list[T]:
    """Read what `write_table` wrote.

    Raises:
        RunError: the file is no parquet file of such records, or of a newer schema.
    """
    try:
        table = pq.read_table(path)
        check_schema(str(path), int((table.schema.metadata or {}).get(b"raml.schema_version", b"0")))
        return [_from_row(row, record_type) for row in table.to_pylist()]
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError, msgspec.DecodeError) as error:
        raise RunError(f"{path} is no readable file of {record_type.__name__.lower()}s: {error}") from error


def _to_row(record: Trace | Readout) -> dict[str, Any]:
    row = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    for name, value in row.items():
        if name in _JSON:
            row[name] = msgspec.json.encode(value).decode()
        elif isinstance(value, np.ndarray):
            row[name] = value.ravel()
    return row


def _from_row(row: dict[str, Any], record_type: type[T]) -> T:
    plain = {**row, **{name: msgspec.json.decode(row[name]) for name in _JSON}}
    for name in _ARRAYS.keys() & row.keys():
        plain[name] = np.array(row[name], dtype=_ARRAYS[name])
    if "nll" in plain:
        plain["nll"] = plain["nll"].reshape(len(plain["prefix_lens"]), len(row["answer_ids"]))
    return msgspec.convert(plain, record_type)
