"""The steps of studies, several at a time, each with a log of its own."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from raml.cli.stage import ProgressBar
from raml.errors import RamlError, RunError
from raml.scale import count_cores, run_graph
from raml.studies.journal import note_begun, note_finished
from raml.studies.plan import Step, write_step

LOGS = "logs"
"""Folder of what the steps print."""
WAIT_S = 0.2
"""Between two looks at whether a launched program, or this one, is to end."""
LAST_WORDS = 300
"""Characters of a failed step's log that its message quotes."""


def run_steps(home: Path, steps: Sequence[Step], *, n_jobs: int, fresh: bool, bar: ProgressBar) -> dict[str, str]:
    """Run steps in a folder, each after what it needs, and note in the journal what begins and what is finished.

    Returns:
        What was not done, by the step's name: why it failed, or that something it needs did.
    """
    n_threads = max(1, count_cores() // n_jobs)
    done, failed = set[str](), dict[str, str]()
    by_name = {step.name: step for step in steps}
    results = run_graph(
        partial(_set_up, home.resolve(), n_threads),
        {step.name: step for step in steps},
        {step.name: step.needs for step in steps},
        exclusive={step.name: step.folder for step in steps if step.folder},
        n_workers=n_jobs,
        fresh=fresh,
        on_begin=lambda name: note_begun(home, by_name[name]),
    )
    for name, result in results:
        if isinstance(result, Exception):
            failed[name] = str(result)
        else:
            note_finished(home, by_name[name], result)
            done.add(name)
        bar.advance(note=name)
    for step in steps:
        if step.name not in done and step.name not in failed:
            failed[step.name] = "a step before it failed"
    return failed


@dataclass(frozen=True)
class _Worker:
    """Does one step after another in the folder."""

    home: Path

    def __call__(self, step: Step) -> float:
        """Do a step, and return how long it took, in seconds.

        Raises:
            RunError: it failed; the message has the end of its log.
        """
        log = self.home / LOGS / f"{step.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        with log.open("wb") as file:
            file.write(f"{write_step(step)}\n".encode())
            file.flush()
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        try:
            code = _do(self.home, step)
        except Exception as error:
            if isinstance(error, RamlError):
                raise
            traceback.print_exc()
            raise RunError(f"{type(error).__name__}, see {log}: {error}") from error
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
        if code != 0:
            words = log.read_text(encoding="utf-8", errors="replace").strip()
            raise RunError(f"exit code {code}, see {log}: {' '.join(words[-LAST_WORDS:].split())}")
        return time.monotonic() - started


def _set_up(home: Path, n_threads: int) -> Callable[[Step], float]:
    """Make a worker: its commands find their files in the folder."""
    os.environ.setdefault("OMP_NUM_THREADS", str(n_threads))
    os.chdir(home)
    return _Worker(home)


def _do(home: Path, step: Step) -> int:
    if step.call:
        module, function = step.call.split(":")
        getattr(importlib.import_module(module), function)(home, **dict(step.arguments))
        return 0
    if step.launcher:
        return _launch([*step.launcher, "-m", "raml", *step.words])
    from raml.cli.main import run

    return run(step.words)


def _launch(words: Sequence[str]) -> int:
    """Run another program, and tell it and all that it started to end if this process is told to."""
    told: list[int] = []
    # Noted, and obeyed below: amid the start of the program nobody would know yet what to end.
    before = signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    try:
        process, code = subprocess.Popen(words, start_new_session=True), None
        while code is None and not told:  # in short waits, between which a signal is seen whichever thread got it
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(WAIT_S)
        if code is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, told[0])
            os._exit(1)
        return code
    finally:
        signal.signal(signal.SIGTERM, before)
