"""Records → claims with what was measured, and whether they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from raml.records import (
    Estimate,
    Mode,
    ModelIdentity,
    Trace,
    Trajectory,
    Update,
)
from raml.report.overview import name_models
from raml.report.plain import write_interval, write_number
from raml.stats import Counts, Metric, average_questions, compare_metric, estimate_mean

Verdict = Literal["holds", "does not hold", "undecided"]
EXACT_BELOW = 0.01
"""Logit gap below which an update counts as standing for its prefixes exactly: it changes no probability by more than
about 2 % of itself."""
MODES: dict[Mode, str] = {"think": "thinking", "nothink": "not thinking"}


@dataclass(frozen=True)
class Claim:
    """A sentence that the run tests."""

    text: str
    measured: str
    interval: str
    """Empty where there is none."""
    n_questions: int
    border: str
    """What has to be so that it holds, fixed before anything was measured."""
    verdict: Verdict
    tab: str
    """Title of the view that shows it."""


def judge_interval(estimate: Estimate, side: Literal["above", "below"], border: float = 0.0) -> Verdict:
    """Judge a claim that a mean lies above, or below, a border: by the side on which its whole interval lies."""
    is_above, is_below = estimate.low > border, estimate.high < border
    holds, fails = (is_above, is_below) if side == "above" else (is_below, is_above)
    return "holds" if holds else "does not hold" if fails else "undecided"


def judge_reading(trajectories: Sequence[Trajectory], traces: Sequence[Trace]) -> list[Claim]:
    """Whether L̂ of the gold answer is lower at the end of a trajectory than at its start."""
    by_id = {trajectory.id: trajectory for trajectory in trajectories}
    thinking = [
        (by_id[trace.trajectory_id], trace)
        for trace in traces
        if trace.settings.target == "gold" and trace.trajectory_id in by_id
    ]
    thinking = [(own, trace) for own, trace in thinking if own.mode == "think"]
    models = list_models([trace.model for _, trace in thinking])
    claims = []
    for model in models:
        for wanted, kind in ((True, "right"), (False, "wrong")):
            pairs = [(o, t) for o, t in thinking if o.correct is wanted and t.model.key() == model.key()]
            if not pairs:
                continue
            falls = [float(trace.mean_nll[-1]) - float(trace.mean_nll[0]) for _, trace in pairs]
            values = average_questions([own.question_id for own, _ in pairs], falls)
            estimate = estimate_mean("change of L̂", values.tolist())
            claims.append(
                Claim(
                    f"Reading a {kind} trajectory brings the right answer nearer{_name(model, models)}",
                    f"ΔL̂ from start to end {write_number(estimate.value, 3, is_signed=True)} nats, thinking",
                    write_interval(estimate, is_signed=True),
                    estimate.n_questions,
                    "the interval lies below 0",
                    judge_interval(estimate, "below"),
                    "Trajectories",
                )
            )
    return claims


def judge_modes(trajectories: Sequence[Trajectory]) -> list[Claim]:
    """Whether answers after thinking are more often right than those without, on the questions that have both."""
    models = list_models([trajectory.model for trajectory in trajectories])
    claims = []
    for model in models:
        think, nothink = (count_right(trajectories, model, mode) for mode in MODES)
        both = [question for question in think if question in nothink]
        if not both:
            continue
        ours, theirs = (gather_counts({question: own[question] for question in both}) for own in (think, nothink))
        estimate = compare_metric(Metric("pass", 1), ours, theirs)
        claims.append(
            Claim(
                f"Thinking makes answers right more often{_name(model, models)}",
                f"{write_number(100 * estimate.value, 1, is_signed=True)} points of accuracy beside not thinking",
                write_interval(estimate, unit=100, n_digits=1, is_signed=True),
                estimate.n_questions,
                "the interval lies above 0",
                judge_interval(estimate, "above"),
                "Overview",
            )
        )
    return claims


def judge_updates(trajectories: Sequence[Trajectory], updates: Sequence[Update]) -> list[Claim]:
    """Whether updated models without trajectory answer as the original ones with it."""
    questions = {trajectory.id: trajectory.question_id for trajectory in trajectories}
    shown = [update for update in updates if update.trajectory_id in questions]
    models = list_models([update.model for update in shown])
    claims = []
    for model in models:
        own = [update for update in shown if update.model.key() == model.key()]
        gap = max(update.logit_gap for update in own)
        loose = sum(not update.exact for update in own)
        claims.append(
            Claim(
                f"An update of the weights stands for a trajectory exactly{_name(model, models)}",
                f"largest logit gap {gap:.2g} over {len(own)} trajectories"
                + (f", {loose} with a least-squares update only" if loose else ""),
                "",
                len({questions[update.trajectory_id] for update in own}),
                f"no gap reaches {EXACT_BELOW:g} logits",
                "holds" if gap < EXACT_BELOW else "does not hold",
                "Updates",
            )
        )
    return claims


def count_right(trajectories: Sequence[Trajectory], model: ModelIdentity, mode: Mode) -> dict[str, list[bool]]:
    """By question, whether each decided trajectory is right."""
    counts: dict[str, list[bool]] = {}
    for own in trajectories:
        if own.mode == mode and own.correct is not None and own.model.key() == model.key():
            counts.setdefault(own.question_id, []).append(own.correct)
    return counts


def gather_counts(counts: dict[str, list[bool]]) -> Counts:
    """The same as numbers, for estimates."""
    return Counts(
        [sum(own) for own in counts.values()], [len(own) for own in counts.values()], list(counts), uneven=True
    )


def list_models(identities: Sequence[ModelIdentity]) -> list[ModelIdentity]:
    """Each model once, whatever it was called."""
    return list({identity.key(): identity for identity in identities}.values())


def _name(model: ModelIdentity, models: Sequence[ModelIdentity]) -> str:
    return f" ({name_models([model])[0]})" if len(models) > 1 else ""
