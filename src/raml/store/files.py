"""Write files so that a kill, a full disk or a read-only folder leaves nothing half-written."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from raml.errors import RunError
from raml.inputs import check_plain

try:
    import fcntl
except ImportError:  # Windows: leftovers of killed writers stay
    fcntl = None

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
PARTIAL = ".partial"
"""Ending of what is being written."""
BLOCK = 2**20
"""Bytes that are written at a time where content comes in smaller pieces."""


def write_atomically(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Replace a file's content: whoever reads it, whenever this is killed, sees the old or the new one whole.

    What need not be in memory at once comes in pieces. What killed writers of the same file left behind is removed.

    Raises:
        RunError: the disk is full or the folder can't be written; the old content stays.
    """
    with writing(path):
        with contextlib.suppress(FileNotFoundError):
            check_plain(path)  # a rename would put a file in a device's place
        temporary, descriptor = _open_partial(path)
        try:
            try:
                for block in _collect([content] if isinstance(content, bytes) else content):
                    write_all(descriptor, block)
                os.fsync(descriptor)
                if fcntl is not None:
                    temporary.replace(path)
            finally:
                os.close(descriptor)
            if fcntl is None:  # Windows renames no open file
                temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
        sweep_partials(entry for entry in path.parent.iterdir() if entry.name.startswith(f".{path.name}."))


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


def write_all(descriptor: int, content: bytes) -> None:
    """Write all of some bytes, in as many calls as that takes."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def sweep_partials(paths: Iterable[Path]) -> None:
    """Remove what killed writers left behind, of the files given; one that is being written is locked, and stays."""
    if fcntl is None:
        return
    for path in paths:
        if not path.name.endswith(PARTIAL):
            continue
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(descriptor)


def _open_partial(path: Path) -> tuple[Path, int]:
    """Make the file beside another one that will replace it, locked as long as it is open."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    while True:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        if fcntl is None:
            return temporary, descriptor
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if is_still(temporary, descriptor):
            return temporary, descriptor
        os.close(descriptor)  # swept up by another process before it was locked


def is_still(path: Path, descriptor: int) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _collect(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Join small pieces into blocks."""
    block = bytearray()
    for piece in pieces:
        block += piece
        if len(block) >= BLOCK:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)


def _sync_folder(path: Path) -> None:
    """Make a rename survive a power cut, where folders can be synced."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
