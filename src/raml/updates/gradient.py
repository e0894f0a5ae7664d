"""The gradient of an answer's loss by every down projection, as low-rank factors.

L is the mean NLL of the answer's tokens after prompt ⊕ bridge, without trajectory. A down projection D with inputs G
[position inner] and gradients E = ∂L/∂(its outputs) [position width] has ∇_D L = Eᵀ G: one product of two vectors for
each position. E and G come out of one pass forward and back, and no matrix of D's size is ever made.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from raml.errors import NumericsError
from raml.updates.equivalent import check_parts
from raml.updates.explicit import score_rows
from raml.updates.factors import LowRank, inner_product
from raml.updates.layers import find_layers, watching
from raml.updates.probe import Probe


@dataclass(frozen=True)
class Gradient:
    """∇L by the down projections at P points in weight space. Axis: n positions of prompt, bridge and answer."""

    loss: Float[Tensor, " p"]
    """L at each point, in nats."""
    layers: tuple[LowRank, ...]
    """For each layer left, ∂L/∂(the down projection's output) [P n width], and right, its input [P n inner]. Nothing
    depends on what the answer's last token does: its row of left is zero."""

    def measure_squares(self) -> Float[Tensor, "p layer"]:
        """Square of the Frobenius norm for each layer, in float64."""
        return torch.stack([inner_product(layer, layer).clamp(min=0).cpu() for layer in self.layers], dim=1)


@torch.inference_mode(mode=False)
@torch.enable_grad()
def compute_gradient(model: PreTrainedModel, probe: Probe, updates: Sequence[LowRank] | None = None) -> Gradient:
    """Differentiate the answer's loss without trajectory, at the model's weights or at others near them.

    The weights are never written and need no gradient of their own.

    Args:
        model: A model that `find_update_obstacle` has nothing against, in 32 or 64 bits.
        probe: Prompt, bridge and answer; its trajectory is not read.
        updates: For each layer a batch [P r ·] of changes of its down projection: the points where L is differentiated.
            By default one point, the weights as they are.

    Raises:
        DataError: prompt or probe is empty.
        ModelError: the architecture does not allow it, or the model is in 16 bits.
        NumericsError: the loss is NaN or infinite at a point.
    """
    check_parts(probe.prompt_ids, probe.ids)
    n_points = 1 if updates is None else len(updates[0].left)
    # What was made in inference mode can't be saved for the way back; a copy can.
    changes = None if updates is None else [LowRank(u.left.clone(), u.right.clone()) for u in updates]
    inputs: dict[int, Tensor] = {}
    outputs: dict[int, Tensor] = {}

    def keep(index: int, states: Tensor) -> None:
        inputs[index] = states.view(n_points, -1, states.shape[-1])

    def add(index: int, states: Tensor) -> Tensor:
        if changes is not None:
            states = states + _apply(changes[index], inputs[index]).view_as(states)
        outputs[index] = states if states.requires_grad else states.detach().requires_grad_()
        return outputs[index]

    with _freezing(model), watching(find_layers(model), inner=keep, added=add):
        rows = [(probe.prompt_ids + probe.bridge_ids, probe.answer_ids)] * n_points
        loss = score_rows(model, {}, rows)
        if not loss.isfinite().all():
            raise NumericsError("The answer's loss without trajectory is NaN or infinite.")
        lefts = torch.autograd.grad(loss.sum(), [outputs[index] for index in range(len(outputs))])
    layers = (
        LowRank(left.view(n_points, -1, left.shape[-1]), inputs[index].detach()) for index, left in enumerate(lefts)
    )
    return Gradient(loss.detach(), tuple(layers))


def _apply(change: LowRank, inputs: Float[Tensor, "p n inner"]) -> Float[Tensor, "p n out"]:
    """What each point's change of the weight adds to its outputs."""
    left, right = change.left.to(inputs.device), change.right.to(inputs.device)
    return ((inputs.to(right) @ right.transpose(1, 2)) @ left).to(inputs)


@contextlib.contextmanager
def _freezing(model: PreTrainedModel) -> Iterator[None]:
    """Ask for no gradients of the weights while the block runs, so that nothing is kept for them."""
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for parameter in learning:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
