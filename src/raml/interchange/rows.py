"""What a row of another tool's file says: a question, the responses to it, and what the tool thought of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from raml.errors import DataError
from raml.records import Finish, Kind, Question, Trajectory

RECORD = "raml"
"""Name of the column or key under which our exports keep the whole record, for formats that have room for one more."""
ANSWER_COLUMNS = ("answer", "ground_truth", "solution", "target")
"""Names under which data sets keep the gold answer, the likeliest first."""


@dataclass(frozen=True)
class Columns:
    """Names of columns, for files that don't use the usual ones."""

    question_column: str | None = None
    """Column with the question, for `rollouts`."""
    answer_column: str | None = None
    """Column with the gold answer; by default answer, ground_truth, solution or target."""
    responses_column: str | None = None
    """Column with the list of responses, for `rollouts`."""
    label_column: str | None = None
    """Column with the other tool's verdict; or its reward function, metric or scorer, where the format has these."""


@dataclass(frozen=True)
class ReadContext:
    """What a reader has to know besides the row."""

    source: str
    """The file's name, kept with its questions."""
    wordings: Mapping[str, Kind] = field(default_factory=dict)
    """Instructions that may follow a question after a blank line, each with the kind of question it belongs to."""
    columns: Columns = field(default_factory=Columns)
    answers: Mapping[str, Question] = field(default_factory=dict)
    """Questions by prompt whose gold answer goes before the file's."""
    known: Mapping[str, Question] = field(default_factory=dict)
    """Questions by prompt that the run holds already; they help out where the file has no gold answer."""


@dataclass(frozen=True)
class ForeignResponse:
    """A response as text, before any tokenizer has seen it."""

    text: str
    label: float | None = None
    """The other tool's verdict: 1 and above is right, 0 and below wrong, what is between is neither; None: none."""
    finish: Finish | None = None
    """How it ended, where the file says so."""
    instruction: str | None = None
    """What followed the question in the prompt, "" for nothing; None where the file has only the bare question."""
    record: Trajectory | None = None
    """The trajectory that we exported, where the row still says the same."""


@dataclass(frozen=True)
class ForeignRow:
    """A question and the responses to it that stand in one row."""

    question: Question
    responses: tuple[ForeignResponse, ...]
    place: str
    """File and line, row or sample, for messages."""
    notes: tuple[str, ...] = ()
    """What of the row is not in the records, to be counted and said."""


@dataclass(frozen=True)
class ExportedResponse:
    """A trajectory with what a writer needs to know about it."""

    question: Question
    trajectory: Trajectory
    message: str
    """The user's message as the model read it: the question and the instruction."""


def require_columns(row: Mapping[str, Any], names: Sequence[str], place: str) -> None:
    """Refuse a row that lacks a column.

    Raises:
        DataError: it does; the message names the columns that are there.
    """
    missing = [name for name in names if name not in row]
    if missing:
        found = ", ".join(map(str, list(row)[:20])) or "none"
        raise DataError(f"{place} has no column {missing[0]!r}. Its columns: {found}.")


def find_answer(row: Mapping[str, Any], columns: Columns, place: str) -> str | None:
    """Take the gold answer out of a row's columns; None if there is none.

    Raises:
        DataError: the column that was asked for is missing, or holds no answer.
    """
    if columns.answer_column is not None:
        require_columns(row, [columns.answer_column], place)
        return read_answer(row[columns.answer_column], place)
    found = (read_answer(row[name], place) for name in ANSWER_COLUMNS if name in row)
    return next((answer for answer in found if answer is not None), None)


def read_answer(value: object, place: str) -> str | None:
    """Read a gold answer: text, a number, or a list with one of them; None if there is none.

    Raises:
        DataError: it is something else, such as several answers.
    """
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise DataError(f"{place}: the gold answer {str(value)[:80]!r} is neither text nor a number.")


def read_label(value: object) -> float | None:
    """Read another tool's verdict: true or false, a score, or a letter of inspect's; None for anything else."""
    if isinstance(value, str):
        letters = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0, "TRUE": 1.0, "FALSE": 0.0}
        return letters.get(value.strip().upper())
    if isinstance(value, bool | int | float):
        return float(value) if abs(value) < 2**53 and not math.isnan(value) else None
    return None


def read_finish(value: object) -> Finish | None:
    """Read how a response ended; None where that is unknown, or neither its own end nor a limit."""
    if value in ("stop", "eos"):
        return "stop"
    return "length" if value in ("length", "max_tokens", "model_length") else None


def read_text(value: object, what: str, place: str) -> str:
    """Read a text that must not be empty.

    Raises:
        DataError: it is missing, empty or no text.
    """
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{place}: {what} {'is empty' if isinstance(value, str) else 'is missing or no text'}.")
    return value
