"""When thinking may stop: where the model's own answer becomes right, settles, and changes for the last time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raml.answers import mark_answer, normalize_answer
from raml.curves.estimates import estimate_share, estimate_values
from raml.curves.groups import CurveSet, CurveSettings
from raml.records import Estimate, Mode, Readout, Trajectory

SHARES = ("right at the start", "ever right", "right at the end", "left a right answer", "says the stated answer")
"""Of trajectories."""


@dataclass(frozen=True)
class Settling:
    """Landmarks of one readout, in tokens; None where it never comes to that."""

    first_right: int | None
    """First prefix after which the answer is right."""
    settled: int | None
    """First prefix from which on it is right to the end."""
    last_change: int
    """First prefix from which on the answer stays what it is at the end; 0 if it never changes."""
    length: int
    """Tokens that were followed."""
    right_at_start: bool | None
    ever_right: bool | None
    right_at_end: bool | None
    left_right: bool | None
    """Whether a right answer was there and is no longer at the end."""
    agrees: bool | None
    """Whether the last answer is the one that the trajectory states; None if it states none."""


@dataclass(frozen=True)
class SettlingRow:
    """Landmarks of one kind of trajectories of a mode, over questions."""

    mode: Mode
    group: str
    """"right", "wrong" or "all", by the answer that the trajectory states; "all" has undecided ones too."""
    n_readouts: int
    n_empty: int
    """Trajectories without any token of reasoning, which have no shares of it."""
    means: dict[str, Estimate]
    """By name: SHARES. Positions, as a share of the length: "first right" and "settled" over those that get
    there, "last change"; the first and the last also in tokens. "after the last change" is what remains of the length,
    "after settling" the same for those that settle."""


def list_changes(readout: Readout, *, by_text: bool = False) -> list[int]:
    """List the prefix lengths after which the answer is another one than after the prefix before.

    Two answers are the same if both are right, or if neither is and their normalised texts agree; no answer is the same
    as no answer. With by_text the texts alone decide, so that nothing depends on which answer is right.
    """
    marks = _mark_answers(readout, by_text)
    return [int(readout.prefix_lens[i]) for i in range(1, len(marks)) if marks[i] != marks[i - 1]]


def find_last_change(readout: Readout, *, by_text: bool = False) -> int:
    """The first prefix from which on the answer stays what it is at the end; 0 if it never changes."""
    changes = list_changes(readout, by_text=by_text)
    return changes[-1] if changes else 0


def states_own_answer(readout: Readout, trajectory: Trajectory, place: int, *, by_text: bool = False) -> bool:
    """Whether the answer after one prefix is the one that the trajectory states.

    Args:
        readout: Of the trajectory.
        trajectory: What states an answer.
        place: Index of the prefix.
        by_text: Compare normalised texts alone, without knowing which answer is right. Otherwise two right answers are
            the same, whatever their form, and a right one differs from one that is not.
    """
    said, stated = normalize_answer(readout.answers[place]), normalize_answer(trajectory.answer)
    if by_text or None in (readout.correct[place], trajectory.correct):
        return said == stated
    if readout.correct[place] or trajectory.correct:
        return bool(readout.correct[place] and trajectory.correct)
    return said == stated


def find_landmarks(readout: Readout, trajectory: Trajectory) -> Settling:
    """Find where the model's own answer becomes right, settles and changes for the last time."""
    lens, correct = readout.prefix_lens, readout.correct
    right = [i for i, flag in enumerate(correct) if flag is True]
    ever = True if right else (None if None in correct else False)
    return Settling(
        first_right=int(lens[right[0]]) if right else None,
        settled=readout.find_settled(),
        last_change=find_last_change(readout),
        length=int(lens[-1]),
        right_at_start=correct[0],
        ever_right=ever,
        right_at_end=correct[-1],
        left_right=None if correct[-1] is None or ever is None else bool(right) and correct[-1] is False,
        agrees=None if trajectory.answer is None else states_own_answer(readout, trajectory, -1),
    )


def summarize_settling(curves: CurveSet, mode: Mode, settings: CurveSettings) -> tuple[SettlingRow, ...]:
    """Estimate the landmarks of right, wrong and all trajectories of a mode; kinds without readouts have no row."""
    read = [t for t in curves.list_mode(mode) if t.id in curves.readouts]
    groups = {"right": [t for t in read if t.correct], "wrong": [t for t in read if t.correct is False], "all": read}
    return tuple(_make_row(mode, group, curves, own, settings) for group, own in groups.items() if own)


def follow_readouts(
    curves: CurveSet, trajectories: Sequence[Trajectory], positions: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """What has happened at shares of the length, means over each question's trajectories [Q X].

    "first right", "settled" and "last change" are shares of trajectories that have got there; one that never does stays
    below 1. "accuracy" is the share whose answer after the last measured prefix is right; NaN where it is not decided.

    Args:
        curves: Holds the readouts; trajectories without one, or without reasoning, are left out.
        trajectories: The ones to follow.
        positions: Shares from 0 to 1 [X].
    """
    names = ("first right", "settled", "last change", "accuracy")
    by_question: dict[str, list[list[NDArray[np.float64]]]] = {}
    for trajectory in trajectories:
        readout = curves.readouts.get(trajectory.id)
        if readout is None or not readout.prefix_lens[-1]:
            continue
        landmarks = find_landmarks(readout, trajectory)
        reached = positions * landmarks.length + 1e-9  # a share times a length may fall short of a whole number
        rows = [
            np.zeros(len(positions)) if place is None else (place <= reached).astype(float)
            for place in (landmarks.first_right, landmarks.settled, landmarks.last_change)
        ]
        flags = np.array([math.nan if flag is None else float(flag) for flag in readout.correct])
        rows.append(flags[np.searchsorted(readout.prefix_lens, reached, side="right") - 1])
        by_question.setdefault(trajectory.question_id, []).append(rows)
    means = [_average_rows(np.array(rows)) for rows in by_question.values()]
    stacked = np.array(means).reshape(-1, len(names), len(positions))
    return {name: stacked[:, i] for i, name in enumerate(names)}


def _average_rows(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over trajectories [T 4 X] of what is known; NaN where nothing is."""
    known = np.isfinite(rows)
    n = known.sum(axis=0)
    return np.divide(np.where(known, rows, 0).sum(axis=0), n, out=np.full(n.shape, math.nan), where=n > 0)


def _mark_answers(readout: Readout, by_text: bool) -> list[tuple[bool, str | None]]:
    """Marks that are equal where answers are the same."""
    pairs = zip(readout.answers, readout.correct, strict=True)
    return [mark_answer(answer, None if by_text else right) for answer, right in pairs]


def _make_row(
    mode: Mode, group: str, curves: CurveSet, trajectories: Sequence[Trajectory], settings: CurveSettings
) -> SettlingRow:
    ids = [t.question_id for t in trajectories]
    made = [find_landmarks(curves.readouts[t.id], t) for t in trajectories]

    def place(tokens: int | None, length: int, *, left: bool = False) -> float:
        if tokens is None or not length:
            return math.nan
        return (length - tokens if left else tokens) / length

    flags = [(m.right_at_start, m.ever_right, m.right_at_end, m.left_right, m.agrees) for m in made]
    values = {
        "first right": [place(m.first_right, m.length) for m in made],
        "first right, tokens": [math.nan if m.first_right is None else float(m.first_right) for m in made],
        "settled": [place(m.settled, m.length) for m in made],
        "last change": [place(m.last_change, m.length) for m in made],
        "last change, tokens": [float(m.last_change) for m in made],
        "after the last change": [place(m.last_change, m.length, left=True) for m in made],
        "after settling": [place(m.settled, m.length, left=True) for m in made],
    }
    by_name = zip(SHARES, zip(*flags, strict=True), strict=True)
    estimates = {name: estimate_share(name, ids, own, settings) for name, own in by_name}
    for name, own in values.items():
        within = (0, math.inf) if name.endswith("tokens") else (0, 1)
        estimates[name] = estimate_values(name, ids, own, settings, within=within)
    return SettlingRow(
        mode,
        group,
        len(made),
        sum(not m.length for m in made),
        {name: estimate for name, estimate in estimates.items() if estimate is not None},
    )
