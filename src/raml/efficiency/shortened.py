"""A trajectory's reasoning while sentences of it are left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raml.efficiency.contexts import Context, Pair
from raml.records import hash_key

Span = tuple[int, int]
"""A stretch of a trajectory's tokens: start, stop."""


@dataclass
class Shortened:
    """A trajectory that is getting shorter."""

    pair: Pair
    target: str
    sentences: tuple[Span, ...]
    """All of its reasoning's."""
    left: tuple[Span, ...]
    """Those that are still there."""

    @property
    def opening(self) -> int:
        """Tokens before the first sentence, which always stay."""
        return self.sentences[0][0]

    def must_shrink(self, share: float) -> bool:
        """Whether more is left than the share, and more than one sentence."""
        return len(self.left) > 1 and self.count_left() / self.pair[0].reasoning_len > share

    def count_left(self) -> int:
        """Tokens that are still there, the opening included."""
        return self.opening + count_tokens(self.left)

    def make_context(self, spans: Sequence[Span]) -> Context:
        """Put the model before the opening and some stretches."""
        trajectory, question = self.pair
        kept = trajectory.token_ids[: self.opening]
        for start, stop in spans:
            kept += trajectory.token_ids[start:stop]
        return Context(trajectory.prompt_ids, kept, question, self.target)


def drop_by_chance(pruned: Shortened, seed: int, share: float, draw: int) -> tuple[Span, ...]:
    """Keep as many tokens as pruning did, of sentences that are dropped in random order.

    The last one to be dropped loses only as much, from its end, as is missing.
    """
    random = np.random.default_rng(int(hash_key("prune", seed, pruned.pair[0].id, float(share), draw), 16))
    surplus = count_tokens(pruned.sentences) - count_tokens(pruned.left)
    kept = list(pruned.sentences)
    for i in random.permutation(len(kept)):
        start, stop = kept[i]
        dropped = min(surplus, stop - start)
        kept[i] = (start, stop - dropped)
        surplus -= dropped
    return tuple(span for span in kept if span[0] < span[1])


def place_spans(opening: int, spans: Sequence[Span]) -> list[Span]:
    """Where stretches of a trajectory lie once they stand behind each other after its opening."""
    ends = [opening + int(n) for n in np.cumsum([stop - start for start, stop in spans])]
    return list(zip((opening, *ends), ends, strict=False))


def merge_spans(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Join stretches that touch, and leave out empty ones."""
    merged: list[Span] = []
    for start, stop in spans:
        if merged and merged[-1][1] == start:
            merged[-1] = (merged[-1][0], stop)
        elif start < stop:
            merged.append((start, stop))
    return tuple(merged)


def count_tokens(spans: Sequence[Span]) -> int:
    """Tokens in stretches."""
    return sum(stop - start for start, stop in spans)
