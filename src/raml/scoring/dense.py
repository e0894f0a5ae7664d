"""Attention without a mask that also returns its log-sum-exp, so that it can be joined with other parts."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from raml.scoring.definition import widen

SCORES_AT_A_TIME = 2**22
"""Elements of the score matrix that exist at a time where no flash kernel serves."""


def attend_dense(
    query: Tensor, keys: Tensor, values: Tensor, scale: float, softcap: float | None = None
) -> tuple[Tensor, Tensor]:
    """Attend from every row to every key.

    query is [head, rows, dimension], keys and values [head, n, dimension]; the values' dimension may differ. Returns
    the output [head, rows, values' dimension] and the log-sum-exp of each row's scaled scores [head, rows], in float32
    at least. Flash kernels are used where this torch, device and type of number have one.
    """
    kernel = "" if softcap is not None else find_kernel(query.device, query.dtype, query.shape[-1])
    if not kernel:
        return attend_dense_by_definition(query, keys, values, scale, softcap)
    missing = query.shape[-1] - values.shape[-1]
    if missing < 0:
        return attend_dense_by_definition(query, keys, values, scale, softcap)
    if missing:
        values = torch.nn.functional.pad(values, (0, missing))
    output, log_sum = run_kernel(kernel, query[None], keys[None], values[None], scale)
    return output[0, ..., : output.shape[-1] - missing], log_sum[0, :, : query.shape[1]]


def attend_dense_by_definition(
    query: Tensor, keys: Tensor, values: Tensor, scale: float, softcap: float | None = None
) -> tuple[Tensor, Tensor]:
    """What `attend_dense` computes, from scores written out in float32 at least."""
    n_rows = max(1, SCORES_AT_A_TIME // (query.shape[0] * keys.shape[1]))
    transposed, values = widen(keys).transpose(1, 2), widen(values)
    outputs, log_sums = [], []
    for rows in query.split(n_rows, dim=1):
        scores = (widen(rows) * scale) @ transposed
        if softcap is not None:
            scores = scores.div_(softcap).tanh_().mul_(softcap)
        log_sums.append(scores.logsumexp(dim=-1))
        outputs.append(scores.sub_(log_sums[-1][..., None]).exp_() @ values)
    return torch.cat(outputs, dim=1), torch.cat(log_sums, dim=1)


def run_kernel(kernel: str, query: Tensor, keys: Tensor, values: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Call a flash kernel by name on [1, head, rows, dimension]."""
    if kernel == "cpu":
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(query, keys, values, scale=scale)
    if kernel == "cuda-flash":
        return torch.ops.aten._scaled_dot_product_flash_attention(query, keys, values, scale=scale)[:2]
    return torch.ops.aten._scaled_dot_product_efficient_attention(query, keys, values, None, True, scale=scale)[:2]


@functools.cache
def find_kernel(device: torch.device, dtype: torch.dtype, dim: int) -> str:
    """Name the flash kernel for a device, type of number and head dimension, by trying; "" if there is none."""
    for kernel in {"cpu": ["cpu"], "cuda": ["cuda-flash", "cuda-efficient"]}.get(device.type, []):
        probe = torch.ones(1, 1, 8, dim, dtype=dtype, device=device)
        try:
            run_kernel(kernel, probe, probe, probe, 1.0)
        except (RuntimeError, AttributeError):
            continue
        return kernel
    return ""
