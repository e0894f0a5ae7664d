"""The answer's loss over a plane in weight space. Axes: Q questions, X × Y grid, P prefixes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from raml.records.notebook import show_landscape
from raml.records.probes import TraceSettings
from raml.records.trajectories import ModelIdentity

Plane = Literal["random", "path", "checkpoints"]


@dataclass(frozen=True)
class LandscapeSettings:
    """Which plane through the weights, and which grid on it."""

    plane: Plane = "random"
    """Two random directions, the plane that fits a trajectory's own path best, or through two other checkpoints."""
    normalization: Literal["filter", "tensor"] = "filter"
    """Random directions get the norm of each output row of a weight (Li et al. 2018, norms and biases get zero), or of
    each weight as a whole (as the paper's notebook)."""
    toward: tuple[str, ...] = ()
    """Two checkpoints, at (1, 0) and (0, 1) of the plane."""
    trajectory_id: str | None = None
    """Whose path spans the plane."""
    n_steps: int = 21
    """Points along each axis; odd, so that the weights themselves are among them."""
    reach: float = 1.0
    """Both axes run from minus this to this."""
    bridge: str = TraceSettings.bridge
    """Text between prompt and answer."""
    seed: int = 0
    """Of the random directions."""


@dataclass(frozen=True, eq=False)
class PlanePath:
    """A trajectory's path θ'_i in weight space, seen from the plane."""

    trajectory_id: str
    prefix_lens: NDArray[np.int32]
    """[P]"""
    loss: NDArray[np.float32]
    """L̂ with that prefix in the context, in nats: what the model at θ'_i loses [P]."""
    coordinates: NDArray[np.float64]
    """Foot of the perpendicular from θ'_i to the plane, in units of the axes [P 2]."""
    off_plane: NDArray[np.float64]
    """Distance of θ'_i from the plane [P]."""
    distance: NDArray[np.float64]
    """Distance of θ'_i from θ [P]."""
    length: float
    """Length of the path, the sum of its steps."""
    length_on_plane: float
    """Length of its projection into the plane."""

    @property
    def off_plane_share(self) -> float:
        """Share of the path's length that lies off the plane, from 0 to 1; 0 for a path that does not move."""
        return max(0.0, 1 - self.length_on_plane / self.length) if self.length else 0.0


@dataclass(frozen=True, eq=False)
class Landscape:
    """L̂ without trajectory at θ + α d₁ + β d₂ on a grid; loss[q, x, y] belongs to alphas[x] and betas[y]."""

    id: str
    """Hash of settings, model, questions, prompts and answers: the key of this unit of work."""
    model: ModelIdentity
    settings: LandscapeSettings
    question_ids: tuple[str, ...]
    """[Q]"""
    alphas: NDArray[np.float64]
    """Steps along the first direction [X]."""
    betas: NDArray[np.float64]
    """Steps along the second direction [Y]."""
    loss: NDArray[np.float32]
    """In nats per answer token [Q X Y]."""
    base_loss: NDArray[np.float32]
    """At the weights themselves, in nats [Q]."""
    direction_norms: tuple[float, float]
    """Length of d₁ and d₂."""
    direction_cosine: float
    """Cosine between them; coordinates on the plane take it into account."""
    paths: tuple[PlanePath, ...]
    """Trajectories of these questions, where the architecture allows their updates."""

    def _repr_html_(self) -> str:
        return show_landscape(self)


@dataclass(frozen=True, eq=False)
class LandscapePoint:
    """One point of a grid that is being computed."""

    id: str
    """The landscape's id and the place on its grid."""
    landscape_id: str
    x: int
    y: int
    loss: NDArray[np.float32]
    """[Q]"""
