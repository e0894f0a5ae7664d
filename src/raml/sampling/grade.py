"""Say whether a response is right."""

from __future__ import annotations

from raml.answers import extract_answer, find_gold_error, same_answer
from raml.errors import DataError


def grade_response(text: str, gold: str) -> tuple[str | None, bool | None, str | None]:
    """Take the answer out of a response and compare it with the gold one.

    Returns:
        The answer, None if there is none; whether it is right (False without an answer, None when undecided); and why
        it is undecided. A gold answer that can't be parsed leaves every response undecided: the question is at fault.
    """
    answer = extract_answer(text)
    return answer, *grade_answer(answer, gold)


def grade_answer(answer: str | None, gold: str) -> tuple[bool | None, str | None]:
    """Compare an answer with the gold one: whether it is right, and why that is undecided; see `grade_response`."""
    gold_error = find_gold_error(gold)
    if gold_error is not None:
        return None, gold_error
    if answer is None:
        return False, None
    try:
        return same_answer(gold, answer), None
    except DataError as error:
        return None, str(error)
