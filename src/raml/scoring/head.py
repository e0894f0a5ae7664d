"""The output layer on hidden states, in blocks of rows × vocabulary: the whole matrix of logits never exists."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from transformers import PreTrainedModel

from raml.scoring.definition import widen

LOGITS_AT_A_TIME = {"cpu": 2**20}
"""Elements of a block by device: what a CPU core's cache can hold. A GPU takes more."""
LOGITS_AT_A_TIME_ELSEWHERE = 2**26


def score_tokens(model: PreTrainedModel, hidden: Tensor, targets: Tensor) -> Tensor:
    """-log p of each target under the output layer on its row's hidden state, in nats; [rows] in float32 at least."""
    hidden, targets = (part.to(_find_device(model, part)) for part in (hidden, targets))
    nll = []
    for rows, wanted in zip(*(part.split(_count_rows(hidden)) for part in (hidden, targets)), strict=True):
        total = found = rows.new_full((len(rows),), -torch.inf, dtype=widen(rows).dtype)
        for start, logits in _stream_logits(model, rows):
            inside = (wanted - start).clamp(0, logits.shape[1] - 1)
            found = torch.where(inside == wanted - start, logits.gather(1, inside[:, None])[:, 0], found)
            total = torch.logaddexp(total, logits.logsumexp(dim=1))
        nll.append(total - found)
    return torch.cat(nll)


def choose_tokens(model: PreTrainedModel, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The most likely token of each row, its log-probability and its lead over the second, in nats; three of [rows]."""
    chosen = []
    for rows in hidden.split(_count_rows(hidden)):
        total = best = second = rows.new_full((len(rows),), -torch.inf, dtype=widen(rows).dtype).to(
            _find_device(model, rows)
        )
        tokens = torch.zeros_like(best, dtype=torch.long)
        for start, logits in _stream_logits(model, rows):
            total = torch.logaddexp(total, logits.logsumexp(dim=1))
            highest, place = logits.max(dim=1)
            runner_up = logits.scatter_(1, place[:, None], -torch.inf).amax(dim=1)
            tokens = torch.where(highest > best, place + start, tokens)  # of two equal ones the first, like argmax
            second = torch.maximum(torch.maximum(second, runner_up), torch.minimum(best, highest))
            best = torch.maximum(best, highest)
        chosen.append((tokens, best - total, best - second))
    tokens, logprobs, leads = zip(*chosen, strict=True)
    return torch.cat(tokens), torch.cat(logprobs), torch.cat(leads)


def _count_rows(hidden: Tensor) -> int:
    """Rows at a time: many, so that the output layer's weights are read seldom."""
    return 256 if hidden.device.type == "cpu" else 1024


def _stream_logits(model: PreTrainedModel, hidden: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Logits in blocks of the vocabulary, with the first token of each; the blocks may be overwritten."""
    head = model.get_output_embeddings()
    assert head is not None
    hidden = hidden.to(_find_device(model, hidden))
    if not _is_plain(head):
        yield 0, _adjust(model, widen(head(hidden)))
        return
    n_words = max(1024, LOGITS_AT_A_TIME.get(hidden.device.type, LOGITS_AT_A_TIME_ELSEWHERE) // len(hidden))
    biases = [None] * len(head.weight) if head.bias is None else head.bias.split(n_words)
    start = 0
    for weight, bias in zip(head.weight.split(n_words), biases, strict=False):
        yield start, _adjust(model, widen(torch.nn.functional.linear(hidden, weight, bias)))
        start += len(weight)


def _is_plain(head: torch.nn.Module) -> bool:
    """Whether the output layer's weights lie ready to be cut: not quantised, and not parked on the disk."""
    return type(head) is torch.nn.Linear and head.weight.device.type != "meta"


def _find_device(model: PreTrainedModel, values: Tensor) -> torch.device:
    """Where a model that is spread over several devices has its output layer."""
    head = model.get_output_embeddings()
    return head.weight.device if head is not None and _is_plain(head) else values.device


def _adjust(model: PreTrainedModel, logits: Tensor) -> Tensor:
    """What some architectures do to their logits: divide (Granite), multiply (Cohere), cap (Gemma 2)."""
    config = model.config.get_text_config()
    if divisor := getattr(config, "logits_scaling", None):
        logits = logits.div_(divisor)
    if factor := getattr(config, "logit_scale", None):
        logits = logits.mul_(factor)
    if cap := getattr(config, "final_logit_softcapping", None):
        logits = logits.div_(cap).tanh_().mul_(cap)
    return logits
