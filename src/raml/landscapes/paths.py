"""Trajectories beside a plane: the plane that fits a path best, and the foot of a path on any plane."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from raml.landscapes.directions import DenseDirection, Direction, lay_out
from raml.models import LoadedModel
from raml.records import PlanePath
from raml.stats import fit_plane, measure_shape
from raml.updates import WeightPath, trace_path
from raml.updates.factors import LowRank, combine
from raml.updates.probe import Probe, space_prefixes

N_PREFIXES = 40
"""Points of a path that is drawn, at most."""


def follow_probe(loaded: LoadedModel, probe: Probe, *, memory: int | None = None) -> WeightPath:
    """Trace a path at as many points as are drawn; raises as `trace_path`."""
    lens = space_prefixes(len(probe.trajectory_ids), N_PREFIXES)
    parts = (probe.prompt_ids, probe.trajectory_ids, probe.ids)
    return trace_path(loaded.model, *parts, lens, len(probe.answer_ids), memory=memory)


@torch.inference_mode()
def span_path(loaded: LoadedModel, probe: Probe) -> tuple[DenseDirection, DenseDirection]:
    """The plane through θ that a trajectory's path lies closest to: two orthogonal directions of equal length.

    They are as long as the path's farthest point is away, so that the path lies within −1 … 1. Both move the down
    projections alone.

    Raises:
        ModelError: the architecture does not allow it, or memory is short.
        NumericsError: an activation is NaN or infinite.
    """
    path = follow_probe(loaded, probe)
    gram = path.measure_gram().cpu().numpy()
    weights = fit_plane(gram).weights * np.sqrt(np.diag(gram).max())
    first, second = (
        DenseDirection(
            {
                f"{name}.weight": combine(layer, torch.from_numpy(axis)).make_dense()
                for name, layer in zip(path.names, path.layers, strict=True)
            }
        )
        for axis in weights
    )
    return first, second


@torch.inference_mode()
def project_path(
    model: PreTrainedModel,
    trajectory_id: str,
    path: WeightPath,
    directions: tuple[Direction, Direction],
    geometry: tuple[float, float, float],
) -> PlanePath:
    """Drop perpendiculars from a path's points to a plane; `geometry` is what `measure_plane` says of the directions.

    The directions need be neither orthogonal nor of equal length.
    """
    gram = path.measure_gram().cpu().numpy()
    products = np.stack([measure_products(model, path, one) for one in directions], axis=1)
    first, second, cosine = geometry
    metric = np.array([[first**2, cosine * first * second], [cosine * first * second, second**2]])
    coordinates = products @ np.linalg.pinv(metric)
    distance = np.sqrt(np.clip(np.diag(gram), 0, None))
    on_plane = np.clip(np.einsum("pi,ij,pj->p", coordinates, metric, coordinates), 0, None)
    steps = np.diff(coordinates, axis=0)
    step_lens = np.sqrt(np.clip(np.einsum("pi,ij,pj->p", steps, metric, steps), 0, None))
    return PlanePath(
        trajectory_id=trajectory_id,
        prefix_lens=np.array(path.prefix_lens, dtype=np.int32),
        loss=path.loss.cpu().float().numpy(),
        coordinates=coordinates,
        off_plane=np.sqrt(np.clip(distance**2 - on_plane, 0, None)),
        distance=distance,
        length=measure_shape(gram).length,
        length_on_plane=float(step_lens.sum()),
    )


def measure_products(model: PreTrainedModel, path: WeightPath, direction: Direction) -> NDArray[np.float64]:
    """Inner product of each point's update with a direction, over all weights [p]."""
    total = np.zeros(len(path.prefix_lens))
    for name, layer in zip(path.names, path.layers, strict=True):
        weight = model.get_parameter(f"{name}.weight")
        if f"{name}.weight" in direction.names:
            laid_out = lay_out(direction, f"{name}.weight", weight, slice(0, len(weight))).view_as(weight)
            total += _multiply(layer, laid_out).cpu().numpy()
    return total


def _multiply(layer: LowRank, matrix: Float[Tensor, "out in"]) -> Float[Tensor, " p"]:
    left, right = layer.left.flatten(0, 1).to(matrix), layer.right.flatten(0, 1).to(matrix)
    products = ((left @ matrix) * right).sum(dim=1, dtype=torch.float64)
    return products.view(len(layer.left), -1).sum(dim=1)
