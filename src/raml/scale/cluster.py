"""Workers on a Ray cluster: an actor each, with a GPU or some cores of its own."""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Callable, Sequence
from typing import Any

from raml.errors import DataError, MissingExtra, RunError
from raml.scale.pool import Workers
from raml.scale.processes import LostWorkerError, open_answer, pickle_error, share_machine

WAIT_S = 10
"""Seconds in which a cluster must answer."""


class RayWorkers:
    """Actors. None is restarted by Ray: whoever is lost is replaced, and its unit given to another, by the pool."""

    def __init__(self, set_up: Callable[[], object], workers: Workers) -> None:
        """Connect to the cluster, unless this process is connected to one.

        Raises:
            MissingExtra: Ray is not installed.
            RunError: the cluster can't be reached.
            DataError: more cores are asked for than any of its machines has.
        """
        self.ray = _import_ray()
        assert workers.ray is not None, "an address was asked for"
        _connect(self.ray, workers.ray)
        n_gpus, n_cores = _count_resources(self.ray)
        n_threads = workers.threads or 1
        if not n_gpus and n_threads > max(n_cores, default=0):
            raise DataError(f"--threads is {n_threads}; no machine of the cluster has as many cores.")
        self.n = workers.n or n_gpus or max(1, sum(cores // n_threads for cores in n_cores))
        self._resources = {"num_cpus": n_threads, "num_gpus": 1 if n_gpus else 0}
        self._n_threads = n_threads
        self._set_up = self.ray.put(set_up)
        self._actor = self.ray.remote(max_restarts=0, max_task_retries=0)(_Actor)

    def prepare(self, work: object) -> object:
        """Put work where all machines can get it."""
        return [self.ray.put(work)]  # in a list it stays a reference, which an actor resolves once

    def start(self) -> _RayWorker:
        """Ask for an actor; it starts when the cluster has room."""
        handle = self._actor.options(**self._resources).remote(self._set_up, self._n_threads)
        return _RayWorker(self.ray, handle)

    def wait(self, members: Sequence[_RayWorker]) -> Sequence[_RayWorker]:
        """Wait for at least one."""
        by_reference = {member.pending: member for member in members}
        ready, _ = self.ray.wait(list(by_reference), num_returns=1)
        return [by_reference[reference] for reference in ready]


class _RayWorker:
    """An actor and what it owes."""

    def __init__(self, ray: Any, handle: Any) -> None:  # noqa: ANN401
        self._ray, self._handle = ray, handle
        self.pending = handle.open.remote()

    def send(self, work: object, unit: object) -> None:
        self.pending = self._handle.work.remote(work, pickle.dumps(unit))

    def receive(self) -> Any:  # noqa: ANN401
        errors = self._ray.exceptions
        try:
            ok, value = pickle.loads(self._ray.get(self.pending))  # noqa: S301  # from an actor started here
        except errors.RayTaskError as error:  # before the actor's own code could catch it
            raise RunError(f"A worker of the cluster failed: {_write_line(error.cause)}") from error
        except errors.RayError as error:
            raise LostWorkerError(_write_line(error)) from error
        return open_answer(ok, value)

    def end(self) -> None:
        self._ray.kill(self._handle, no_restart=True)


class _Actor:
    """Runs on the cluster."""

    def __init__(self, set_up: Callable[[], object], n_threads: int) -> None:
        self._set_up, self._n_threads = set_up, n_threads
        self._state: object = None
        self._reference: object = None
        self._work: Callable[[Any, Any], Any] | None = None

    def open(self) -> bytes:
        """Make the state; an error is packed, as all that goes wrong here is."""
        try:
            from raml.scale.processes import count_cores

            share_machine(self._n_threads, max(1, count_cores() // self._n_threads))
            self._state = self._set_up()
            return pickle.dumps((True, None))
        except Exception as error:  # noqa: BLE001  # whatever it is, it is raised where the work was asked for
            return pickle_error(error)

    def work(self, work: list[Any], unit: bytes) -> bytes:
        """Do one unit."""
        try:
            if work[0] != self._reference:
                import ray

                self._reference, self._work = work[0], ray.get(work[0])
            assert self._work is not None
            results = list(self._work(self._state, pickle.loads(unit)))  # noqa: S301  # from whoever started this actor
            return pickle.dumps((True, results))
        except Exception as error:  # noqa: BLE001
            return pickle_error(error)


def _import_ray() -> Any:  # noqa: ANN401
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # actors without a GPU: leave the variable alone
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise MissingExtra("A Ray cluster needs Ray: pip install 'raml[scale]'.") from error
    return ray


def _connect(ray: Any, address: str) -> None:  # noqa: ANN401
    if ray.is_initialized():
        return
    _check_address(address)
    try:
        ray.init(address=address, logging_level="ERROR", log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        hint = " Start one with `ray start --head`." if address == "auto" else ""
        raise RunError(f"No Ray cluster can be reached at {address!r}: {_write_line(error)}{hint}") from error


def _check_address(address: str) -> None:
    """Try the door: where nobody opens, Ray itself would wait for many minutes.

    Raises:
        DataError: it is no address that can be used here.
        RunError: nobody is there.
    """
    if address in ("auto", "local"):
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise DataError(f"--ray is {address!r}; it must be auto or HOST:PORT, on a machine of the cluster.")
    try:
        socket.create_connection((host, int(port)), timeout=WAIT_S).close()
    except (OSError, OverflowError) as error:
        raise RunError(f"No Ray cluster can be reached at {address!r}: {_write_line(error)}.") from error


def _count_resources(ray: Any) -> tuple[int, list[int]]:  # noqa: ANN401
    """GPUs of the cluster, and the cores of each of its machines."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return int(sum(node.get("GPU", 0) for node in nodes)), [int(node.get("CPU", 0)) for node in nodes]


def _write_line(error: BaseException | None) -> str:
    """The first line of what an error says."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
