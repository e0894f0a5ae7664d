"""The attention that lets many branches share one prefix.

transformers models call the attention function that their configuration names. While a pass runs, it names ours. The
prefill stores each layer's keys and values of prompt ⊕ trajectory. Afterwards a chunk of packed branches arrives as one
row of queries: branch b continues after the first `prefix_lens[b]` stored positions, so its query at offset j sees the
stored keys before prefix_lens[b], and its own branch up to offset j.

                     stored keys (prompt ⊕ trajectory)      own keys
                     0 1 2 3 4 5 6 7                        b0      b1
    branch 0, j = 0  x x x x x . . .                        x .     . .
              j = 1  x x x x x . . .                        x x     . .
    branch 1, j = 0  x x x x x x . .                        . .     x .
              j = 1  x x x x x x . .                        . .     x x

With a sliding window the row also forgets what lies `window` or more positions back.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from transformers import AttentionInterface, PreTrainedModel

from raml.errors import ModelError
from raml.scoring.definition import widen

NAME = "raml_shared_prefix"


@dataclass
class Chunk:
    """Which rows of queries run now, and where they stand."""

    positions: Tensor
    """Position of each row in its own sequence [rows]."""
    shared_lens: Tensor
    """How many stored positions each row may see [rows]."""
    n_shared: int
    """How many stored positions any row may see."""
    branch: Tensor | None
    """Branch of each row [rows]; None while prompt ⊕ trajectory itself is being stored."""
    masks: dict[int | None, Tensor] = field(default_factory=dict)
    """Additive mask [rows, n_shared + rows] by sliding window; all layers with the same window share it."""

    def mask(self, window: int | None, dtype: torch.dtype) -> Tensor:
        """0 where a row may look and -inf elsewhere; columns are stored keys, then the chunk's own."""
        if window not in self.masks:
            device = self.positions.device
            stored = torch.arange(self.n_shared, device=device)
            seen_stored = stored[None] < self.shared_lens[:, None]
            seen_own = self.positions[None] <= self.positions[:, None]
            if self.branch is not None:
                seen_own &= self.branch[None] == self.branch[:, None]
            if window is not None:
                seen_stored &= self.positions[:, None] - stored[None] < window
                seen_own &= self.positions[:, None] - self.positions[None] < window
            seen = torch.cat([seen_stored, seen_own], dim=1)
            self.masks[window] = torch.zeros(seen.shape, dtype=dtype, device=device).masked_fill_(~seen, -torch.inf)
        return self.masks[window]


@dataclass
class Pass:
    """Keys and values of one prompt ⊕ trajectory, and the chunk that runs now."""

    capacity: int
    """Length of prompt ⊕ trajectory."""
    chunk: Chunk | None = None
    keys: dict[int, Tensor] = field(default_factory=dict)
    """By layer: [key-value head, position, dimension]."""
    values: dict[int, Tensor] = field(default_factory=dict)
    windows_called: dict[int, int | None] = field(default_factory=dict)
    """Layers that asked for attention in the forward pass that runs now, and the sliding window they asked for."""

    def store(self, layer: int, start: int, key: Tensor, value: Tensor) -> None:
        """Keep a layer's keys and values [head, rows, dimension] from a position on."""
        if layer not in self.keys:
            self.keys[layer] = key.new_empty(key.shape[0], self.capacity, key.shape[2])
            self.values[layer] = value.new_empty(value.shape[0], self.capacity, value.shape[2])
        self.keys[layer][:, start : start + key.shape[1]] = key
        self.values[layer][:, start : start + value.shape[1]] = value


_current: ContextVar[Pass | None] = ContextVar("raml_scoring_pass", default=None)
"""The pass of this thread: two models in two threads do not meet."""

_locks: WeakKeyDictionary[PreTrainedModel, threading.RLock] = WeakKeyDictionary()
_lock_of_locks = threading.Lock()


@contextlib.contextmanager
def sharing_prefix(model: PreTrainedModel, capacity: int) -> Iterator[Pass]:
    """Route the model's attention through a new pass, and put everything back afterwards.

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

    query is [1, head, rows, dimension], key and value [1, key-value head, rows, dimension]. The soft-max runs in
    float32 at least, on scores in the model's arithmetic.

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
    state.windows_called[layer] = sliding_window or None
    n_heads, n_rows, dim = query.shape[1:]
    n_kv_heads = key.shape[1]
    if chunk.n_shared:
        keys = torch.cat([state.keys[layer][:, : chunk.n_shared], key[0]], dim=1)
        values = torch.cat([state.values[layer][:, : chunk.n_shared], value[0]], dim=1)
    else:
        keys, values = key[0], value[0]
    if chunk.branch is None:
        state.store(layer, chunk.n_shared, key[0], value[0])
    # All query heads of a key-value head become rows of one product, so keys are never repeated.
    scale = dim**-0.5 if scaling is None else scaling
    rows = (query[0] * scale).reshape(n_kv_heads, -1, dim)
    scores = widen(rows @ keys.transpose(1, 2)).view(n_kv_heads, n_heads // n_kv_heads, n_rows, -1)
    if softcap is not None:
        scores = scores.div_(softcap).tanh_().mul_(softcap)
    scores += chunk.mask(sliding_window or None, scores.dtype)
    if s_aux is not None:
        sinks = s_aux.to(scores.dtype).view(n_kv_heads, -1, 1, 1).expand(*scores.shape[:3], 1)
        weights = torch.cat([scores, sinks], dim=-1).softmax(dim=-1)[..., :-1]
    else:
        weights = scores.softmax(dim=-1)
    output = weights.to(values.dtype).reshape(n_kv_heads, -1, keys.shape[1]) @ values
    return output.view(n_heads, n_rows, -1).transpose(0, 1)[None], None


# Registered as attention but not as a mask: then transformers builds no mask of its own.
AttentionInterface.register(NAME, attend_shared_prefix)
