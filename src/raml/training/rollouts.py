"""Batches of rollouts: choose rows, and lay two batches together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Int, Shaped
from torch import Tensor

# Which side TRL fills up what with; everything else has one entry a row.
_PADDED = {
    "prompt_ids": "left",
    "prompt_mask": "left",
    "completion_ids": "right",
    "completion_mask": "right",
    "old_per_token_logps": "right",
    "ref_per_token_logps": "right",
    "sampling_per_token_logps": "right",
    "importance_sampling_ratio": "right",
}


def select_rollouts(n_groups: int, group_size: int, n: int, seed: tuple[int, ...]) -> Int[Tensor, " row"]:
    """Choose n rows of each group by seed, without regard to their rewards.

    Returns:
        Row numbers [n_groups * n], ascending; group g has rows g * group_size to (g + 1) * group_size - 1.
    """
    rng = np.random.default_rng(seed)
    places = [np.sort(rng.choice(group_size, n, replace=False)) + g * group_size for g in range(n_groups)]
    return torch.from_numpy(np.concatenate(places))


def take_rows(batch: Mapping[str, Any], rows: Int[Tensor, " row"]) -> dict[str, Any]:
    """Take some rows of every tensor that has rows; counts of the whole batch stay and have to be made anew."""
    return {k: v[rows] if torch.is_tensor(v) and v.dim() > 0 else v for k, v in batch.items()}


def join_batches(first: Mapping[str, Any], second: Mapping[str, Any], pad_id: int) -> dict[str, Any]:
    """Lay the rows of two batches one after the other, the narrower one filled up."""
    joined = dict(first)
    for name, value in first.items():
        if not torch.is_tensor(value) or value.dim() == 0:
            continue
        other = second[name]
        if name in _PADDED and value.dim() == 2:
            width, fill = max(value.shape[1], other.shape[1]), pad_id if name.endswith("_ids") else 0
            value, other = (_widen(rows, width, _PADDED[name], fill) for rows in (value, other))
        joined[name] = torch.cat([value, other])
    return joined


def _widen(rows: Shaped[Tensor, "row token"], width: int, side: str, fill: int) -> Shaped[Tensor, "row width"]:
    missing = width - rows.shape[1]
    return F.pad(rows, (missing, 0) if side == "left" else (0, missing), value=fill)
