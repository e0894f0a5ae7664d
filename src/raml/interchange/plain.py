"""The plainest file of trajectories: rows with `question`, `answer` and `trajectory`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from raml.errors import DataError
from raml.questions import make_question, read_rows
from raml.records import Question


@dataclass(frozen=True)
class PlainTrajectory:
    """A response as text, before any tokenizer has seen it."""

    question: Question
    text: str
    place: str
    """File and line, for messages."""

    @property
    def question_text(self) -> tuple[str, str]:
        """What makes it this question and no other: prompt and gold answer."""
        return self.question.prompt, self.question.answer


def read_plain(path: Path) -> list[PlainTrajectory]:
    """Read trajectories from a .jsonl, .csv or .parquet file.

    Each row needs `question` (or `prompt`, `problem`), the gold `answer`, and `trajectory`, the model's whole response
    with or without `<think>` marks. Rows with the same question and answer are responses to one question.

    Raises:
        DataError: the file is missing, empty or malformed, a field is empty, or two different questions share an id;
            the message has the line number.
    """
    trajectories: list[PlainTrajectory] = []
    questions: dict[str, Question] = {}
    for place, row in read_rows(path):
        text = row.pop("trajectory", None)
        if not isinstance(text, str) or not text:
            raise DataError(f"{place}: field 'trajectory' is {'missing' if text is None else 'empty or no text'}.")
        question = make_question(row, source=path.name, place=place)
        first = questions.setdefault(question.id, question)
        if (first.prompt, first.answer) != (question.prompt, question.answer):
            raise DataError(f"{place}: question id {question.id!r} belongs to another question above.")
        trajectories.append(PlainTrajectory(first, text, place))
    if not trajectories:
        raise DataError(f"{path} has no trajectories. It needs rows with 'question', 'answer' and 'trajectory'.")
    return trajectories
