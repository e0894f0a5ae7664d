"""Records as lines of JSON, appended one by one, and the schema version each line carries."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from raml.errors import DataError, RunError
from raml.records import (
    SCHEMA_VERSION,
    Adaptation,
    Alignment,
    Attempt,
    Influence,
    LandscapePoint,
    NotedStep,
    Question,
    Readout,
    Resampling,
    Trace,
    Trajectory,
    Update,
)
from raml.store.files import writing

Record = (
    Question
    | Trajectory
    | Trace
    | Readout
    | Update
    | Alignment
    | Adaptation
    | LandscapePoint
    | Influence
    | Resampling
    | Attempt
    | NotedStep
)
T = TypeVar("T", bound=Record)


def check_schema(place: str, found: object) -> None:
    """Refuse what a newer version wrote; an older reader could misread it.

    Raises:
        RunError: the schema version is above ours.
    """
    if isinstance(found, int) and found > SCHEMA_VERSION:
        raise RunError(
            f"{place} was written by a newer version of raml (schema {found}; this one reads up to {SCHEMA_VERSION}). "
            "Upgrade raml to read it."
        )


def encode_line(record: Record) -> bytes:
    """Write a record as one line of JSON, marked with the schema version."""
    return msgspec.json.encode({"v": SCHEMA_VERSION, **_to_plain(record)}) + b"\n"


def read_jsonl(path: Path, record_type: type[T]) -> list[T]:
    """Read records from a JSONL file that `encode_line` wrote; a torn last line is skipped.

    Raises:
        RunError: the file can't be read or is of a newer schema.
        DataError: a line is not such a record; the message has file and line number.
    """
    records: list[T] = []
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n") and not _is_json(line):
                    break  # torn by a kill; the next append cuts it off
                records.append(_decode_line(line, record_type, f"{path} line {number}"))
    except OSError as error:
        raise RunError(f"{path} can't be read: {error.strerror}.") from error
    return records


class Journal:
    """Appends records to a JSONL file so that each append survives a kill right after it.

    Used as a context manager. The first append makes the file, or cuts off a torn last line (a whole one that only
    lacks its newline is kept). An append that fails leaves the file as it was.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def __enter__(self) -> Journal:
        return self

    def append(self, records: Iterable[Record]) -> None:
        """Write records and wait until they are on the disk.

        Raises:
            RunError: the disk is full or the file can't be written; nothing half-written stays.
        """
        content = b"".join(map(encode_line, records))
        with writing(self.path):
            if self._fd is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
                _mend_last_line(self._fd)
            end = os.lseek(self._fd, 0, os.SEEK_END)
            try:
                view = memoryview(content)
                while view:
                    view = view[os.write(self._fd, view) :]
                os.fsync(self._fd)
            except BaseException:
                os.ftruncate(self._fd, end)
                raise

    def __exit__(self, *_: object) -> None:
        if self._fd is not None:
            os.close(self._fd)


def _to_plain(record: Record) -> dict[str, Any]:
    return msgspec.to_builtins(record, enc_hook=_encode_array)


def _encode_array(value: object) -> dict[str, Any]:
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{type(value).__name__} can't be written to a record")
    little = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
    return {"dtype": value.dtype.name, "shape": value.shape, "base64": base64.b64encode(little.tobytes()).decode()}


def _decode_array(expected: type, value: object) -> object:
    if not isinstance(value, dict):
        raise TypeError(f"expected {expected}")
    data = base64.b64decode(value["base64"], validate=True)
    return np.frombuffer(data, dtype=np.dtype(value["dtype"]).newbyteorder("<")).reshape(value["shape"]).copy()


def _decode_line(line: bytes, record_type: type[T], place: str) -> T:
    try:
        plain = msgspec.json.decode(line, type=dict[str, Any])
        check_schema(place, plain.pop("v", SCHEMA_VERSION))
        record = msgspec.convert(plain, record_type, dec_hook=_decode_array)
        if isinstance(record, Trajectory):
            _check_trajectory(record)
        return record
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise DataError(f"{place} is no {record_type.__name__} record: {error}") from error


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _mend_last_line(descriptor: int) -> None:
    """End the last line with a newline if it is whole, and cut it off if it is torn."""
    start = _find_last_newline(descriptor)
    end = os.lseek(descriptor, 0, os.SEEK_END)
    if start == end:
        return
    if _is_json(os.pread(descriptor, end - start, start)):
        os.write(descriptor, b"\n")
    else:
        os.ftruncate(descriptor, start)


def _check_trajectory(trajectory: Trajectory) -> None:
    """Refuse what a hand or another program left inconsistent.

    Raises:
        ValueError: lengths or ids don't fit each other.
    """
    n = len(trajectory.token_ids)
    if not 0 <= trajectory.reasoning_len <= n:
        raise ValueError(f"reasoning_len is {trajectory.reasoning_len} of {n} tokens")
    if len(trajectory.token_ends) != n or trajectory.token_ends[-1:] != ((len(trajectory.text),) if n else ()):
        raise ValueError(f"token_ends does not fit {n} tokens and {len(trajectory.text)} characters")
    if min((*trajectory.token_ids, *trajectory.prompt_ids), default=0) < 0:
        raise ValueError("a token id is negative")


def _find_last_newline(descriptor: int) -> int:
    """Return the size up to and with the last newline; 0 if there is none."""
    end = os.lseek(descriptor, 0, os.SEEK_END)
    while end > 0:
        start = max(0, end - 65536)
        block = os.pread(descriptor, end - start, start)
        newline = block.rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
