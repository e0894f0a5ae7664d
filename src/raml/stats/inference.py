"""Intervals and tests over questions: one model, or two on the same questions."""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Sequence
from fractions import Fraction
from functools import partial

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import DegenerateDataWarning, bootstrap, norm, permutation_test, t

from raml.errors import DataError, NumericsError
from raml.records import Estimate, IntervalMethod
from raml.stats.metrics import Counts, Floats, Metric, measure_exactly, name_metric


def estimate_metric(
    metric: Metric, counts: Counts, *, level: float = 0.95, n_resamples: int = 9999, seed: int = 0
) -> Estimate:
    """Estimate a metric's mean over questions, with a cluster bootstrap interval: whole questions are resampled.

    Each end is that of the bootstrap or of the t-interval, whichever lies farther out. The bootstrap is BCa
    (bias-corrected and accelerated, Efron 1987, by SciPy), or of percentiles where BCa's corrections are undefined; the
    method says which: "BCa+t" or "percentile+t". It is widened for few questions, as a t-interval is (Hesterberg 2015,
    The American Statistician 69, p. 371). BCa alone covers too little where most differences are 0, the t-interval
    where values are skewed.

    If all questions have one value v (to 1e-12), resampling shows nothing and the method is "bound": had more than
    p = 1 − (1 − level)^(1/Q) of all questions another value, Q equal ones would have had a chance below 1 − level. The
    interval is [(1 − p) v, (1 − p) v + p], wherever in 0..1 those others lie.

    In simulations with 30 questions of 16 responses 95 % intervals cover 93 to 98 %, those of differences too, but 57 %
    where rare questions decide: a Pass@8 of 0.998 (docs/evaluation.md, benchmarks/interval_coverage.py).

    Raises:
        DataError: as `measure_questions`, or the level is not between 0 and 1.
    """
    return _estimate(name_metric(metric, counts), measure_exactly(metric, counts), 0, level, n_resamples, seed)


def estimate_mean(
    name: str, values: Sequence[float], *, level: float = 0.95, n_resamples: int = 9999, seed: int = 0
) -> Estimate:
    """Estimate the mean over questions of values without bounds, one a question: losses, cosines, paired differences.

    The interval is made as in `estimate_metric` and cut off nowhere. It rests on how the values vary: if all are equal
    (to 1e-12 of the largest), or there is only one, nothing says how far other questions' values may lie, and no bound
    stands in for it. The interval is then −∞ to ∞ and the method "none", whatever the level.

    Raises:
        DataError: there are no values, or the level is not between 0 and 1.
        NumericsError: a value is NaN or infinite.
    """
    _check_level(level)
    scaled, unit = _scale(values, name)
    value = math.fsum(values) / len(scaled)
    if np.ptp(scaled) < 1e-12:
        return Estimate(name, value, -math.inf, math.inf, level, "none", len(scaled))
    low, high, method = _find_interval(scaled, value / unit, level, n_resamples, seed)
    return Estimate(name, value, low * unit, high * unit, level, method, len(scaled))


def average_questions(question_ids: Sequence[str], values: ArrayLike) -> Floats:
    """Average values [N …] of several trajectories within each question [Q …], questions as they first come.

    Questions, not trajectories, are what a mean's interval is over: those of one question resemble each other.
    """
    array, ids = np.asarray(values, dtype=float), list(question_ids)
    return np.array([array[[own == one for own in ids]].mean(axis=0) for one in dict.fromkeys(ids)])


def compare_metric(
    metric: Metric, counts: Counts, baseline: Counts, *, level: float = 0.95, n_resamples: int = 9999, seed: int = 0
) -> Estimate:
    """Estimate how much better a model is than a baseline on the same questions: the mean of paired differences.

    Intervals as in `estimate_metric`, over the differences d; "bound" is [(1 − p) d − p, (1 − p) d + p].

    Raises:
        DataError: as `estimate_metric`, or the questions are not the same, in the same order.
    """
    _check_pairs(metric, counts, baseline)
    differences = list(map(operator.sub, measure_exactly(metric, counts), measure_exactly(metric, baseline)))
    return _estimate(f"{name_metric(metric, counts)} difference", differences, -1, level, n_resamples, seed)


def compute_p_value(
    metric: Metric, counts: Counts, baseline: Counts, *, n_resamples: int = 9999, seed: int = 0
) -> float:
    """Find how likely a difference of two models at least as large, either way, is if neither is better: a p-value.

    Under that hypothesis a question's two values could as well be the other way round; see `compute_paired_p_value`.

    Raises:
        DataError: as `compare_metric`.
    """
    _check_pairs(metric, counts, baseline)
    ours, theirs = measure_exactly(metric, counts), measure_exactly(metric, baseline)
    differences = [float(a - b) for a, b in zip(ours, theirs, strict=True)]
    return compute_paired_p_value(differences, n_resamples=n_resamples, seed=seed)


def compute_paired_p_value(differences: Sequence[float], *, n_resamples: int = 9999, seed: int = 0) -> float:
    """Find how likely a mean at least as far from 0, either way, is if each sign could as well be the other one.

    One difference a question. A permutation test (SciPy's) flips their signs: all 2^Q ways where those are at most
    n_resamples, else so many random ones, and the way they came. Two-sided: twice the smaller tail, at most 1.

    Raises:
        DataError: there are no differences.
        NumericsError: one is NaN or infinite.
    """
    scaled, _ = _scale(differences, "difference")
    if len(scaled) == 1:
        return 1.0  # both ways differ as much
    result = permutation_test(
        (scaled,),
        _mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=n_resamples,
        batch=max(1, 2**22 // len(scaled)),
        rng=seed,
    )
    return float(result.pvalue)


def adjust_holm(p_values: Sequence[float]) -> list[float]:
    """Adjust the p-values of a family of tests so that the chance of any false finding stays below the level.

    The i-th smallest of m is multiplied by m − i + 1, and none may fall below a smaller one's (Holm 1979, Scandinavian
    Journal of Statistics 6, p. 65).
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, highest = [1.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def _check_pairs(metric: Metric, counts: Counts, baseline: Counts) -> None:
    n_ours, n_theirs = (np.shape(side.correct)[-1] for side in (counts, baseline))
    if n_ours != n_theirs:
        raise DataError(f"{n_ours} questions can't be paired with the baseline's {n_theirs}; give both the same ones.")
    for i, (ours, theirs) in enumerate(zip(counts.question_ids or (), baseline.question_ids or (), strict=False)):
        if ours != theirs:
            raise DataError(f"Question {ours} at place {i} is paired with the baseline's {theirs}; use one order.")
    if name_metric(metric, counts) != name_metric(metric, baseline):
        raise DataError(
            f"{name_metric(metric, counts)} can't be compared with {name_metric(metric, baseline)}: use one n."
        )


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise DataError(f"The interval's level is {level}; it must lie between 0 and 1, such as 0.95.")


def _scale(values: Sequence[float], name: str) -> tuple[Floats, float]:
    """Divide values by a power of two, also returned, so that the largest is about 1 and `_mean` rounds none away."""
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or not array.size:
        raise DataError(f"{name}: an array of shape {array.shape} has no mean over questions; give one value each.")
    if not np.isfinite(array).all():
        place = int(np.isfinite(array).argmin())
        raise NumericsError(f"{name}: value {array[place]} at place {place} is not finite.")
    unit = 2.0 ** math.frexp(float(np.abs(array).max()))[1]
    return array / unit, unit


def _estimate(name: str, exact: Sequence[Fraction], floor: int, level: float, n_resamples: int, seed: int) -> Estimate:
    _check_level(level)
    value = float(sum(exact, Fraction(0)) / len(exact))
    if max(exact) - min(exact) < 1e-12:
        share = 1 - (1 - level) ** (1 / len(exact))
        low, high, method = value - share * (value - floor), value + share * (1 - value), "bound"
    else:
        values = np.array([float(v) for v in exact])
        low, high, method = _find_interval(values, value, level, n_resamples, seed)
        low, high = max(floor, low), min(1.0, high)
    return Estimate(name, value, low, high, level, method, len(exact))


def _find_interval(
    values: Floats, mean: float, level: float, n_resamples: int, seed: int
) -> tuple[float, float, IntervalMethod]:
    """Take each end from the bootstrap or the t-interval, whichever lies farther out."""
    low, high, method = _bootstrap_mean(values, level, n_resamples, seed)
    reach = float(t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1)) / math.sqrt(len(values))
    return min(low, mean - reach), max(high, mean + reach), method


def _bootstrap_mean(values: Floats, level: float, n_resamples: int, seed: int) -> tuple[float, float, IntervalMethod]:
    n = len(values)
    widened = float(2 * norm.cdf(math.sqrt(n / (n - 1)) * t.ppf((1 + level) / 2, n - 1)) - 1)
    draw = partial(bootstrap, (values,), _mean, batch=max(1, 2**22 // n), confidence_level=min(widened, 1 - 1e-9))
    result = draw(n_resamples=n_resamples, method="percentile", rng=seed)
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("ignore", DegenerateDataWarning)
        corrected = draw(n_resamples=0, method="BCa", bootstrap_result=result)
    holds = bool(np.isfinite(corrected.confidence_interval).all())
    low, high = (corrected if holds else result).confidence_interval
    return float(low), float(high), "BCa+t" if holds else "percentile+t"


def _mean(sample: Floats, axis: int) -> Floats:
    return np.round(np.mean(sample, axis=axis), 13)  # equal means tie, in whatever order they were summed
