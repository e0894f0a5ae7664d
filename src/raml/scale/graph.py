"""Units of work of which some need others, over processes of this machine."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from multiprocessing.connection import Connection, wait
from typing import TypeVar

from raml.errors import DataError
from raml.scale.processes import WorkerProcess, end_processes

U = TypeVar("U")
R = TypeVar("R")


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
    does. Work is done in other processes, also with one worker, built by `set_up`. What a unit raises is
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
    held = exclusive or {}
    left = dict(units)
    waiting = {name: {need for need in needs.get(name, ()) if need in units} for name in units}
    busy: dict[Connection, tuple[WorkerProcess, str]] = {}
    idle: list[WorkerProcess] = []
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
                worker = idle.pop() if idle else WorkerProcess.start(set_up, n_sharing=n_workers)
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
                    end_processes([worker])
                else:
                    idle.append(worker)
                if not isinstance(result, Exception):
                    for others in waiting.values():
                        others.discard(name)
                yield name, result
    finally:
        end_processes([*idle, *(worker for worker, _ in busy.values())])
