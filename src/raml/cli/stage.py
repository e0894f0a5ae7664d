"""What every stage's command does around its work: progress, resume, manifest, closing words."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from raml.records import ModelIdentity, StageManifest
from raml.store import Run, find_git_commit, list_versions

console = Console(highlight=False, soft_wrap=True)


class ProgressBar:
    """A bar with count and time left on the terminal's error stream; silent where that is no terminal."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task
        self._n_steps = 0

    def advance(self, n: int = 1, note: str = "") -> None:
        """Count n more units as done."""
        self._n_steps = 0
        self._progress.update(self._task, advance=n, note=note)

    def step(self, n_rows: int) -> None:
        """Show that a batch of so many rows is one token further."""
        self._n_steps += 1
        self._progress.update(self._task, note=f"{self._n_steps} tokens into a batch of {n_rows}")


@contextlib.contextmanager
def show_progress(label: str, total: int, done: int = 0) -> Iterator[ProgressBar]:
    """Show a bar while the block runs."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        yield ProgressBar(progress, progress.add_task(label, total=total, completed=done, note=""))


class StageClock:
    """Collects what the manifest says about a stage while it runs."""

    def __init__(self, run: Run, stage: str, config: Mapping[str, object]) -> None:
        self.run, self.stage, self.config = run, stage, config
        self.started = time.monotonic()

    def finish(
        self,
        *,
        inputs: tuple[Path, ...],
        outputs: dict[Path, int | None],
        n_units: int,
        n_new: int,
        n_errors: int = 0,
        seed: int | None = None,
        model: ModelIdentity | None = None,
    ) -> None:
        """Write the stage into the run's manifest; the last thing a stage does."""
        stage = StageManifest(
            stage=self.stage,
            command=("raml", *sys.argv[1:]),
            config=msgspec.to_builtins(dict(self.config), enc_hook=str),
            seed=seed,
            model=model,
            git_commit=find_git_commit(),
            versions=list_versions(),
            inputs=(),
            outputs=(),
            n_units=n_units,
            n_new=n_new,
            n_errors=n_errors,
            wall_s=round(time.monotonic() - self.started, 3),
        )
        self.run.record_stage(stage, inputs, outputs)


def say(text: str) -> None:
    """Print a line of a command's result."""
    console.print(text, markup=False)
