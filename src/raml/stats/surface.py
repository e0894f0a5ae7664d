"""A landscape as a surface over its plane: which question it is of, its height, and where paths lie on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raml.errors import DataError
from raml.records import Landscape, PlanePath, Trajectory

LOG_FROM = 30.0
"""Ratio of the highest to the lowest loss from which heights are drawn as logarithms."""
LOWEST = 1e-4
"""Nats below which a loss counts as this much where logarithms are drawn."""

ROUNDING = 1e-4
"""Share of a grid's cell by which a point may lie outside: a path's farthest point is on the edge but for rounding."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Surface:
    """One question's losses, or the mean over all, with the paths that belong to it."""

    alphas: Floats
    betas: Floats
    loss: Floats
    """loss[x, y] belongs to alphas[x] and betas[y]."""
    paths: tuple[PlanePath, ...]
    title: str
    """Whose losses these are."""

    @property
    def is_log(self) -> bool:
        """Whether losses span so much that their logarithms are drawn."""
        return bool(self.loss.max() > LOG_FROM * max(self.loss.min(), LOWEST))

    def lift(self, loss: Floats) -> Floats:
        """Heights at which losses are drawn."""
        return np.log10(np.maximum(loss, LOWEST)) if self.is_log else loss


def choose_surface(landscape: Landscape, trajectories: list[Trajectory], question_id: str | None) -> Surface:
    """Take one question's surface with its paths: the one named, else the first that has a path, else the mean of all.

    Raises:
        DataError: the landscape has no such question.
    """
    owners = {trajectory.id: trajectory.question_id for trajectory in trajectories}
    if question_id is None:
        question_id = next((owners[p.trajectory_id] for p in landscape.paths if p.trajectory_id in owners), None)
    if question_id is None:
        n = len(landscape.question_ids)
        title = f"mean over {n} questions" if n > 1 else f"question {landscape.question_ids[0]}"
        return Surface(landscape.alphas, landscape.betas, landscape.loss.mean(axis=0).astype(float), (), title)
    if question_id not in landscape.question_ids:
        raise DataError(f"Landscape {landscape.id} has no question {question_id}.")
    loss = landscape.loss[landscape.question_ids.index(question_id)].astype(float)
    own = tuple(path for path in landscape.paths if owners.get(path.trajectory_id) == question_id)
    return Surface(landscape.alphas, landscape.betas, loss, own, f"question {question_id}")


def interpolate(surface: Surface, coordinates: Floats) -> Floats:
    """Losses of the surface at places [n 2], bilinear between grid points; NaN outside the grid."""
    x, y = coordinates.T
    a, b = (
        np.clip(np.searchsorted(steps, values, side="right") - 1, 0, len(steps) - 2)
        for steps, values in ((surface.alphas, x), (surface.betas, y))
    )
    u = (x - surface.alphas[a]) / (surface.alphas[a + 1] - surface.alphas[a])
    v = (y - surface.betas[b]) / (surface.betas[b + 1] - surface.betas[b])
    f = surface.loss
    inside = (np.abs(u - 0.5) <= 0.5 + ROUNDING) & (np.abs(v - 0.5) <= 0.5 + ROUNDING)
    u, v = np.clip(u, 0, 1), np.clip(v, 0, 1)
    values = (1 - u) * ((1 - v) * f[a, b] + v * f[a, b + 1]) + u * ((1 - v) * f[a + 1, b] + v * f[a + 1, b + 1])
    return np.where(inside, values, np.nan)


def place_by_level(surface: Surface, path: PlanePath) -> Floats:
    """Where the paper draws a trajectory [p 2]: the first axis is time, the second where the surface is closest to L̂.

    Time runs from one end of the first axis to the other. In the column of each moment the surface is linear between
    grid points; of several places that reach L̂_i the one nearest to the moment before is taken. (arXiv 2505.19815,
    Algorithm 4: "the contour level closest".)
    """
    share = path.prefix_lens / max(1, int(path.prefix_lens[-1]))
    times = surface.alphas[0] + share * (surface.alphas[-1] - surface.alphas[0])
    places, last = np.empty(len(times)), 0.0
    for i, (time, level) in enumerate(zip(times, path.loss.astype(float), strict=True)):
        column = np.array([np.interp(time, surface.alphas, surface.loss[:, y]) for y in range(len(surface.betas))])
        last = places[i] = _find_level(surface.betas, column, level, last)
    return np.stack([times, places], axis=1)


def _find_level(betas: Floats, column: Floats, level: float, near: float) -> float:
    """Where a piecewise linear column reaches a level, nearest to a place; else where it comes closest."""
    below, above = column[:-1] - level, column[1:] - level
    crossed = np.flatnonzero((below * above <= 0) & (below != above))
    if not len(crossed):
        return float(betas[np.abs(column - level).argmin()])
    shares = below[crossed] / (below[crossed] - above[crossed])
    places = betas[crossed] + shares * (betas[crossed + 1] - betas[crossed])
    return float(places[np.abs(places - near).argmin()])
