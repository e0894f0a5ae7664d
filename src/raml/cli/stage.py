"""What every stage's command does around its work: progress and closing words."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence

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
from rich.table import Table
from rich.text import Text

from raml.records import Question, Trajectory

CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Whatever moves the cursor, changes colours or the direction of writing, but for tabs and new lines."""
WIDTH_WITHOUT_NOTE = 58
"""Characters of a progress line before its note."""
console = Console(highlight=False, soft_wrap=True)


class ProgressBar:
    """A bar with count and time left on the terminal's error stream; silent where that is no terminal."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task
        self._n_steps = 0
        self.visible = not progress.disable

    def advance(self, n: int = 1, note: str = "") -> None:
        """Count n more units as done."""
        self._n_steps = 0
        self._progress.update(self._task, advance=n, note=note)

    def move_to(self, done: int, total: int, note: str = "") -> None:
        """Show how much of a total that was not known before is done; a note gets what is left of the line."""
        room = max(0, self._progress.console.width - WIDTH_WITHOUT_NOTE)
        self._progress.update(self._task, completed=done, total=total, note=note[:room])

    def step(self, n_rows: int) -> None:
        """Show that a batch of so many rows is one token further."""
        self._n_steps += 1
        self._progress.update(self._task, note=f"{self._n_steps} tokens into a batch of {n_rows}")


@contextlib.contextmanager
def show_progress(label: str, total: int | None, done: int = 0) -> Iterator[ProgressBar]:
    """Show a bar while the block runs."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    is_shown = sys.stderr.isatty() and os.environ.get("RANK", "0") == "0"  # of several processes one draws
    with Progress(*columns, console=Console(stderr=True), disable=not is_shown) as progress:
        yield ProgressBar(progress, progress.add_task(label, total=total, completed=done, note=""))


def list_unclear(questions: Iterable[Question], trajectories: Iterable[Trajectory]) -> list[str]:
    """List why responses are undecided, a line each, at most five; what may quote a withheld question is left out."""
    redacted = {question.id for question in questions if question.redacted}
    withheld = "the reason is withheld, as the question's terms ask"
    unclear = (t for t in trajectories if t.error and t.correct is None)
    lines = {f"Question {t.question_id}: {withheld if t.question_id in redacted else t.error}" for t in unclear}
    return sorted(lines)[:5]


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], names: Collection[str] = ()) -> None:
    """Print a table and an empty line, or nothing without rows.

    Columns of names (the first one, and those with such headings) are aligned on the left and not broken, others on the
    right. A pipe gets each row on one line, however long.
    """
    if not rows:
        return
    screen = console if console.is_terminal else Console(width=1000, highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, heading in enumerate(headings):
        is_name = not place or heading in names
        table.add_column(heading, justify="left" if is_name else "right", no_wrap=is_name)
    for row in rows:
        table.add_row(*(Text(show_controls(cell)) for cell in row))
    screen.print(table)
    say("")


def say(text: str) -> None:
    """Print a line of a command's result."""
    console.print(show_controls(text), markup=False)


def show_controls(text: str) -> str:
    """Write control characters and halves of characters as escapes: what a file holds must not steer a terminal."""
    return CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)
