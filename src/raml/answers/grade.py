"""Say whether a response is right, whatever kind of answer its question asks for."""

from __future__ import annotations

from dataclasses import dataclass

from raml.answers.choice import extract_choice, read_choice
from raml.answers.code import CodeResult, check_by_task, check_program, extract_code
from raml.answers.compare import compare_answers, find_gold_error
from raml.answers.extract import extract_answer
from raml.errors import DataError, TimedOutError
from raml.records import Kind, Question, Verdict

NEEDS_CODE: tuple[Kind, ...] = ("code", "reasoning-gym")
"""Kinds whose checking runs what a model wrote."""


@dataclass(frozen=True)
class Grade:
    """What a response is worth, and why."""

    answer: str | None
    """What was taken out of it; None if it gave none."""
    correct: bool | None
    """None if that could not be decided: neither right nor wrong."""
    verdict: Verdict
    """See `raml.records.Trajectory.verdict`."""
    error: str | None = None
    """Why it is undecided, or what a program did wrong."""


def grade_response(text: str, question: Question, *, allow_code: bool = False) -> Grade:
    """Take the answer out of a response and check it.

    A gold answer that can't be parsed leaves every response undecided: the question is at fault.

    Args:
        text: The whole response.
        question: What it answers.
        allow_code: Run what the model wrote, where checking needs that; without, such responses stay undecided.
    """
    extract = {"choice": extract_choice, "code": extract_code}.get(question.kind, extract_answer)
    return grade_answer(extract(text), question, allow_code=allow_code)


def grade_answer(answer: str | None, question: Question, *, allow_code: bool = False) -> Grade:
    """Check an answer that was taken out of a response already; see `grade_response`."""
    if question.kind == "math":
        return _grade_mathematics(answer, question.answer)
    if answer is None:
        return Grade(None, correct=False, verdict="no answer")
    if question.kind == "choice":
        return _grade_choice(answer, question)
    if not allow_code:
        reason = "Checking runs what the model wrote, which needs --allow-code-execution (allow_code=True)."
        return Grade(answer, correct=None, verdict="undecided", error=reason)
    if question.kind == "code":
        if question.tests is None or not question.tests.inputs:
            reason = f"Question {question.id} has no tests, so no program can be checked."
            return Grade(answer, correct=None, verdict="undecided", error=reason)
        return _grade_run(answer, check_program(answer, question.tests))
    return _grade_run(answer, check_by_task(answer, question.meta))


def _grade_mathematics(answer: str | None, gold: str) -> Grade:
    gold_error = find_gold_error(gold)
    if gold_error is not None:
        return Grade(answer, correct=None, verdict="undecided", error=gold_error)
    if answer is None:
        return Grade(None, correct=False, verdict="no answer")
    try:
        outcome = compare_answers(gold, answer)
    except TimedOutError as error:
        return Grade(answer, correct=None, verdict="timed out", error=str(error))
    except DataError as error:
        return Grade(answer, correct=None, verdict="undecided", error=str(error))
    verdicts: dict[str, Verdict] = {"same": "right", "different": "wrong", "unparsed": "unparsed"}
    return Grade(answer, correct=outcome == "same", verdict=verdicts[outcome])


def _grade_choice(answer: str, question: Question) -> Grade:
    gold, chosen = read_choice(question.answer), read_choice(answer)
    if gold is None:
        reason = f"Gold answer {question.answer[:80]!r} is no option's letter; correct the question."
        return Grade(answer, correct=None, verdict="undecided", error=reason)
    if chosen is None:
        return Grade(answer, correct=False, verdict="unparsed")
    return Grade(chosen, correct=chosen == gold, verdict="right" if chosen == gold else "wrong")


def _grade_run(answer: str, result: CodeResult) -> Grade:
    correct = None if result.verdict == "undecided" else result.verdict == "right"
    return Grade(answer, correct=correct, verdict=result.verdict, error=result.detail)
