"""How well a score tells right from wrong, with intervals and tests over questions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu, t

from raml.curves.groups import CurveSettings
from raml.errors import DataError
from raml.records import Estimate
from raml.stats import compute_paired_p_value, estimate_mean

Floats = NDArray[np.float64]
BATCH = 2**22
"""Numbers that the bootstrap holds at a time."""


@dataclass(frozen=True)
class Auroc:
    """The chance that a right trajectory scores higher than a wrong one; a tie counts half."""

    estimate: Estimate
    """Within 0 and 1; [0, 1] with the method "none" where the values don't vary and so say nothing about others."""
    p: float | None
    """Of a sign-flip test over questions against 0.5, two-sided; None where it can't be made."""
    n_right: int
    n_wrong: int
    p_holm: float | None = None
    """Adjusted for the table that it stands in (Holm)."""


def compute_auroc(right: Sequence[float] | Floats, wrong: Sequence[float] | Floats) -> float:
    """Share of the pairs in which the right one scores higher, ties counted half: U / (n_right n_wrong).

    Raises:
        DataError: a side is empty, or a score is NaN.
    """
    if not len(right) or not len(wrong) or np.isnan(right).any() or np.isnan(wrong).any():
        raise DataError(f"{len(right)} right and {len(wrong)} wrong scores: pairs need one of each, none NaN.")
    return float(mannwhitneyu(right, wrong, method="asymptotic").statistic) / (len(right) * len(wrong))


def estimate_pooled_auroc(
    question_ids: Sequence[str], scores: Sequence[float], right: Sequence[bool], settings: CurveSettings
) -> Auroc | None:
    """Estimate the AUROC over all pairs, also of different questions; None if a side is empty.

    It rewards knowing which questions are hard. Whole questions are resampled (percentiles), and each end of the
    interval is that of the bootstrap or of the t-interval with the jackknife's standard error, whichever lies farther
    out. The test flips signs of the questions' jackknife pseudo-values minus 0.5; there is none if all right or all
    wrong ones are of one question.
    """
    values, flags = np.asarray(scores, dtype=float), np.asarray(right, dtype=bool)
    if not flags.any() or flags.all():
        return None
    value = compute_auroc(values[flags], values[~flags])
    wins, pairs = _count_pairs(question_ids, values, flags)
    n = len(wins)
    without = _leave_one_out(wins, pairs)
    p, reach = None, math.nan
    if n > 1 and np.isfinite(without).all():
        pseudo = n * value - (n - 1) * without
        p = compute_paired_p_value((pseudo - 0.5).tolist(), n_resamples=settings.n_resamples, seed=settings.seed)
        error = math.sqrt((n - 1) / n * float(np.square(without - without.mean()).sum()))
        reach = float(t.ppf((1 + settings.level) / 2, n - 1)) * error
    drawn = _resample(wins, pairs, settings)
    if p is None or np.ptp(drawn) < 1e-12:
        estimate = Estimate("AUROC", value, 0.0, 1.0, settings.level, "none", n)
    else:
        low, high = np.quantile(drawn, [(1 - settings.level) / 2, (1 + settings.level) / 2])
        ends = max(0.0, min(float(low), value - reach)), min(1.0, max(float(high), value + reach))
        estimate = Estimate("AUROC", value, *ends, settings.level, "percentile+t", n)
    return Auroc(estimate, p, int(flags.sum()), int((~flags).sum()))


def estimate_auroc_within(
    question_ids: Sequence[str], scores: Sequence[float], right: Sequence[bool], settings: CurveSettings
) -> Auroc | None:
    """Estimate the mean over questions of the AUROC among a question's own trajectories.

    Only questions with right and wrong ones have one; None if there is none. How hard a question is plays no part here.
    """
    values, flags = np.asarray(scores, dtype=float), np.asarray(right, dtype=bool)
    ids = np.asarray(question_ids)
    found, counts = [], np.zeros(2, dtype=int)
    for question in dict.fromkeys(question_ids):
        own, is_right = values[ids == question], flags[ids == question]
        if is_right.any() and not is_right.all():
            found.append(compute_auroc(own[is_right], own[~is_right]))
            counts += is_right.sum(), (~is_right).sum()
    if not found:
        return None
    options = {"n_resamples": settings.n_resamples, "seed": settings.seed}
    estimate = estimate_mean("AUROC within questions", found, level=settings.level, **options)
    p = compute_paired_p_value([value - 0.5 for value in found], **options)
    bounded = replace(estimate, low=max(0.0, estimate.low), high=min(1.0, estimate.high))
    return Auroc(bounded, p if len(found) > 1 else None, int(counts[0]), int(counts[1]))


def _count_pairs(question_ids: Sequence[str], scores: Floats, right: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Pairs won by the right side (ties half), and all pairs, by question of the right and of the wrong one [Q Q]."""
    order = list(dict.fromkeys(question_ids))
    rank = {question: i for i, question in enumerate(order)}
    place = np.array([rank[question] for question in question_ids])
    n = len(order)
    wrong_scores, wrong_place = scores[~right], place[~right]
    wins = np.zeros((n, n))
    for score, own in zip(scores[right], place[right], strict=True):
        won = (score > wrong_scores) + 0.5 * (score == wrong_scores)
        wins[own] += np.bincount(wrong_place, won, n)
    n_right, n_wrong = (np.bincount(place[side], minlength=n).astype(float) for side in (right, ~right))
    return wins, np.outer(n_right, n_wrong)


def _leave_one_out(wins: Floats, pairs: Floats) -> Floats:
    """The AUROC without each question [Q]; NaN where a side is then empty."""
    won, n = (table.sum() - table.sum(0) - table.sum(1) + table.diagonal() for table in (wins, pairs))
    return np.divide(won, n, out=np.full(len(n), math.nan), where=n > 0)


def _resample(wins: Floats, pairs: Floats, settings: CurveSettings) -> Floats:
    """The AUROC of resampled questions; draws without a right or without a wrong trajectory are left out."""
    n, rng = len(wins), np.random.default_rng(settings.seed)
    found = []
    for start in range(0, settings.n_resamples, max(1, BATCH // n)):
        size = min(max(1, BATCH // n), settings.n_resamples - start)
        times = rng.multinomial(n, np.full(n, 1 / n), size=size).astype(float)
        won, possible = (((times @ table) * times).sum(axis=1) for table in (wins, pairs))
        found.append(won[possible > 0] / possible[possible > 0])
    return np.concatenate(found)
