"""The attention that lets many branches share one prefix.

transformers models call the attention function that their configuration names. While a pass runs, it names ours. The
prefill stores each layer's keys and values of prompt ⊕ trajectory. Afterwards a chunk of packed branches arrives as one
row of queries: branch b continues after the first `shared_lens[b]` stored positions, so its query at offset j sees the
stored keys before shared_lens[b], and its own branch up to offset j.

                     stored keys (prompt ⊕ trajectory)      own keys
                     0 1 2 3 4 5 6 7                        b0      b1
    branch 0, j = 0  x x x x x . . .                        x .     . .
              j = 1  x x x x x . . .                        x x     . .
    branch 1, j = 0  x x x x x x . .                        . .     x .
              j = 1  x x x x x x . .                        . .     x x
                     |--dense--|band|                       |-----own---|

What all branches of a block see is dense: flash attention takes it without a mask. The band where they differ and each
branch's own keys are small and are computed in float32 at least. The parts meet by their log-sum-exps. With a sliding
window the left edge is ragged too and joins the band. A stretch of prompt ⊕ trajectory is a block of one long branch.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from transformers import AttentionInterface, PreTrainedModel

from raml.errors import ModelError
from raml.scoring.definition import widen
from raml.scoring.dense import attend_dense

NAME = "raml_shared_prefix"

KeysValues = tuple[Tensor, Tensor]


def send(values: Tensor, device: torch.device) -> Tensor:
    """Copy values from the host to a device without waiting for what the device is doing."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)


@dataclass(frozen=True)
class Layout:
    """Where a block's rows look among the stored positions of their sequence, under one sliding window."""

    dense: tuple[int, int]
    """Stretch that all rows see whole; empty where its ends meet."""
    ragged: tuple[tuple[int, int], ...]
    """Stretches that the mask cuts out for each row."""
    mask: Tensor
    """0 where a row looks and -inf elsewhere [branch, 1, token, ragged + own]."""


@dataclass
class Block:
    """Rows of one sequence that attend together: the same tokens after several of its prefixes."""

    start: int
    """The block's first row in the chunk."""
    slot: int
    """Where the block's sequence begins among the stored positions."""
    shared_lens: Sequence[int]
    """How many stored positions each branch sees [branch]."""
    depths: Sequence[int]
    """Distance of each row from its branch's first token [token]."""
    visible: Tensor
    """Which own keys each row sees [token, own]."""
    own_depths: Sequence[int]
    """Distance of each own key from its branch's first token [own]."""
    kept: dict[int, KeysValues] | None = None
    """By layer, own keys and values from earlier chunks [head, branch, own, dimension]; this chunk's are appended.
    None where a block is complete in itself."""
    layouts: dict[tuple[int | None, torch.device], Layout] = field(default_factory=dict)

    @property
    def stop(self) -> int:
        """The row after the block's last one."""
        return self.start + len(self.shared_lens) * len(self.depths)

    def lay_out(self, window: int | None, device: torch.device) -> Layout:
        """Divide the stored positions; all layers with the same window share the result."""
        if (window, device) not in self.layouts:
            self.layouts[window, device] = self._lay_out(window, device)
        return self.layouts[window, device]

    def _lay_out(self, window: int | None, device: torch.device) -> Layout:
        low, high = min(self.shared_lens), max(self.shared_lens)
        if window is None:
            dense, ragged = (0, low), [(low, high)]
        else:
            seen_by_some = max(0, low + min(self.depths) - window + 1)
            seen_by_all = max(0, high + max(self.depths) - window + 1)
            if seen_by_all < low:
                dense, ragged = (seen_by_all, low), [(seen_by_some, seen_by_all), (low, high)]
            else:
                dense, ragged = (low, low), [(seen_by_some, high)]
        ragged = [(start, stop) for start, stop in ragged if start < stop]
        stored = torch.tensor([place for start, stop in ragged for place in range(start, stop)], dtype=torch.long)
        lens = torch.tensor(self.shared_lens)[:, None, None]
        depths, own_depths = torch.tensor(self.depths), torch.tensor(self.own_depths)
        sees_stored = (stored < lens).expand(-1, len(depths), -1)
        sees_own = self.visible.expand(len(lens), -1, -1)
        if window is not None:
            sees_stored = sees_stored & (lens + depths[:, None] - stored < window)
            sees_own = sees_own & (depths[:, None] - own_depths < window)
        sees = torch.cat([sees_stored, sees_own], dim=-1)[:, None]
        mask = torch.zeros(sees.shape).masked_fill_(~sees, -torch.inf)
        return Layout(dense, tuple(ragged), send(mask, device))


@dataclass
class Chunk:
    """The rows of queries that run now."""

    blocks: list[Block]
    stores: list[tuple[int, int, int]] = field(default_factory=list)
    """Stretches of rows whose keys and values are stored: (first row, row after the last, first place)."""


@dataclass
class Pass:
    """Keys and values of the sequences that are branched, and the chunk that runs now."""

    capacity: int
    """How many positions can be stored."""
    chunk: Chunk | None = None
    stored: dict[int, KeysValues] = field(default_factory=dict)
    """By layer: [key-value head, position, dimension]."""
    windows_called: dict[int, int | None] = field(default_factory=dict)
    """Layers that asked for attention in the forward pass that runs now, and the sliding window they asked for."""

    def copy(self, start: int, target: int, length: int) -> None:
        """Copy stored positions of all layers to another place."""
        for keys, values in self.stored.values():
            keys[:, target : target + length] = keys[:, start : start + length]
            values[:, target : target + length] = values[:, start : start + length]

    def store(self, layer: int, chunk: Chunk, key: Tensor, value: Tensor) -> None:
        """Keep a layer's keys and values [head, rows, dimension] where the chunk says."""
        if layer not in self.stored:
            keys = key.new_empty(key.shape[0], self.capacity, key.shape[2])
            self.stored[layer] = (keys, value.new_empty(value.shape[0], self.capacity, value.shape[2]))
        keys, values = self.stored[layer]
        for start, stop, place in chunk.stores:
            keys[:, place : place + stop - start] = key[:, start:stop]
            values[:, place : place + stop - start] = value[:, start:stop]


_current: ContextVar[Pass | None] = ContextVar("raml_scoring_pass", default=None)
"""The pass of this thread: two models in two threads do not meet."""

_locks: WeakKeyDictionary[PreTrainedModel, threading.RLock] = WeakKeyDictionary()
_lock_of_locks = threading.Lock()


@contextlib.contextmanager
def sharing_prefix(model: PreTrainedModel, capacity: int) -> Iterator[Pass]:
    """Route the model's attention through a new pass while the block runs, and put everything back afterwards.

    Passes on one model run one after the other, whatever their threads: the route is part of its configuration.

    Raises:
        ModelError: the model does not let its attention be replaced.
    """
    with _lock_of_locks:
        lock = _locks.setdefault(model, threading.RLock())
    with lock:
        before = model.config._attn_implementation or "eager"
        state = Pass(capacity)
        token = _current.set(state)
        try:
            model.set_attn_implementation(NAME)
            if model.config._attn_implementation != NAME:
                raise ModelError(f"{type(model).__name__} does not let its attention be replaced.")
            yield state
        finally:
            _current.reset(token)
            model.set_attn_implementation(before)


def attend_shared_prefix(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **kwargs: object,
) -> tuple[Tensor, None]:
    """Attention in the signature of transformers' AttentionInterface; `s_aux` are learned sinks (GPT-OSS).

    query is [1, head, rows, dimension], key and value [1, key-value head, rows, dimension].

    Raises:
        ModelError: the layer uses a feature that shared-prefix attention does not have.
    """
    state = _current.get()
    if state is None or state.chunk is None:
        raise ModelError("Shared-prefix attention was called outside of a scoring pass.")
    unknown = {"a mask of its own": attention_mask, "a position bias": kwargs.get("position_bias")}
    for feature, given in unknown.items():
        if given is not None:
            raise ModelError(f"{type(module).__name__} brings {feature}, which shared-prefix attention does not have.")
    chunk, layer = state.chunk, int(module.layer_idx)  # type: ignore[arg-type]
    state.windows_called[layer] = window = sliding_window or None
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if chunk.stores:
        state.store(layer, chunk, key[0], value[0])
    output = query.new_empty(query.shape[2], query.shape[1], value.shape[-1])
    for block in chunk.blocks:
        own = _gather_own(block, layer, key[0], value[0])
        keys, values = state.stored[layer]
        shared = keys[:, block.slot :], values[:, block.slot :]
        rows = slice(block.start, block.stop)
        layout = block.lay_out(window, query.device)
        _attend_block(output[rows], layout, query[0, :, rows], own, shared, scale, softcap, s_aux)
    return output[None], None


def _gather_own(block: Block, layer: int, key: Tensor, value: Tensor) -> KeysValues:
    """The block's own keys and values [head, branch, own, dimension], those from earlier chunks first."""
    shape = (key.shape[0], len(block.shared_lens), len(block.depths), -1)
    keys, values = (part[:, block.start : block.stop].reshape(shape) for part in (key, value))
    if block.kept is None:
        return keys, values
    if layer in block.kept:
        before_keys, before_values = block.kept[layer]
        keys, values = torch.cat([before_keys, keys], dim=2), torch.cat([before_values, values], dim=2)
    block.kept[layer] = (keys, values)
    return keys, values


def _attend_block(
    output: Tensor,
    layout: Layout,
    query: Tensor,
    own: KeysValues,
    shared: KeysValues,
    scale: float,
    softcap: float | None,
    sinks: Tensor | None,
) -> None:
    """Attend from the rows of a block, query [head, rows, dimension], and write into output [rows, head, dimension]."""
    n_kv_heads, n_branches, n_own, dim = own[0].shape
    n_groups, n_tokens = query.shape[0] // n_kv_heads, layout.mask.shape[2]
    # All query heads of a key-value head become rows of one product, so keys are never repeated.
    folded = query.reshape(n_kv_heads, n_groups, n_branches, n_tokens, dim).transpose(1, 2)
    rows = folded.reshape(n_kv_heads, -1, dim).contiguous()
    wide = widen(rows)
    own_keys, own_values = (widen(part).flatten(0, 1) for part in own)
    own_scores = wide.view(n_kv_heads * n_branches, -1, dim) @ (own_keys.transpose(1, 2) * scale)
    columns = [own_scores.view(*folded.shape[:-1], n_own)]
    ragged_values = None
    if layout.ragged:
        ragged_keys, ragged_values = (
            widen(torch.cat([part[:, start:stop] for start, stop in layout.ragged], dim=1)) for part in shared
        )
        columns.insert(0, (wide @ (ragged_keys.transpose(1, 2) * scale)).view(*folded.shape[:-1], -1))
    if softcap:
        columns = [part.div_(softcap).tanh_().mul_(softcap) for part in columns]
    n_masked = layout.mask.shape[-1]
    dense = None
    if layout.dense[0] < layout.dense[1]:
        keys, values = (part[:, slice(*layout.dense)] for part in shared)
        dense, log_sum = attend_dense(rows, keys, values, scale, softcap)
        columns.append(log_sum.view(*folded.shape[:-1], 1))
    if sinks is not None:
        columns.append(sinks.to(wide.dtype).view(n_kv_heads, 1, n_groups, 1, 1).expand(*folded.shape[:-1], 1))
    scores = torch.cat(columns, dim=-1)
    scores[..., :n_masked] += layout.mask
    weights = scores.softmax(dim=-1)
    own_weights = weights[..., n_masked - n_own : n_masked]
    result = own_weights.reshape(n_kv_heads * n_branches, -1, n_own) @ own_values
    result = result.view(*folded.shape[:-1], -1)
    if ragged_values is not None:
        ragged_weights = weights[..., : n_masked - n_own].reshape(n_kv_heads, rows.shape[1], -1)
        result.view(n_kv_heads, rows.shape[1], -1).baddbmm_(ragged_weights, ragged_values)
    if dense is not None:
        result.addcmul_(dense.view_as(result), weights[..., n_masked : n_masked + 1])
    target = output.view(n_branches, n_tokens, n_kv_heads, n_groups, -1)
    target.copy_(result.permute(1, 3, 0, 2, 4))


# Registered as attention but not as a mask: then transformers builds no mask of its own.
AttentionInterface.register(NAME, attend_shared_prefix)
