"""Write files so that a kill, a full disk or a read-only folder leaves nothing half-written."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from raml.errors import RunError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def write_atomically(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Replace a file's content: whoever reads it, whenever this is killed, sees the old or the new one whole.

    What need not be in memory at once comes in pieces.

    Raises:
        RunError: the disk is full or the folder can't be written; the old content stays.
    """
    with writing(path):
        temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            with temporary.open("wb") as file:
                for piece in [content] if isinstance(content, bytes) else content:
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusals to write into a RunError that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise RunError(
                f"The disk is full: {path} could not be written. What was finished is kept; free some space and run "
                "the same command again."
            ) from error
        raise RunError(
            f"{path} can't be written: {error.strerror}. Choose another folder, or change its permissions."
        ) from error


def _sync_folder(path: Path) -> None:
    """Make a rename survive a power cut, where folders can be synced."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
