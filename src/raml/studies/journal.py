"""Which steps are finished: a line each in steps.jsonl."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from raml.errors import DataError
from raml.records import FinishedStep
from raml.store import Journal, read_jsonl
from raml.studies.plan import Step, write_step

JOURNAL = "steps.jsonl"


def read_journal(home: Path) -> dict[str, FinishedStep]:
    """Read the finished steps by name.

    Raises:
        RunError: the file can't be read.
        DataError: a line is no finished step.
    """
    path = home / JOURNAL
    entries = read_jsonl(path, FinishedStep) if path.is_file() else []
    return {entry.name: entry for entry in entries}


def append_journal(home: Path, step: Step, wall_s: float) -> None:
    """Note that a step is finished, on the disk before this returns.

    Raises:
        RunError: it can't be written.
    """
    with Journal(home / JOURNAL) as journal:
        journal.append([FinishedStep(step.name, identify_step(step), round(wall_s, 3))])


def find_missing(home: Path, steps: Sequence[Step]) -> list[Step]:
    """List the steps that are not finished.

    Raises:
        DataError: one was finished with other settings, so that its folder holds something else.
    """
    entries = read_journal(home)
    for step in steps:
        entry = entries.get(step.name)
        if entry is not None and not step.again and entry.line != identify_step(step):
            raise DataError(
                f"{home} holds step {step.name} with other settings ({entry.line}; now {identify_step(step)}). "
                "Choose another --out, or delete the folder to begin anew."
            )
    return [step for step in steps if step.name not in entries or step.again]


def identify_step(step: Step) -> str:
    """Write what makes a step the same one: its line, on however many accelerators."""
    return write_step(replace(step, launcher=()))
