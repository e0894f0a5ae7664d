"""Means and shares over questions, one model's or two modes' on the same questions, with the analysis' settings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from raml.curves.groups import CurveSettings
from raml.records import Estimate
from raml.stats import (
    Counts,
    Metric,
    adjust_holm,
    average_questions,
    compare_metric,
    compute_p_value,
    compute_paired_p_value,
    estimate_mean,
    estimate_metric,
)

SHARE = Metric("pass", 1)
"""Pass@1 is the share of what is counted, and allows questions with more trajectories than others."""
Values = dict[str, float]
"""By question."""


@dataclass(frozen=True)
class Contrast:
    """One measure in both modes on the same questions."""

    measure: str
    think: Estimate
    nothink: Estimate
    difference: Estimate
    """No-thinking minus thinking."""
    p: float
    """Of a paired sign-flip test over questions, two-sided."""
    p_holm: float = math.nan
    """Adjusted for all measures of the comparison (Holm)."""


def average_known(question_ids: Sequence[str], values: Sequence[float]) -> Values:
    """Average the values that are known (not NaN) within each question that has any."""
    known = [(question, value) for question, value in zip(question_ids, values, strict=True) if not math.isnan(value)]
    ids = [question for question, _ in known]
    means = average_questions(ids, [value for _, value in known])
    return dict(zip(dict.fromkeys(ids), map(float, means), strict=True))


def estimate_values(
    name: str,
    question_ids: Sequence[str],
    values: Sequence[float],
    settings: CurveSettings,
    *,
    within: tuple[float, float] = (-math.inf, math.inf),
) -> Estimate | None:
    """Estimate the mean over questions of values, their interval cut to where they can lie; None without any.

    Values that are NaN are left out.
    """
    means = list(average_known(question_ids, values).values())
    if not means:
        return None
    made = estimate_mean(name, means, level=settings.level, n_resamples=settings.n_resamples, seed=settings.seed)
    return replace(made, low=max(made.low, within[0]), high=min(made.high, within[1]))


def estimate_share(
    name: str, question_ids: Sequence[str], flags: Sequence[bool | None], settings: CurveSettings
) -> Estimate | None:
    """Estimate a share of trajectories, mean over questions, within 0 and 1; what is None is left out."""
    counts = _count(question_ids, flags)
    if not counts:
        return None
    estimate = estimate_metric(
        SHARE, _to_counts(counts), level=settings.level, n_resamples=settings.n_resamples, seed=settings.seed
    )
    return replace(estimate, name=name)


def contrast_values(measure: str, think: Values, nothink: Values, settings: CurveSettings) -> Contrast | None:
    """Compare both modes where both have a value; None if no question has."""
    both = [question for question in think if question in nothink]
    if not both:
        return None
    sides = [think[question] for question in both], [nothink[question] for question in both]
    differences = [b - a for a, b in zip(*sides, strict=True)]
    options = {"level": settings.level, "n_resamples": settings.n_resamples, "seed": settings.seed}
    first, second, difference = (estimate_mean(measure, values, **options) for values in (*sides, differences))
    p = compute_paired_p_value(differences, n_resamples=settings.n_resamples, seed=settings.seed)
    return Contrast(measure, first, second, difference, p)


def contrast_shares(
    measure: str,
    think: tuple[Sequence[str], Sequence[bool | None]],
    nothink: tuple[Sequence[str], Sequence[bool | None]],
    settings: CurveSettings,
) -> Contrast | None:
    """Compare a share, such as accuracy, given as question ids and flags of trajectories."""
    first, second = _count(*think), _count(*nothink)
    both = [question for question in first if question in second]
    if not both:
        return None
    ours, theirs = (_to_counts({question: made[question] for question in both}) for made in (first, second))
    options = {"level": settings.level, "n_resamples": settings.n_resamples, "seed": settings.seed}
    p = compute_p_value(SHARE, theirs, ours, n_resamples=settings.n_resamples, seed=settings.seed)
    estimates = (estimate_metric(SHARE, ours, **options), estimate_metric(SHARE, theirs, **options))
    difference = compare_metric(SHARE, theirs, ours, **options)
    first_share, second_share, change = (replace(made, name=measure) for made in (*estimates, difference))
    return Contrast(measure, first_share, second_share, change, p)


def adjust_contrasts(contrasts: Sequence[Contrast | None]) -> tuple[Contrast, ...]:
    """Adjust the p-values of all comparisons that could be made."""
    made = [contrast for contrast in contrasts if contrast is not None]
    adjusted = adjust_holm([contrast.p for contrast in made])
    return tuple(replace(contrast, p_holm=p) for contrast, p in zip(made, adjusted, strict=True))


def _count(question_ids: Sequence[str], flags: Sequence[bool | None]) -> dict[str, tuple[int, int]]:
    """How many flags of a question are set, and how many are known."""
    counts: dict[str, tuple[int, int]] = {}
    for question, flag in zip(question_ids, flags, strict=True):
        if flag is not None:
            n_set, n = counts.get(question, (0, 0))
            counts[question] = n_set + bool(flag), n + 1
    return counts


def _to_counts(counts: dict[str, tuple[int, int]]) -> Counts:
    n_set, n = zip(*counts.values(), strict=True)
    return Counts(n_set, n, list(counts), uneven=True)
