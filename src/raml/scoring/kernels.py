"""What the C library and the matrix kernels can do for a pass on a CPU; nothing here changes what is computed."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
import time
from collections.abc import Callable, Iterator
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from transformers import PreTrainedModel

CLEARLY_FASTER = 1.25
"""By this factor oneDNN must beat the default product; equal kernels must not change places by chance."""
TRIAL_ROWS = 256
SMALLEST_TRIED = 512
"""Least width of a weight matrix that is worth a trial: below it calls cost more than products."""
FREE_MEMORY_KEPT = 192 * 2**20
"""Bytes that the C library may keep instead of handing them back to the system after every layer."""
LARGEST_KEPT = 32 * 2**20
"""Bytes of the largest buffer that is kept; older versions of glibc take no more."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3

_choices: WeakKeyDictionary[PreTrainedModel, dict[tuple[torch.dtype, int], bool]] = WeakKeyDictionary()


@contextlib.contextmanager
def fast_products(model: PreTrainedModel) -> Iterator[None]:
    """Let a model's linear layers use the fastest float32 product that this CPU has, while the block runs.

    Which one that is, is measured on the model's largest layer, once per model and number of threads.
    """
    if model.device.type == "cpu":
        keep_freed_memory()
    if not prefers_onednn(model):
        yield
        return
    with _OneDnnLinear():
        yield


@functools.cache
def keep_freed_memory() -> bool:
    """Ask the C library to keep freed memory for the next layer; whether it could be asked (glibc on Linux).

    By default it unmaps the large buffers that each layer frees, and the kernel clears new ones for the next layer: a
    tenth of the time in float32 and a third in bfloat16. The setting holds for the process.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    results = [mallopt(M_TRIM_THRESHOLD, FREE_MEMORY_KEPT), mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)]
    return all(results)


def prefers_onednn(model: PreTrainedModel) -> bool:
    """Whether oneDNN multiplies the model's largest layer clearly faster than the default; measured once."""
    known = _choices.setdefault(model, {})
    key = (model.dtype, torch.get_num_threads())
    if key not in known:
        known[key] = _measure(model)
    return known[key]


@torch.inference_mode()
def _measure(model: PreTrainedModel) -> bool:
    head = model.get_output_embeddings()
    layers = [m for m in model.modules() if isinstance(m, torch.nn.Linear) and m is not head and _fits(m.weight)]
    largest = max(layers, key=lambda layer: layer.weight.numel(), default=None)
    if largest is None or min(largest.weight.shape) < SMALLEST_TRIED or not torch.backends.mkldnn.is_available():
        return False
    rows = torch.ones(TRIAL_ROWS, largest.in_features, dtype=largest.weight.dtype)

    def run_default() -> object:
        return torch.nn.functional.linear(rows, largest.weight)

    def run_onednn() -> object:
        return multiply_by_onednn(rows, largest.weight, None)

    pairs = [(_time(run_default), _time(run_onednn)) for _ in range(4)][1:]  # the first pair warms up
    default, onednn = (min(times) for times in zip(*pairs, strict=True))
    return default > CLEARLY_FASTER * onednn


def _time(run: Callable[[], object]) -> float:
    """Seconds of computing: those of waiting for a core would let a busy machine choose, and change the last digits."""
    started = time.process_time()
    run()
    return time.process_time() - started


def multiply_by_onednn(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Multiply rows by the transposed weight and add the bias, by oneDNN, in true float32."""
    return torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")


def _fits(weight: Tensor) -> bool:
    return weight.dtype == torch.float32 and weight.device.type == "cpu" and weight.is_contiguous()


class _OneDnnLinear(TorchFunctionMode):
    """Routes torch.nn.functional.linear to oneDNN where it fits."""

    def __torch_function__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204
        if func is torch.nn.functional.linear and not kwargs and _fits(args[1]) and args[0].dtype == torch.float32:
            return multiply_by_onednn(args[0], args[1], args[2] if len(args) > 2 else None)
        return func(*args, **(kwargs or {}))
