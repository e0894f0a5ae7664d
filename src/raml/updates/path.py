"""The path θ'_i that a trajectory takes in weight space: an update for each of many prefixes, in few passes.

What the definition computes one prefix at a time is shared here. The prompt's positions are the same for every prefix
and every update leaves them alone, so the prompt is read once, and so is the trajectory; the probe is read after every
prefix twice, with the trajectory (for the targets) and without (where the updates are made), all prefixes together. In
each layer an orthonormal basis of the prompt's activations is computed once: a probe's columns of the pseudo-inverse
are the inverse of its activations' part outside that span.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from raml.errors import DataError
from raml.scoring import Job, answer_nll_by_definition, choose_chunk_tokens, find_obstacle
from raml.scoring.attention import Pass, sharing_prefix
from raml.scoring.engine import plan_clusters, prefill, run_clusters
from raml.scoring.head import score_tokens
from raml.scoring.kernels import fast_products
from raml.updates.equivalent import (
    RANK_TOLERANCE,
    applying,
    check_finite,
    check_parts,
    compile_update_by_definition,
)
from raml.updates.factors import LowRank, measure_gram, sum_over_layers
from raml.updates.layers import Layer, find_layers, watching


@dataclass(frozen=True)
class WeightPath:
    """Updates that stand for the prefixes of one text. Axes: P prefixes, L layers."""

    prefix_lens: tuple[int, ...]
    layers: tuple[LowRank, ...]
    """For each layer left [P probe width] and right [P probe inner]."""
    changes: tuple[Tensor, ...]
    """For each layer, how the prefix in the context changes its output at the probe's positions [P probe width]."""
    names: tuple[str, ...]
    """Of the weights that move, by layer."""
    loss: Tensor
    """Mean NLL of the probe's last tokens with the prefix in the context, in nats [P]."""
    updated_loss: Tensor
    """The same with the update and without the prefix [P]."""
    residual: Tensor
    """As in CompiledUpdate [P L]."""
    condition: Tensor
    """As in CompiledUpdate [P L]."""
    exact: bool

    def measure_gram(self) -> Float[Tensor, "p p"]:
        """Inner products of the updates with each other over all layers, in float64."""
        return sum_over_layers([measure_gram(layer) for layer in self.layers])

    def measure_norms(self) -> Float[Tensor, "p layer"]:
        """Frobenius norm of every update."""
        return torch.stack([layer.measure_norm().cpu() for layer in self.layers], dim=1)


@torch.inference_mode()
def trace_path(
    model: PreTrainedModel,
    prompt_ids: Sequence[int],
    trajectory_ids: Sequence[int],
    probe_ids: Sequence[int],
    prefix_lens: Sequence[int],
    n_answer: int,
    *,
    memory: int | None = None,
) -> WeightPath:
    """Compile every prefix of a text into an update; each equals what `compile_update_by_definition` gives.

    Args:
        model: A model that `find_update_obstacle` has nothing against. Where the one-pass engine can't serve it, or
            prompt and probe have more positions than a down projection has inputs, each prefix is compiled by itself.
        prompt_ids: What the updated model reads before the probe.
        trajectory_ids: The text.
        probe_ids: Bridge and answer.
        prefix_lens: Ascending numbers of the text's tokens, 0 first.
        n_answer: How many of the probe's last tokens are the answer, whose loss is measured.
        memory: Bytes that a forward pass may use beside the model's weights; by default most of what is free. The path
            itself comes on top: for each prefix and layer, the probe's length times two widths and the inner width.

    Raises:
        DataError: prompt or probe is empty, or prefixes do not ascend within the text.
        ModelError: the architecture does not allow it, or memory is short.
        NumericsError: an activation is NaN or infinite.
    """
    check_parts(prompt_ids, probe_ids)
    if not prefix_lens or prefix_lens[0] != 0:
        raise DataError("A path begins at the weights themselves; give prefix 0 first.")
    if not 0 < n_answer < len(probe_ids):
        raise DataError(f"The answer has {n_answer} of the probe's {len(probe_ids)} tokens; it needs 1 to all but one.")
    layers = find_layers(model)
    text = Job(tuple(prompt_ids), tuple(trajectory_ids), tuple(probe_ids), (), tuple(prefix_lens))
    if needs_definition(model, len(prompt_ids) + len(probe_ids)):
        return _trace_by_definition(model, layers, text, n_answer)
    bare = Job(text.prompt_ids, (), text.bridge_ids, (), (0,) * len(prefix_lens))
    chunk_tokens = choose_chunk_tokens(model, [text, bare], memory=memory)
    walk = _Walk(layers, len(prompt_ids), len(probe_ids))
    with sharing_prefix(model, text.n_stored + bare.n_stored) as state, fast_products(model):
        with watching(layers, inner=walk.keep_prompt):
            places = prefill(model, state, [text, bare], chunk_tokens)
        walk.find_bases()
        with watching(layers, output=walk.keep_target):
            loss = _run(model, state, [text, bare], places, 0, chunk_tokens, n_answer)
        with watching(layers, inner=walk.keep_inputs, output=walk.update):
            updated_loss = _run(model, state, [text, bare], places, 1, chunk_tokens, n_answer)
    return walk.finish(text.prefix_lens, loss, updated_loss)


def needs_definition(model: PreTrainedModel, n_bare: int) -> bool:
    """Whether each prefix is compiled by itself, for a prompt and a probe of so many tokens together."""
    narrowest = min(layer.down.in_features for layer in find_layers(model))
    return find_obstacle(model) is not None or n_bare > narrowest


@dataclass
class _Walk:
    """What the hooks collect, by layer."""

    layers: Sequence[Layer]
    n_prompt: int
    n_probe: int
    prompt: dict[int, list[Tensor]] = field(default_factory=dict)
    bases: list[Tensor] = field(default_factory=list)
    """Orthonormal columns that span the prompt's activations [inner, rank]."""
    targets: dict[int, list[Tensor]] = field(default_factory=dict)
    inputs: dict[int, Tensor] = field(default_factory=dict)
    places: dict[int, int] = field(default_factory=dict)
    """How many rows of the targets are used up."""
    lefts: dict[int, list[Tensor]] = field(default_factory=dict)
    rights: dict[int, list[Tensor]] = field(default_factory=dict)
    changes: dict[int, list[Tensor]] = field(default_factory=dict)
    residuals: dict[int, list[Tensor]] = field(default_factory=dict)
    conditions: dict[int, list[Tensor]] = field(default_factory=dict)

    def keep_prompt(self, index: int, states: Tensor) -> None:
        """Keep the first rows that come: prompts are read before anything else."""
        parts = self.prompt.setdefault(index, [])
        missing = self.n_prompt - sum(map(len, parts))
        if missing > 0:
            parts.append(states[:missing].clone())

    def find_bases(self) -> None:
        """Span each layer's activations at the prompt's positions."""
        for index in range(len(self.layers)):
            activations = check_finite(torch.cat(self.prompt.pop(index)), index)
            self.bases.append(find_basis(activations.double()))

    def keep_target(self, index: int, states: Tensor) -> None:
        self.targets.setdefault(index, []).append(states.clone())

    def keep_inputs(self, index: int, states: Tensor) -> None:
        self.inputs[index] = check_finite(states, index)

    def update(self, index: int, states: Tensor) -> Tensor:
        """Make a layer's updates for the prefixes of this chunk, and put out what the updated layer would."""
        start = self.places.get(index, 0)
        self.places[index] = start + len(states)
        if start == 0:
            self.targets[index] = [torch.cat(self.targets[index])]
        wanted = self.targets[index][0][start : start + len(states)].view(-1, self.n_probe, states.shape[-1])
        inputs = self.inputs.pop(index).view(len(wanted), self.n_probe, -1).double()
        right, condition = invert_outside(inputs, self.bases[index])
        missing = (wanted - states.view_as(wanted)).to(torch.promote_types(states.dtype, torch.float32))
        updated = states.view_as(wanted).double() + (inputs @ right.transpose(1, 2)) @ missing.double()
        updated = updated.to(states.dtype)
        norms = wanted.flatten(1).norm(dim=1)
        for kept, value in (
            (self.lefts, missing),
            (self.rights, right.to(missing.dtype)),
            (self.residuals, (wanted - updated).flatten(1).norm(dim=1) / norms),
            (self.conditions, condition),
        ):
            kept.setdefault(index, []).append(value)
        return updated.flatten(0, 1)

    def finish(self, prefix_lens: tuple[int, ...], loss: Tensor, updated_loss: Tensor) -> WeightPath:
        """Put the chunks together, of one layer at a time, so that little is there twice."""
        layers, changes = [], []
        for i in range(len(self.layers)):
            layers.append(LowRank(torch.cat(self.lefts.pop(i)), torch.cat(self.rights.pop(i))))
            (target,) = self.targets.pop(i)
            target = target.view(-1, self.n_probe, target.shape[-1])
            changes.append(target - target[:1])
        residual, condition = (
            torch.stack([torch.cat(values[i]).cpu().double() for i in range(len(self.layers))], dim=1)
            for values in (self.residuals, self.conditions)
        )
        return WeightPath(
            prefix_lens,
            tuple(layers),
            tuple(changes),
            tuple(layer.name for layer in self.layers),
            loss,
            updated_loss,
            residual,
            condition,
            exact=bool((condition < 1 / RANK_TOLERANCE).all()),
        )


def find_basis(rows: Float[Tensor, "row inner"]) -> Float[Tensor, "inner rank"]:
    """Orthonormal columns that span what the rows span; directions that are lost in rounding are left out."""
    columns, triangle = torch.linalg.qr(rows.T)
    turn, sizes, _ = torch.linalg.svd(triangle)
    return columns @ turn[:, : int((sizes > RANK_TOLERANCE * sizes[0]).sum())]


def invert_outside(
    inputs: Float[Tensor, "p probe inner"], basis: Float[Tensor, "inner rank"]
) -> tuple[Float[Tensor, "p probe inner"], Float[Tensor, " p"]]:
    """The probe's columns of the pseudo-inverse of [prompt; probe], transposed, given a basis of the prompt's rows.

    Also the largest singular value of the probe's rows over the smallest of their part outside the basis.
    """
    outside = inputs - (inputs @ basis) @ basis.T
    squares, turn = torch.linalg.eigh(outside @ outside.transpose(1, 2))
    keep = squares > RANK_TOLERANCE**2 * squares[:, -1:]
    inverse = torch.where(keep, 1 / squares.clamp(min=torch.finfo(squares.dtype).tiny), 0.0)
    right = (turn * inverse[:, None]) @ (turn.transpose(1, 2) @ outside)
    # The eigenvalues square the condition number; a step of Newton's iteration takes most of that back.
    right = 2 * right - (right @ outside.transpose(1, 2)) @ right
    largest = torch.linalg.eigvalsh(inputs @ inputs.transpose(1, 2))[:, -1]
    return right, (largest / squares[:, 0].clamp(min=0)).sqrt()


def _run(
    model: PreTrainedModel,
    state: Pass,
    jobs: Sequence[Job],
    places: Sequence[int],
    which: int,
    chunk_tokens: int,
    n_answer: int,
) -> Tensor:
    """Read the probe after all prefixes of one job; returns the answer's mean NLL after each [prefix]."""
    job, losses = jobs[which], []
    n_probe, wanted = len(job.bridge_ids), torch.tensor(job.bridge_ids[-n_answer:], device=model.device)
    for clusters in plan_clusters([job], max(chunk_tokens, n_probe)):
        _, hidden = run_clusters(model, state, [job], [places[which]], clusters)
        predicting = hidden.view(-1, n_probe, hidden.shape[-1])[:, -n_answer - 1 : -1]
        nll = score_tokens(model, predicting.flatten(0, 1), wanted.repeat(len(predicting)))
        losses.append(nll.view(-1, n_answer).mean(dim=1))
    return torch.cat(losses)


def _trace_by_definition(model: PreTrainedModel, layers: Sequence[Layer], text: Job, n_answer: int) -> WeightPath:
    """Compile each prefix by itself, and run the model with it and without."""
    prompt, trajectory, probe = (
        torch.tensor(ids, dtype=torch.long, device=model.device)
        for ids in (text.prompt_ids, text.trajectory_ids, text.bridge_ids)
    )
    parts = probe[:-n_answer], probe[-n_answer:]
    start, compiled, losses = torch.zeros(1, dtype=torch.long), [], []
    for prefix_len in text.prefix_lens:
        prefix = trajectory[:prefix_len]
        one = compile_update_by_definition(model, prompt, prefix, probe)
        with_text = answer_nll_by_definition(model, prompt, prefix, *parts, start + prefix_len).mean()
        with applying(model, one.layers):
            losses.append((with_text, answer_nll_by_definition(model, prompt, prefix, *parts, start).mean()))
        compiled.append(one)
    factors = (
        zip(*(one.layers for one in compiled), strict=True),
        zip(*(one.outputs for one in compiled), strict=True),
    )
    loss, updated_loss = torch.tensor(losses).T
    return WeightPath(
        text.prefix_lens,
        tuple(LowRank(torch.stack([x.left for x in of]), torch.stack([x.right for x in of])) for of in factors[0]),
        tuple(torch.stack(of) - of[0] for of in factors[1]),
        tuple(layer.name for layer in layers),
        loss,
        updated_loss,
        torch.stack([one.residual for one in compiled]),
        torch.stack([one.condition for one in compiled]),
        exact=all(one.exact for one in compiled),
    )
