"""Keep the questions of a file that can be answered and checked, and say of each other one why it was dropped.

The paper trains on Open-Reasoner-Zero's questions after dropping incomplete ones, ones without an answer, ones that
need images or outside material, ones that Math-Verify cannot check, and stray URLs and HTML (arXiv 2505.19815, appendix
C.2).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from raml.answers import find_gold_error
from raml.errors import DataError
from raml.questions.faults import REASONS, Fault, Reason, find_answer_fault, find_prompt_fault
from raml.questions.files import PROMPT_FIELDS, make_question
from raml.questions.markup import strip_markup
from raml.records import Question, hash_key


@dataclass(frozen=True)
class Dropped:
    """A row of a file that did not become a question."""

    place: str
    """Where it stands: "FILE line 3"."""
    id: str | None
    """The id that it would have without cleaning; None for a row without prompt or answer that has no id of its own."""
    prompt: str | None
    """As it came."""
    answer: str | None
    reason: Reason
    detail: str
    """What was found, in words."""


@dataclass(frozen=True)
class Cleaned:
    """The rows of a file, sorted into questions and others, both in the order of the file."""

    kept: tuple[Question, ...]
    dropped: tuple[Dropped, ...]
    n_changed: int
    """How many of the kept questions had links or HTML taken out of their text."""

    def count_reasons(self) -> dict[Reason, int]:
        """Count the dropped rows by reason, without the reasons that none was dropped for."""
        counts = Counter(dropped.reason for dropped in self.dropped)
        return {reason: counts[reason] for reason in REASONS if counts[reason]}


def clean_questions(rows: Iterable[tuple[str, Mapping[str, Any]]], *, source: str, limit: int | None = None) -> Cleaned:
    """Strip links and HTML from questions, and drop those that can't be answered or checked.

    Rows come with their places, as from `read_rows`; with a limit, they are read until so many are kept. Which patterns
    drop a question stands in `signs.py` and `faults.py`; a gold answer must also pass `raml.answers.find_gold_error`.
    Of rows that ask the same, the first good one stays. Cleaning what was kept changes nothing.

    Raises:
        DataError: rows have no field for the prompt, a field is neither text nor a number, or two different questions
            share an id; the message begins with the place.
    """
    kept: list[Question] = []
    dropped: list[Dropped] = []
    n_changed = 0
    first = _FirstPlaces()
    for place, row in rows:
        if blank := _find_blank(place, row):
            dropped.append(blank)
            continue
        question = make_question(row, source=source, place=place)
        stripped = _strip(question)
        fault = (
            find_answer_fault(question.answer)
            or find_prompt_fault(question.prompt, stripped.prompt)
            or first.find_duplicate(stripped, place)
            or _find_gold_fault(question.answer)
        )
        if fault:
            dropped.append(Dropped(place, question.id, question.prompt, question.answer, fault.reason, fault.detail))
            continue
        first.add(stripped, place)
        kept.append(stripped)
        n_changed += stripped.prompt != question.prompt
        if len(kept) == limit:
            break
    return Cleaned(tuple(kept), tuple(dropped), n_changed)


class _FirstPlaces:
    """Where each kept question stands, by its text and by its id."""

    def __init__(self) -> None:
        self._by_text: dict[str, tuple[str, str]] = {}
        self._by_id: dict[str, str] = {}

    def add(self, question: Question, place: str) -> None:
        self._by_text[_squeeze(question.prompt)] = place, question.answer
        self._by_id[question.id] = place

    def find_duplicate(self, question: Question, place: str) -> Fault | None:
        """Compare a question with those kept; blanks and line breaks don't count, and neither does the answer.

        Raises:
            DataError: another question has its id.
        """
        if there := self._by_text.get(_squeeze(question.prompt)):
            same = "" if there[1] == question.answer else f", with the answer {there[1][:80]!r}"
            return Fault("duplicate", f"asked at {there[0]}{same}")
        if question.id in self._by_id:
            used = self._by_id[question.id]
            raise DataError(f"{place}: question id {question.id!r} was used at {used}. Ids must differ.")
        return None


def _find_blank(place: str, row: Mapping[str, Any]) -> Dropped | None:
    """Find a row whose prompt or answer is not there; `make_question` sees to rows that have no field for a prompt."""
    name = next((name for name in PROMPT_FIELDS if name in row), None)
    if name is None:
        return None
    prompt, answer, given = (_read_text(row.get(field)) for field in (name, "answer", "id"))
    if _is_blank(row[name]):
        return Dropped(place, given, None, answer, "incomplete", "the prompt is empty")
    if _is_blank(row.get("answer")):
        detail = "field 'answer' is empty" if "answer" in row else "there is no field 'answer'"
        return Dropped(place, given, prompt, None, "no answer", detail)
    return None


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _read_text(value: object) -> str | None:
    return str(value).strip() or None if isinstance(value, str | int | float) else None


def _strip(question: Question) -> Question:
    """Take markup out of a question; an id that is a hash becomes that of the new text."""
    prompt = strip_markup(question.prompt)
    hashed = question.id == hash_key(question.prompt, question.answer)
    return replace(question, prompt=prompt, id=hash_key(prompt, question.answer) if hashed else question.id)


def _find_gold_fault(answer: str) -> Fault | None:
    error = find_gold_error(answer)
    return Fault("not verifiable", error) if error else None


def _squeeze(text: str) -> str:
    return " ".join(text.split())
