"""The order in which examples come: fixed by the seed, sparing of padding, the same when a run is taken up again."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

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


def order_examples(
    lens: Sequence[int], batch_size: int, n_total: int, seed: int, groups: Sequence[Hashable] | None = None
) -> list[int]:
    """Fix which example comes when: n_total of them, every one once before any comes again.

    Batches hold examples of similar length, in random order. Examples of one group (a question's) lie as far apart as
    they can, so that a batch holds different ones. Everything follows from the seed, so that a run that is taken up
    again finds the rest of the same order.
    """
    rng = random.Random(f"order {seed}")
    counts = Counter(groups or ())
    most = max(counts.values(), default=1)
    n_batches = WINDOW_BATCHES if most == 1 else min(WINDOW_BATCHES, max(1, len(lens) // most // batch_size))
    window = n_batches * batch_size
    ordered: list[int] = []
    rest: list[int] = []  # of the pass before: less than a batch
    while len(ordered) + len(rest) < n_total:
        stream = rng.sample(range(len(lens)), len(lens))
        if groups is not None and most > 1:
            stream = _spread(stream, groups, counts, rng)
        del stream[n_total - len(ordered) - len(rest) :]
        if rest:
            others = [i for i in stream if i not in rest] + [i for i in stream if i in rest]
            filled = others[: batch_size - len(rest)]
            ordered += [*rest, *filled]
            stream = [i for i in stream if i not in filled]
        rest = []
        for start in range(0, len(stream), window):
            part = sorted(stream[start : start + window], key=lambda i: lens[i])
            rest = [part.pop(rng.randrange(len(part))) for _ in range(len(part) % batch_size)]
            batches = [part[i : i + batch_size] for i in range(0, len(part), batch_size)]
            rng.shuffle(batches)
            ordered += itertools.chain(*batches)
    return ordered + rest


def _spread(stream: list[int], groups: Sequence[Hashable], counts: Counter[Hashable], rng: random.Random) -> list[int]:
    """Put the examples of each group at equal distances over the whole."""
    starts = {group: rng.random() for group in counts}
    seen: Counter[Hashable] = Counter()
    places = {}
    for i in stream:
        group = groups[i]
        places[i] = (seen[group] + starts[group]) / counts[group]
        seen[group] += 1
    return sorted(stream, key=lambda i: places[i])


def count_updates(
    n_examples: int, batch_size: int, epochs: float, max_steps: int | None, *, whole: bool = False
) -> tuple[int, int]:
    """Return how many updates a run makes, and how many examples it reads for them.

    The last batch may be smaller, unless only whole ones are wanted.
    """
    if max_steps is not None:
        return max_steps, max_steps * batch_size
    n_total = max(1, round(epochs * n_examples))
    if whole:
        n_total = max(batch_size, n_total - n_total % batch_size)
    return -(-n_total // batch_size), n_total


def hash_ids(rows: Iterable[Sequence[int]]) -> str:
    """SHA-256 over rows of token ids: the fingerprint of what a run reads."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(np.asarray([len(row), *row], dtype="<i4").tobytes())
    return digest.hexdigest()
