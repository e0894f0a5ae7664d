"""Rows of mathematical data sets: AIME, MATH-500, LiveMathBench, Open-Reasoner-Zero."""

from __future__ import annotations

import re
from typing import Any

from raml.errors import DataError
from raml.questions.sources.columns import Columns, find_column, read_notes, read_text, read_texts
from raml.questions.sources.settings import Row, SourceSettings
from raml.records import Question, hash_key

PROBLEM = "{problem}"
AIME_COLUMNS: Columns = (("problem", "Problem"), ("answer", "Answer"))
LEVEL = ("level",)
MATH_COLUMNS: Columns = (("problem",), ("answer",), LEVEL)
LIVEMATHBENCH_COLUMNS: Columns = (("question",), ("answer",))
ORZ_COLUMNS: Columns = (("0",), ("1",))
"""The turns of a conversation."""
CHINESE_INSTRUCTION = "请逐步推理，并把最终答案写在 \\boxed{} 中。"
"""Follows a Chinese question in place of the English instruction."""
_CHINESE = re.compile(r"[\u4e00-\u9fff]")


def make_aime(row: Row, place: str, source: str, settings: SourceSettings) -> Question:
    """Make a question of a row with problem and answer; the answer loses its leading zeros ("025" becomes "25")."""
    problem, answer = read_texts(row, AIME_COLUMNS, place)
    answer = answer.lstrip("0") or "0" if answer.isascii() and answer.isdigit() else answer
    return Question(
        hash_key(problem, answer), problem, answer, source=source, meta=read_notes(row, "ID", "id", "url", "year")
    )


def make_math(row: Row, place: str, source: str, settings: SourceSettings) -> Question:
    """Make a question of a row with problem and answer; its subject is the domain."""
    problem, answer, _ = read_texts(row, MATH_COLUMNS, place)
    notes = read_notes(row, "unique_id", "subject")
    domain = notes.pop("subject", None)
    return Question(
        hash_key(problem, answer),
        problem,
        answer,
        domain=None if domain is None else str(domain),
        source=source,
        meta={**notes, "level": _read_level(row, place)},
    )


def make_math_of_level_5(row: Row, place: str, source: str, settings: SourceSettings) -> Question | None:
    """Make a question of a row of level 5; None for another level."""
    return make_math(row, place, source, settings) if _read_level(row, place) == 5 else None


def make_livemathbench(row: Row, place: str, source: str, settings: SourceSettings) -> Question:
    """Make a question of a row with question and answer; its language is what it is written in, and its domain."""
    problem, answer = read_texts(row, LIVEMATHBENCH_COLUMNS, place)
    is_chinese = _CHINESE.search(problem) is not None
    language = "cn" if is_chinese else "en"
    return Question(
        hash_key(problem, answer),
        problem,
        answer,
        domain=language,
        source=source,
        meta={**read_notes(row, "question_type"), "language": language},
        instruction=CHINESE_INSTRUCTION if is_chinese else None,
    )


def make_orz_row(row: Row, place: str) -> dict[str, Any]:
    """Turn a conversation of Open-Reasoner-Zero into a row with prompt and answer.

    A conversation is the user's turn, whose `value` is the problem, and the assistant's, whose `ground_truth` holds
    the answer as `value`. Its turns are columns "0" and "1". An answer that is not there stays None.

    Raises:
        DataError: the row is no such pair.
    """
    asked, solved = (find_column(row, names, place) for names in ORZ_COLUMNS)
    truth = solved.get("ground_truth") if isinstance(solved, dict) else None
    if not isinstance(asked, dict) or "value" not in asked or not isinstance(truth, dict):
        raise DataError(
            f"{place} is no pair of turns: the first needs 'value', the second 'ground_truth' with 'value' in it."
        )
    return {"prompt": asked["value"], "answer": truth.get("value")}


def make_orz(row: Row, place: str, source: str, settings: SourceSettings) -> Question:
    """Make a question of a conversation; see `make_orz_row`."""
    plain = make_orz_row(row, place)
    problem, answer = read_text(plain, "prompt", place=place), read_text(plain, "answer", place=place)
    return Question(hash_key(problem, answer), problem, answer, source=source)


def _read_level(row: Row, place: str) -> int:
    """Read the difficulty from 1 to 5, written as 5, "5" or "Level 5"."""
    level = read_text(row, *LEVEL, place=place).removeprefix("Level").strip()
    if level not in {"1", "2", "3", "4", "5"}:
        raise DataError(f"{place}: level {level[:40]!r} is no number from 1 to 5.")
    return int(level)
