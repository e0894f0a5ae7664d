"""Which steps were begun and which are finished: a line each in steps.jsonl."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from raml.configs import find_config
from raml.errors import DataError
from raml.records import NotedStep
from raml.store import Journal, read_jsonl
from raml.studies.plan import Step, write_step

JOURNAL = "steps.jsonl"
CONFIG_OPTIONS = {"--config": ".toml", "--chat-template": ".jinja"}
"""Options whose value names a file that comes with raml, and the file's ending."""


def read_journal(home: Path) -> dict[str, NotedStep]:
    """Read what was noted last about each step, by its name.

    Raises:
        RunError: the file can't be read.
        DataError: a line is no step.
    """
    path = home / JOURNAL
    entries = read_jsonl(path, NotedStep) if path.is_file() else []
    return {entry.name: entry for entry in entries}


def note_begun(home: Path, step: Step) -> None:
    """Note that a step begins, on the disk before this returns; nothing if it is one that is done each time.

    Raises:
        RunError: it can't be written.
    """
    if not step.again:
        _append(home, describe_step(step))


def note_finished(home: Path, step: Step, wall_s: float) -> None:
    """Note that a step is finished, on the disk before this returns.

    Raises:
        RunError: it can't be written.
    """
    _append(home, replace(describe_step(step), wall_s=round(wall_s, 3)))


def find_missing(home: Path, steps: Sequence[Step]) -> list[Step]:
    """List the steps that are not finished, or whose folder is gone.

    Raises:
        DataError: one was begun or finished with other settings, so that its folder holds something else.
    """
    entries = read_journal(home)
    missing = []
    for step in steps:
        entry = None if step.again else entries.get(step.name)
        there = not step.folder or (home / step.folder).exists()
        if entry is not None and (there or entry.wall_s is not None) and not _is_same(entry, step):
            raise DataError(
                f"{home} holds step {step.name} with other settings ({_write(entry)}; now "
                f"{_write(describe_step(step))}). Choose another --out, or delete the folder to begin anew."
            )
        if entry is None or entry.wall_s is None or not there:
            missing.append(step)
    return missing


def describe_step(step: Step) -> NotedStep:
    """Describe a step that begins now: what makes it the same one, on however many accelerators.

    Raises:
        RunError: a file that its line names can't be read.
    """
    pairs = zip(step.words[:-1], step.words[1:], strict=True)
    named = {
        value: find_config(Path(value), CONFIG_OPTIONS[option]) for option, value in pairs if option in CONFIG_OPTIONS
    }
    configs = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in named.items() if path.is_file()}
    return NotedStep(step.name, write_step(replace(step, launcher=())), configs, version("raml"), None)


def list_versions_of(entries: Iterable[NotedStep]) -> list[str]:
    """List the versions of raml that steps were done by."""
    return sorted({entry.version for entry in entries})


def _is_same(entry: NotedStep, step: Step) -> bool:
    now = describe_step(step)
    return (entry.line, entry.configs) == (now.line, now.configs)


def _write(entry: NotedStep) -> str:
    """Write what makes a step the same one."""
    configs = ", ".join(f"{name} is {digest[:8]}" for name, digest in entry.configs.items())
    return f"{entry.line}, where {configs}" if configs else entry.line


def _append(home: Path, entry: NotedStep) -> None:
    with Journal(home / JOURNAL) as journal:
        journal.append([entry])
