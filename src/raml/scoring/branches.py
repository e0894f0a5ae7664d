"""What is read after every prefix: the bridge, then candidate answers as a tree that shares their beginnings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Branch:
    """A tree of tokens that continues a prefix; every node sees its ancestors and itself."""

    ids: tuple[int, ...]
    """Tokens that are read, the bridge first [A]; an answer's last token is predicted, never read."""
    depths: tuple[int, ...]
    """Distance of each token from the branch's first one [A]."""
    visible: Tensor
    """Whether row i sees token j [A, A]."""
    rows: tuple[tuple[int, ...], ...]
    """For each answer, the row that predicts each of its tokens."""
    targets: tuple[tuple[int, ...], ...]
    """For each answer, its tokens."""


def build_branch(bridge_ids: Sequence[int], answers: Sequence[Sequence[int]]) -> Branch:
    """Join a bridge and candidate answers into one tree; equal beginnings of answers are read once.

    Without answers the branch is the bridge alone.
    """
    ids = list(bridge_ids)
    parents = list(range(-1, len(ids) - 1))
    children: dict[tuple[int, int], int] = {}
    rows = []
    for answer in answers:
        node, predicting = len(bridge_ids) - 1, []
        for place, token in enumerate(answer):
            predicting.append(node)
            if place == len(answer) - 1:
                break
            if (node, token) not in children:
                children[node, token] = len(ids)
                ids.append(token)
                parents.append(node)
            node = children[node, token]
        rows.append(tuple(predicting))
    visible = torch.eye(len(ids), dtype=torch.bool)
    depths = [0] * len(ids)
    for node, parent in enumerate(parents):  # parents come before their children
        if parent >= 0:
            visible[node] |= visible[parent]
            depths[node] = depths[parent] + 1
    targets = tuple(tuple(answer) for answer in answers)
    return Branch(tuple(ids), tuple(depths), visible, tuple(rows), targets)
