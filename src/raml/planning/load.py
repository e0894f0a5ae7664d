"""How much work something is, and how long it takes: a cost for each kind of work, fitted to what was measured here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from scipy.optimize import nnls

from raml.errors import DataError
from raml.planning.record import Duration


@dataclass(frozen=True)
class Load:
    """Amounts of the kinds of work that cost time of their own."""

    calls: float = 0
    """Forward passes, each of which reads all weights."""
    rows: float = 0
    """Tokens that go through the model; one that is also differentiated by the weights counts as three."""
    products: float = 0
    """Sum over these of the positions that each attends to."""
    solved: float = 0
    """Rows of weights that are solved for, for each layer."""
    paired: float = 0
    """Pairs of such rows that are multiplied with each other."""
    written: float = 0
    """Tokens that `generate()` writes, as many at once as a batch has rows; so few cost more than `rows` each."""

    def __add__(self, other: Load) -> Load:
        """Both."""
        return Load(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def __mul__(self, factor: float) -> Load:
        """So many times as much."""
        return Load(*(factor * amount for amount in astuple(self)))


LEARN = 3
"""A token with its way back costs as much as three that are read (Kaplan et al. 2020, arXiv 2001.08361, section
2.1)."""
DIFFERENTIATE = 2
"""A token costs as much as two that are read where activations have gradients and weights have none."""

NOTHING = Load()
DOUBT = Load(calls=1, rows=1, products=10, solved=10, paired=10, written=1)
"""Weight against charging a kind that can't be told from others: a token costs far more by the weights that it goes
through than by the positions that it attends to."""
MOST_DOUBT = 1e4
"""The weight's bound, however much more of a kind the whole has than the pieces."""
DOUBT_WEIGHT = 1e-6
"""What a weight of one counts beside the relative error of a piece."""


def read_text(n: int, start: int = 0, calls: float = 1) -> Load:
    """Reading n tokens of a text after `start` others: each attends to all before it and to itself."""
    return Load(calls, n, n * start + n * (n + 1) / 2)


def add_up(loads: Sequence[Load]) -> Load:
    """The sum; nothing for no loads."""
    total = NOTHING
    for load in loads:
        total = total + load
    return total


@dataclass(frozen=True)
class Costs:
    """Seconds for one of each kind of work."""

    wall: tuple[float, ...]
    cpu: tuple[float, ...]

    def predict(self, load: Load) -> Duration:
        """How long some work takes."""
        amounts = np.array(astuple(load))
        return Duration(float(amounts @ self.wall), float(amounts @ self.cpu))


def fit_costs(measured: Sequence[tuple[Load, Duration]], whole: Load) -> Costs:
    """Find the cost of each kind of work from work of several sizes.

    Non-negative least squares of the relative errors, so that small pieces count as much as large ones. Where there are
    too few pieces to tell kinds apart, passes and tokens are taken to cost rather than what else grows with them, and
    least of all a kind of which the whole has far more than the pieces.

    Args:
        measured: Pieces, and what they took.
        whole: What is to be predicted.

    Raises:
        DataError: nothing was measured.
    """
    if not measured:
        raise DataError("Nothing was measured; a prediction needs at least one piece of work.")
    amounts = np.array([astuple(load) for load, _ in measured])
    there = amounts.max(axis=0) > 0
    if not there.any():
        return Costs((0.0,) * len(there), (0.0,) * len(there))
    scale = np.where(there, amounts.max(axis=0), 1.0)
    growth = np.where(there, np.maximum(np.array(astuple(whole)) / scale, 1.0), np.inf)
    doubt = np.minimum(np.array(astuple(DOUBT)) * growth / growth.min(), MOST_DOUBT)
    found = []
    for seconds in ([time.wall_s for _, time in measured], [time.cpu_s for _, time in measured]):
        times = np.maximum(np.array(seconds), 1e-6)
        shares = amounts / scale / times[:, None]
        # Of all costs that fit alike, the smallest squares: a weight that is too light to matter where pieces suffice.
        light = np.diag(doubt) * DOUBT_WEIGHT / times.max()
        wanted = np.concatenate([np.ones(len(times)), np.zeros(len(doubt))])
        found.append(tuple((nnls(np.concatenate([shares, light]), wanted)[0] / scale).tolist()))
    return Costs(*found)
