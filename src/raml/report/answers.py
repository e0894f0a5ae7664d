"""A readout → the answers that it holds, each once, and where along the reasoning they settle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raml.answers import mark_answer
from raml.records import Readout


@dataclass(frozen=True, eq=False)
class AnswerPath:
    """The model's own answer along a trajectory. Axes: P prefixes, D distinct answers.

    An answer has changed where it is another one (`raml.answers.mark_answer`); `kinds` says that of the distinct
    texts.
    """

    answers: tuple[str | None, ...]
    """Distinct texts as they appear, with white space made one blank; None for having none [D]."""
    correct: tuple[bool | None, ...]
    """Whether each is right; None where that could not be decided [D]."""
    index: NDArray[np.int32]
    """Which of them was given after each prefix [P]."""
    kinds: tuple[int, ...]
    """A number for each that those share which count as the same answer [D]."""
    first_right: int | None
    """Tokens read where the answer is right for the first time, within the reasoning; None if it never is."""
    last_change: int
    """Tokens read where the answer changes for the last time within the reasoning; 0 if it never does."""
    overthinking: float | None
    """Share of the reasoning's tokens that come after that change; None without reasoning."""


def follow_answer(readout: Readout, reasoning_len: int) -> AnswerPath:
    """Follow the model's own answer along the first `reasoning_len` tokens of a trajectory, and list all its answers.

    Places are prefixes that were read: where a readout skips some, an answer may have come earlier than is said here.
    """
    texts = [None if answer is None else " ".join(answer.split()) for answer in readout.answers]
    entries = list(zip(texts, readout.correct, strict=True))
    distinct = {entry: place for place, entry in enumerate(dict.fromkeys(entries))}
    lens = [int(prefix_len) for prefix_len in readout.prefix_lens if prefix_len <= reasoning_len]
    index = np.array([distinct[entry] for entry in entries], dtype=np.int32)
    kinds = _number_kinds(list(distinct))
    first_right = next((n for n, entry in zip(lens, entries, strict=False) if entry[1] is True), None)
    changes = [lens[i] for i in range(1, len(lens)) if kinds[index[i]] != kinds[index[i - 1]]]
    last_change = changes[-1] if changes else 0
    return AnswerPath(
        answers=tuple(text for text, _ in distinct),
        correct=tuple(correct for _, correct in distinct),
        index=index,
        kinds=kinds,
        first_right=first_right,
        last_change=last_change,
        overthinking=1 - last_change / reasoning_len if reasoning_len else None,
    )


def _number_kinds(entries: Sequence[tuple[str | None, bool | None]]) -> tuple[int, ...]:
    """Number answers so that right ones have one number, and others one for each normalised text."""
    marks = [mark_answer(text, correct) for text, correct in entries]
    numbers = {mark: number for number, mark in enumerate(dict.fromkeys(marks))}
    return tuple(numbers[mark] for mark in marks)
