"""Stretches of trajectories as rows of a table, and the strata in which like is compared with like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raml.records import Influence, Trace, Trajectory

Span = tuple[int, int, int]
"""Place of a trajectory in the list, and a stretch of its tokens: start and stop."""


@dataclass(frozen=True)
class Measured:
    """A trajectory with what was measured along it."""

    trajectory: Trajectory
    trace: Trace
    influence: Influence

    def read(self, start: int, stop: int) -> str:
        """The text of a stretch of tokens."""
        begins = self.trajectory.token_ends[start - 1] if start else 0
        return self.trajectory.text[begins : self.trajectory.token_ends[stop - 1]]


@dataclass(frozen=True, eq=False)
class Units:
    """Stretches of trajectories whose influence is compared, a row each [U]."""

    owner: NDArray[np.int64]
    """Place of its trajectory in the list."""
    question: NDArray[np.int64]
    """Place of its question among the questions of the list, as they first come."""
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    """Its tokens."""
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    """L̂ where it starts and where it stops, in nats."""
    share: NDArray[np.float64]
    """Where it starts, as a share of the tokens that were followed."""
    size: NDArray[np.int64]
    """Matched exactly: its length in tokens, of steps of several tokens floor(log2) of it; 0 for sentences."""
    bin: NDArray[np.int64]
    """Matched as nearly as can be: floor(log2) of how often its rarest token is written in all of the trajectories; of
    sentences, floor(log2) of the length in tokens."""
    text: NDArray[np.int64]
    """Equal numbers for equal texts, case and outer white space apart; for sentences all differ."""

    def __len__(self) -> int:
        return len(self.owner)

    def select(self, rows: NDArray[np.bool_]) -> Units:
        """Keep some rows."""
        return Units(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


class UnitMaker:
    """Makes units of one list of trajectories; equal texts have equal numbers in all of them."""

    def __init__(self, measured: Sequence[Measured]) -> None:
        self.measured = measured
        questions = dict.fromkeys(own.trajectory.question_id for own in measured)
        place = {question: k for k, question in enumerate(questions)}
        self._questions = np.array([place[own.trajectory.question_id] for own in measured], dtype=np.int64)
        self._followed = np.array([own.trace.prefix_lens[-1] for own in measured], dtype=np.int64)
        # All prefixes one behind the other, in ascending numbers of which each trajectory has its own stretch.
        self._stride = int(self._followed.max()) + 1
        self._prefixes = np.concatenate([i * self._stride + own.trace.prefix_lens for i, own in enumerate(measured)])
        self._losses = np.concatenate([own.trace.mean_nll for own in measured])
        self._frequency = Counter(token for own in measured for token in own.trajectory.token_ids)
        self._texts: dict[str, int] = {}

    def has_ends(self, span: Span) -> bool:
        """Whether L̂ is known where a stretch starts and where it stops."""
        owner, *ends = span
        for end in ends:
            number = owner * self._stride + end
            if end > self._followed[owner] or self._prefixes[np.searchsorted(self._prefixes, number)] != number:
                return False
        return True

    def make_steps(self) -> Units:
        """All steps between scored prefixes, in the order of the trajectories."""
        spans = [
            (i, start, stop)
            for i, own in enumerate(self.measured)
            for start, stop in zip(own.trace.prefix_lens[:-1].tolist(), own.trace.prefix_lens[1:].tolist(), strict=True)
        ]
        units = self.make_stretches(spans)
        return self._fill(spans, size=_floor_log2(units.size), bins=units.bin, text=units.text)

    def make_stretches(self, spans: Sequence[Span]) -> Units:
        """Stretches of tokens, matched for their length and for how frequent their rarest token is."""
        bins, text = [], []
        for owner, start, stop in spans:
            own = self.measured[owner]
            bins.append(min(self._frequency[token] for token in own.trajectory.token_ids[start:stop]))
            text.append(self._texts.setdefault(own.read(start, stop).strip().casefold(), len(self._texts)))
        lengths = np.array([stop - start for _, start, stop in spans], dtype=np.int64)
        return self._fill(spans, lengths, _floor_log2(np.array(bins, dtype=np.int64)), np.array(text, dtype=np.int64))

    def make_sentences(self, spans: Sequence[Span]) -> Units:
        """Stretches that are matched for about their length alone."""
        lengths = np.array([stop - start for _, start, stop in spans], dtype=np.int64)
        return self._fill(spans, np.zeros_like(lengths), _floor_log2(lengths), np.arange(len(spans)))

    def _fill(
        self, spans: Sequence[Span], size: NDArray[np.int64], bins: NDArray[np.int64], text: NDArray[np.int64]
    ) -> Units:
        owner, start, stop = np.array(spans, dtype=np.int64).reshape(-1, 3).T
        return Units(
            owner=owner,
            question=self._questions[owner],
            start=start,
            stop=stop,
            before=self._losses[np.searchsorted(self._prefixes, owner * self._stride + start)],
            after=self._losses[np.searchsorted(self._prefixes, owner * self._stride + stop)],
            share=start / self._followed[owner],
            size=size,
            bin=bins,
            text=text,
        )


def concatenate_units(tables: Iterable[Units]) -> Units:
    """Put units of one maker below each other."""
    tables = list(tables)
    return Units(*(np.concatenate([getattr(t, name) for t in tables]) for name in Units.__dataclass_fields__))


def find_stretch(share: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """In which of n equal stretches of the reasoning, from 0, a share of it lies: 0.3 in number 3 of ten."""
    return np.minimum((share * n + 1e-9).astype(np.int64), n - 1)


def number_strata(units: Units, n_stretches: int, *, across: bool = False) -> NDArray[np.int64]:
    """Number the strata in which members and controls are compared [U].

    Units of a stratum are of one trajectory, start in the same one of so many equal stretches of the reasoning, and
    have the same size and bin. Of one trajectory, since a question's trajectories differ: where "wait" is written
    mostly in those that go wrong, their other tokens move L̂ unlike those of the others too. With `across` they are of
    one question, for what a trajectory has too few of.

    A bin that holds only one text there, to which nothing else can be compared, is put together with the nearest bin,
    of two equally near ones with the upper. So the strata depend on what is written, and not on which group is looked
    at.
    """
    cell = _number_rows(units.question if across else units.owner, find_stretch(units.share, n_stretches), units.size)
    pair = _number_rows(cell, units.bin)
    _, first = np.unique(pair, return_index=True)
    # Of a bin's texts two that differ are enough.
    lowest, highest = np.full(len(first), len(units) + units.text.max(initial=0)), np.full(len(first), -1)
    np.minimum.at(lowest, pair, units.text)
    np.maximum.at(highest, pair, units.text)
    keys = list(zip(cell[first].tolist(), units.bin[first].tolist(), strict=True))
    texts: dict[int, dict[int, set[int]]] = {}
    for (one, own_bin), *two in zip(keys, lowest.tolist(), highest.tolist(), strict=True):
        texts.setdefault(one, {})[own_bin] = set(two)
    number: dict[tuple[int, int], int] = {}
    n_strata = 0
    for one, by_bin in texts.items():
        for block in _join_bins(by_bin):
            number |= {(one, own_bin): n_strata for own_bin in block}
            n_strata += 1
    return np.array([number[key] for key in keys], dtype=np.int64)[pair]


def _number_rows(*columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the rows of columns of whole numbers, none below 0: equal rows alike, in ascending order [U]."""
    numbers = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        _, numbers = np.unique(numbers * (int(column.max(initial=0)) + 1) + column, return_inverse=True)
    return numbers


def _join_bins(texts: dict[int, set[int]]) -> list[list[int]]:
    """Put ascending bins together until each block holds two texts, or there is but one block."""
    blocks = [[own_bin] for own_bin in texts]
    while len(blocks) > 1:
        lonely = next((i for i, block in enumerate(blocks) if len(set().union(*(texts[b] for b in block))) < 2), None)
        if lonely is None:
            break
        below = blocks[lonely][0] - blocks[lonely - 1][-1] if lonely else None
        above = blocks[lonely + 1][0] - blocks[lonely][-1] if lonely + 1 < len(blocks) else None
        first = lonely if below is None or (above is not None and above <= below) else lonely - 1
        blocks[first : first + 2] = [blocks[first] + blocks[first + 1]]
    return blocks


def _floor_log2(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.array([int(count).bit_length() - 1 for count in counts], dtype=np.int64)
