"""What came of trajectories under each way of answering from less: counted, averaged, and paired with the full ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from math import comb
from typing import get_args

from raml.records import Attempt, Estimate, FrontierKey, Method, Trajectory
from raml.stats import Counts, Metric, compare_metric, compute_p_value, estimate_mean, estimate_metric

FULL: FrontierKey = ("full", "", 0.0)
NO_THINKING: FrontierKey = ("no-thinking", "", 0.0)
METHODS: tuple[Method, ...] = get_args(Method)
LARGEST = 10**12
"""Denominator up to which a question's share is exact; beyond it is the closest such fraction."""


@dataclass(frozen=True)
class Resamples:
    """How intervals and tests are made."""

    level: float = 0.95
    n_resamples: int = 9999
    seed: int = 0


@dataclass(frozen=True)
class Outcome:
    """What came of one trajectory at one point: means over its draws."""

    trajectory_id: str
    question_id: str
    right: Fraction
    """Share of its draws that were right."""
    n_thinking: Fraction
    """Tokens before the model when it answered."""
    n_generated: Fraction
    """Tokens that had to be generated."""
    n_draws: int


Measure = Callable[[Outcome], Fraction]
ByQuestion = dict[str, Fraction]


@dataclass(frozen=True)
class Cell:
    """A point of the frontier before anything is estimated."""

    key: FrontierKey
    outcomes: tuple[Outcome, ...]
    """One a trajectory, in the order of the trajectories; empty if nothing counts."""
    n_left_out: int
    """Attempts that count neither as right nor as wrong, or whose trajectory does not."""
    n_leaked: int
    """Summaries that sentences were taken out of."""
    n_repeated: int
    """Attempts that differ from another one in settings that are no part of the key; they count as further draws."""


def take_whole(trajectory: Trajectory) -> Attempt:
    """A trajectory as it is, as an attempt: "full" for one that thinks, else "no-thinking"."""
    method, variant, level = FULL if trajectory.mode == "think" else NO_THINKING
    return Attempt(
        id=trajectory.id,
        trajectory_id=trajectory.id,
        question_id=trajectory.question_id,
        model=trajectory.model,
        method=method,
        variant=variant,
        level=level,
        draw=0,
        n_thinking=trajectory.reasoning_len,
        n_generated=len(trajectory.token_ids),
        answer=trajectory.answer,
        correct=trajectory.correct,
        verdict=trajectory.find_verdict(),
    )


def collect_cells(trajectories: Sequence[Trajectory], attempts: Sequence[Attempt]) -> dict[FrontierKey, Cell]:
    """Sort trajectories as they are, and attempts of them, into the points of the frontier, "full" first.

    An attempt counts if it is decided and its trajectory is, a no-thinking trajectory if the question has a thinking
    one that counts; the others of a point are its `n_left_out`. Attempts of other trajectories are not looked at.
    """
    order = {trajectory.id: i for i, trajectory in enumerate(trajectories)}
    of = {trajectory.id: trajectory.question_id for trajectory in trajectories}
    thinking = [t for t in trajectories if t.mode == "think" and t.correct is not None]
    decided, asked = {t.id for t in thinking}, {t.question_id for t in thinking}
    unique = {attempt.id: attempt for attempt in (*map(take_whole, trajectories), *attempts)}
    by_key: dict[FrontierKey, list[Attempt]] = {}
    for attempt in unique.values():
        if attempt.trajectory_id in order:
            by_key.setdefault((attempt.method, attempt.variant, float(attempt.level)), []).append(attempt)
    cells = {}
    for key in sorted(by_key, key=lambda key: (METHODS.index(key[0]), *key[1:])):
        own = sorted(by_key[key], key=lambda a: (order[a.trajectory_id], a.draw, a.id))
        counted = [
            a
            for a in own
            if is_decided(a) and (of[a.trajectory_id] in asked if key == NO_THINKING else a.trajectory_id in decided)
        ]
        repeated = Counter((a.trajectory_id, a.draw) for a in own)
        cells[key] = Cell(
            key,
            _average_draws(counted, of),
            n_left_out=len(own) - len(counted),
            n_leaked=sum(a.leaked for a in own),
            n_repeated=sum(n - 1 for n in repeated.values()),
        )
    return cells


def is_decided(attempt: Attempt) -> bool:
    """Say whether an attempt counts as right or wrong: not if that is unknown, or an error kept it from an answer."""
    return attempt.correct is not None and not (attempt.error is not None and attempt.answer is None)


def average(outcomes: Sequence[Outcome], measure: Measure) -> ByQuestion:
    """Average a measure over the trajectories of each question, exactly."""
    values: dict[str, list[Fraction]] = {}
    for outcome in outcomes:
        values.setdefault(outcome.question_id, []).append(measure(outcome))
    return {question: sum(own, Fraction(0)) / len(own) for question, own in values.items()}


def get_right(outcome: Outcome) -> Fraction:
    """The measure behind accuracy."""
    return outcome.right


def get_thinking(outcome: Outcome) -> Fraction:
    """The measure behind tokens in context."""
    return outcome.n_thinking


def get_generated(outcome: Outcome) -> Fraction:
    """The measure behind tokens generated."""
    return outcome.n_generated


def pair_outcomes(cell: Cell, other: Cell) -> tuple[tuple[Outcome, ...], tuple[Outcome, ...]]:
    """Take the trajectories that two points share, of both; where one is "no-thinking", the questions they share."""
    by_question = NO_THINKING in (cell.key, other.key)

    def name(outcome: Outcome) -> str:
        return outcome.question_id if by_question else outcome.trajectory_id

    shared = set(map(name, cell.outcomes)) & set(map(name, other.outcomes))
    own, others = (tuple(o for o in side.outcomes if name(o) in shared) for side in (cell, other))
    return own, others


def compute_passes(outcomes: Sequence[Outcome], n: int) -> ByQuestion:
    """Chance that one of n answers is right, each a draw of another trajectory: Pass@n of each question.

    Over all ways to choose n of a question's trajectories, the mean of 1 − Π q, with q the share of a trajectory's
    draws that are wrong. With one draw a trajectory that is the paper's Eq. 22. Pooling several draws would not do: two
    of one trajectory resemble each other, so a point would lose Pass@n by being drawn more often. Questions with fewer
    than n trajectories have no value.
    """
    wrong: dict[str, list[Fraction]] = {}
    for outcome in outcomes:
        wrong.setdefault(outcome.question_id, []).append(1 - outcome.right)
    passes = {}
    for question, shares in wrong.items():
        if len(shares) >= n:
            # sums[k]: over all ways to choose k of the shares so far, the sum of their products.
            sums = [Fraction(1), *[Fraction(0)] * n]
            for share in shares:
                sums = [sums[0], *(sums[k] + share * sums[k - 1] for k in range(1, n + 1))]
            passes[question] = 1 - sums[n] / comb(len(shares), n)
    return passes


def estimate_share(name: str, values: ByQuestion, resamples: Resamples) -> Estimate:
    """Estimate the mean over questions of shares from 0 to 1, with an interval."""
    return replace(estimate_metric(Metric("pass", 1), _count(values), **asdict(resamples)), name=name)


def compare_shares(name: str, ours: ByQuestion, theirs: ByQuestion, resamples: Resamples) -> tuple[Estimate, float]:
    """Estimate the mean difference of shares on the same questions, and the p-value of a paired sign-flip test."""
    counts, baseline = _count(ours), _count({question: theirs[question] for question in ours})
    difference = compare_metric(Metric("pass", 1), counts, baseline, **asdict(resamples))
    p = compute_p_value(Metric("pass", 1), counts, baseline, n_resamples=resamples.n_resamples, seed=resamples.seed)
    return replace(difference, name=name), p


def estimate_tokens(name: str, values: ByQuestion, resamples: Resamples) -> Estimate:
    """Estimate the mean over questions of numbers of tokens."""
    return estimate_mean(name, list(map(float, values.values())), **asdict(resamples))


def compute_saving(ours: ByQuestion, full: ByQuestion) -> Fraction | None:
    """Share of the full ones' tokens that a point does without, of all questions together; None if those had none."""
    total = sum((full[question] for question in ours), Fraction(0))
    return 1 - sum(ours.values(), Fraction(0)) / total if total else None


def estimate_saving(name: str, ours: ByQuestion, full: ByQuestion, resamples: Resamples) -> Estimate | None:
    """Estimate the share of tokens saved, with an interval over questions; None if there was nothing to save.

    A ratio of two means is not a mean over questions; its interval is that of its linearisation, 1 − r − (a − r b) / b̄
    with r = ā / b̄ and a question's a tokens against b (Cochran, Sampling Techniques, 1977, section 6.4).
    """
    saving = compute_saving(ours, full)
    if saving is None:
        return None
    mean = sum((full[question] for question in ours), Fraction(0)) / len(ours)
    values = [saving - (own - (1 - saving) * full[question]) / mean for question, own in ours.items()]
    return estimate_mean(name, list(map(float, values)), **asdict(resamples))


def _average_draws(attempts: Sequence[Attempt], of: Mapping[str, str]) -> tuple[Outcome, ...]:
    """Average the attempts of each trajectory, given whose question each answers."""
    by_trajectory: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        by_trajectory.setdefault(attempt.trajectory_id, []).append(attempt)
    return tuple(
        Outcome(
            trajectory_id=trajectory_id,
            question_id=of[trajectory_id],
            right=Fraction(sum(a.correct is True for a in own), len(own)),
            n_thinking=Fraction(sum(a.n_thinking for a in own), len(own)),
            n_generated=Fraction(sum(a.n_generated for a in own), len(own)),
            n_draws=len(own),
        )
        for trajectory_id, own in by_trajectory.items()
    )


def _count(values: ByQuestion) -> Counts:
    """Write shares as counts, the form in which `raml.stats` takes what lies between 0 and 1."""
    shares = [value.limit_denominator(LARGEST) for value in values.values()]
    return Counts([s.numerator for s in shares], [s.denominator for s in shares], list(values), uneven=True)
