"""Train a small causal language model on rows of token ids: Muon for the matrices, AdamW for the rest."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import Qwen3ForCausalLM

IGNORED = -100
BUCKET_ROWS = 4096
"""Rows are sorted by length within so many, which keeps batches compact and their order random."""


@dataclass(frozen=True)
class Branch:
    """Tokens that continue a row from an earlier point, and are not seen by the rest of the row."""

    start: int
    """How many of the row's tokens they follow."""
    ids: list[int]
    targets: list[bool]


@dataclass(frozen=True)
class Row:
    """A training example: token ids, and which of them the loss is taken on."""

    ids: list[int]
    targets: list[bool]
    branches: tuple[Branch, ...] = ()

    def __len__(self) -> int:
        """Tokens of row and branches."""
        return len(self.ids) + sum(len(branch.ids) for branch in self.branches)


@dataclass(frozen=True)
class Batch:
    """Rows side by side, each followed by its branches and padding."""

    input_ids: Tensor
    """[row, token]"""
    targets: Tensor
    """Token ids the loss is taken on, elsewhere IGNORED [row, token]."""
    positions: Tensor
    """[row, token]"""
    visible: Tensor
    """Whether a token (second axis) sees another one (third axis) [row, token, token]."""


@dataclass(frozen=True)
class Schedule:
    """How to train."""

    muon_lr: float = 0.02
    adamw_lr: float = 3e-3
    final_share: float = 0.05
    """Learning rate at the end as a share of its peak; it falls as a cosine."""
    warmup_steps: int = 30
    batch_tokens: int = 2048
    """Padded tokens per step, at most."""
    weight_decay: float = 0.01


def train_model(
    model: Qwen3ForCausalLM,
    rows: Sequence[Row],
    schedule: Schedule,
    *,
    seed: int,
    pad_id: int,
    report: Callable[[str], None] = print,
) -> dict[str, float]:
    """Train in place for one pass over the rows.

    Returns:
        steps, tokens (without padding), wall seconds and the mean loss in nats of the last 50 steps.
    """
    batches = make_batches([len(row) for row in rows], schedule.batch_tokens, random.Random(seed))
    optimizers = _make_optimizers(model, schedule)
    peaks = [group["lr"] for optimizer in optimizers for group in optimizer.param_groups]
    model.train()
    start, last_report, tokens, losses = time.monotonic(), time.monotonic(), 0, []
    for step, batch in enumerate(batches):
        factor = _schedule_factor(step, len(batches), schedule)
        groups = (group for optimizer in optimizers for group in optimizer.param_groups)
        for group, peak in zip(groups, peaks, strict=True):
            group["lr"] = peak * factor
        loss = batch_loss(model, collate([rows[i] for i in batch], pad_id))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        model.zero_grad(set_to_none=True)
        losses.append(loss.item())
        tokens += sum(len(rows[i]) for i in batch)
        now = time.monotonic()
        if now - last_report > 10 or step + 1 == len(batches):
            last_report = now
            left = (now - start) / (step + 1) * (len(batches) - step - 1)
            recent = sum(losses[-50:]) / len(losses[-50:])
            report(
                f"  step {step + 1}/{len(batches)}  loss {recent:.3f}  {tokens / (now - start):,.0f} tokens/s  "
                f"{left:.0f} s left"
            )
    model.eval()
    return {
        "steps": len(batches),
        "tokens": tokens,
        "seconds": round(time.monotonic() - start, 1),
        "loss": round(sum(losses[-50:]) / max(1, len(losses[-50:])), 4),
    }


def make_batches(lens: Sequence[int], batch_tokens: int, rng: random.Random) -> list[list[int]]:
    """Group rows of similar length into batches of at most batch_tokens padded tokens, in random order."""
    order = list(range(len(lens)))
    rng.shuffle(order)
    batches: list[list[int]] = []
    for start in range(0, len(order), BUCKET_ROWS):
        batch: list[int] = []
        for i in sorted(order[start : start + BUCKET_ROWS], key=lambda row: lens[row]):
            if batch and (len(batch) + 1) * lens[i] > batch_tokens:
                batches.append(batch)
                batch = []
            batch.append(i)
        batches.append(batch)
    rng.shuffle(batches)
    return batches


def collate(rows: Sequence[Row], pad_id: int) -> Batch:
    """Lay rows and branches out side by side, padded on the right.

    A token of the row itself sees those before it. A token of a branch sees the row up to where the branch starts, and
    its own branch up to itself, at the positions it would have if nothing else followed there.
    """
    shape = (len(rows), max(len(row) for row in rows))
    input_ids = np.full(shape, pad_id)
    targets = np.full(shape, IGNORED)
    positions = np.zeros(shape, dtype=np.int64)
    segments = np.full(shape, -1)  # 0 for the row itself, 1, 2, … for its branches, -1 for padding
    limits = np.zeros((*shape, 1), dtype=np.int64)  # how much of the row a token sees
    for i, row in enumerate(rows):
        place = 0
        for segment, part in enumerate((Branch(0, row.ids, row.targets), *row.branches)):
            span = slice(place, place + len(part.ids))
            place = span.stop
            input_ids[i, span] = part.ids
            targets[i, span] = np.where(part.targets, part.ids, IGNORED)
            positions[i, span] = part.start + np.arange(len(part.ids))
            segments[i, span] = segment
            limits[i, span] = part.start
    order = np.arange(shape[1])
    of_row = (segments == 0)[:, None, :] & (order < limits)
    of_own_segment = (segments[:, :, None] == segments[:, None, :]) & (order <= order[:, None])
    return Batch(*map(torch.from_numpy, (input_ids, targets, positions, of_row | of_own_segment)))


def batch_loss(model: Qwen3ForCausalLM, batch: Batch) -> Tensor:
    """Mean NLL of the targets in nats."""
    hidden = model.model(
        input_ids=batch.input_ids,
        attention_mask=batch.visible[:, None],
        position_ids=batch.positions,
        use_cache=False,
    ).last_hidden_state[:, :-1]
    wanted = batch.targets[:, 1:]
    scored = wanted != IGNORED
    return F.cross_entropy(model.lm_head(hidden[scored]).float(), wanted[scored])


def _make_optimizers(model: Qwen3ForCausalLM, schedule: Schedule) -> list[torch.optim.Optimizer]:
    matrices, others = [], []
    for name, parameter in model.named_parameters():
        (matrices if parameter.ndim == 2 and "embed" not in name else others).append(parameter)
    return [
        torch.optim.Muon(
            matrices,
            lr=schedule.muon_lr,
            momentum=0.95,
            weight_decay=schedule.weight_decay,
            adjust_lr_fn="original",
        ),
        torch.optim.AdamW(others, lr=schedule.adamw_lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def _schedule_factor(step: int, n_steps: int, schedule: Schedule) -> float:
    warmup = min(1.0, (step + 1) / schedule.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * step / n_steps))
    return warmup * (schedule.final_share + (1 - schedule.final_share) * cosine)
