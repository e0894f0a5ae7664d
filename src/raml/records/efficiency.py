"""Answers that a model gave after less reasoning than its trajectory holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from raml.records.base import Verdict
from raml.records.trajectories import ModelIdentity

Method = Literal["full", "no-thinking", "cut", "wait", "summary", "early-exit", "prune", "random"]


@dataclass(frozen=True)
class Attempt:
    """One answer to a trajectory's question, given after a part of the trajectory or after something in its place."""

    id: str
    """Hash of method, settings, model, trajectory, gold answer and draw: the key of this unit of work."""
    trajectory_id: str
    question_id: str
    model: ModelIdentity
    """The model that answered."""
    method: Method
    """"cut": the reasoning cut off at a budget; "wait": made longer, up to a budget, by "Wait" where it would end;
    "summary": a summary in its place; "early-exit": stopped where the answer had settled; "prune": sentences that
    contribute least left out; "random": sentences chosen by chance left out, to the same length. "full" and
    "no-thinking" are trajectories as they are."""
    variant: str
    """What else tells this line of the figure from others of the method, such as the answer that pruning looks at."""
    level: float
    """Where on that line: a budget in tokens, a share of tokens kept, a confidence."""
    draw: int
    """Index among attempts that differ only in their random numbers, from 0."""
    n_thinking: int
    """Tokens of reasoning, or of what stands in its place, that the model had before it when it answered."""
    n_generated: int
    """Tokens that had to be generated for this answer, all in all: reasoning that was left out later, summaries,
    answers at probes, and the answer itself."""
    answer: str | None
    """None when it gave none."""
    correct: bool | None
    """None where that could not be decided."""
    verdict: Verdict
    kept: tuple[tuple[int, int], ...] = ()
    """Stretches of the trajectory's tokens (start, stop) that were before the model; empty where there are none."""
    text: str | None = None
    """What stood in the reasoning's place, or continued it."""
    loss: float | None = None
    """L̂ of the answer that pruning looked at, after what was kept, in nats."""
    leaked: bool = False
    """Whether sentences that gave the answer away were taken out of a summary."""
    error: str | None = None
    """Why there is no answer; such an attempt counts neither as right nor as wrong."""
    gold: str | None = None
    """The question's `gold_key()` when the answer was checked; None in older files. Where the question was corrected
    since, the attempt no longer counts."""
