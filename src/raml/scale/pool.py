"""Units of work over workers, which may be this process, several of this machine, or a Ray cluster's.

Each worker builds its state once (a model, say) and works on one unit after another. Results come as units are
finished, so that each can be written down at once; their order is not that of the units. A unit whose worker is lost
goes to another one.
"""

from __future__ import annotations

import functools
import pickle
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, Protocol, TypeVar

from raml.errors import DataError
from raml.scale.processes import LostWorkerError, WorkerProcess, end_processes

S = TypeVar("S")
U = TypeVar("U")
R = TypeVar("R")

MAX_TRIES = 3
"""Workers that a unit may cost before it is taken to be the reason."""


@dataclass(frozen=True)
class Workers:
    """Who works."""

    n: int | None = None
    """How many; by default one, this process itself, and on a Ray cluster one for each GPU or, without, each `threads`
    cores."""
    ray: str | None = None
    """Address of a Ray cluster, "auto" for the one that this machine belongs to; None for processes of this machine."""
    threads: int | None = None
    """Cores that a worker on a cluster takes; by default one."""

    @property
    def is_here(self) -> bool:
        """Whether this process works alone."""
        return self.ray is None and self.n in (None, 1)

    def __post_init__(self) -> None:
        if self.n is not None and self.n < 1:
            raise DataError(f"The number of workers is {self.n}; it must be at least 1.")


class Pool(ABC, Generic[S]):
    """Workers, each with a state of its own."""

    is_here = False
    """Whether the work is done in this process."""

    @abstractmethod
    def map(self, work: Callable[[S, U], Iterable[R]], units: Iterable[U]) -> Iterator[R]:
        """Do `work(state, unit)` for each unit and yield what it gives; from other processes, once a unit is finished.

        Raises:
            LostWorkerError: one unit cost several workers.
        """

    def ask(self, work: Callable[[S], R]) -> R:
        """Do `work(state)` in one worker."""
        (answer,) = self.map(functools.partial(_answer, work), [None])
        return answer

    @abstractmethod
    def close(self) -> None:
        """End the workers."""

    def __enter__(self) -> Pool[S]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_pool(set_up: Callable[[], S], workers: Workers | None = None) -> Pool[S]:
    """Make ready to work; workers start when there is something to do.

    `set_up` is called once in each worker and makes its state. Unless all happens in this process, it, the work and the
    units must be picklable, which functions inside functions are not. The torch threads of each of several processes
    are its share of the cores. What a worker raises is raised here as it was there.

    Raises:
        MissingExtra: Ray is asked for and not installed.
        RunError: the cluster can't be reached.
    """
    workers = workers or Workers()
    if workers.ray is not None:
        from raml.scale.cluster import RayWorkers

        return _Team(RayWorkers(set_up, workers))
    if workers.is_here:
        return _Alone(set_up)
    return _Team(_Processes(set_up, workers.n or 1))


class _Alone(Pool[S]):
    """This process."""

    is_here = True

    def __init__(self, set_up: Callable[[], S]) -> None:
        self._set_up = functools.cache(set_up)

    def map(self, work: Callable[[S, U], Iterable[R]], units: Iterable[U]) -> Iterator[R]:
        for unit in units:
            yield from work(self._set_up(), unit)

    def close(self) -> None:
        self._set_up.cache_clear()


class Member(Protocol):
    """A worker elsewhere. It is received from once before its first unit, and raises there what its start raised."""

    def send(self, work: object, unit: object) -> None:
        """Give it a unit; `work` is what `Staff.prepare` returned."""

    def receive(self) -> Any:  # noqa: ANN401
        """Take what it has, or raise what it raised; LostWorkerError where it is gone."""

    def end(self) -> None:
        """End it, amid its work if need be."""


class Staff(Protocol):
    """Where workers come from."""

    n: int

    def prepare(self, work: object) -> object:
        """Make work ready to be sent to many."""
        ...

    def start(self) -> Member:
        """Start a worker; it may take its time."""
        ...

    def wait(self, members: Sequence[Any]) -> Sequence[Any]:
        """Wait until there is something to receive from at least one; return these."""
        ...


class _Team(Pool[S]):
    """Workers elsewhere: starts them, gives them units, and replaces those that are lost."""

    def __init__(self, staff: Staff) -> None:
        self._staff = staff
        self._idle: list[Member] = []
        self._starting: list[Member] = []
        self._busy: dict[Member, int] = {}
        self._n_lost_at_start = 0

    def map(self, work: Callable[[S, U], Iterable[R]], units: Iterable[U]) -> Iterator[R]:
        by_place = list(units)
        left, tries = deque(range(len(by_place))), Counter[int]()
        prepared = self._staff.prepare(work)
        try:
            while left or self._busy:
                while left and self._idle:
                    member, place = self._idle.pop(), left.popleft()
                    self._busy[member] = place
                    member.send(prepared, by_place[place])
                n_there = len(self._busy) + len(self._starting)
                for _ in range(min(len(left) - len(self._starting), self._staff.n - n_there)):
                    self._starting.append(self._staff.start())
                for member in self._staff.wait([*self._busy, *(self._starting if left else ())]):
                    if member in self._starting:
                        self._welcome(member)
                        continue
                    place = self._busy.pop(member)
                    try:
                        results = member.receive()
                    except LostWorkerError:
                        member.end()
                        tries[place] += 1
                        if tries[place] == MAX_TRIES:
                            raise
                        left.appendleft(place)
                        continue
                    except BaseException:
                        self._idle.append(member)  # what it raised was its work's fault
                        raise
                    self._idle.append(member)
                    yield from results
        finally:  # after an error, or when nobody asks for more
            for member in self._busy:
                member.end()
            self._busy.clear()

    def _welcome(self, member: Member) -> None:
        """Take a worker that says whether it is ready."""
        self._starting.remove(member)
        try:
            member.receive()
        except LostWorkerError:
            member.end()
            self._n_lost_at_start += 1
            if self._n_lost_at_start >= MAX_TRIES:
                raise
        except BaseException:
            member.end()
            raise
        else:
            self._idle.append(member)

    def close(self) -> None:
        for member in (*self._idle, *self._starting, *self._busy):
            member.end()
        self._idle, self._starting, self._busy = [], [], {}


class _Processes:
    """Processes of this machine."""

    def __init__(self, set_up: Callable[[], object], n: int) -> None:
        self.n, self._n_started, self._n_works = n, 0, 0
        self._open = functools.partial(_Desk, set_up)

    def prepare(self, work: object) -> object:
        self._n_works += 1
        return self._n_works, pickle.dumps(work)

    def start(self) -> _Process:
        self._n_started += 1
        return _Process(WorkerProcess.start(self._open, n_sharing=self.n, index=self._n_started - 1))

    def wait(self, members: Sequence[_Process]) -> Sequence[_Process]:
        by_connection = {member.process.connection: member for member in members}
        ready = wait(list(by_connection))
        return [by_connection[c] for c in ready if isinstance(c, Connection)]


class _Process:
    """One of them."""

    def __init__(self, process: WorkerProcess) -> None:
        self.process = process
        self._has: object = None
        process.send(None)  # it is received from once before the first unit

    def send(self, work: object, unit: object) -> None:
        self.process.send((None if work is self._has else work, unit))
        self._has = work

    def receive(self) -> Any:  # noqa: ANN401
        return self.process.receive()

    def end(self) -> None:
        end_processes([self.process])


class _Desk(Generic[S]):
    """In a worker: the state, the work it was last told to do, and what it is asked."""

    def __init__(self, set_up: Callable[[], S]) -> None:
        self.state = set_up()
        self._work: Callable[[S, Any], Iterable[Any]] | None = None

    def __call__(self, request: tuple[tuple[int, bytes] | None, Any] | None) -> list[Any] | None:
        if request is None:
            return None
        prepared, unit = request
        if prepared is not None:
            self._work = pickle.loads(prepared[1])  # noqa: S301  # from the process that started this one
        assert self._work is not None, "the first unit comes with its work"
        return list(self._work(self.state, unit))


def _answer(work: Callable[[S], R], state: S, _unit: None) -> Iterator[R]:
    yield work(state)
