"""How far a group's units lie from their matched controls: differences, intervals over questions, permutation tests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raml.records import Effect
from raml.stats import compute_paired_p_value, estimate_mean


@dataclass(frozen=True, eq=False)
class Differences:
    """What `compare_matched` finds. V values, Q questions that have a unit with controls."""

    by_question: NDArray[np.float64]
    """Mean difference of a question's units to their controls [Q V]."""
    p: NDArray[np.float64]
    """Two-sided, of the mean over questions [V]; 1 where there is no question."""
    n_units: int
    """Units that have controls; the others are left out."""


def compare_matched(
    values: NDArray[np.float64],
    is_member: NDArray[np.bool_],
    strata: NDArray[np.int64],
    questions: NDArray[np.int64],
    *,
    hangs_together: bool = False,
    n_resamples: int = 9999,
    seed: int = 0,
) -> Differences:
    """Compare a group's units with the other units of their strata.

    A unit's difference is its value minus the mean of the controls in its stratum. The statistic is the mean over
    questions of the mean over a question's units.

    The test's hypothesis is that within a stratum it is chance which units are members. Each stratum's units are put on
    a ring in random order, and the labels are turned by a random number of places, in every stratum by its own. All
    turns together are a group of permutations, so the test is as exact as one over all permutations (Hemerik and Goeman
    2018, TEST 27, p. 811), at a cost that grows with the number of strata and not of units; for strata with one member
    it is the same. p = 2 min(tails), at most 1, the labels as they are counted among the draws.

    Labels can't be chance where a group is a stretch of the reasoning: large changes follow large changes, so that a
    stretch of them is one event and not a hundred. There the signs of the questions' differences are flipped instead.

    Args:
        values: Finite [U V].
        is_member: Which units are the group's; the others are controls [U].
        strata: Number of each unit's stratum [U]; a stratum lies within a trajectory or a question.
        questions: Number of each unit's question [U].
        hangs_together: The group's units lie side by side: test the questions' differences.
        n_resamples: Draws of the test.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    gaps: dict[int, list[tuple[int, NDArray[np.float64]]]] = defaultdict(list)
    order = np.argsort(strata, kind="stable")
    borders = np.flatnonzero(np.diff(strata[order])) + 1
    for rows in np.split(order, borders) if len(order) else ():
        n = int(is_member[rows].sum())
        if 0 < n < len(rows):
            ring = rng.permutation(rows)
            gaps[int(questions[ring[0]])].append((n, _turn(values[ring], is_member[ring])))
    by_question = np.zeros((len(gaps), values.shape[1]))
    drawn = np.zeros((n_resamples, values.shape[1]))
    for k, question in enumerate(sorted(gaps)):
        total = sum(n for n, _ in gaps[question])
        for n, own in gaps[question]:
            by_question[k] += own[0] * (n / total)
            if not hangs_together:
                drawn += own[rng.integers(len(own), size=n_resamples)] * (n / total / len(gaps))
    n_units = sum(n for own in gaps.values() for n, _ in own)
    if not gaps:
        return Differences(by_question, np.ones(values.shape[1]), 0)
    if hangs_together:
        signs = [compute_paired_p_value(own, n_resamples=n_resamples, seed=seed) for own in by_question.T.tolist()]
        return Differences(by_question, np.array(signs), n_units)
    return Differences(by_question, _find_p(by_question.mean(axis=0), drawn), n_units)


def make_effects(
    names: Sequence[str], differences: Differences, *, level: float = 0.95, n_resamples: int = 9999, seed: int = 0
) -> dict[str, Effect]:
    """Put an interval over questions to each value's differences; p_holm is p until a table is whole."""
    if not len(differences.by_question):
        return {}
    return {
        name: Effect(
            estimate_mean(name, own.tolist(), level=level, n_resamples=n_resamples, seed=seed),
            float(p),
            float(p),
            differences.n_units,
        )
        for name, own, p in zip(names, differences.by_question.T, differences.p, strict=True)
    }


def _turn(values: NDArray[np.float64], is_member: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean of members minus mean of the others after the labels were turned by 0, 1, … places [N V].

    The sums over members for all turns are a circular correlation of labels and values, which Fourier transforms give
    in N log N.
    """
    count, n = len(values), int(is_member.sum())
    labels = np.fft.rfft(is_member.astype(float))
    sums = np.fft.irfft(np.conj(labels)[:, None] * np.fft.rfft(values, axis=0), count, axis=0)
    return sums / n - (values.sum(axis=0) - sums) / (count - n)


def _find_p(found: NDArray[np.float64], drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Twice the smaller tail, at most 1; draws that differ from the value found by rounding alone are equal to it."""
    slack = 1e-9 * np.abs(drawn).max(axis=0, initial=0)
    above, below = (drawn >= found - slack).sum(axis=0), (drawn <= found + slack).sum(axis=0)
    return np.minimum(1, 2 * (np.minimum(above, below) + 1) / (len(drawn) + 1))
