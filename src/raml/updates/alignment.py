"""The test of Eq. 4: does the update that a text stands for point down the gradient of the answer's loss?

The paper reads a trajectory as steps θ'_i = θ'_{i−1} − η∇L(θ'_{i−1}) (arXiv 2505.19815, Eq. 4), with L the answer's
loss without trajectory. `trace_path` gives every θ'_i exactly, as changes of the down projections, and
`compute_gradient` gives ∇L there; both are low-rank factors, so all inner products are taken without the matrices, in
float64. If Eq. 4 held, the cosine of every step with −∇L would be 1.

An update leaves the prompt's activations alone: its right factors are orthogonal to them. What the gradient has at the
prompt's positions adds to its length and nothing to an inner product, so no update of this form can reach a cosine of
1. `measure_ceiling` says how far one could come.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from raml.errors import DataError, ModelError, NumericsError, RamlError
from raml.models import LoadedModel
from raml.records import Alignment, AlignmentSettings, ModelIdentity, Question, Trajectory, hash_key
from raml.scoring.definition import widen
from raml.updates.compile import follow
from raml.updates.equivalent import applying
from raml.updates.factors import LowRank, inner_product
from raml.updates.gradient import compute_gradient
from raml.updates.layers import find_layers, watching
from raml.updates.nulls import NullText
from raml.updates.path import WeightPath
from raml.updates.probe import Probe, plan_probe

TOKENS_AT_A_TIME = 512
"""Of prompts and probes that go forward and back together; a core is busy with that many."""


@dataclass(frozen=True)
class Start:
    """What is the same for every text of a question: the loss at the model's own weights, and where SGD would lead."""

    loss: float
    """L, in nats."""
    gradient: tuple[LowRank, ...]
    """∇L for each layer, left [n width] and right [n inner]; n positions of prompt, bridge and answer."""
    squares: Float[Tensor, " layer"]
    """Square of each layer's Frobenius norm."""
    moves: tuple[Tensor, ...]
    """How one SGD step on L, of all down projections at once, changes each layer's output at the probe's positions
    [probe width]."""


def key_alignment(
    model: ModelIdentity,
    trajectory: Trajectory,
    gold: str,
    settings: AlignmentSettings,
    null: NullText | None = None,
) -> str:
    """The id that an alignment will have: a hash of settings, model, trajectory, gold answer and, if any, null text."""
    return hash_key("alignment", model.key(), settings, trajectory.id, gold, null and (null.kind, null.ids))


def check_settings(settings: AlignmentSettings) -> None:
    """Refuse settings that make no sense.

    Raises:
        DataError: one is out of its range.
    """
    for name, low in (("n_prefixes", 1), ("n_directions", 1), ("seed", 0)):
        if getattr(settings, name) < low:
            flag = name.replace("_", "-")
            raise DataError(f"--{flag} is {getattr(settings, name)}; it must be at least {low}.")
    if not 0 < settings.step_share < math.inf:
        raise DataError(f"--step-share is {settings.step_share}; it must be above 0, and finite.")


@contextlib.contextmanager
def _refusing_shortage() -> Iterator[None]:
    """Say that memory is short as an error of ours; on CPUs torch has no class of its own for that."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        raise ModelError(
            "out of memory for the gradient of the answer's loss; ask for fewer prefixes (--n-prefixes) or choose a "
            "smaller model."
        ) from error


@contextlib.contextmanager
def _naming(trajectory: Trajectory) -> Iterator[None]:
    """Have every error name the trajectory, once."""
    name = f"Trajectory {trajectory.id}: "
    try:
        yield
    except RamlError as error:
        if str(error).startswith(name):
            raise
        raise type(error)(f"{name}{error}") from error


@_refusing_shortage()
def measure_start(model: PreTrainedModel, probe: Probe, step_share: float) -> Start:
    """Measure what all texts of a question are compared with.

    Args:
        model: As in `compute_gradient`.
        probe: Prompt, bridge and answer; its trajectory is not read.
        step_share: Length of the SGD step, as a share of the norm of all down projections together.

    Raises:
        DataError: prompt or probe is empty.
        ModelError: the architecture does not allow it, the model is in 16 bits, or memory is short.
        NumericsError: the loss is not finite, or has no gradient to rounding.
    """
    gradient = compute_gradient(model, probe)
    layers, squares = tuple(layer[0] for layer in gradient.layers), gradient.measure_squares()[0]
    length = float(squares.sum().sqrt())
    if not 0 < length < math.inf:
        raise NumericsError(f"The answer's loss without trajectory has a gradient of length {length}: no direction.")
    weights = (layer.down.weight.detach() for layer in find_layers(model))
    whole = math.sqrt(sum(float(weight.float().norm()) ** 2 for weight in weights))
    rate = step_share * whole / length
    moves = _find_moves(model, probe, [LowRank(-rate * layer.left, layer.right) for layer in layers])
    return Start(float(gradient.loss), layers, squares, moves)


@torch.inference_mode()
def _find_moves(model: PreTrainedModel, probe: Probe, updates: Sequence[LowRank]) -> tuple[Tensor, ...]:
    """How updates change each layer's output at the probe's positions [probe width]."""
    ids = torch.tensor(probe.prompt_ids + probe.ids, device=model.device)[None]
    layers, outputs = find_layers(model), []

    def keep(_index: int, states: Tensor) -> None:
        outputs.append(widen(states[-len(probe.ids) :]).double())

    with watching(layers, output=keep):
        model.base_model(input_ids=ids, use_cache=False)
        with applying(model, updates):
            model.base_model(input_ids=ids, use_cache=False)
    return tuple(after - before for before, after in zip(outputs[: len(layers)], outputs[len(layers) :], strict=True))


def measure_alignment(
    loaded: LoadedModel,
    trajectory: Trajectory,
    question: Question,
    settings: AlignmentSettings | None = None,
    *,
    null: NullText | None = None,
    start: Start | None = None,
    memory: int | None = None,
) -> Alignment:
    """Compare the updates that a trajectory's prefixes stand for with the negative gradient of the answer's loss.

    Args:
        loaded: The model, in 32 or 64 bits.
        trajectory: Its prompt is read, and its ids are the text.
        question: Its gold answer is the one whose loss is meant.
        settings: Bridge, span, numbers of prefixes and of random directions.
        null: A text that stands in the trajectory's place.
        start: What `measure_start` gives for this question with these settings; computed if not given.
        memory: Bytes that the path may use beside the model's weights; by default most of what is free.

    Raises:
        DataError: the question asks for a program, bridge or answer is empty, the text has no tokens, a setting is out
            of its range, or no update stands for the text exactly.
        ModelError: the architecture does not allow it, the model is in 16 bits, memory is short, or the trajectory does
            not fit the model.
        NumericsError: a loss or an activation is not finite, or the loss has no gradient.
    """
    settings = settings or AlignmentSettings()
    check_settings(settings)
    probe = plan_probe(loaded, trajectory, question, settings.bridge, settings.span)
    if null is not None:
        probe = replace(probe, trajectory_ids=null.ids)
    if not probe.trajectory_ids:
        raise DataError(f"Trajectory {trajectory.id}: the text up to the end of its span has no tokens.")
    key = key_alignment(loaded.identity, trajectory, question.answer, settings, null)
    with _naming(trajectory), _refusing_shortage():
        path = follow(loaded, trajectory, probe, settings.n_prefixes + 1, memory=memory)
        _check_exact(loaded.model, probe, path)
        start = start or measure_start(loaded.model, probe, settings.step_share)
        measured = {
            **_measure_whole(path, start),
            **_measure_steps(loaded.model, probe, path),
            "similarity": _measure_similarity(path, start),
            "span_cosine": draw_span_cosines(_after_start(path), start, settings.n_directions, seed=int(key, 16)),
            "ceiling": measure_ceiling(_after_start(path), start),
        }
    return Alignment(
        id=key,
        trajectory_id=trajectory.id,
        model=loaded.identity,
        settings=settings,
        text="trajectory" if null is None else null.kind,
        base_loss=start.loss,
        prefix_lens=np.array(path.prefix_lens[1:], dtype=np.int32),
        loss=path.loss[1:].cpu().float().numpy(),
        **{name: values.cpu().float().numpy() for name, values in measured.items()},
    )


def _check_exact(model: PreTrainedModel, probe: Probe, path: WeightPath) -> None:
    """Refuse a path that is not quite the text's, so that it is not averaged with those that are.

    Raises:
        DataError: some update does not stand for its prefix exactly.
    """
    if path.exact:
        return
    n_positions = len(probe.prompt_ids) + len(probe.ids)
    n_inputs = min(layer.down.in_features for layer in find_layers(model))
    reason = (
        f"prompt, bridge and answer have {n_positions} positions, the feed-forward part {n_inputs} inputs"
        if n_positions > n_inputs
        else "the activations at bridge and answer are, to rounding, combinations of others"
    )
    raise DataError(f"{reason}; the update is not exact there.")


def _after_start(path: WeightPath) -> tuple[LowRank, ...]:
    """The updates after prefix 0, which moves nothing."""
    return tuple(layer[1:] for layer in path.layers)


def _measure_whole(path: WeightPath, start: Start) -> dict[str, Tensor]:
    """Compare θ'_i − θ with −∇L(θ): norm, cosine, total_cosine and predicted of an Alignment."""
    products = _stack(inner_product(u, g) for u, g in zip(_after_start(path), start.gradient, strict=True))
    norms = path.measure_norms()[1:]
    norm = norms.square().sum(dim=1).sqrt()
    return {
        "norm": norm,
        "cosine": -products / (norms * start.squares.sqrt()),
        "total_cosine": -products.sum(dim=1) / (norm * start.squares.sum().sqrt()),
        "predicted": products.sum(dim=1),
    }


def _measure_steps(model: PreTrainedModel, probe: Probe, path: WeightPath) -> dict[str, Tensor]:
    """Compare θ'_i − θ'_{i−1} with −∇L(θ'_{i−1}): step_cosine and step_predicted of an Alignment."""
    n_steps = len(path.prefix_lens) - 1
    at_a_time = max(1, TOKENS_AT_A_TIME // (len(probe.prompt_ids) + len(probe.ids)))
    products, squares, lens = [], [], []
    for first in range(0, n_steps, at_a_time):
        last = min(n_steps, first + at_a_time)
        gradient = compute_gradient(model, probe, [layer[first:last] for layer in path.layers])
        steps = [layer[first + 1 : last + 1] - layer[first:last] for layer in path.layers]
        products.append(_stack(inner_product(s, g) for s, g in zip(steps, gradient.layers, strict=True)).sum(dim=1))
        squares.append(gradient.measure_squares().sum(dim=1))
        lens.append(_stack(step.measure_norm().square() for step in steps).sum(dim=1))
    predicted = torch.cat(products)
    return {"step_cosine": -predicted / (torch.cat(squares) * torch.cat(lens)).sqrt(), "step_predicted": predicted}


def _measure_similarity(path: WeightPath, start: Start) -> Float[Tensor, "p layer"]:
    """Cosines of what the text and what the SGD step does to each layer's output."""
    pairs = zip(path.changes, start.moves, strict=True)
    flat = ((change[1:].flatten(1).double(), move.flatten().to(change.device)) for change, move in pairs)
    return _stack(changes @ move / (changes.norm(dim=1) * move.norm()) for changes, move in flat)


def draw_span_cosines(
    updates: Sequence[LowRank], start: Start, n_directions: int, *, seed: int
) -> Float[Tensor, "p direction"]:
    """Total cosines with −∇L of random directions in the updates' own span, each layer with its update's norm.

    A direction is Σ_rs w_rs left_r ⊗ right_s with Gaussian weights w, for each layer others, the same for all updates.
    Updates [P r ·].
    """
    generator = torch.Generator().manual_seed(seed % 2**63)
    total = torch.zeros(len(updates[0].left), n_directions, dtype=torch.float64)
    norm = torch.zeros(len(total), 1, dtype=torch.float64)
    for update, gradient in zip(updates, start.gradient, strict=True):
        left, right = update.left.double(), update.right.double()
        products = (left @ gradient.left.double().T) @ (right @ gradient.right.double().T).transpose(1, 2)
        grams = (left @ left.transpose(1, 2))[:, None], (right @ right.transpose(1, 2))[:, None]
        rank = left.shape[1]
        weights = torch.randn(n_directions, rank, rank, generator=generator, dtype=torch.float64).to(left.device)
        lens = ((grams[0] @ weights) * (weights @ grams[1])).sum(dim=(2, 3)).clamp(min=0).sqrt()
        size = update.measure_norm()[:, None]
        along = (products[:, None] * weights).sum(dim=(2, 3)) * size / lens
        total += along.cpu()
        norm += size.square().cpu()
    return -total / (norm * start.squares.sum()).sqrt()


def measure_ceiling(updates: Sequence[LowRank], start: Start) -> Float[Tensor, " p"]:
    """The largest total cosine with −∇L that any change of the updates' form has: their right factors, any left ones.

    It is the length of the part of ∇L whose rows lie in the span of the right factors, over the length of ∇L: what of
    the gradient can be followed at all without touching what the prompt's positions read. Updates [P r ·].
    """
    kept = []
    for update, gradient in zip(updates, start.gradient, strict=True):
        right, left = update.right.double(), gradient.left.double()
        inverse = torch.linalg.pinv(right @ right.transpose(1, 2), hermitian=True)
        along = right @ gradient.right.double().T
        kept.append(((left @ left.T) * (along.transpose(1, 2) @ inverse @ along)).sum(dim=(1, 2)))
    return (_stack(kept).sum(dim=1).clamp(min=0) / start.squares.sum()).sqrt()


def _stack(values: Iterable[Tensor]) -> Tensor:
    """Put what was computed layer by layer [p] side by side [p layer]."""
    return torch.stack([value.cpu() for value in values], dim=1)
