"""Look at a log of inspect before its own reader does, which would take whatever memory the log asks for."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from raml.errors import DataError

MAX_DEPTH = 200
"""Lists and objects within each other. inspect's full reader goes no deeper, and its quick one, which reads headers and
samples, takes memory with the square of the depth."""
MAX_BYTES, MAX_RATIO = 2 << 30, 1000
"""Most that a log's members may take unpacked, in all; and how many times its packed size one may."""
TEXTS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
OPENING = list(b"[{")
BLOCK = 1 << 22


def check_log_size(path: Path) -> None:
    """Refuse a log that would fill the memory.

    Raises:
        DataError: it unpacks to too much, or nests too deep.
        OSError: it can't be read; zipfile has errors of its own.
    """
    if path.suffix.lower() != ".eval":
        with path.open("rb") as file:
            _check_depth(file, path)
        return
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        n_bytes = sum(member.file_size for member in members)
        if n_bytes > MAX_BYTES or any(member.file_size > MAX_RATIO * member.compress_size for member in members):
            raise DataError(
                f"{path} unpacks to {n_bytes:,} bytes; a log may take {MAX_BYTES:,}, and each of its members "
                f"{MAX_RATIO:,} times what it takes packed."
            )
        for member in members:
            with archive.open(member) as file:
                _check_depth(file, path)


def _check_depth(file: IO[bytes], path: Path) -> None:
    """Refuse JSON that nests too deep.

    Raises:
        DataError: it does.
    """
    depth, begun = 0, b""
    while block := file.read(BLOCK):
        # Of a text that goes on in the next block only its beginning is kept, and a backslash that stands last in it.
        outside, quote, inside = TEXTS.sub(b"", begun + block).partition(b'"')
        n_last = len(inside) - len(inside.rstrip(b"\\"))
        begun = quote + b"\\" * (n_last % 2)
        brackets = np.frombuffer(outside.translate(None, NO_BRACKETS), np.uint8)
        depths = depth + np.where(np.isin(brackets, OPENING), 1, -1).cumsum()
        if depths.max(initial=0) > MAX_DEPTH:
            raise DataError(f"{path} nests lists and objects more than {MAX_DEPTH} deep; a log of inspect does not.")
        depth = int(depths[-1]) if len(depths) else depth
