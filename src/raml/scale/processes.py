"""Worker processes of this machine: each builds what it needs once, then works on one unit after another."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from raml.errors import RamlError, RunError

END_WITHIN_S = 5
"""Seconds that a worker has to end before it is killed."""
_n_sharing = 1
_index: int | None = None


class LostWorkerError(RunError):
    """A worker is gone, through no doing of the work's own code that could be told: killed, or its machine went."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"A worker process was ended by the system ({reason}); often that means too little memory. What was "
            "finished is kept: run the same command again, with fewer workers."
        )
        self.reason = reason

    def __reduce__(self) -> tuple[type[LostWorkerError], tuple[str]]:
        return type(self), (self.reason,)


def count_cores() -> int:
    """Cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def count_sharing() -> int:
    """Workers that share this machine's memory with this process, itself included."""
    return _n_sharing


def choose_accelerator(n: int) -> int | None:
    """Which of n accelerators is this process's, if it is one of several workers that share them."""
    return None if _index is None else _index % n


def share_machine(n_threads: int, n_sharing: int, index: int | None = None) -> None:
    """Make this process one of several workers: its share of cores and memory, and of accelerators by its index."""
    global _n_sharing, _index
    _n_sharing, _index = n_sharing, index
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(n_threads)
    else:
        os.environ["OMP_NUM_THREADS"] = str(n_threads)  # torch will read it


@dataclass(frozen=True, eq=False)
class WorkerProcess:
    """A process and the way to it."""

    process: BaseProcess
    connection: Connection

    @staticmethod
    def start(set_up: Callable[[], Callable[[Any], object]], *, n_sharing: int, index: int = 0) -> WorkerProcess:
        """Start one of several from scratch: forked ones would share the threads' locks."""
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=_serve, args=(there, set_up, n_sharing, index), daemon=True)
        with _importing_safely():
            process.start()
        there.close()
        return WorkerProcess(process, here)

    def send(self, unit: object) -> None:
        """Give it a unit; that it has ended meanwhile will be seen when the result is taken."""
        with contextlib.suppress(OSError):
            self.connection.send(unit)

    def receive(self) -> Any:  # noqa: ANN401
        """Take its next result, or raise what it raised.

        Raises:
            LostWorkerError: it was ended by the system.
        """
        try:
            ok, value = pickle.loads(self.connection.recv_bytes())  # noqa: S301  # from a process started here
        except (EOFError, OSError) as error:
            self.process.join(END_WITHIN_S)
            code = self.process.exitcode or 0
            reason = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            raise LostWorkerError(reason) from error
        return open_answer(ok, value)


@contextlib.contextmanager
def _importing_safely() -> Iterator[None]:
    """Let a process that is started here import nothing from the folder one happens to be in."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        del os.environ["PYTHONSAFEPATH"]
        if before is not None:
            os.environ["PYTHONSAFEPATH"] = before


def _serve(connection: Connection, set_up: Callable[[], Callable[[Any], object]], n_sharing: int, index: int) -> None:
    """What a worker does: build, then work until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one ends the others
    threading.Thread(target=_end_with_parent, daemon=True).start()
    work: Callable[[Any], object] | None = None
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            unit = connection.recv()
            try:
                if work is None:
                    share_machine(max(1, count_cores() // n_sharing), n_sharing, index)
                    work = set_up()
                answer = pickle.dumps((True, work(unit)))
            except Exception as error:  # noqa: BLE001  # whatever it is, it is raised where the work was asked for
                answer = pickle_error(error)
            connection.send_bytes(answer)


def _end_with_parent() -> None:
    """End this process with the one that started it, amid its work: whoever starts that again wants its files.

    It is told to first, as it would be by that one, so that work which started other programs can end these.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(END_WITHIN_S)
        os._exit(1)


def open_answer(ok: bool, value: Any) -> Any:  # noqa: ANN401
    """Return what a worker made, or raise what it raised.

    Raises:
        LostWorkerError: it ran out of memory; another one may have more.
    """
    if isinstance(value, MemoryError) and not ok:
        raise LostWorkerError("out of memory") from value
    if not ok:
        raise value
    return value


def pickle_error(error: Exception) -> bytes:
    """Pack an exception; one that can't be packed becomes a RunError that quotes it."""
    if not isinstance(error, RamlError):
        error.add_note("In a worker process:\n" + "".join(traceback.format_exception(error)))
    try:
        answer = pickle.dumps((False, error))
        pickle.loads(answer)  # noqa: S301  # some can be packed and not unpacked
    except Exception:  # noqa: BLE001
        return pickle.dumps((False, RunError(f"A worker process failed: {type(error).__name__}: {error}")))
    return answer


def end_processes(workers: list[WorkerProcess]) -> None:
    """End them: they are told to, and killed if they don't."""
    for worker in workers:
        worker.process.terminate()
        worker.connection.close()
    for worker in workers:
        worker.process.join(END_WITHIN_S)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.process.close()
