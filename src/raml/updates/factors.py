"""Changes of a weight as low-rank factors: inner products and lengths without the matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class LowRank:
    """A change of a linear layer's weight [out, in], or a batch of them: the sum over r of left[r] ⊗ right[r]."""

    left: Float[Tensor, "*batch r out"]
    right: Float[Tensor, "*batch r in"]

    def __getitem__(self, index: int | slice) -> LowRank:
        """One of a batch, or some."""
        return LowRank(self.left[index], self.right[index])

    def __sub__(self, other: LowRank) -> LowRank:
        """The difference, of both ranks together."""
        return LowRank(torch.cat([self.left, -other.left], dim=-2), torch.cat([self.right, other.right], dim=-2))

    def make_dense(self) -> Float[Tensor, "*batch out in"]:
        """Multiply out."""
        return self.left.transpose(-1, -2) @ self.right

    def measure_norm(self) -> Float[Tensor, " *batch"]:
        """Frobenius norm, in float64."""
        return inner_product(self, self).clamp(min=0).sqrt()


def inner_product(ours: LowRank, theirs: LowRank) -> Float[Tensor, " *batch"]:
    """Frobenius inner product, the sum over all entries of the products; in float64. Batches broadcast."""
    lefts = ours.left.double() @ theirs.left.double().transpose(-1, -2)
    rights = ours.right.double() @ theirs.right.double().transpose(-1, -2)
    return (lefts * rights).sum(dim=(-1, -2))


def measure_gram(path: LowRank) -> Float[Tensor, "p p"]:
    """Inner products of all changes of a batch [p r ·] with each other, in float64."""
    n, rank = path.left.shape[:2]
    rows = max(1, 2**22 // max(1, n * rank * rank))
    left, right = path.left.double().flatten(0, 1), path.right.double().flatten(0, 1)
    blocks = []
    for start in range(0, n, rows):
        ours = slice(start * rank, min(n, start + rows) * rank)
        products = (left[ours] @ left.T).mul_(right[ours] @ right.T)
        blocks.append(products.view(-1, rank, n, rank).sum(dim=(1, 3)))
    return torch.cat(blocks)


def combine(path: LowRank, weights: Float[Tensor, " p"]) -> LowRank:
    """The weighted sum of a batch of changes, as one change of all their ranks together."""
    left = path.left * weights.to(path.left)[:, None, None]
    return LowRank(left.flatten(0, 1), path.right.flatten(0, 1))


def sum_over_layers(values: Sequence[Tensor]) -> Tensor:
    """Add up what was computed layer by layer, wherever each layer lies."""
    return torch.stack([value.to(values[0].device) for value in values]).sum(dim=0)
