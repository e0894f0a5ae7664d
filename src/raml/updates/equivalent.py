"""A trajectory compiled into weights: the closed form, written as it is derived, and a model that runs with it.

With a trajectory in the context, layer ℓ of a model puts out H_ℓ at the probe's positions (bridge and answer). Without
it, the same layer puts out r_ℓ + D_ℓ G_ℓ, where G_ℓ are the activations that its down projection D_ℓ reads. The change

    ΔD_ℓ = R_ℓᵀ · (rows of G_ℓ† that belong to the probe),    R_ℓ = H_ℓ − (r_ℓ + D_ℓ G_ℓ) at the probe's positions

moves these outputs to H_ℓ and leaves those of the prompt alone, because G_ℓ G_ℓ† = 1 while prompt and probe have no
more positions than D_ℓ has inputs and their activations are independent. Layer by layer, the model with all ΔD_ℓ and
without the trajectory then computes what the original computes with it. Where G_ℓ G_ℓ† ≠ 1 this is the least-squares
solution.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from raml.errors import DataError, NumericsError
from raml.updates.factors import LowRank
from raml.updates.layers import find_layers, watching

RANK_TOLERANCE = 1e-7
"""Singular values below this share of the largest count as zero: no activation in 32 bits is known any better."""


@dataclass(frozen=True)
class CompiledUpdate:
    """The updates of all layers that stand for one text, and what is known of each. Axis: L layers."""

    layers: tuple[LowRank, ...]
    """left [probe, width], right [probe, inner width]; one for each layer."""
    outputs: tuple[Tensor, ...]
    """For each layer, its output at the probe's positions with the text in the context [probe width]."""
    residual: Float[Tensor, " layer"]
    """Norm of what a layer's output still lacks at the probe's positions, relative to the target's norm."""
    condition: Float[Tensor, " layer"]
    """What inverting the activations amplifies: the largest singular value of those at the probe's positions over the
    smallest of their part outside the span of the prompt's."""
    exact: bool
    """Whether prompt and probe have independent activations in every layer, so that nothing but rounding is lacking."""


@torch.inference_mode()
def compile_update_by_definition(
    model: PreTrainedModel,
    prompt_ids: Int[Tensor, " prompt"],
    trajectory_ids: Int[Tensor, " trajectory"],
    probe_ids: Int[Tensor, " probe"],
) -> CompiledUpdate:
    """Compute the change of every down projection that makes the model forget that the trajectory is missing.

    Two forward passes: one with the trajectory, whose layer outputs are the targets, and one without, in which each
    layer is updated before the next one runs. Equal to `trace_path` at the trajectory's end, which is faster for many
    prefixes.

    Raises:
        DataError: prompt or probe is empty.
        ModelError: the architecture does not allow it; the message has the reason.
        NumericsError: an activation is NaN or infinite.
    """
    check_parts(prompt_ids, probe_ids)
    layers = find_layers(model)
    n_probe = len(probe_ids)
    targets: list[Tensor] = []
    activations: list[Tensor] = []
    factors: list[LowRank] = []
    residuals, conditions, full = [], [], []

    def keep_target(_index: int, states: Tensor) -> None:
        targets.append(states[-n_probe:])

    def keep_activations(_index: int, states: Tensor) -> None:
        activations.append(states)

    def update(index: int, states: Tensor) -> Tensor:
        missing = (targets[index] - states[-n_probe:]).double()
        inputs = check_finite(activations[index], index).double()
        inverse, condition, is_full = _invert(inputs, n_probe)
        updated = (states.double() + inputs @ inverse @ missing).to(states.dtype)
        kept = torch.promote_types(states.dtype, torch.float32)
        factors.append(LowRank(missing.to(kept), inverse.T.to(kept)))
        residuals.append((targets[index] - updated[-n_probe:]).norm() / targets[index].norm())
        conditions.append(condition)
        full.append(is_full)
        return updated

    with watching(layers, output=keep_target):
        model.base_model(input_ids=torch.cat([prompt_ids, trajectory_ids, probe_ids])[None], use_cache=False)
    with watching(layers, inner=keep_activations, output=update):
        model.base_model(input_ids=torch.cat([prompt_ids, probe_ids])[None], use_cache=False)
    certificate = (torch.stack([value.cpu().double() for value in values]) for values in (residuals, conditions))
    return CompiledUpdate(tuple(factors), tuple(targets), *certificate, exact=all(full))


def _invert(inputs: Float[Tensor, "row inner"], n_probe: int) -> tuple[Float[Tensor, "inner probe"], Tensor, bool]:
    """The probe's columns of the activations' pseudo-inverse, their condition number, and whether the rows are free."""
    inverse = torch.linalg.pinv(inputs, rtol=RANK_TOLERANCE)[:, -n_probe:]
    _, sizes, basis = torch.linalg.svd(inputs[:-n_probe], full_matrices=False)
    basis = basis[: int((sizes > RANK_TOLERANCE * sizes[0]).sum())]
    outside = inputs[-n_probe:] - inputs[-n_probe:] @ basis.T @ basis
    smallest = torch.linalg.svdvals(outside)[-1]
    condition = torch.linalg.matrix_norm(inputs[-n_probe:], 2) / smallest
    return inverse, condition, bool(condition < 1 / RANK_TOLERANCE) and len(inputs) <= inputs.shape[1]


@contextlib.contextmanager
def applying(model: PreTrainedModel, updates: Sequence[LowRank]) -> Iterator[None]:
    """Run a model with changed down projections while the block runs; its weights are never written.

    Raises:
        ModelError: the architecture does not allow it.
    """
    inputs: dict[int, Tensor] = {}

    def keep(index: int, states: Tensor) -> None:
        inputs[index] = states

    def add(index: int, states: Tensor) -> Tensor:
        left, right = (part.to(states.device) for part in (updates[index].left, updates[index].right))
        return states + ((inputs[index].to(right) @ right.T) @ left.to(right)).to(states)

    with watching(find_layers(model), inner=keep, added=add):
        yield


@torch.inference_mode()
def verify_update(
    model: PreTrainedModel,
    prompt_ids: Int[Tensor, " prompt"],
    trajectory_ids: Int[Tensor, " trajectory"],
    probe_ids: Int[Tensor, " probe"],
    updates: Sequence[LowRank],
    n_answer: int,
) -> tuple[float, float]:
    """Compare the updated model without the trajectory with the original that has it, each run as any model is.

    Returns:
        The largest difference of a logit at the positions that predict the last `n_answer` tokens of the probe, and the
        largest change of a final hidden state at the prompt's positions, relative to the largest one there.
    """
    options: dict[str, Any] = {"use_cache": False, "output_hidden_states": True}
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        options["logits_to_keep"] = n_answer + 1

    def run(*parts: Tensor) -> tuple[Tensor, Tensor]:
        result = model(input_ids=torch.cat(parts)[None], **options)
        return result.hidden_states[-1][0, : len(prompt_ids)], result.logits[0, -n_answer - 1 : -1].double()

    prompt, _ = run(prompt_ids, probe_ids)
    _, wanted = run(prompt_ids, trajectory_ids, probe_ids)
    with applying(model, updates):
        updated_prompt, logits = run(prompt_ids, probe_ids)
    gap = (updated_prompt - prompt).abs().max() / prompt.abs().max()
    return float((logits - wanted).abs().max()), float(gap)


def check_parts(prompt_ids: Sequence[int] | Tensor, probe_ids: Sequence[int] | Tensor) -> None:
    """Refuse what has no tokens.

    Raises:
        DataError: prompt or probe is empty.
    """
    for name, ids in (("prompt", prompt_ids), ("probe", probe_ids)):
        if len(ids) == 0:
            raise DataError(f"The {name} has no tokens; an update needs at least one.")


def check_finite(states: Tensor, index: int) -> Tensor:
    """Refuse activations that are NaN or infinite.

    Raises:
        NumericsError: some are; the message names the layer.
    """
    if not states.isfinite().all():
        raise NumericsError(f"The feed-forward activations of layer {index} are NaN or infinite.")
    return states
