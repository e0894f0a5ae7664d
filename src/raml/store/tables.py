"""Records about trajectories as parquet, one a row, in groups of which each can be read by itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raml.errors import RunError
from raml.inputs import MALFORMED
from raml.records import (
    SCHEMA_VERSION,
    Adaptation,
    Alignment,
    Influence,
    Readout,
    Resampling,
    Trace,
    Update,
)
from raml.store.checksums import advise_check
from raml.store.files import write_atomically
from raml.store.lines import check_schema, restore_record

Row = Trace | Readout | Update | Alignment | Adaptation | Influence | Resampling
T = TypeVar("T", bound=Row)

UNREADABLE = (pa.ArrowException, OSError, KeyError, TypeError, ValueError, *MALFORMED)
"""What a damaged file raises."""
GROUP = 8
"""Records in a row group: what one damaged byte loses at most."""

_IDS = pa.list_(pa.int32())
_FLOATS = pa.list_(pa.float32())
_BASE = [("id", pa.string()), ("trajectory_id", pa.string()), ("model", pa.string()), ("settings", pa.string())]
_COLUMNS = {
    Trace: [
        *_BASE,
        ("scorer", pa.string()),
        ("bridge_ids", _IDS),
        ("answer_ids", _IDS),
        ("prefix_lens", _IDS),
        ("nll", _FLOATS),
    ],
    Readout: [
        *_BASE,
        ("scorer", pa.string()),
        ("bridge_ids", _IDS),
        ("prefix_lens", _IDS),
        ("token_ids", pa.list_(_IDS)),
        ("answers", pa.list_(pa.string())),
        ("correct", pa.list_(pa.bool_())),
        ("mean_logprob", _FLOATS),
        ("margin", _FLOATS),
    ],
    Update: [
        *_BASE,
        ("bridge_ids", _IDS),
        ("answer_ids", _IDS),
        ("prefix_lens", _IDS),
        ("rank", pa.int32()),
        ("exact", pa.bool_()),
        ("logit_gap", pa.float64()),
        ("prompt_gap", pa.float64()),
        *((name, _FLOATS) for name in ("loss", "updated_loss", "residual", "norm", "weight_norm", "condition")),
        ("gram", pa.list_(pa.float64())),
        ("other_ids", pa.list_(pa.string())),
        ("other_change", _FLOATS),
    ],
    Alignment: [
        *_BASE,
        ("text", pa.string()),
        ("base_loss", pa.float64()),
        ("prefix_lens", _IDS),
        *((name, _FLOATS) for name in ("loss", "norm", "cosine", "total_cosine", "predicted")),
        *((name, _FLOATS) for name in ("step_cosine", "step_predicted", "similarity", "span_cosine", "ceiling")),
    ],
    Adaptation: [
        *_BASE,
        *((name, _FLOATS) for name in ("loss", "text_loss", "distance")),
        ("in_context_loss", pa.float64()),
    ],
    Influence: [
        *_BASE,
        ("trace_id", pa.string()),
        ("prefix_lens", _IDS),
        *((name, _FLOATS) for name in ("change", "relative", "log_change")),
        ("parts", pa.list_(pa.string())),
        ("words", pa.list_(pa.string())),
    ],
    Resampling: [
        *_BASE,
        ("prefix_lens", _IDS),
        ("loss", _FLOATS),
        ("own_loss", _FLOATS),
        ("answers", pa.list_(pa.list_(pa.string()))),
        ("correct", pa.list_(pa.list_(pa.bool_()))),
        ("n_written", pa.list_(_IDS)),
    ],
}
_JSON = ("model", "settings")
_MATRICES = ("nll", "residual", "norm", "condition", "gram", "cosine", "similarity", "span_cosine")
"""Arrays with a row for each prefix; flattened on disk. The norms of an Alignment have no second axis."""
_UNITS = {
    Trace: {"raml.nll": "[prefix answer], nats"},
    Readout: {"raml.mean_logprob": "[prefix], nats", "raml.margin": "[prefix], nats"},
    Update: {"raml.loss": "[prefix], nats", "raml.norm": "[prefix layer]", "raml.gram": "[prefix prefix]"},
    Alignment: {"raml.loss": "[prefix], nats", "raml.cosine": "[prefix layer]"},
    Adaptation: {"raml.loss": "[step], nats"},
    Influence: {"raml.change": "[step], nats"},
    Resampling: {"raml.loss": "[border], nats"},
}


def write_table(path: Path, records: Sequence[T], record_type: type[T]) -> None:
    """Write records as parquet: one a row, arrays flattened, model and settings as JSON text; pages with checksums.

    Raises:
        RunError: the disk is full or the folder can't be written.
    """
    write_atomically(path, encode_table(records, record_type))


def encode_table(records: Sequence[T], record_type: type[T]) -> bytes:
    """Make the bytes of a table; the same records give the same ones, by the same version of PyArrow."""
    metadata = {
        "raml.schema_version": str(SCHEMA_VERSION),
        "raml.record": record_type.__name__,
        **_UNITS[record_type],
    }
    schema = pa.schema(_COLUMNS[record_type], metadata=metadata)
    sink = pa.BufferOutputStream()
    rows = pa.Table.from_pylist([_to_row(record) for record in records], schema=schema)
    pq.write_table(rows, sink, compression="zstd", row_group_size=GROUP, write_page_checksum=True)
    return sink.getvalue().to_pybytes()


def read_table(path: Path, record_type: type[T]) -> list[T]:
    """Read what `write_table` wrote.

    Raises:
        RunError: the file is no parquet file of such records, a checksum does not fit, or it is of a newer schema.
    """
    try:
        return [record for group in read_groups(path, record_type) for record in group()]
    except UNREADABLE as error:
        raise RunError(
            f"{path} is no readable file of {record_type.__name__.lower()}s: {error}. {advise_check(path)}"
        ) from error


def read_groups(path: Path, record_type: type[T]) -> list[Callable[[], list[T]]]:
    """Open a table; each entry reads one row group, or raises one of UNREADABLE.

    Raises:
        RunError: it is of a newer schema.
        UNREADABLE: it has no table of contents.
    """
    content = pq.read_metadata(path)
    check_schema(str(path), int((content.metadata or {}).get(b"raml.schema_version", b"0")))

    def read(i: int) -> list[T]:
        with pq.ParquetFile(path, metadata=content, page_checksum_verification=True) as file:
            return [_from_row(row, record_type) for row in file.read_row_group(i).to_pylist()]

    return [partial(read, i) for i in range(content.num_row_groups)]


def _to_row(record: Row) -> dict[str, Any]:
    row = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    for name, value in row.items():
        if name in _JSON:
            row[name] = msgspec.json.encode(value).decode()
        elif isinstance(value, np.ndarray):
            row[name] = value.ravel()
    return row


def _from_row(row: dict[str, Any], record_type: type[T]) -> T:
    plain = {**row, **{name: msgspec.json.decode(row[name]) for name in _JSON}}
    for field in dataclasses.fields(record_type):
        if "NDArray" in str(field.type):
            dtype = pa.schema(_COLUMNS[record_type]).field(field.name).type.value_type.to_pandas_dtype()
            plain[field.name] = np.array(row[field.name], dtype=dtype)
            if field.name in _MATRICES and (record_type, field.name) != (Alignment, "norm"):
                n_rows = len(row["prefix_lens"])
                n_columns = plain[field.name].size // n_rows if n_rows else len(row.get("answer_ids", ()))
                plain[field.name] = plain[field.name].reshape(n_rows, n_columns)
    return restore_record(plain, record_type)
