"""The definition of prefix scoring: one full forward pass per prefix."""

from __future__ import annotations

import inspect
from collections.abc import Sequence, Sized

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from raml.errors import DataError


@torch.inference_mode()
def answer_nll_by_definition(
    model: PreTrainedModel,
    prompt_ids: Int[Tensor, " prompt"],
    trajectory_ids: Int[Tensor, " trajectory"],
    bridge_ids: Int[Tensor, " bridge"],
    answer_ids: Int[Tensor, " answer"],
    prefix_lens: Int[Tensor, " prefix"],
) -> Float[Tensor, "prefix answer"]:
    """Score the answer after each prefix of a trajectory, one forward pass per prefix.

    Entry [i, j] is -log p(answer[j] | prompt, trajectory[:prefix_lens[i]], bridge, answer[:j]) in nats; a row's mean is
    the paper's L-hat after prefix_lens[i] inner steps (arXiv 2505.19815, Algorithm 3). The bridge is read and never
    scored. Slow on purpose: this is what the one-pass engine is tested against.

    Raises:
        DataError: prompt, bridge or answer is empty, or a prefix is longer than the trajectory.
    """
    check_parts(prompt_ids, trajectory_ids, bridge_ids, answer_ids, prefix_lens.tolist())
    n_answer = len(answer_ids)
    keeps_logits = "logits_to_keep" in inspect.signature(model.forward).parameters
    only_last = {"logits_to_keep": n_answer + 1} if keeps_logits else {}
    rows = []
    for prefix_len in prefix_lens.tolist():
        ids = torch.cat([prompt_ids, trajectory_ids[:prefix_len], bridge_ids, answer_ids])
        logits = model(input_ids=ids[None], use_cache=False, **only_last).logits[0, -n_answer - 1 : -1]
        rows.append(torch.nn.functional.cross_entropy(widen(logits), answer_ids, reduction="none"))
    return torch.stack(rows) if rows else torch.empty(0, n_answer)


def widen(values: Tensor) -> Tensor:
    """Take bfloat16 and float16 to float32, and leave float32 and float64 alone."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def check_parts(prompt: Sized, trajectory: Sized, bridge: Sized, answer: Sized, lens: Sequence[int]) -> None:
    """Refuse ids that can't be scored.

    Raises:
        DataError: prompt, bridge or answer is empty, or a prefix is longer than the trajectory or negative.
    """
    for name, ids in (("prompt", prompt), ("bridge", bridge), ("answer", answer)):
        if len(ids) == 0:
            raise DataError(f"The {name} has no tokens; scoring needs at least one.")
    if len(lens) and not 0 <= min(lens) <= max(lens) <= len(trajectory):
        raise DataError(
            f"Prefix lengths run from {min(lens)} to {max(lens)}; "
            f"they must lie between 0 and the trajectory's {len(trajectory)} tokens."
        )
