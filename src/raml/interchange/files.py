"""Rows into files, written whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from raml.errors import DataError
from raml.store import write_atomically


def write_rows(path: Path, rows: Sequence[dict[str, Any]], types: dict[str, pa.DataType] | None = None) -> None:
    """Write rows to a .jsonl or .parquet file; a file that is there is replaced whole.

    Args:
        path: Its ending says which.
        rows: All with the same keys.
        types: Of parquet columns that can't be told from the values, such as one that is null throughout.

    Raises:
        DataError: the ending is another one.
        RunError: the file can't be written.
    """
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        write_atomically(path, b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
        return
    if suffix != ".parquet":
        raise DataError(f"{path} is no .jsonl or .parquet file; give it one of these endings.")
    table = pa.Table.from_pylist(list(rows))
    for name, kind in (types or {}).items():
        if name in table.column_names:
            place = table.column_names.index(name)
            table = table.set_column(place, name, table.column(name).cast(kind))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_atomically(path, sink.getvalue().to_pybytes())
