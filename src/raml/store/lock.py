"""One writer a run: a lock that ends with its process."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from raml.errors import RunError
from raml.store.files import writing


@contextlib.contextmanager
def lock_run(path: Path) -> Iterator[None]:
    """Hold a run folder (made if need be) for writing; released also when the process is killed.

    Raises:
        RunError: another process holds it; the message has its process id.
    """
    try:
        import fcntl
    except ImportError:  # Windows: no lock, no harm as long as one command runs at a time
        yield
        return
    with writing(path):
        is_new = not path.exists()
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            raise RunError(
                f"{path} is being written by process {owner}. Wait for it, or use another folder."
            ) from error
        except OSError:
            pass  # a file system without locks: as on Windows
        with contextlib.suppress(OSError):  # only names the owner; the lock holds without it
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    except BaseException:
        if is_new and [entry.name for entry in path.iterdir()] == [".lock"]:
            (path / ".lock").unlink()
            path.rmdir()  # a command that failed before it wrote anything leaves nothing
        raise
    finally:
        os.close(descriptor)
