"""Checksums that go with the records, and what to say where one does not fit."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from numpy.typing import NDArray

CRC = "crc"
"""The field that holds a checksum."""
_MARK = b',"crc":"'
_LEN = len(b'01234567"}')
_KNOWN = ("manifest.json", "questions.jsonl", "steps.jsonl")
"""Files of which a run, a model or a study folder has one."""


def seal(line: bytes) -> bytes:
    """Put a checksum (CRC-32, in hexadecimal digits) of a JSON object's bytes into it, as its last field."""
    return b'%s%s%08x"}' % (line[:-1], _MARK, zlib.crc32(line))


def find_misfit(line: bytes) -> str:
    """Say how the checksum of a line differs from what `seal` would have written; empty where it fits.

    Only a line as `seal` wrote it has one. Others are made by hand or written anew by another program, which puts
    blanks between fields; there is nothing to compare.
    """
    head, mark, tail = line.rstrip().rpartition(_MARK)
    if not mark or len(tail) != _LEN or not tail.endswith(b'"}'):
        return ""
    found = b"%08x" % zlib.crc32(head + b"}")
    written = tail[:-2]
    return "" if found == written else f"{written.decode(errors='replace')} is written, {found.decode()} found"


def sum_record(plain: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]] | None = None) -> str:
    """Sum up a record's values, however they are written: its JSON without the field crc, and arrays by name."""
    total = zlib.crc32(msgspec.json.encode({key: value for key, value in plain.items() if key != CRC}))
    for name, array in sorted((arrays or {}).items()):
        total = zlib.crc32(f"{name} {array.dtype.str} {array.shape}".encode(), total)
        total = zlib.crc32(array.tobytes(), total)
    return f"{total:08x}"


def advise_check(path: Path) -> str:
    """Say what to do about a damaged file of a run."""
    run = next((folder for folder in path.parents if any((folder / name).is_file() for name in _KNOWN)), path.parent)
    return f"`raml check {run} --repair` sets aside what is damaged."
