"""The order in which examples come: fixed by the seed, sparing of padding, the same when a run is taken up again."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Iterable, Sequence

import numpy as np

from raml.errors import DataError

WINDOW_BATCHES = 64
"""Examples are sorted by length within so many batches: hardly any padding, and still a random order."""


def drop_long(lens: Sequence[int], limit: int | None, what: str) -> list[int]:
    """List the indices of what is no longer than a limit in tokens.

    Raises:
        DataError: everything is longer.
    """
    kept = [i for i, length in enumerate(lens) if limit is None or length <= limit]
    if not kept:
        raise DataError(
            f"All {len(lens)} {what} are longer than {limit} tokens; the shortest has {min(lens)}. Raise the limit "
            "(--max-length), or bring shorter ones."
        )
    return kept


def order_examples(lens: Sequence[int], batch_size: int, n_total: int, seed: int) -> list[int]:
    """Fix which example comes when: n_total of them, every one once before any comes again.

    Batches hold examples of similar length, in random order. Everything follows from the seed, so that a run that is
    taken up again finds the rest of the same order.
    """
    rng = random.Random(f"order {seed}")
    stream: list[int] = []
    while len(stream) < n_total:
        stream += rng.sample(range(len(lens)), len(lens))
    del stream[n_total:]
    window = WINDOW_BATCHES * batch_size
    ordered: list[int] = []
    for start in range(0, n_total, window):
        part = sorted(stream[start : start + window], key=lambda i: lens[i])
        n_left = len(part) % batch_size  # of the last batch, which is then one of random lengths
        rest = [part.pop(rng.randrange(len(part))) for _ in range(n_left)]
        batches = [part[i : i + batch_size] for i in range(0, len(part), batch_size)]
        rng.shuffle(batches)
        ordered += itertools.chain(*batches, rest)
    return ordered


def count_updates(n_examples: int, batch_size: int, epochs: float, max_steps: int | None) -> tuple[int, int]:
    """Return how many updates a run makes, and how many examples it reads for them."""
    if max_steps is not None:
        return max_steps, max_steps * batch_size
    n_total = max(1, round(epochs * n_examples))
    return -(-n_total // batch_size), n_total


def hash_ids(rows: Iterable[Sequence[int]]) -> str:
    """SHA-256 over rows of token ids: the fingerprint of what a run reads."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(np.asarray([len(row), *row], dtype="<i4").tobytes())
    return digest.hexdigest()
