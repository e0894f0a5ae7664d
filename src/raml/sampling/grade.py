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
    gold_error = find_gold_error(gold)
    if gold_error is not None:
        return answer, None, gold_error
    if answer is None:
        return None, False, None
    try:
        return answer, same_answer(gold, answer), None
    except DataError as error:
        return answer, None, str(error)
