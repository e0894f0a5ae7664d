"""How much memory a pass takes, how many rows it may run at a time, and which trajectories share it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PretrainedConfig, PreTrainedModel

from raml.errors import ModelError
from raml.scale import count_sharing
from raml.scoring.engine import WIDEST_BAND, Job

CHUNK_TOKENS = {"cpu": 1024}
"""Rows of queries in one forward pass by kind of device: enough to keep its matrix products busy."""
CHUNK_TOKENS_ELSEWHERE = 4096
FEWEST_CHUNK_TOKENS = 32
STORED_IN_A_BATCH = 64 * 2**20
"""Bytes of keys and values up to which trajectories share a batch."""
READ_IN_A_BATCH = 16384
"""Tokens read up to which trajectories share a batch: small models are kept busy, and a kill loses little."""
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


def estimate_need(model: PreTrainedModel, jobs: Sequence[Job], max_new_tokens: int = 0) -> Need:
    """Estimate what a pass over some jobs takes; `max_new_tokens` is for greedy continuations.

    The row's buffers are counted from the configuration (feed-forward, attention, residual, each a few times over).
    """
    position = count_position_bytes(model)
    own = max((len(job.branch.ids) for job in jobs), default=1)
    kept = 0
    if max_new_tokens:
        shortest = min((len(job.branch.ids) for job in jobs), default=1)
        kept = 2 * position * (own + max_new_tokens) // shortest
    return Need(position * sum(job.n_stored for job in jobs), count_row_bytes(model, own) + kept)


def count_row_bytes(model: PreTrainedModel, own: int = 1) -> int:
    """Bytes of the buffers of one token that goes through the layers, on a branch of `own` tokens."""
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    dim = _read_size(config, "head_dim") or config.hidden_size // heads
    wide = 5 * find_inner_size(config) + 10 * config.hidden_size
    return model.dtype.itemsize * wide + 4 * heads * (6 * dim + 3 * (WIDEST_BAND + own))


def count_position_bytes(model: PreTrainedModel) -> int:
    """Bytes of one position's keys and values in all layers."""
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    kv_heads = _read_size(config, "num_key_value_heads") or heads
    dim = _read_size(config, "head_dim") or config.hidden_size // heads
    if rank := _read_size(config, "qk_nope_head_dim"):  # DeepSeek's compressed attention is stored unfolded
        dim, kv_heads = max(rank + config.qk_rope_head_dim, config.v_head_dim), heads
    return 2 * config.num_hidden_layers * kv_heads * dim * model.dtype.itemsize


def choose_chunk_tokens(
    model: PreTrainedModel, jobs: Sequence[Job], *, memory: int | None = None, max_new_tokens: int = 0
) -> int:
    """Choose how many rows run at a time: the device's usual number, or the power of two that fits the memory.

    Args:
        model: The model.
        jobs: What runs in one pass.
        memory: Bytes that may be used beside the weights; by default four fifths of what is free on the device,
            or of this worker's share of that.
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
        allowed = int(FREE_SHARE * free / count_sharing())
    need = estimate_need(model, jobs, max_new_tokens)
    fitting = (allowed - need.stored - FIXED_BYTES) // need.per_row
    fewest = _count_fewest_rows(jobs)
    if fitting < fewest:
        least = need.stored + FIXED_BYTES + fewest * need.per_row
        n_stored = sum(job.n_stored for job in jobs)
        raise ModelError(
            f"Scoring {n_stored} tokens takes {_write_bytes(least)} beside the model's weights, "
            f"{_write_bytes(need.stored)} of them keys and values; {_write_bytes(allowed)} are "
            f"{'allowed' if memory is not None else 'free'}. "
            "Allow more with --memory, or use bfloat16 or another device."
        )
    return min(usual, 2 ** (fitting.bit_length() - 1))


def plan_batches(
    model: PreTrainedModel, jobs: Sequence[Job], *, memory: int | None = None, max_new_tokens: int = 0
) -> list[list[int]]:
    """Group jobs that run in one pass, by index: those with equal prompts next to each other, small ones together.

    Only what fits the memory together shares a batch; a job that does not fit at all has one of its own.
    """
    position = count_position_bytes(model)
    most = STORED_IN_A_BATCH
    if memory is not None:
        need = estimate_need(model, jobs, max_new_tokens)
        most = min(most, memory - FIXED_BYTES - 2 * _count_fewest_rows(jobs) * need.per_row)
    by_prompt: dict[tuple[int, ...], list[int]] = {}
    for i, job in enumerate(jobs):
        by_prompt.setdefault(job.prompt_ids, []).append(i)
    batches: list[list[int]] = []
    stored = n_read = 0
    for i in itertools.chain.from_iterable(by_prompt.values()):
        size, cost = position * jobs[i].n_stored, jobs[i].n_read
        if batches and jobs[batches[-1][-1]].prompt_ids == jobs[i].prompt_ids:
            cost -= len(jobs[i].prompt_ids)
        if not batches or stored + size > most or n_read + cost > READ_IN_A_BATCH:
            batches.append([])
            stored, n_read, cost = 0, 0, jobs[i].n_read
        batches[-1].append(i)
        stored, n_read = stored + size, n_read + cost
    return batches


def _count_fewest_rows(jobs: Sequence[Job]) -> int:
    """Rows that must fit: a few, and any branch whole."""
    return max([FEWEST_CHUNK_TOKENS, *(len(job.branch.ids) for job in jobs)])


def find_free_memory(model: PreTrainedModel) -> int | None:
    """Bytes that are free on the model's device, all GPUs together; None where that can't be asked."""
    devices = {parameter.device for parameter in model.parameters()}
    if all(device.type == "cuda" for device in devices):
        cached = sum(torch.cuda.memory_reserved(d) - torch.cuda.memory_allocated(d) for d in devices)
        return cached + sum(torch.cuda.mem_get_info(device)[0] for device in devices)
    found = [_find_free_on_host(), _find_free_in_container()] if model.device.type == "cpu" else []
    return min((free for free in found if free is not None), default=None)


def _find_free_on_host() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    available = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return None if available is None else int(available) * 1024


def _find_free_in_container(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What a container's limit leaves (cgroup v2); cached files count as free."""
    try:
        limit = (root / "memory.max").read_text(encoding="ascii").strip()
        used = int((root / "memory.current").read_text(encoding="ascii"))
        lines = (root / "memory.stat").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    files = next((int(line.split()[1]) for line in lines if line.startswith("file ")), 0)
    return None if limit == "max" else max(0, int(limit) - used + files)


def _read_size(config: PretrainedConfig, name: str) -> int | None:
    """A number of the configuration; where it differs between layers (Gemma 4), the common one as an estimate."""
    try:
        return getattr(config, name, None)
    except RuntimeError:
        return config.to_dict().get(name)


def find_inner_size(config: PretrainedConfig) -> int:
    """Width of the feed-forward layer; for a mixture of experts, of those that a token visits."""
    dense = _read_size(config, "intermediate_size") or 4 * config.hidden_size
    expert = _read_size(config, "moe_intermediate_size") or dense
    n_experts = _read_size(config, "num_experts_per_tok") or 1
    return max(dense, expert * n_experts)


def _write_bytes(n: int) -> str:
    return f"{n / 2**30:.1f} GB" if abs(n) >= 2**30 else f"{n / 2**20:.0f} MB"
