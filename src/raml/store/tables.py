"""Traces as parquet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raml.errors import RunError
from raml.records import SCHEMA_VERSION, Trace
from raml.store.files import write_atomically
from raml.store.lines import check_schema

TRACE_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("trajectory_id", pa.string()),
        ("model", pa.string()),
        ("settings", pa.string()),
        ("scorer", pa.string()),
        ("bridge_ids", pa.list_(pa.int32())),
        ("answer_ids", pa.list_(pa.int32())),
        ("prefix_lens", pa.list_(pa.int32())),
        ("nll", pa.list_(pa.float32())),
    ],
    metadata={"raml.schema_version": str(SCHEMA_VERSION), "raml.record": "Trace", "raml.nll": "[prefix answer], nats"},
)


def write_trace_table(path: Path, traces: Sequence[Trace]) -> None:
    """Write traces as parquet: nll flattened row by row, model and settings as JSON text."""
    rows = [
        {
            "id": trace.id,
            "trajectory_id": trace.trajectory_id,
            "model": msgspec.json.encode(trace.model).decode(),
            "settings": msgspec.json.encode(trace.settings).decode(),
            "scorer": trace.scorer,
            "bridge_ids": trace.bridge_ids,
            "answer_ids": trace.answer_ids,
            "prefix_lens": trace.prefix_lens,
            "nll": trace.nll.ravel(),
        }
        for trace in traces
    ]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=TRACE_SCHEMA), sink, compression="zstd")
    write_atomically(path, sink.getvalue().to_pybytes())


def read_trace_table(path: Path) -> list[Trace]:
    """Read what `write_trace_table` wrote.

    Raises:
        RunError: the file is no parquet file of traces, or of a newer schema.
    """
    try:
        table = pq.read_table(path)
        check_schema(str(path), int((table.schema.metadata or {}).get(b"raml.schema_version", b"0")))
        return [_trace_from_row(row) for row in table.to_pylist()]
    except (pa.ArrowException, OSError, KeyError, ValueError, msgspec.DecodeError) as error:
        raise RunError(f"{path} is no readable file of traces: {error}") from error


def _trace_from_row(row: dict[str, Any]) -> Trace:
    plain = {**row, "model": msgspec.json.decode(row["model"]), "settings": msgspec.json.decode(row["settings"])}
    lens = np.array(row["prefix_lens"], dtype=np.int32)
    nll = np.array(row["nll"], dtype=np.float32).reshape(len(lens), len(row["answer_ids"]))
    return msgspec.convert({**plain, "prefix_lens": lens, "nll": nll}, Trace)
