"""Rows of GPQA: a question, its right answer and three wrong ones, put into an order that the seed decides."""

from __future__ import annotations

from raml.questions.sources.columns import Columns, read_notes, read_texts
from raml.questions.sources.settings import Row, SourceSettings
from raml.records import Question, hash_key

WORDING = "{question}\n\nA) {A}\nB) {B}\nC) {C}\nD) {D}"
LETTERS = "ABCD"
OPTIONS = ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")
COLUMNS: Columns = (("Question",), *((name,) for name in OPTIONS), ("Record ID",))


def order_options(seed: int, record_id: str) -> list[int]:
    """Order the four options of a question: which column stands at A, at B, at C and at D.

    The order follows from hashes of seed, record id and column, so it depends neither on the other rows nor on the
    version of Python, and each of the 24 orders is as likely as another.
    """
    return sorted(range(len(OPTIONS)), key=lambda column: hash_key("gpqa options", seed, record_id, column))


def make_gpqa(row: Row, place: str, source: str, settings: SourceSettings) -> Question:
    """Make a question with four options of a row; its answer is the right one's letter.

    Raises:
        DataError: the row lacks a column.
    """
    text, *options, record_id = read_texts(row, COLUMNS, place)
    order = order_options(settings.seed, record_id)
    prompt = WORDING.format(
        question=text, **{letter: options[column] for letter, column in zip(LETTERS, order, strict=True)}
    )
    answer = LETTERS[order.index(0)]
    notes = read_notes(row, "High-level domain", "Subdomain")
    domain = notes.pop("high_level_domain", None)
    return Question(
        hash_key(prompt, answer),
        prompt,
        answer,
        domain=None if domain is None else str(domain),
        source=source,
        meta={
            **notes,
            "record_id": record_id,
            "seed": settings.seed,
            "options": {letter: OPTIONS[column] for letter, column in zip(LETTERS, order, strict=True)},
        },
        kind="choice",
        redacted=True,
    )
