"""Units of work over several processes of this machine.

Each worker builds what it needs once (a model, say) and then works on one unit after another. Results come as they are
finished, so that each can be written down at once; their order is not that of the units.
"""

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
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from raml.errors import DataError, RamlError, RunError

U = TypeVar("U")
R = TypeVar("R")

_NO_UNIT = object()
END_WITHIN_S = 5
"""Seconds that a worker has to end before it is killed."""


def map_units(set_up: Callable[[], Callable[[U], R]], units: Iterable[U], *, n_workers: int = 1) -> Iterator[R]:
    """Work on units in this process or in several, and yield each result as it is finished.

    `set_up` is called once in each worker and returns the function that works on a unit. For more than one worker it,
    units and results must be picklable, which functions inside functions are not; the torch threads of each are its
    share of the cores. With one worker everything happens here, one unit for each result that is asked for.

    An exception of a worker is raised here as it was there. When the iteration ends, by itself, by an error or by
    Ctrl-C, the workers end too.

    Raises:
        DataError: fewer than one worker is asked for.
        RunError: a worker was ended by the system.
    """
    if n_workers < 1:
        raise DataError(f"The number of workers is {n_workers}; it must be at least 1.")
    if n_workers == 1:
        work = set_up()
        for unit in units:
            yield work(unit)
        return
    left = iter(units)
    n_threads = max(1, count_cores() // n_workers)
    workers: list[_Worker] = []
    try:
        for _, unit in zip(range(n_workers), left, strict=False):
            workers.append(_Worker.start(set_up, n_threads))
            workers[-1].send(unit)
        busy = {worker.connection: worker for worker in workers}
        while busy:
            for connection in wait(list(busy)):
                assert isinstance(connection, Connection)
                result = busy[connection].receive()
                unit = next(left, _NO_UNIT)
                if unit is _NO_UNIT:
                    del busy[connection]
                else:
                    busy[connection].send(unit)
                yield result
    finally:
        _end(workers)


def run_graph(
    set_up: Callable[[], Callable[[U], R]],
    units: Mapping[str, U],
    needs: Mapping[str, Collection[str]],
    *,
    exclusive: Mapping[str, str] | None = None,
    n_workers: int = 1,
    fresh: bool = False,
    on_begin: Callable[[str], None] | None = None,
) -> Iterator[tuple[str, R | Exception]]:
    """Work on units of which some need others, and yield each one's name and result as it is finished.

    A unit begins when all that it needs are finished; among those that could begin, the first in the mapping's order
    does. Work is done in other processes, also with one worker, built as `map_units` builds them. What a unit raises is
    yielded in place of a result, and whatever needs that unit is never begun; the others go on.

    Args:
        set_up: Called once in each worker; returns the function that works on a unit.
        units: By name.
        needs: Names of the units that a unit needs; a name that is no unit counts as finished.
        exclusive: What a unit must have for itself, such as a folder: units of the same value never run together.
        n_workers: Units at the same time.
        fresh: Each unit gets a process of its own, so that nothing is left of one (an accelerator's memory, say) when
            the next begins.
        on_begin: Called with each unit's name in this process, before the unit begins.

    Raises:
        DataError: fewer than one worker is asked for.
    """
    if n_workers < 1:
        raise DataError(f"The number of workers is {n_workers}; it must be at least 1.")
    n_threads = max(1, count_cores() // n_workers)
    held = exclusive or {}
    left = dict(units)
    waiting = {name: {need for need in needs.get(name, ()) if need in units} for name in units}
    busy: dict[Connection, tuple[_Worker, str]] = {}
    idle: list[_Worker] = []
    try:
        while True:
            taken = {held.get(name) for _, name in busy.values()} - {None}
            for name in [name for name in left if not waiting[name]]:
                if len(busy) == n_workers:
                    break
                if (own := held.get(name)) in taken:
                    continue
                taken |= {own} - {None}
                if on_begin is not None:
                    on_begin(name)
                worker = idle.pop() if idle else _Worker.start(set_up, n_threads)
                worker.send(left.pop(name))
                busy[worker.connection] = worker, name
            if not busy:
                return
            for connection in wait(list(busy)):
                assert isinstance(connection, Connection)
                worker, name = busy.pop(connection)
                try:
                    result = worker.receive()
                except Exception as error:  # noqa: BLE001  # whatever it is, the other units go on
                    result = error
                if isinstance(result, Exception) or fresh:
                    _end([worker])
                else:
                    idle.append(worker)
                if not isinstance(result, Exception):
                    for others in waiting.values():
                        others.discard(name)
                yield name, result
    finally:
        _end([*idle, *(worker for worker, _ in busy.values())])


def count_cores() -> int:
    """Cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class _Worker:
    """A process and the way to it."""

    process: BaseProcess
    connection: Connection

    @staticmethod
    def start(set_up: Callable[[], Callable[[Any], object]], n_threads: int) -> _Worker:
        """Start a process from scratch: forked ones would share the threads' locks."""
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=_serve, args=(there, set_up, n_threads), daemon=True)
        process.start()
        there.close()
        return _Worker(process, here)

    def send(self, unit: object) -> None:
        """Give it a unit; that it has ended meanwhile will be seen when the result is taken."""
        with contextlib.suppress(OSError):
            self.connection.send(unit)

    def receive(self) -> Any:  # noqa: ANN401
        """Take its next result, or raise what it raised.

        Raises:
            RunError: it was ended by the system.
        """
        try:
            ok, value = pickle.loads(self.connection.recv_bytes())  # noqa: S301  # from a process started here
        except (EOFError, OSError) as error:
            self.process.join(END_WITHIN_S)
            code = self.process.exitcode or 0
            reason = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            raise RunError(
                f"A worker process was ended by the system ({reason}); often that means too little memory. What was "
                "finished is kept: run the same command again, with fewer workers."
            ) from error
        if not ok:
            raise value
        return value


def _serve(connection: Connection, set_up: Callable[[], Callable[[Any], object]], n_threads: int) -> None:
    """What a worker does: build, then work until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one ends the others
    threading.Thread(target=_end_with_parent, daemon=True).start()
    work: Callable[[Any], object] | None = None
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            unit = connection.recv()
            try:
                if work is None:
                    _set_threads(n_threads)
                    work = set_up()
                answer = pickle.dumps((True, work(unit)))
            except Exception as error:  # noqa: BLE001  # whatever it is, it is raised where the work was asked for
                answer = _pickle_error(error)
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


def _set_threads(n_threads: int) -> None:
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(n_threads)


def _pickle_error(error: Exception) -> bytes:
    """Pack an exception; one that can't be packed becomes a RunError that quotes it."""
    if not isinstance(error, RamlError):
        error.add_note("In a worker process:\n" + "".join(traceback.format_exception(error)))
    try:
        answer = pickle.dumps((False, error))
        pickle.loads(answer)  # noqa: S301  # some can be packed and not unpacked
    except Exception:  # noqa: BLE001
        return pickle.dumps((False, RunError(f"A worker process failed: {type(error).__name__}: {error}")))
    return answer


def _end(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.process.terminate()
        worker.connection.close()
    for worker in workers:
        worker.process.join(END_WITHIN_S)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.process.close()
