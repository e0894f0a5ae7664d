"""Records as lines of JSON, appended one by one; each carries its schema version and a checksum."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from raml.errors import DataError, RunError
from raml.inputs import open_plain
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
    check_record,
)
from raml.store.checksums import advise_check, find_misfit, seal
from raml.store.files import write_all, writing

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
        RunError: the schema version is above ours, or no number.
    """
    if found is not None and type(found) is not int:
        raise RunError(f"{place} has schema version {str(found)[:40]!r}, which is no whole number.")
    if found is not None and found > SCHEMA_VERSION:
        raise RunError(
            f"{place} was written by a newer version of raml (schema {found}; this one reads up to {SCHEMA_VERSION}). "
            "Upgrade raml to read it."
        )


def encode_line(record: Record) -> bytes:
    """Write a record as one line of JSON, marked with the schema version and a checksum of the line."""
    return seal(msgspec.json.encode({"v": SCHEMA_VERSION, **_to_plain(record)})) + b"\n"


def read_jsonl(path: Path, record_type: type[T], *, appended: bool = True) -> list[T]:
    """Read records from a JSONL file that `encode_line` wrote.

    A torn last line of a file that is appended to is skipped; one that is replaced whole has none.

    Raises:
        RunError: the file can't be read or is of a newer schema.
        DataError: a line is not such a record, or its checksum does not fit; the message has file and line number.
    """
    records: list[T] = []
    try:
        with open_plain(path) as file:
            for number, line in enumerate(file, start=1):
                if appended and is_torn(line):
                    break  # the next append cuts it off
                records.append(decode_line(line, record_type, f"{path} line {number}", path))
    except OSError as error:
        raise RunError(f"{path} can't be read: {error.strerror}.") from error
    return records


def is_torn(line: bytes) -> bool:
    """Whether a line was cut short by a kill: it has no end, and is no record followed by a damaged one."""
    return not line.endswith(b"\n") and not _is_json(line) and not _is_json(line[:-1])


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
                write_all(self._fd, content)
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
    if isinstance(value, np.ndarray):
        return value  # as tables have them
    if not isinstance(value, dict):
        raise TypeError(f"expected {expected}")
    data = base64.b64decode(value["base64"], validate=True)
    return np.frombuffer(data, dtype=np.dtype(value["dtype"]).newbyteorder("<")).reshape(value["shape"]).copy()


def decode_line(line: bytes, record_type: type[T], place: str, path: Path) -> T:
    """Read a line of a file.

    Raises:
        RunError: it is of a newer schema.
        DataError: it is not such a record, or its checksum does not fit.
    """
    try:
        plain = msgspec.json.decode(line, type=dict[str, Any])
        if misfit := find_misfit(line):  # before the version is looked at, which may be what is damaged
            raise DataError(
                f"{place}: the checksum does not fit ({misfit}), so the record is damaged. {advise_check(path)} If it "
                "was edited on purpose, take the field crc out of the line."
            )
        check_schema(place, plain.pop("v", SCHEMA_VERSION))
        return restore_record(plain, record_type)
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise DataError(f"{place} is no {record_type.__name__} record: {error}. {advise_check(path)}") from error


def restore_record(plain: object, record_type: type[T]) -> T:
    """Make a record of plain values, its arrays as they are or as `encode_line` writes them.

    Values of fields that it has not are passed over.

    Raises:
        ValueError, KeyError, TypeError: they are none, or contradict each other.
    """
    record = msgspec.convert(plain, record_type, dec_hook=_decode_array)
    check_record(record)
    return record


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
