"""One writer a run: a lock that ends with its process."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from raml.errors import RunError
from raml.store.clock import COMMAND
from raml.store.files import is_still, sweep_partials, write_all, writing

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCK = ".lock"
"""The file that is locked; it names its owner."""
HELD = ".lock-held"
"""What stands for the lock on file systems that have none: there as long as it is held, and after a kill."""


@dataclass(frozen=True)
class Owner:
    """The process that writes a run."""

    pid: int
    host: str
    command: str
    since: str
    """When it began, in UTC."""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since} ({self.command})"


@contextlib.contextmanager
def lock_run(path: Path) -> Iterator[None]:
    """Hold a run folder (made if need be) for writing; released also when the process is killed.

    The kernel's lock is what counts, on a shared file system that of all hosts. Where the file system has no locks, a
    file stands for one; after a kill it is taken over if its process was on this host and is gone. What killed writers
    left half-written is removed.

    Raises:
        RunError: another process holds it; the message says which, where, since when and what it does.
    """
    with writing(path):
        is_new = _make_folder(path)
    try:
        with _hold(path):
            sweep_partials(path.rglob(".*"))
            yield
    except BaseException:
        if is_new:
            _remove_if_empty(path)
        raise


def _make_folder(path: Path) -> bool:
    """Make a folder; whether it was not there before."""
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        if not path.is_dir():
            raise
        return False
    return True


def _remove_if_empty(path: Path) -> None:
    """Let a command that failed before it wrote anything leave nothing; a lock that names an owner is another's."""
    with contextlib.suppress(OSError):
        if all(entry.name == LOCK and not entry.read_bytes() for entry in path.iterdir()):
            shutil.rmtree(path)


@contextlib.contextmanager
def _hold(path: Path) -> Iterator[None]:
    """Hold the folder by the kernel's lock, or else by a file."""
    with writing(path):
        descriptor = _open_lock(path)
    try:
        if not _take_lock(descriptor, path):
            with _hold_by_file(path):
                yield
            return
        with contextlib.suppress(OSError):  # only names the owner; the lock holds without it
            os.ftruncate(descriptor, 0)
            write_all(descriptor, _describe_self())
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _open_lock(path: Path) -> int:
    return os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)


def _take_lock(descriptor: int, path: Path) -> bool:
    """Lock an open file; False where that can't be done.

    Raises:
        RunError: another process has.
    """
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _refuse(path, os.pread(descriptor, 65536, 0)) from error
    except OSError:
        return False
    if not is_still(path / LOCK, descriptor):
        raise RunError(f"{path} was removed by another process just now. Run the same command again.")
    return True


@contextlib.contextmanager
def _hold_by_file(path: Path) -> Iterator[None]:
    """Hold a folder by a file that only one process can make.

    Raises:
        RunError: it is there, and its process lives, or is on another host.
    """
    held = path / HELD
    with writing(held):
        try:
            descriptor = os.open(held, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError as error:
            content = held.read_bytes()
            if not _is_gone(_read_owner(content)):
                raise _refuse(path, content, f" If that process is gone, remove {held}.") from error
            descriptor = os.open(held, os.O_WRONLY | os.O_TRUNC)
        try:
            write_all(descriptor, _describe_self())
        finally:
            os.close(descriptor)
    try:
        yield
    finally:
        held.unlink(missing_ok=True)


def _describe_self() -> bytes:
    since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    command = shlex.join(COMMAND.get(("Python",)))
    return msgspec.json.encode(Owner(os.getpid(), socket.gethostname(), command, since)) + b"\n"


def _read_owner(content: bytes) -> Owner | None:
    try:
        return msgspec.json.decode(content, type=Owner)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _is_gone(owner: Owner | None) -> bool:
    """Whether a process is known to have ended."""
    if owner is None or owner.host != socket.gethostname() or os.name == "nt":  # there, asking would end it
        return False
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # somebody else's
        return False
    return False


def _refuse(path: Path, content: bytes, advice: str = "") -> RunError:
    owner = _read_owner(content) or "process unknown"
    return RunError(f"{path} is being written by {owner}. Wait for it, or use another folder.{advice}")
