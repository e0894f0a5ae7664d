"""The shape of a path in weight space, from inner products alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray


@dataclass(frozen=True)
class PathShape:
    """How a path θ'_0 … θ'_n moves. Axis: n steps."""

    step_lens: NDArray[np.float64]
    """Length of each step [n]."""
    length: float
    """Of all steps together."""
    distance: float
    """From the first point to the last, straight."""
    turn_cosines: NDArray[np.float64]
    """Cosine between one step and the next, NaN where one has no length [n − 1]."""

    @property
    def straightness(self) -> float:
        """Distance over length, 1 for a straight path; NaN for one that does not move."""
        return self.distance / self.length if self.length else float("nan")


@dataclass(frozen=True)
class PathPlane:
    """The plane through the first point that the path lies closest to, in the sense of least squares."""

    weights: Float64[np.ndarray, "2 p"]
    """Each axis, of length one, as a sum of the path's points (seen from the first) with these weights."""
    coordinates: Float64[np.ndarray, "p 2"]
    """Feet of the perpendiculars from the points."""
    explained: tuple[float, float]
    """Share of the sum of squared distances from the first point that lies along each axis."""


def measure_shape(gram: Float64[np.ndarray, "p p"]) -> PathShape:
    """Measure step lengths, length, distance and turns from the inner products of a path's points."""
    # Seen from the first point, whose update is zero but for rounding.
    steps = np.diff(np.diff(gram, axis=0), axis=1)
    lens = np.sqrt(np.clip(np.diag(steps), 0, None))
    with np.errstate(divide="ignore", invalid="ignore"):
        cosines = np.diag(steps, 1) / (lens[:-1] * lens[1:])
    straight = gram[0, 0] + gram[-1, -1] - 2 * gram[0, -1]
    return PathShape(lens, float(lens.sum()), float(np.sqrt(max(0.0, straight))), np.clip(cosines, -1, 1))


def fit_plane(gram: Float64[np.ndarray, "p p"]) -> PathPlane:
    """Fit the plane through the first point, by the principal components of the points seen from it.

    Li et al. 2018 (arXiv 1712.09913, section 7) do so from a path's last point.
    """
    seen = gram - gram[:1] - gram[:, :1] + gram[0, 0]
    values, vectors = np.linalg.eigh(seen)
    missing = max(0, 2 - len(values))  # a path of one point spans nothing
    values = np.pad(np.clip(values[::-1][:2], 0, None), (0, missing))
    vectors = np.pad(vectors[:, ::-1][:, :2], ((0, 0), (0, missing)))
    vectors = vectors * np.where(vectors[np.abs(vectors).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)
    lens = np.sqrt(values)
    weights = np.divide(vectors, lens, out=np.zeros_like(vectors), where=lens > 0).T
    total = float(np.trace(seen))
    shares = tuple(float(value / total) if total else 0.0 for value in values)
    return PathPlane(weights, vectors * lens, (shares[0], shares[1]))
