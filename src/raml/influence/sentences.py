"""How much each sentence of a trajectory matters: by writing on from before and after it, and by the probe.

Axes: B borders, so S = B − 1 sentences (or runs of sentences) between them; n continuations from each border; K answers
that are told apart.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raml.answers import normalize_answer
from raml.errors import DataError
from raml.records import InfluenceSettings, Resampling, Trajectory

Floats = NDArray[np.float64]

SHARE, CONTRAST, DISTANCE, DIVERGENCE = "share right", "contrast", "distance", "divergence"
RESAMPLED = (SHARE, CONTRAST, DISTANCE, DIVERGENCE)
"""What resampling says of a sentence: change of the share of right continuations; how alike the answers change in two
halves of the continuations, ½ Σ Δ_even Δ_odd; total variation distance between the answers after it and before it;
Kullback–Leibler divergence, in nats, of those before from those after it, one added to each count, as Bogdan et al.
have it (arXiv 2506.19143). Of a sentence without effect, share and contrast are as likely below 0 as above; distance
and divergence are above, the more so the more answers vary, so that their ranks are in part those of the noise."""
FALL, OWN, GOLD = "fall of L̂ gold", "|Δ log L̂ own|", "|ΔL̂ gold|"
PROBES = (FALL, OWN, GOLD)
"""What the probe says: how far L̂ of the gold answer falls over the sentence; how far log(L̂ + ε) of the trajectory's
own answer changes, either way; how far L̂ of the gold answer does."""
PLACE, LENGTH = "place", "length"
BASELINES = (PLACE, LENGTH)
"""What needs no probe: how late the sentence stands, and how many tokens it has."""


@dataclass(frozen=True, eq=False)
class SentenceImportance:
    """What resampling, probe and baselines say of the sentences of one trajectory."""

    trajectory_id: str
    question_id: str
    correct: bool | None
    """Whether the trajectory itself is right."""
    values: dict[str, Floats]
    """By RESAMPLED, PROBES and BASELINES [S]; NaN where unknown."""


@dataclass(frozen=True, eq=False)
class Tally:
    """Final answers of continuations as numbers."""

    kinds: NDArray[np.int64]
    """Which answer it is [B n]: 0 any right one, −1 unknown, the others as they first come. Giving none is one too."""
    decided: NDArray[np.bool_]
    """Whether it is known to be right or wrong [B n]."""


def measure_sentences(
    trajectory: Trajectory, resampling: Resampling, epsilon: float = InfluenceSettings.epsilon
) -> SentenceImportance:
    """Measure the importance of each sentence in all ways.

    Args:
        trajectory: What was written again.
        resampling: Of this trajectory.
        epsilon: Added to L̂ before its logarithm is taken, in nats.

    Raises:
        DataError: the resampling is of another trajectory, or epsilon is not positive.
    """
    if resampling.trajectory_id != trajectory.id:
        raise DataError(f"Resampling {resampling.id} is of {resampling.trajectory_id}, not of {trajectory.id}.")
    if not 0 < epsilon < math.inf:
        raise DataError(f"Epsilon is {epsilon}; it must be a positive number of nats, such as 0.01.")
    loss, own = resampling.loss.astype(float), resampling.own_loss.astype(float)
    lens = np.diff(resampling.prefix_lens).astype(float)
    values = measure_resampled(tally_answers(resampling))
    values |= {
        FALL: -np.diff(loss),
        OWN: np.abs(np.diff(np.log(own + epsilon))),
        GOLD: np.abs(np.diff(loss)),
        PLACE: np.arange(len(lens), dtype=float),
        LENGTH: lens,
    }
    return SentenceImportance(trajectory.id, trajectory.question_id, trajectory.correct, values)


def tally_answers(resampling: Resampling) -> Tally:
    """Sort the continuations by their final answer.

    Right answers are one, however they are written. Wrong ones are told apart by their text, as
    `raml.answers.normalize_answer` writes it.
    """
    numbers: dict[str | None, int] = {}
    kinds, decided = [], []
    for answers, grades in zip(resampling.answers, resampling.correct, strict=True):
        row = []
        for answer, right in zip(answers, grades, strict=True):
            if right:
                row.append(0)
            elif right is None and answer is None:
                row.append(-1)
            else:
                row.append(numbers.setdefault(normalize_answer(answer), len(numbers) + 1))
        kinds.append(row)
        decided.append([right is not None for right in grades])
    n_borders = len(resampling.prefix_lens)
    return Tally(np.array(kinds, dtype=int).reshape(n_borders, -1), np.array(decided, bool).reshape(n_borders, -1))


def measure_resampled(tally: Tally) -> dict[str, Floats]:
    """What continuations say of each sentence, by RESAMPLED [S]; NaN where nothing is known before or after it."""
    counts = _count_kinds(tally.kinds, int(tally.kinds.max(initial=0)) + 1)
    with np.errstate(invalid="ignore"):
        shares = counts[:, 0] / tally.decided.sum(axis=1)
    divergences = np.array([_diverge(before, after) for before, after in itertools.pairwise(counts)], dtype=float)
    # Rounded, so that equal changes tie whatever their fractions were.
    values = {
        SHARE: np.diff(shares),
        CONTRAST: _find_contrasts(tally.kinds),
        DISTANCE: _find_distances(counts),
        DIVERGENCE: divergences,
    }
    return {name: own.round(12) for name, own in values.items()}


def _count_kinds(kinds: NDArray[np.int64], n_kinds: int) -> Floats:
    """Count each row's known answers [B K]."""
    return np.array([np.bincount(row[row >= 0], minlength=n_kinds) for row in kinds], dtype=float)


def _share_kinds(counts: Floats) -> Floats:
    """Shares of answers [B K]; NaN where a row has none."""
    with np.errstate(invalid="ignore"):
        return counts / counts.sum(axis=1, keepdims=True)


def _find_contrasts(kinds: NDArray[np.int64]) -> Floats:
    """How alike answers change from each row [B n] to the next one in continuations of even and of odd number [B − 1].

    That is ½ Σ Δ_even Δ_odd over answers, with Δ the change of an answer's share; without bias it estimates
    ½ Σ (p_after − p_before)². Without effect Δ_even is as likely as −Δ_even, so a value above 0 is as likely as one
    below, however much answers vary. Estimates that pair all continuations are 0 on average too, but most often just
    below, and more so where answers vary more. NaN where a half knows nothing; of an odd number of continuations the
    last is left out.
    """
    n_kinds = int(kinds.max(initial=0)) + 1
    even, odd = (
        np.diff(_share_kinds(_count_kinds(half, n_kinds)), axis=0)
        for half in (kinds[:, start : kinds.shape[1] // 2 * 2 : 2] for start in (0, 1))
    )
    return (even * odd).sum(axis=1) / 2


def _find_distances(counts: Floats) -> Floats:
    """Total variation distance between the answers of each row [B K] and the next one [B − 1]."""
    return np.abs(np.diff(_share_kinds(counts), axis=0)).sum(axis=1) / 2


def _diverge(before: Floats, after: Floats) -> float:
    """Kullback–Leibler divergence of counts before from those after, one added to each answer that either has."""
    if not before.sum() or not after.sum():
        return math.nan
    named = (before + after) > 0
    p, q = ((counts[named] + 1) / (counts[named] + 1).sum() for counts in (before, after))
    return float((p * np.log(p / q)).sum())


def split_tally(tally: Tally, generator: np.random.Generator) -> tuple[Tally, Tally]:
    """Part each border's continuations into two halves by chance; of an odd number one is left out."""
    half = tally.kinds.shape[1] // 2
    order = generator.permuted(np.tile(np.arange(tally.kinds.shape[1]), (len(tally.kinds), 1)), axis=1)
    first, second = (
        Tally(np.take_along_axis(tally.kinds, part, 1), np.take_along_axis(tally.decided, part, 1))
        for part in (order[:, :half], order[:, half : 2 * half])
    )
    return first, second


def measure_chance_distance(tally: Tally, generator: np.random.Generator, n_draws: int = 20) -> Floats:
    """The distance that chance alone gives each sentence [S]: before and after mixed and parted anew, mean of draws."""
    n = tally.kinds.shape[1]
    pooled = np.concatenate([tally.kinds[:-1], tally.kinds[1:]], axis=1)
    draws = [generator.permuted(pooled, axis=1) for _ in range(n_draws)]
    n_kinds = int(pooled.max(initial=0)) + 1
    found = [[_find_distances(_count_kinds(row.reshape(2, n), n_kinds))[0] for row in mixed] for mixed in draws]
    return np.array(found, dtype=float).mean(axis=0)


def count_unknown(resamplings: Sequence[Resampling]) -> tuple[int, int, int]:
    """Count continuations, those without an answer, and those of which nobody knows whether they are right."""
    answers = [answer for record in resamplings for row in record.answers for answer in row]
    grades = [right for record in resamplings for row in record.correct for right in row]
    n_silent = sum(answer is None and right is not None for answer, right in zip(answers, grades, strict=True))
    return len(answers), n_silent, sum(right is None for right in grades)
