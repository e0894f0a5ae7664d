"""Say whether a response is right."""

from __future__ import annotations

from raml.answers import extract_answer, same_answer
from raml.errors import DataError


def grade_response(text: str, gold: str) -> tuple[str | None, bool | None, str | None]:
    """Take the answer out of a response and compare it with the gold one.

    Returns:
        The answer, None if there is none; whether it is right (False without an answer, None when undecided); and why
        it is undecided.
    """
    answer = extract_answer(text)
    if answer is None:
        return None, False, None
    try:
        return answer, same_answer(gold, answer), None
    except DataError as error:
        return answer, None, str(error)
