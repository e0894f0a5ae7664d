"""`raml check`: whether a run's files are whole."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from raml.cli.stage import say
from raml.store import lock_run
from raml.store.check import FileCheck, check_run
from raml.store.repair import repair_files

N_FAULTS = 5
"""Faults of a file that are told one by one."""


def check(run: Path, *, repair: bool = False) -> None:
    """Find damaged, missing and doubled records.

    Examples: `raml check runs/tiny`, `raml check runs/tiny --repair`

    Every file is looked at: its checksums, its records, what they refer to, and its hash in the manifest. The exit code
    is 1 where something is damaged or missing. Nothing is changed unless `--repair` is given.

    Parameters
    ----------
    run
        A run, model or study folder.
    repair
        Move what is damaged into RUN/damaged and keep what is sound; the commands that made it, run again, make only
        that.
    """
    with lock_run(run) if repair and run.is_dir() else contextlib.nullcontext():
        checks = check_run(run)
        moved = repair_files(checks) if repair else []
    _report(run, checks)
    for path in moved:
        say(f"Set aside: {path}")
    faulty = [one for one in checks if one.faults]
    if not faulty:
        say(f"All {len(checks)} files are whole.")
        return
    say(f"{len(faulty)} of {len(checks)} files are damaged or incomplete.")
    if any(one.is_repairable() for one in faulty):
        again = "run the commands that made them again; they make only what is missing"
        say(f"Next: {again}" if repair else f"Next: raml check {run} --repair   (then {again})")
    sys.exit(1)


def _report(run: Path, checks: Sequence[FileCheck]) -> None:
    """Say of each file how it is."""
    for one in checks:
        name = one.path.relative_to(run).as_posix()
        count = f"{len(one.records)} records, " if one.records or one.sound else ""
        say(f"{name}: {count}{'damaged' if one.faults else 'whole'}")
        for fault in one.faults[:N_FAULTS]:
            say(f"  {fault}")
        if len(one.faults) > N_FAULTS:
            say(f"  and {len(one.faults) - N_FAULTS} more")
        for note in one.notes:
            say(f"  Note: {note}")
