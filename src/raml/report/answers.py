"""A readout → the answers that it holds, each once, and where along the reasoning they settle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raml.answers import normalize_answer
from raml.records import Readout


@dataclass(frozen=True, eq=False)
class AnswerPath:
    """The model's own answer along a trajectory. Axes: P prefixes, D distinct answers.

    An answer has changed where it is another one (`raml.answers.normalize_answer`), unless it is right before and
    after. Having none is an answer, too.
    """

    answers: tuple[str | None, ...]
    """Distinct texts as they appear, with white space made one blank; None for having none [D]."""
    correct: tuple[bool | None, ...]
    """Whether each is right; None where that could not be decided [D]."""
    index: NDArray[np.int32]
    """Which of them was given after each prefix [P]."""
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
    within = entries[: len(lens)]
    first_right = next((n for n, entry in zip(lens, within, strict=True) if entry[1] is True), None)
    last_change = _find_last_change(lens, within)
    return AnswerPath(
        answers=tuple(text for text, _ in distinct),
        correct=tuple(correct for _, correct in distinct),
        index=np.array([distinct[entry] for entry in entries], dtype=np.int32),
        first_right=first_right,
        last_change=last_change,
        overthinking=1 - last_change / reasoning_len if reasoning_len else None,
    )


def _find_last_change(lens: list[int], entries: list[tuple[str | None, bool | None]]) -> int:
    """The shortest prefix from which on the answer stays what it is at the end."""
    last = entries[-1]
    settled = lens[-1]
    for prefix_len, entry in zip(reversed(lens), reversed(entries), strict=True):
        same = (normalize_answer(entry[0]), entry[1]) == (normalize_answer(last[0]), last[1])
        if not same and not (entry[1] is True and last[1] is True):
            break
        settled = prefix_len
    return settled
