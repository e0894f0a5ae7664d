"""The tiny world's oracle: any number of distinct correct trajectories for a question.

Trajectories differ in the order of the reductions and in their words. On request some hold a slip that the next line
corrects; slip lines are flagged, so that training can read them without learning to make them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, get_args

from raml.errors import DataError
from raml.records import Question
from raml.tiny.expressions import Expression, Reduction, apply_reduction, find_reductions, render_expression
from raml.tiny.questions import read_expression

Style = Literal["verbose", "terse"]
OPENINGS = ("First", "Start:", "Begin:", "Note")
LEADS = ("Next", "Then", "Now", "And")
CORRECTION, ALTERNATIVE = "Wait,", "Alternatively,"
ALTERNATIVE_SHARE = 0.25
"""Of the places where a slip is due, this share holds a true step that is dropped for another one instead."""
TRIES_PER_TRAJECTORY = 100


@dataclass(frozen=True, slots=True)
class Line:
    """One line of reasoning."""

    text: str
    slip: bool = False
    """Whether the line is wrong; the one after it starts with "Wait," and puts it right."""


@dataclass(frozen=True, slots=True)
class OracleTrajectory:
    """A correct trajectory: its lines of reasoning and the answer that they lead to."""

    lines: tuple[Line, ...]
    answer: str

    @property
    def reasoning(self) -> str:
        """The lines as text, without the thinking tags."""
        return "\n".join(line.text for line in self.lines)

    @property
    def text(self) -> str:
        """The whole response as a model of this world writes it, without the end-of-sequence token."""
        return write_response(self.reasoning, self.answer)


def write_response(reasoning: str, answer: str) -> str:
    """Put reasoning and answer into the response format of this world; empty reasoning gives the no-thinking form."""
    return f"<think>\n{reasoning}\n</think>\n\n**Final Answer**\n\\boxed{{{answer}}}"


def write_trajectories(
    question: Question, n: int, *, seed: int, style: Style = "verbose", slip: float = 0.0
) -> list[OracleTrajectory]:
    """Write n distinct correct trajectories.

    Args:
        question: A question of the tiny world.
        n: How many. Questions of four or more operands have at least 32 verbose ones.
        seed: Which ones; with the question's id it fixes them.
        style: "verbose" states each step and what remains ("First 3+4=7 so 7*2"), "terse" only what remains ("=7*2").
        slip: Chance per step of a wrong line before the right one. Verbose only.

    Raises:
        DataError: an argument is out of range, the question is not of this world, or it has fewer than n of these.
    """
    if n < 0:
        raise DataError(f"Can't write {n} trajectories for question {question.id}; expected 0 or more.")
    if style not in get_args(Style):
        raise DataError(f"No style {style!r} of trajectories; choose one of {', '.join(get_args(Style))}.")
    if not 0 <= slip <= 1 or (slip and style == "terse"):
        raise DataError(f"Slip chance {slip} with style {style!r}: expected 0 to 1, and 0 for terse trajectories.")
    expression = read_expression(question)
    rng = random.Random(f"{seed} {question.id}")
    found: dict[tuple[Line, ...], None] = {}
    for _ in range(TRIES_PER_TRAJECTORY * n):
        if len(found) == n:
            break
        found[_write_lines(rng, expression, style, slip)] = None
    if len(found) < n:
        raise DataError(
            f"Question {question.id} has only {len(found)} distinct {style} trajectories; {n} were asked for. "
            "Ask for fewer, for verbose ones, or make questions with more operands."
        )
    return [OracleTrajectory(lines, question.answer) for lines in found]


def _write_lines(rng: random.Random, expression: Expression, style: Style, slip: float) -> tuple[Line, ...]:
    lines: list[Line] = []
    while reductions := find_reductions(expression):
        step = rng.choice(reductions)
        lead = rng.choice(LEADS if lines else OPENINGS)
        if slip and rng.random() < slip:
            others = [other for other in reductions if other != step]
            if others and rng.random() < ALTERNATIVE_SHARE:
                lines.append(_write_step(lead, expression, rng.choice(others), style))
                lead = ALTERNATIVE
            else:
                lines.append(_write_slip(rng, lead, expression, step))
                lead = CORRECTION
        lines.append(_write_step(lead, expression, step, style))
        expression = apply_reduction(expression, step)
    return tuple(lines)


def _write_step(lead: str, expression: Expression, step: Reduction, style: Style) -> Line:
    state = render_expression(apply_reduction(expression, step))
    return Line(f"={state}" if style == "terse" else f"{lead} {step.text}={step.value} so {state}")


def _write_slip(rng: random.Random, lead: str, expression: Expression, step: Reduction) -> Line:
    """Write a step with a wrong value, carried into the state or (a copying slip) only found there."""
    wrong = rng.choice([value for value in _near_misses(step.value) if value >= 0])
    state = render_expression(apply_reduction(expression, step, wrong))
    claimed = wrong if rng.random() < 0.5 else step.value
    return Line(f"{lead} {step.text}={claimed} so {state}", slip=True)


def _near_misses(value: int) -> list[int]:
    return [value + offset for offset in (-10, -3, -2, -1, 1, 2, 3, 10)]
