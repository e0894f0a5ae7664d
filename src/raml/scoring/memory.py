"""How much memory a pass takes, how many rows it may run at a time, and which trajectories share it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PretrainedConfig, PreTrainedModel

from raml.errors import ModelError
from raml.scoring.engine import WIDEST_BAND, Job

CHUNK_TOKENS = {"cpu": 1024}
"""Rows of queries in one forward pass by kind of device: enough to keep its matrix products busy."""
CHUNK_TOKENS_ELSEWHERE = 4096
FEWEST_CHUNK_TOKENS = 32
STORED_IN_A_BATCH = 8 * 2**20
"""Bytes of keys and values up to which trajectories are batched: small models gain, large ones are busy with one."""
FIXED_BYTES = 32 * 2**20
"""Blocks of logits and whatever else does not grow with the rows."""
FREE_SHARE = 0.8
"""Share of the device's free memory that a pass may take if nobody sets a limit."""


@dataclass(frozen=True)
class Need:
    """Bytes beside the model's weights."""

    stored: int
    """Keys and values of prompts and trajectories."""
    per_row: int
    """Buffers of one row of queries, and what it keeps for a continuation."""


@dataclass(frozen=True)
class Batch:
    """Jobs that run in one pass."""

    members: tuple[int, ...]
    """Their indices."""
    lasting: bool
    """Whether a neighbouring batch has the same prompt, and both have no other."""


def estimate_need(model: PreTrainedModel, jobs: Sequence[Job], max_new_tokens: int = 0) -> Need:
    """Estimate what a pass over some jobs takes; `max_new_tokens` is for greedy continuations.

    The row's buffers are counted from the configuration (feed-forward, attention, residual, each a few times over).
    """
    config = model.config.get_text_config()
    size = model.dtype.itemsize
    heads = config.num_attention_heads
    dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    position = count_position_bytes(model)
    inner = _find_inner_size(config)
    own = max((len(job.branch.ids) for job in jobs), default=1)
    buffers = size * (4 * inner + 8 * config.hidden_size) + 4 * heads * (6 * dim + 3 * (WIDEST_BAND + own))
    kept = 0
    if max_new_tokens:
        shortest = min((len(job.branch.ids) for job in jobs), default=1)
        kept = 2 * position * (own + max_new_tokens) // shortest
    return Need(position * sum(job.n_stored for job in jobs), buffers + kept)


def count_position_bytes(model: PreTrainedModel) -> int:
    """Bytes of one position's keys and values in all layers."""
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    if rank := getattr(config, "qk_nope_head_dim", None):  # DeepSeek's compressed attention is stored unfolded
        dim, kv_heads = max(rank + config.qk_rope_head_dim, config.v_head_dim), heads
    return 2 * config.num_hidden_layers * kv_heads * dim * model.dtype.itemsize


def choose_chunk_tokens(
    model: PreTrainedModel, jobs: Sequence[Job], *, memory: int | None = None, max_new_tokens: int = 0
) -> int:
    """Choose how many rows run at a time: the device's usual number, or as many as fit the memory.

    Args:
        model: The model.
        jobs: What runs in one pass.
        memory: Bytes that may be used beside the weights; by default four fifths of what is free on the device.
        max_new_tokens: Length of greedy continuations, 0 if there are none.

    Raises:
        ModelError: not even a few rows fit.
    """
    usual = CHUNK_TOKENS.get(model.device.type, CHUNK_TOKENS_ELSEWHERE)
    allowed = memory
    if allowed is None:
        free = find_free_memory(model)
        if free is None:
            return usual
        allowed = int(FREE_SHARE * free)
    need = estimate_need(model, jobs, max_new_tokens)
    fitting = (allowed - need.stored - FIXED_BYTES) // need.per_row
    if fitting < FEWEST_CHUNK_TOKENS:
        least = need.stored + FIXED_BYTES + FEWEST_CHUNK_TOKENS * need.per_row
        n_stored = sum(job.n_stored for job in jobs)
        raise ModelError(
            f"Scoring {n_stored} tokens takes {_write_bytes(least)} beside the model's weights, "
            f"{_write_bytes(need.stored)} of them keys and values; {_write_bytes(allowed)} are "
            f"{'allowed' if memory is not None else 'free'}. "
            "Allow more with --memory, or use bfloat16 or another device."
        )
    return min(usual, fitting)


def plan_batches(model: PreTrainedModel, jobs: Sequence[Job], *, memory: int | None = None) -> list[Batch]:
    """Group jobs that run in one pass: those with equal prompts next to each other, small ones together.

    A prompt whose jobs do not fit one batch gets batches of its own, so that its keys and values can be used again.
    Half of the memory that may be used is left to other things than keys and values.
    """
    most = STORED_IN_A_BATCH if memory is None else min(STORED_IN_A_BATCH, memory // 2)
    position = count_position_bytes(model)
    by_prompt: dict[tuple[int, ...], list[int]] = {}
    for i, job in enumerate(jobs):
        by_prompt.setdefault(job.prompt_ids, []).append(i)
    batches: list[Batch] = []
    shared: list[int] = []
    free = most
    for group in by_prompt.values():
        sizes = [position * jobs[i].n_stored for i in group]
        if sum(sizes) > most:
            parts = _split(group, sizes, most)
            batches += [Batch(tuple(part), lasting=len(parts) > 1) for part in parts]
            continue
        if sum(sizes) > free:
            batches.append(Batch(tuple(shared), lasting=False))
            shared, free = [], most
        shared += group
        free -= sum(sizes)
    return [*batches, Batch(tuple(shared), lasting=False)] if shared else batches


def _split(group: Sequence[int], sizes: Sequence[int], most: int) -> list[list[int]]:
    """Cut the jobs of one prompt into parts of bounded size, none empty."""
    parts: list[list[int]] = [[]]
    free = most
    for i, size in zip(group, sizes, strict=True):
        if size > free and parts[-1]:
            parts.append([])
            free = most
        parts[-1].append(i)
        free -= size
    return parts


def find_free_memory(model: PreTrainedModel) -> int | None:
    """Bytes that are free on the model's device, all GPUs together; None where that can't be asked."""
    devices = {parameter.device for parameter in model.parameters()}
    if all(device.type == "cuda" for device in devices):
        cached = sum(torch.cuda.memory_reserved(d) - torch.cuda.memory_allocated(d) for d in devices)
        return cached + sum(torch.cuda.mem_get_info(device)[0] for device in devices)
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    available = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return None if available is None or model.device.type != "cpu" else int(available) * 1024


def _find_inner_size(config: PretrainedConfig) -> int:
    """Width of the feed-forward layer; for a mixture of experts, of those that a token visits."""
    dense = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    expert = getattr(config, "moe_intermediate_size", None) or dense
    n_experts = getattr(config, "num_experts_per_tok", None) or 1
    return max(dense, expert * n_experts)


def _write_bytes(n: int) -> str:
    return f"{n / 2**30:.1f} GB" if abs(n) >= 2**30 else f"{n / 2**20:.0f} MB"
