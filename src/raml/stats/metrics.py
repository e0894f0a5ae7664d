"""Pass@k, G-Pass@k, mG-Pass@k and Avg@n, exact for each question.

Of n responses to a question c are right. Draw k of the n without replacement and let J of them be right: each metric at
k is an expectation over J, a fraction. The paper's mG-Pass@k (Eq. 23) is a sum; the integral that it stands for, 2∫ of
G-Pass@k over τ in [½, 1], equals it for even k only. For odd k a perfect model gets (k−1)/k by the sum, so always 0 for
k = 1, and 1 by the integral. "mg-pass" is the paper's sum; the integral has a name of its own, "mg-pass-integral".
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from raml.errors import DataError

MetricKind = Literal["pass", "g-pass", "mg-pass", "mg-pass-integral", "avg"]
Floats = NDArray[np.float64]
NAMES: dict[MetricKind, str] = {
    "pass": "Pass@{k}",
    "g-pass": "G-Pass@{k} (τ = {tau})",
    "mg-pass": "mG-Pass@{k}",
    "mg-pass-integral": "mG-Pass@{k} (integral)",
    "avg": "Avg@{n}",
}


def compute_pass_at_k(n: int, c: int, k: int) -> Fraction:
    """Chance that at least one of k responses, drawn from n of which c are right, is right (the paper's Eq. 22).

    Raises:
        DataError: c is not in 0..n, or k not in 1..n.
    """
    ways = _count_ways(n, c, k)
    return 1 - Fraction(ways[0], math.comb(n, k))


def compute_g_pass_at_k(n: int, c: int, k: int, tau: Fraction | str | float) -> Fraction:
    """Chance that at least ⌈kτ⌉ of k responses, drawn from n of which c are right, are right (arXiv 2412.13147).

    A float τ is read as the shortest decimal that stands for it, so ⌈100 · 0.07⌉ is 7; "7/25" is read as written.
    Raises as `compute_pass_at_k` does, and a DataError for a τ that is not above 0 and at most 1.
    """
    ways = _count_ways(n, c, k)
    return Fraction(sum(ways[math.ceil(k * _read_tau(tau)) :]), math.comb(n, k))


def compute_mg_pass_at_k(n: int, c: int, k: int) -> Fraction:
    """Mean of G-Pass@k over τ above ½ by the paper's sum (Eq. 23). Raises as `compute_pass_at_k` does."""
    return _average_upper_half(n, c, k, Fraction(math.ceil(Fraction(k, 2))))


def compute_mg_pass_at_k_integral(n: int, c: int, k: int) -> Fraction:
    """Mean of G-Pass@k over τ above ½ as the integral 2∫ over [½, 1]. Raises as `compute_pass_at_k` does."""
    return _average_upper_half(n, c, k, Fraction(k, 2))


@dataclass(frozen=True)
class Metric:
    """What is computed from the n responses to a question, c of them right.

    Raises:
        DataError: the kind is unknown, k or tau is missing or out of place, or tau is not above 0 and at most 1.
    """

    kind: MetricKind
    """"mg-pass" is the paper's sum; "avg" is c/n."""
    k: int | None = None
    """How many responses are drawn; None for "avg", which takes all n."""
    tau: Fraction | str | float | None = None
    """The least share of them to be right, for "g-pass" alone; kept as a fraction."""

    def __post_init__(self) -> None:
        if self.kind not in NAMES:
            raise DataError(f"There is no metric {self.kind!r}; choose one of {', '.join(NAMES)}.")
        for option, value, takes in (("k", self.k, self.kind != "avg"), ("tau", self.tau, self.kind == "g-pass")):
            if (value is not None) != takes:
                raise DataError(f"The metric {self.kind} {'needs a' if takes else 'takes no'} {option}.")
        if self.tau is not None:
            object.__setattr__(self, "tau", _read_tau(self.tau))

    def compute(self, n: int, c: int) -> Fraction:
        """Compute the exact value for one question. Raises as `compute_pass_at_k` does."""
        if self.k is None:
            return compute_pass_at_k(n, c, 1)  # c/n
        if self.tau is not None:
            return compute_g_pass_at_k(n, c, self.k, self.tau)
        by_kind = {"pass": compute_pass_at_k, "mg-pass": compute_mg_pass_at_k}
        return by_kind.get(self.kind, compute_mg_pass_at_k_integral)(n, c, self.k)


@dataclass(frozen=True, eq=False)
class Counts:
    """How many responses to each question are right. Q questions, S training seeds of one recipe.

    Raises:
        DataError: no question, shapes that don't fit, broken numbers, an id twice, or an n that differs without leave.
    """

    correct: ArrayLike
    """c, [Q] or [S Q]; kept as [S Q]."""
    n: ArrayLike
    """Responses to a question: one number for all, [Q] or [S Q]; kept as [S Q]."""
    question_ids: Sequence[str] | None = None
    """Q ids, for messages and to see that two models answered the same questions."""
    uneven: bool = False
    """Whether n may differ between questions. Metrics at k stay unbiased as long as n ≥ k; Avg@n never allows it."""

    def __post_init__(self) -> None:
        correct, n = np.atleast_2d(np.asarray(self.correct)), np.asarray(self.n)
        if not correct.size:
            raise DataError("There are no questions, so there is nothing to average. Check which run was read.")
        if correct.ndim > 2 or not all(np.issubdtype(a.dtype, np.integer) for a in (correct, n)):
            raise DataError(f"Counts are integers, [Q] or [S Q]; got {correct.dtype} {correct.shape}, n {n.dtype}.")
        if n.shape not in ((), correct.shape[1:], correct.shape):
            raise DataError(f"n has shape {n.shape}, the counts of right answers {correct.shape}; give one a question.")
        object.__setattr__(self, "correct", correct.astype(np.int64))
        object.__setattr__(self, "n", np.broadcast_to(n, correct.shape).astype(np.int64))
        if self.question_ids is not None:
            if len(self.question_ids) != correct.shape[1]:
                raise DataError(f"There are {len(self.question_ids)} question ids for {correct.shape[1]} questions.")
            if (again := Counter(self.question_ids).most_common(1)[0])[1] > 1:
                raise DataError(f"Question {again[0]} is there {again[1]} times; count its responses together.")
        if not self.uneven:
            _check_even(self)


def measure_questions(metric: Metric, counts: Counts) -> Floats:
    """Compute a metric for each question [Q], averaged over training seeds; exact up to the last rounding to a float.

    Raises:
        DataError: a question has c > n, c < 0 or n < k, or n differs under Avg@n; the message names the question.
    """
    return np.array([float(value) for value in measure_exactly(metric, counts)])


def measure_exactly(metric: Metric, counts: Counts) -> list[Fraction]:
    """Compute a metric for each question as a fraction; raises as `measure_questions` does."""
    if metric.kind == "avg":
        _check_even(counts)
    n, correct = np.asarray(counts.n), np.asarray(counts.correct)
    compute = cache(metric.compute)
    table = np.empty(correct.shape, dtype=object)
    for (seed, question), c in np.ndenumerate(correct):
        try:
            table[seed, question] = compute(int(n[seed, question]), int(c))
        except DataError as error:
            where = f" (training seed {seed})" if len(table) > 1 else ""
            raise DataError(f"{_name_question(counts, question)}{where}: {error}") from None
    return list(table.sum(axis=0) / len(table))


def name_metric(metric: Metric, counts: Counts) -> str:
    """Name a metric as tables do, such as "Pass@8" or "Avg@16"."""
    return NAMES[metric.kind].format(k=metric.k, tau=metric.tau, n=np.asarray(counts.n).flat[0])


def _count_ways(n: int, c: int, k: int) -> list[int]:
    """Count the draws of k among n responses, c of them right, that hold j right ones, for j = 0..k."""
    if not 0 <= c <= n or n < 1:
        raise DataError(f"{c} of {n} responses are right; expected 0 to n of at least 1. Count them again.")
    if not 1 <= k <= n:
        raise DataError(f"k = {k} responses can't be drawn from {n}. Choose a k in 1..{n} or sample more.")
    return [math.comb(c, j) * math.comb(n - c, k - j) for j in range(k + 1)]


def _average_upper_half(n: int, c: int, k: int, middle: Fraction) -> Fraction:
    """(2/k) E[max(0, J − middle)]: summing a tail over its thresholds counts each J once for each one below it."""
    ways = _count_ways(n, c, k)
    return Fraction(2, k) * sum(max(Fraction(0), j - middle) * w for j, w in enumerate(ways)) / math.comb(n, k)


def _read_tau(tau: Fraction | str | float) -> Fraction:
    try:
        exact = Fraction(str(tau))
    except (ValueError, ZeroDivisionError):
        exact = Fraction(0)
    if not 0 < exact <= 1:
        raise DataError(f"tau is {tau}; it must be above 0 and at most 1, such as 0.75 or 7/25.")
    return exact


def _name_question(counts: Counts, place: int) -> str:
    return f"Question {place if counts.question_ids is None else counts.question_ids[place]}"


def _check_even(counts: Counts) -> None:
    table = np.asarray(counts.n)
    usual = Counter(table.flat).most_common(1)[0][0]
    for seed, question in np.argwhere(table != usual):
        raise DataError(
            f"{_name_question(counts, question)} has {table[seed, question]} responses where most have {usual}. Sample "
            "the missing ones, or allow that (--uneven, Counts(uneven=True)); then only the metrics at k can be had."
        )
