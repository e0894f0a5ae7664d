"""Read only plain files: a pipe would be waited for without end, and a device may never end."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

import msgspec

from raml.errors import RunError

MALFORMED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not what was asked for; so many brackets are no DecodeError."""
KINDS = (
    (stat.S_ISDIR, "it is a folder, not a file"),
    (stat.S_ISFIFO, "it is a pipe, not a file"),
    (stat.S_ISSOCK, "it is a socket, not a file"),
    (stat.S_ISCHR, "it is a device, not a file"),
    (stat.S_ISBLK, "it is a device, not a file"),
)


def check_plain(path: Path) -> None:
    """Refuse what is no plain file (or a link to one), for readers that open a path by themselves.

    Raises:
        OSError: it is missing or something else; `strerror` says what, in words for a message.
    """
    _check_mode(path, path.stat().st_mode)


def open_plain(path: Path) -> BinaryIO:
    """Open a plain file for reading, without waiting for anybody.

    Raises:
        OSError: as `check_plain`, or it may not be read.
    """
    check_plain(path)
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _check_mode(path, os.fstat(descriptor).st_mode)  # whatever took its place since
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_plain(path: Path) -> bytes:
    """Read a plain file whole.

    Raises:
        OSError: as `open_plain`.
    """
    with open_plain(path) as file:
        return file.read()


def read_plain_text(path: Path, encoding: str = "utf-8-sig") -> str:
    """Read a plain file as text; a byte order mark is none of it.

    Raises:
        OSError: as `open_plain`.
        UnicodeDecodeError: it is in another encoding.
    """
    return read_plain(path).decode(encoding).replace("\r\n", "\n")


def is_there(path: Path) -> bool:
    """Whether a file of a run is there.

    Raises:
        RunError: something else has its place, which would otherwise count as nothing and be replaced.
    """
    if not os.path.lexists(path):
        return False
    try:
        check_plain(path)
    except OSError as error:
        raise RunError(f"{path} can't be read: {error.strerror}. Move it out of the way.") from error
    return True


def _check_mode(path: Path, mode: int) -> None:
    found = next((words for is_kind, words in KINDS if is_kind(mode)), None)
    if found is not None:
        raise OSError(errno.EINVAL, found, str(path))
