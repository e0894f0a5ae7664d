"""The model of Proposition 2.1 as one that learns: embeddings, one layer, an output head.

The proposition speaks of any weights; those that come from training on trajectories are the ones that matter. All is
small and trained from nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from raml.records import Trajectory
from raml.updates.proposition import OneLayer

NO_LABEL = -100


class Reader(torch.nn.Module):
    """Embeddings, one layer without norms and residual connections, an output head; positions only where asked for."""

    def __init__(self, n_ids: int, d: int, *, positions: bool, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape: int, scale: float = 1.0) -> torch.nn.Parameter:
            return torch.nn.Parameter(torch.randn(*shape, generator=generator) * scale)

        self.positions = positions
        self.embedding = draw(n_ids, d)
        self.w_q, self.w_k, self.w_v = (draw(d, d, scale=d**-0.5) for _ in range(3))
        self.w_1, self.b_1 = draw(d, 4 * d, scale=d**-0.5), torch.nn.Parameter(torch.zeros(4 * d))
        self.w_2, self.b_2 = draw(4 * d, d, scale=(4 * d) ** -0.5), torch.nn.Parameter(torch.zeros(d))
        self.head = draw(d, n_ids, scale=d**-0.5)

    def embed(self, ids: Int[Tensor, "*text n"]) -> Float[Tensor, "*text n d"]:
        """Return the rows of tokens, with sinusoids added where the model has positions."""
        rows = self.embedding[ids]
        if not self.positions:
            return rows
        d = rows.shape[-1]
        rates = 1e4 ** (-torch.arange(0, d, 2) / d).to(rows)
        angles = torch.arange(rows.shape[-2])[:, None].to(rows) * rates
        return rows + torch.cat([angles.sin(), angles.cos()], dim=-1)

    def forward(self, ids: Int[Tensor, "text n"]) -> Float[Tensor, "text n id"]:
        """Return logits for the token after each; the arithmetic of `compute_output` at every place."""
        rows = self.embed(ids)
        scores = (rows @ self.w_q) @ (rows @ self.w_k).mT / self.w_k.shape[1] ** 0.5
        later = torch.ones(ids.shape[-1], ids.shape[-1], dtype=torch.bool).triu(1)
        attended = scores.masked_fill(later, -torch.inf).softmax(dim=-1) @ rows @ self.w_v
        return ((attended @ self.w_1 + self.b_1).relu() @ self.w_2 + self.b_2) @ self.head

    def freeze(self) -> OneLayer:
        """Return the layer's weights as they are now."""
        names = ("w_q", "w_k", "w_v", "w_1", "b_1", "w_2", "b_2")
        return OneLayer(**{name: getattr(self, name).detach().clone() for name in names})


def train_reader(reader: Reader, trajectories: Sequence[Trajectory], n_steps: int, seed: int, size: int = 16) -> None:
    """Train by next-token cross-entropy on trajectories after their prompts, the rate falling to zero.

    Args:
        reader: Changed in place.
        trajectories: Drawn with replacement.
        n_steps: Of Adam.
        seed: Of the draws.
        size: Trajectories a step.
    """
    optimizer = torch.optim.Adam(reader.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, n_steps)
    rng = np.random.default_rng(seed)
    for _ in range(n_steps):
        ids, labels = _make_batch(trajectories[i] for i in rng.integers(len(trajectories), size=size))
        optimizer.zero_grad()
        cross_entropy(reader(ids).flatten(0, 1), labels.flatten(), ignore_index=NO_LABEL).backward()
        optimizer.step()
        schedule.step()


@torch.no_grad()
def measure_loss(reader: Reader, trajectories: Sequence[Trajectory]) -> float:
    """Return the mean NLL of a trajectory token after its prompt, nats."""
    ids, labels = _make_batch(trajectories)
    return cross_entropy(reader(ids).flatten(0, 1), labels.flatten(), ignore_index=NO_LABEL).item()


def _make_batch(trajectories: Iterable[Trajectory]) -> tuple[Tensor, Tensor]:
    """Return ids and the next ids (text, n), the latter only where they are of the trajectory."""
    ids, labels = [], []
    for trajectory in trajectories:
        text = torch.tensor(trajectory.prompt_ids + trajectory.token_ids)
        following = text[1:].clone()
        following[: len(trajectory.prompt_ids) - 1] = NO_LABEL
        ids.append(text[:-1])
        labels.append(following)
    return pad_sequence(ids, batch_first=True), pad_sequence(labels, batch_first=True, padding_value=NO_LABEL)
