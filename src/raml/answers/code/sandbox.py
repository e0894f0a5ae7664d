"""A process that runs programs, shut off from the machine, as seen from outside."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import selectors
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from raml.answers.code.inside.frames import OVERDUE, receive_bytes, receive_json, send_bytes, send_json
from raml.answers.code.isolation import Isolation, User, find_package_paths, find_shown_paths, write_command
from raml.answers.code.limits import MAX_STRETCH, Limits
from raml.answers.code.processes import end_processes, measure_delay
from raml.errors import UndecidedError

START_TIMEOUT_S = 120.0
"""Far more than a start takes, which is not the program's fault."""
GRACE_S = 20.0
"""How much later than the process itself this side gives up a test."""


@dataclass(frozen=True)
class Outcome:
    """How one test of a program went."""

    timed_out: bool
    """Whether it used up its seconds, of computing or of the clock."""
    too_long: bool = False
    """Whether it was stopped for all that it printed."""
    exit_code: int = 0
    """Negative: the number of the signal that ended it."""
    error: str = ""
    """The end of what it printed on standard error."""
    output: bytes = b""
    value: bytes = b""
    """JSON of what its function returned; empty if it returned nothing."""
    lost: bool = False
    """Whether the process that ran it ended with it, twice."""
    cpu_s: float = 0.0
    wall_s: float = 0.0


class Sandbox:
    """Owns a process in which tests are run one after the other, each in a fork of its own. Used in a `with`."""

    def __init__(self, isolation: Isolation, limits: Limits, *, preload: Sequence[str] = ()) -> None:
        """Start the process.

        Args:
            isolation: How to shut it off.
            limits: For each test.
            preload: Modules to import before the first test.

        Raises:
            UndecidedError: It did not start.
        """
        self._limits = limits
        self._isolation = isolation
        self._preload = preload
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: str | None = None
        self._user: User | None = None
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def run(self, request: dict[str, Any]) -> Outcome:
        """Run one test; see `inside.become.Test` for what a request holds.

        If the process is lost, it is started anew and the test run once more: an earlier test may be to blame. Only the
        second loss during the test is an outcome.

        Raises:
            UndecidedError: The test can't be sent, the process did not start, or it ended twice before the test began.
        """
        try:
            message = json.dumps(request).encode("ascii")
        except (ValueError, TypeError, RecursionError) as error:
            raise UndecidedError(f"The test can't be sent to the process that runs programs: {error}.") from None
        n_lost_before, lost = 0, None
        while True:
            if self._process is None:
                self._open()
            outcome = self._try(message)
            if self._starts_anew or outcome is None or outcome.lost:
                self.close()
            if outcome is None:
                n_lost_before += 1
                if n_lost_before == 2:
                    raise UndecidedError("The process that runs programs ended twice before the test began.")
            elif not outcome.lost or lost is not None:
                return outcome
            else:
                lost = outcome

    def close(self) -> None:
        """End the process and all that runs in it, and remove what was written. The next test starts it anew."""
        self._channel.close()
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(2.0)  # it ends a program that still runs, and so do the parents of all others
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
        if self._user is not None:
            if self._isolation.name == "process":  # which no namespace ends
                end_processes(self._user.uid)
            self._user.release()
            self._user = None
        if self._folder is not None:
            _remove_folder(self._folder)
            self._folder = None

    @property
    def _starts_anew(self) -> bool:
        """Whether a test could leave something to the next: in shared memory, or in the process that serves both."""
        closed = self._isolation.name != "process" or self._isolation.filters_files
        return not (closed and self._isolation.filters_calls)

    def _open(self) -> None:
        self._channel, theirs = socket.socketpair()
        try:
            with theirs:
                self._start(theirs)
        except (OSError, EOFError, ValueError, subprocess.SubprocessError) as error:
            self.close()
            raise UndecidedError(
                f"The process that runs programs did not start: {error or type(error).__name__}"
            ) from error
        except BaseException:
            self.close()
            raise

    def _try(self, message: bytes) -> Outcome | None:
        """Run one test; None if the process was lost before the test began."""
        begun = None
        self._channel.settimeout(self._limits.wall_s + GRACE_S)
        try:
            send_bytes(self._channel, message)
            begun = receive_json(self._channel, 1 << 20)["begun"]
            while (reply := receive_bytes(self._channel, 1 << 20)) == OVERDUE:
                self._grant_time(begun)
            outcome = msgspec.json.decode(reply, type=Outcome)
            output, value = (receive_bytes(self._channel, self._limits.output_bytes) for _ in range(2))
        except (OSError, EOFError, ValueError, RecursionError) as error:
            return None if begun is None else Outcome(timed_out=isinstance(error, TimeoutError), lost=True)
        except BaseException:
            self.close()  # an interrupt: a reply that is still under way must not answer the next request
            raise
        return replace(outcome, output=output, value=value)

    def _grant_time(self, test_id: int) -> None:
        """Give a test whose seconds are over those back in which it waited for a CPU."""
        assert self._process is not None
        delay_s = measure_delay(self._process.pid, test_id)
        delay_s = min(delay_s, (MAX_STRETCH - 1) * self._limits.wall_s)
        self._channel.settimeout(delay_s + GRACE_S)
        send_json(self._channel, {"delay_s": delay_s})

    def _start(self, channel: socket.socket) -> None:
        name, limits = self._isolation.name, self._limits
        self._folder = tempfile.mkdtemp(prefix="raml-") if name == "process" else None
        self._user = User() if os.geteuid() == 0 else None
        uid = None if self._user is None else self._user.uid
        user = uid if name == "bubblewrap" else None
        work = self._folder or "/tmp"
        self._process = subprocess.Popen(
            write_command(self._isolation, limits.disk_bytes),
            stdin=channel.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_write_environment(work),
            cwd="/",
            start_new_session=True,
            user=user,
            group=user,
            extra_groups=None if user is None else (),
        )
        with contextlib.suppress(OSError):  # rather this than anything else when memory runs out
            Path(f"/proc/{self._process.pid}/oom_score_adj").write_text("1000")
        config = {
            "isolation": name,
            "uid": uid,
            "work": work,
            "shown": find_shown_paths(),
            "paths": find_package_paths(),
            "preload": list(self._preload),
            "limits": asdict(limits),
            "filter": self._isolation.filters_calls,
            "landlock": self._isolation.filters_files,
            "alone": name != "process" or uid is not None,
            "own_count": uid is not None or (name != "process" and _counts_by_namespace()),
        }
        self._channel.settimeout(START_TIMEOUT_S)
        send_json(self._channel, config)
        self._wait_until_started()
        error = receive_json(self._channel, 1 << 20)["error"]
        if error is not None:
            raise ValueError(error)

    def _wait_until_started(self) -> None:
        """Wait for the first message; TimeoutError after too long, EOFError if the process has ended instead."""
        assert self._process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        with selectors.DefaultSelector() as selector:
            selector.register(self._channel, selectors.EVENT_READ)
            while not selector.select(0.1):
                if time.monotonic() > deadline:
                    raise TimeoutError("no answer in time")
                if self._process.poll() is not None:  # one that it started may still hold the channel open
                    raise EOFError(f"exit status {self._process.returncode}")


def _write_environment(folder: str) -> dict[str, str]:
    """Write all that a program finds in its environment."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    places = {"HOME": folder, "TMPDIR": folder, "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    return kept | places | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def _counts_by_namespace() -> bool:
    """Whether the limit on threads counts those in the user namespace only (Linux 5.14), not all of the user's."""
    major, minor = platform.release().split(".")[:2]
    return (int(major), int("".join(c for c in minor if c.isdigit()) or 0)) >= (5, 14)


def _remove_folder(folder: str) -> None:
    """Remove a folder, however a program has left it: folders nested too deep for Python, or closed to their owner."""
    for command in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
        subprocess.run([*command, "--", folder], check=False, stderr=subprocess.DEVNULL)
    shutil.rmtree(folder, ignore_errors=True)
