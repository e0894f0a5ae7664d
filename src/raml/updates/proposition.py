"""Proposition 2.1 on the model it is stated for: tokens that were read, written as a change of weights.

The model is one attention layer with a single head and a feed-forward network of two layers, without norms, residual
connections or positions (arXiv 2505.19815, Eqs. 5-7). Its output is read at the last token. The proposition: for a
prompt l there are weights that read only l and give what the weights before gave after l and a trajectory.

Two constructions of them. `build_paper_update` is Eq. 19 in the reading that its shapes allow: exact for linear
attention, not for softmax. `build_exact_update` is exact for softmax, and is a change of rank one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from raml.errors import DataError, NumericsError

Kind = Literal["softmax", "linear"]
"""Attention weights are the softmax of the scores, or the scores themselves."""
Gram = Literal["both", "values"]
"""Which weights take up the change of the Gram matrix: keys and values half each, as in Eq. 19, or the values alone."""


@dataclass(frozen=True)
class OneLayer:
    """The weights θ of the model. Embeddings are rows, so they multiply from the left."""

    w_q: Float[Tensor, "d key"]
    """Queries."""
    w_k: Float[Tensor, "d key"]
    """Keys."""
    w_v: Float[Tensor, "d value"]
    """Values."""
    w_1: Float[Tensor, "value hidden"]
    """Feed-forward network, into the hidden units."""
    b_1: Float[Tensor, " hidden"]
    """Added to the hidden units before the ReLU."""
    w_2: Float[Tensor, "hidden out"]
    """Feed-forward network, out of the hidden units."""
    b_2: Float[Tensor, " out"]
    """Added to the output."""


@dataclass(frozen=True)
class Residual:
    """How far the changed weights on the prompt alone are from the weights before on prompt and trajectory.

    Both are ‖got − wanted‖ / ‖wanted‖.
    """

    attention: float
    """Of the attention output."""
    output: float
    """Of the output of the feed-forward network."""


@dataclass(frozen=True)
class PromptRank:
    """What the construction of the paper assumes of a prompt, and whether it holds."""

    n_tokens: int
    """Tokens of the prompt, |l|."""
    rank: int
    """Rank of their embeddings; at most d and at most the number of distinct tokens if there are no positions."""
    distance: float
    """Largest share of a trajectory row's norm that lies outside the span of the prompt's rows, 0 to 1."""

    @property
    def is_full(self) -> bool:
        """Whether the rows are linearly independent."""
        return self.rank == self.n_tokens

    @property
    def is_spanned(self) -> bool:
        """Whether the trajectory's rows are linear combinations of the prompt's, to the rounding of float64."""
        return self.distance < 1e-9


def find_attention_weights(
    layer: OneLayer, embeddings: Float[Tensor, "n d"], *, kind: Kind = "softmax"
) -> Float[Tensor, " n"]:
    """Return how much the last token attends to each token; the softmax ones sum to one."""
    scores = (embeddings[-1] @ layer.w_q) @ (embeddings @ layer.w_k).T / layer.w_k.shape[1] ** 0.5
    return scores.softmax(dim=0) if kind == "softmax" else scores


def compute_attention(
    layer: OneLayer, embeddings: Float[Tensor, "n d"], *, kind: Kind = "softmax"
) -> Float[Tensor, " value"]:
    """Return the attention output at the last token (Eq. 6)."""
    return find_attention_weights(layer, embeddings, kind=kind) @ embeddings @ layer.w_v


def compute_output(
    layer: OneLayer, embeddings: Float[Tensor, "n d"], *, kind: Kind = "softmax"
) -> Float[Tensor, " out"]:
    """Return the output of the model at the last token (Eqs. 5 and 7)."""
    attended = compute_attention(layer, embeddings, kind=kind)
    return (attended @ layer.w_1 + layer.b_1).relu() @ layer.w_2 + layer.b_2


def find_query_map(source: Float[Tensor, " d"], target: Float[Tensor, " d"]) -> Float[Tensor, "d d"]:
    """Return the P closest to the identity with source P = target (Theorem B.1): it differs by a rank-one matrix.

    With source = E_{l,-1} and target = E_{t,0}, the query of the prompt's last token under P W_q is that of t_0 under
    W_q. The paper writes the condition the other way round, E_{t,0} P = E_{l,-1}, which does not give this.

    Raises:
        DataError: the source is zero, which every linear map leaves at zero.
    """
    square = source @ source
    if square == 0:
        raise DataError(
            "The prompt's last token has the embedding zero, which no linear map takes to another one. "
            "Choose a prompt that ends in another token, or keep the query."
        )
    return torch.eye(len(source)).to(source) + torch.outer(source, target - source) / square


def build_paper_update(
    layer: OneLayer,
    prompt: Float[Tensor, "prompt d"],
    trajectory: Float[Tensor, "trajectory d"],
    *,
    gram: Gram = "both",
) -> OneLayer:
    """Return θ' of Eq. 19, in the reading that its shapes allow.

    E_l† Mᵀ E_l can't be multiplied out: E_l† has |l| columns, Mᵀ has |l| + 1 rows. Linear attention sees a prompt only
    through its Gram matrix, which the trajectory E_t = C E_l turns from E_lᵀ E_l into E_lᵀ (I + CᵀC) E_l, and
    I + CᵀC = M Mᵀ. So Mᵀ is read as the symmetric root (M Mᵀ)^½ = (I + CᵀC)^½: keys and values are multiplied by the
    same matrix A = E_l† (I + CᵀC)^½ E_l, as in Eq. 19. With `gram="values"` the values take A² and the keys stay.
    W'_q = P W_q with `find_query_map`; the feed-forward network stays.

    With linear attention this is exact if the trajectory's rows are in the span of the prompt's. C = E_t E_l† is the
    shortest solution, so I + CᵀC keeps the column space of E_l and commutes with E_l E_l†; the rows of E_l need not be
    independent. What of the trajectory lies outside the span is lost.

    Raises:
        DataError: prompt or trajectory is empty, or the prompt ends in the embedding zero.
        NumericsError: the result is not finite.
    """
    _check_parts(prompt, trajectory)
    inverse = torch.linalg.pinv(prompt)
    mixture = trajectory @ inverse
    values, vectors = torch.linalg.eigh(torch.eye(len(prompt)).to(prompt) + mixture.T @ mixture)
    power = 0.5 if gram == "both" else 1.0
    change = inverse @ (vectors * values**power) @ vectors.T @ prompt
    updated = replace(
        layer,
        w_q=find_query_map(prompt[-1], trajectory[-1]) @ layer.w_q,
        w_k=change @ layer.w_k if gram == "both" else layer.w_k,
        w_v=change @ layer.w_v,
    )
    _check_finite("update of Eq. 19", updated)
    return updated


def build_exact_update(
    layer: OneLayer,
    prompt: Float[Tensor, "prompt d"],
    trajectory: Float[Tensor, "trajectory d"],
    *,
    move_query: bool = True,
) -> OneLayer:
    """Return θ' that gives on the prompt exactly what θ gives on prompt and trajectory, with softmax attention.

    With α the attention weights over the prompt and o the attention output after the trajectory, W_v gets the rank-one
    term (α E_l)† (o − α E_l W_v), so that α E_l W'_v = o. It is the smallest change of W_v that does. Any number of
    tokens may have been read, and the prompt's rows may repeat.

    Args:
        layer: θ.
        prompt: E_l.
        trajectory: Embeddings of the tokens that are to be made superfluous; the last one is the one that asks.
        move_query: Take W'_q = P W_q as in the paper; else keep W_q. α is different, the rest is the same.

    Raises:
        DataError: prompt or trajectory is empty, or α E_l is zero to rounding: then no W_v does.
        NumericsError: the result is not finite.
    """
    _check_parts(prompt, trajectory)
    moved = find_query_map(prompt[-1], trajectory[-1]) @ layer.w_q if move_query else layer.w_q
    wanted = compute_attention(layer, torch.cat([prompt, trajectory]))
    mean = find_attention_weights(replace(layer, w_q=moved), prompt) @ prompt
    rounding = torch.finfo(prompt.dtype).eps * len(prompt) * prompt.norm(dim=1).amax()
    if mean.norm() <= rounding:
        raise DataError(
            f"The prompt's {len(prompt)} embeddings have the weighted mean zero, so its attention output is zero with "
            f"every W_v. Use move_query={not move_query}, or another prompt."
        )
    term = torch.outer(mean, wanted - mean @ layer.w_v) / (mean @ mean)
    updated = replace(layer, w_q=moved, w_v=layer.w_v + term)
    _check_finite("exact update", updated)
    return updated


def measure_residual(
    layer: OneLayer,
    updated: OneLayer,
    prompt: Float[Tensor, "prompt d"],
    trajectory: Float[Tensor, "trajectory d"],
    *,
    kind: Kind = "softmax",
) -> Residual:
    """Measure how far θ' on the prompt is from θ on prompt and trajectory.

    Raises:
        DataError: prompt or trajectory is empty, or what is wanted is zero, so that there is no relative error.
        NumericsError: an error is not finite.
    """
    _check_parts(prompt, trajectory)
    both, errors = torch.cat([prompt, trajectory]), []
    for name, compute in (("attention output", compute_attention), ("output", compute_output)):
        wanted, got = compute(layer, both, kind=kind), compute(updated, prompt, kind=kind)
        if wanted.norm() == 0:
            raise DataError(f"The {name} after the trajectory is zero; a relative error needs another prompt.")
        error = ((got - wanted).norm() / wanted.norm()).item()
        if not error < float("inf"):
            raise NumericsError(f"The relative error of the {name} is {error}; make embeddings or weights smaller.")
        errors.append(error)
    return Residual(*errors)


def measure_rank(prompt: Float[Tensor, "prompt d"], trajectory: Float[Tensor, "trajectory d"]) -> PromptRank:
    """Measure whether a prompt's rows are independent and whether they span the trajectory's.

    Raises:
        DataError: prompt or trajectory is empty.
    """
    _check_parts(prompt, trajectory)
    outside = (trajectory - trajectory @ torch.linalg.pinv(prompt) @ prompt).norm(dim=1)
    share = outside / trajectory.norm(dim=1).clamp(min=torch.finfo(prompt.dtype).tiny)
    return PromptRank(len(prompt), int(torch.linalg.matrix_rank(prompt)), share.amax().item())


def _check_parts(prompt: Tensor, trajectory: Tensor) -> None:
    for name, rows in (("prompt", prompt), ("trajectory", trajectory)):
        if len(rows) == 0:
            raise DataError(f"The {name} has no tokens; the proposition needs at least one.")


def _check_finite(name: str, layer: OneLayer) -> None:
    if not all(weight.isfinite().all() for weight in (layer.w_q, layer.w_k, layer.w_v)):
        raise NumericsError(f"The {name} has entries that are not finite; make embeddings or weights smaller.")
