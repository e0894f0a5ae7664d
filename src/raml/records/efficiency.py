"""Answers that a model gave after less reasoning than its trajectory holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from raml.records.base import Verdict
from raml.records.evaluation import Estimate
from raml.records.trajectories import ModelIdentity

Method = Literal["full", "no-thinking", "cut", "wait", "summary", "early-exit", "prune", "random"]
FrontierKey = tuple[Method, str, float]
"""Method, variant and level: a point of the frontier."""
Counted = Literal["generated", "in context"]


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


def name_point(key: FrontierKey) -> str:
    """Name a point as sentences and tables do, such as "early-exit, 2 probes, at 0.9"."""
    method, variant, level = key
    if method == "cut":
        name, at = method, f"at {level:g} tokens"
    elif method == "wait":
        name, at = method, f"up to {level:g} tokens"
    elif method in ("prune", "random"):
        oracle = ", an oracle" if variant == "gold" and method == "prune" else ""
        return f"{method} ({variant}{oracle}), {100 * level:g} % kept"
    elif method == "early-exit":
        return f"early-exit, {variant}, at {level:g}"
    else:
        return f"{method} by {variant}" if method == "summary" else method
    return f"{name} {at}, {variant}" if variant else f"{name} {at}"


@dataclass(frozen=True)
class FrontierPoint:
    """One way of answering from less, over questions; draws are averaged within trajectories, these within questions.

    What is compared with the full trajectories is compared on exactly the trajectories that the point has, for
    "no-thinking" on its questions; None for "full" itself.
    """

    method: Method
    variant: str
    level: float
    n_questions: int
    n_trajectories: int
    n_attempts: int
    """That count; several draws of a trajectory are that many attempts."""
    n_left_out: int
    """Attempts that are undecided or failed, or whose trajectory is undecided."""
    n_leaked: int
    """Summaries that sentences were taken out of because they gave the answer away."""
    n_repeated: int
    """Attempts that differ from another one in settings that no point tells; they count as further draws."""
    accuracy: Estimate
    """Share of right answers: Avg@n where all questions have n trajectories, else the equal Pass@1."""
    pass_at_n: Estimate | None
    """Pass@n with the frontier's n, over the questions that have as many trajectories; None where none has."""
    n_thinking: Estimate
    """Tokens in context: reasoning, or what stands in its place, before the model when it answered."""
    n_generated: Estimate
    """Tokens that had to be generated, all in all."""
    saved_context: Estimate | None
    """Share of the full ones' tokens in context that it does without, of all questions together; None where those have
    none."""
    saved_generated: Estimate | None
    """The same of tokens generated."""
    difference: Estimate | None
    """In accuracy, from −1 to 1."""
    p: float | None
    """Of a paired sign-flip test over questions, two-sided."""
    p_holm: float | None
    """Adjusted for all points of the frontier (Holm)."""

    @property
    def key(self) -> FrontierKey:
        """What tells it from the others."""
        return self.method, self.variant, self.level


@dataclass(frozen=True)
class FrontierControl:
    """How much better the answer is after pruning than after as many tokens were dropped by chance."""

    variant: str
    level: float
    difference: Estimate
    """In accuracy, on the trajectories that have both; several random draws of one are averaged."""
    p: float
    """Of a paired sign-flip test over questions, two-sided."""
    p_holm: float
    """Adjusted for all controls of the frontier (Holm)."""


@dataclass(frozen=True)
class FrontierChoice:
    """The rule of one line that saves most tokens at a small cost, and what it does on questions it was not chosen on.

    Estimates are paired with the full trajectories and are those of the other half; None where no rule was chosen.
    """

    method: Method
    variant: str
    """"" for early exits, whose variants are one line here."""
    n_rules: int
    """From which it was chosen, or could not be: those that were tried on enough questions."""
    counted: Counted
    """Which tokens were to be few."""
    rule: FrontierKey | None
    """Method, variant and level; None if none qualifies."""
    reason: str | None
    """Why none does."""
    n_chosen_on: int
    """Questions of the half on which it was chosen, or could not be."""
    saved_when_chosen: float | None
    """Share of the counted tokens saved there."""
    difference_when_chosen: float | None
    """In accuracy, there."""
    saved_generated: Estimate | None = None
    saved_context: Estimate | None = None
    difference: Estimate | None = None

    @property
    def saved(self) -> Estimate | None:
        """Share saved of the counted tokens."""
        return self.saved_generated if self.counted == "generated" else self.saved_context


@dataclass(frozen=True)
class Frontier:
    """What shorter reasoning costs one model."""

    model: str
    """The one that answered."""
    writer: str
    """The one whose trajectories were shortened."""
    n: int
    """Thinking trajectories that count, the fewest of any question: the n of Pass@n."""
    n_questions: int
    n_trajectories: int
    """Thinking ones that count."""
    n_undecided: int
    """Thinking ones that are left out, and all attempts of them, because it is not known whether they are right."""
    n_cut_off: int
    """Thinking ones that count and were cut off before their end, so that most gave no answer."""
    n_elsewhere: int
    """Attempts of trajectories that were not looked at."""
    tolerance: float
    points: tuple[FrontierPoint, ...]
    """"full" first."""
    empty: tuple[tuple[Method, str, float, int], ...]
    """Points of which nothing counts: method, variant, level and how many attempts were left out."""
    controls: tuple[FrontierControl, ...]
    choices: tuple[FrontierChoice, ...]
    level: float
    """Nominal coverage of the intervals."""
    n_outdated: int = 0
    """Attempts that were checked against an answer that their question no longer has, and are left out."""
    without: tuple[str, ...] = ()
    """Other models of the run whose trajectories have no frontier, as none that thinks is decided."""

    def find_point(self, key: FrontierKey) -> FrontierPoint | None:
        """The point of a method, variant and level, if there is one."""
        return next((point for point in self.points if point.key == key), None)
