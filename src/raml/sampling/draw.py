"""Draw tokens so that a row's choices depend on its own seed alone, not on what else is in the batch."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from raml.records import SamplingSettings


def draw_uniforms(seed: int, question_id: str, repeat: int, n: int) -> np.ndarray:
    """Random numbers in [0, 1) that belong to one response of one question [n]; more steps extend them, unchanged."""
    digest = hashlib.sha256(f"{seed}\0{question_id}\0{repeat}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little"))).random(n)


class ReproducibleDraw(LogitsProcessor):
    """Chooses each row's next token by its own uniform number and leaves `generate` no other choice.

    The filters are transformers' own, in its order: temperature, top-k, top-p, min-p. The token is the first whose
    cumulative probability, in vocabulary order, exceeds the row's number (inverse transform sampling). Rows of another
    batch shape may differ in the last bits of their logits, so a number that falls on a boundary to seven digits can
    choose the neighbour; nothing else depends on the batch.
    """

    def __init__(self, settings: SamplingSettings, uniforms: np.ndarray) -> None:
        """Prepare for a batch; uniforms are [row, step]."""
        self.greedy = settings.temperature == 0
        self.uniforms = torch.from_numpy(uniforms)
        self.logprobs: list[Tensor] = []
        """Per step: log-probability of each row's choice under the model at temperature 1, in nats [row]."""
        self.temperature, self.filters = LogitsProcessorList(), LogitsProcessorList()
        if not self.greedy and settings.temperature != 1:
            self.temperature.append(TemperatureLogitsWarper(settings.temperature))
        self.top_k = settings.top_k
        if settings.top_k > 0:
            self.filters.append(TopKLogitsWarper(settings.top_k))
        if settings.top_p < 1:
            self.filters.append(TopPLogitsWarper(settings.top_p))
        if settings.min_p > 0:
            self.filters.append(MinPLogitsWarper(settings.min_p))

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores [row, word] that are 0 for the chosen word and -inf for all others."""
        scores = scores.float()
        if self.greedy:
            chosen = scores.argmax(dim=-1, keepdim=True)
        else:
            chosen = self._choose_filtered(input_ids, scores).to(scores.device)
        self.logprobs.append((scores.gather(1, chosen) - scores.logsumexp(dim=-1, keepdim=True))[:, 0])
        return torch.full_like(scores, -torch.inf).scatter_(1, chosen, 0.0)

    def _choose_filtered(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Choose among the words that the filters leave [row, 1].

        Where top-k leaves few, the filters see these alone, in vocabulary order: sorting a vocabulary of 152,000 for
        each token would cost as much as the model does.
        """
        scaled = self.temperature(input_ids, scores)  # type: ignore[arg-type]
        words = _find_top(scaled, self.top_k)
        kept = scaled if words is None else scaled.gather(1, words)
        chosen = self._choose(self.filters(input_ids, kept))  # type: ignore[arg-type]
        return chosen if words is None else words.gather(1, chosen.to(words.device))

    def _choose(self, filtered: Tensor) -> Tensor:
        """Invert the cumulative distribution at this step's numbers [row, 1]."""
        if filtered.device.type == "mps":
            filtered = filtered.cpu()  # which has float64
        probabilities = filtered.double().softmax(dim=-1)
        cumulative = probabilities.cumsum(dim=-1)
        # Scaled by the sum as it was rounded, so that a number just below 1 still falls inside.
        point = self.uniforms[:, len(self.logprobs), None].to(cumulative.device) * cumulative[:, -1:]
        chosen = torch.searchsorted(cumulative, point, right=True)
        last = probabilities.shape[-1] - 1 - probabilities.flip(-1).ne(0).int().argmax(dim=-1, keepdim=True)
        return torch.minimum(chosen, last)


def _find_top(scores: Tensor, k: int) -> Tensor | None:
    """Find the words of the k highest scores and those that tie with the last of them, ascending [row, word].

    Rows with fewer of them get some of the next. None if that would be all words, or k is 0.
    """
    n_words = scores.shape[-1]
    if not 0 < k < n_words:
        return None
    top = scores.topk(k, dim=-1)
    n_most = int((scores >= top.values[:, -1:]).sum(dim=-1).max())
    if n_most == n_words:
        return None
    found = top if n_most == k else scores.topk(n_most, dim=-1)
    return found.indices.sort(dim=-1).values
