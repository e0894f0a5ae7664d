"""How fast and how far L̂ of the gold answer falls, with thinking and without: the paper's Figs. 5, 13 and 15."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raml.curves.estimates import (
    Contrast,
    adjust_contrasts,
    average_known,
    contrast_shares,
    contrast_values,
    estimate_share,
)
from raml.curves.groups import MODES, CurveSet, CurveSettings
from raml.errors import DataError
from raml.records import Estimate, Mode, Trace, Trajectory

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Descent:
    """How a curve of L̂ falls. Lengths are in tokens, losses in nats."""

    start: float
    """L̂ before the first token."""
    end: float
    lowest: float
    """The least L̂ anywhere, the start included."""
    length: int
    """Tokens that were followed."""
    half: float
    """Tokens until L̂ has first fallen by half of start − lowest; NaN if it does not fall by more than the margin."""
    most: float
    """The same for the share that is asked for."""

    @property
    def falls(self) -> bool:
        """Whether L̂ comes down by more than the margin anywhere."""
        return not math.isnan(self.most)


@dataclass(frozen=True)
class ModeDescents:
    """How many curves of a mode there are, and how many fall."""

    mode: Mode
    n_trajectories: int
    n_traced: int
    n_flat: int
    """Curves that nowhere come below their start by more than the margin; they have no speed."""
    n_higher: int
    """Curves that end above their start."""


@dataclass(frozen=True)
class ModeComparison:
    """Thinking against no-thinking on the questions that have traced trajectories of both."""

    n_questions: int
    n_unpaired: int
    """Questions with traced trajectories of one mode alone; they are left out."""
    modes: tuple[ModeDescents, ...]
    contrasts: tuple[Contrast, ...]
    above: Estimate
    """Share of the pairs of a no-thinking and a thinking trajectory of one question in which the former's last L̂ lies
    above the latter's by more than the margin."""


def measure_descent(prefix_lens: NDArray[np.int32], loss: NDArray[np.floating], settings: CurveSettings) -> Descent:
    """Find where a curve has come down by half, and by a share, of its largest fall.

    The fall is that from the start to the lowest point, so that a curve which comes down and rises again counts as
    having come down; where it ends is measured apart. It is reached at the first measured prefix that is low enough.

    Args:
        prefix_lens: Tokens before each measurement [P], ascending, 0 first.
        loss: L̂ there, in nats [P].
        settings: The share, and the margin by which a curve must fall.

    Raises:
        DataError: there is no measurement, or they don't begin at prefix 0.
    """
    if not len(loss) or len(loss) != len(prefix_lens) or prefix_lens[0] != 0:
        raise DataError(f"A curve needs a loss for each prefix, from 0 on; got prefixes {list(prefix_lens)[:3]} …")
    fallen = float(loss[0]) - np.asarray(loss, dtype=float)
    total = float(fallen.max())
    half = most = math.nan
    if total > settings.margin:
        half, most = (float(prefix_lens[np.argmax(fallen >= share * total)]) for share in (0.5, settings.share))
    return Descent(float(loss[0]), float(loss[-1]), float(loss[0]) - total, int(prefix_lens[-1]), half, most)


def measure_trace(trace: Trace, settings: CurveSettings) -> Descent:
    """Find where a trace has come down; see `measure_descent`."""
    return measure_descent(trace.prefix_lens, trace.mean_nll, settings)


def compare_modes(curves: CurveSet, settings: CurveSettings) -> ModeComparison | None:
    """Compare both modes' curves of the gold answer, question by question; None if no question has both.

    Trajectories of a question and mode are averaged first. Beside start, end, lowest point and speed there is the loss
    after equally many tokens: the thinking curve's L̂ at the mean length of the question's no-thinking reasoning,
    against the end of that.
    """
    traced: dict[Mode, list[Trajectory]] = {
        mode: [t for t in curves.list_mode(mode) if t.id in curves.gold] for mode in MODES
    }
    there = {mode: {t.question_id for t in own} for mode, own in traced.items()}
    both = there["think"] & there["nothink"]
    if not both:
        return None
    paired: dict[Mode, list[Trajectory]] = {
        mode: [t for t in own if t.question_id in both] for mode, own in traced.items()
    }
    descents: dict[Mode, list[Descent]] = {
        mode: [measure_trace(curves.gold[t.id], settings) for t in own] for mode, own in paired.items()
    }
    ids: dict[Mode, list[str]] = {mode: [t.question_id for t in own] for mode, own in paired.items()}
    flags = {mode: [t.correct for t in own] for mode, own in paired.items()}
    contrasts = [
        contrast_values(
            name,
            average_known(ids["think"], values["think"]),
            average_known(ids["nothink"], values["nothink"]),
            settings,
        )
        for name, values in _list_measures(descents, settings).items()
    ]
    contrasts.append(_contrast_at_length(curves, paired, descents, settings))
    sides = [(ids[mode], flags[mode]) for mode in MODES]
    contrasts.append(contrast_shares("accuracy", sides[0], sides[1], settings))
    above = _estimate_above(ids, descents, settings)
    return ModeComparison(
        len(both),
        len((there["think"] | there["nothink"]) - both),
        tuple(_count_descents(mode, curves, traced[mode], settings) for mode in MODES),
        adjust_contrasts(contrasts),
        above,
    )


def average_over_share(
    trajectories: Sequence[Trajectory], curves: Sequence[tuple[Floats, Floats]], positions: Floats
) -> Floats:
    """Average curves within questions at shares of their length [Q X], linear in between.

    Args:
        trajectories: What the curves are of.
        curves: Prefix lengths and values of each.
        positions: Shares from 0 to 1 [X].
    """
    values = [np.interp(positions, lens / max(1, int(lens[-1])), values) for lens, values in curves]
    return _average_curves(trajectories, values, len(positions))


def average_over_tokens(
    trajectories: Sequence[Trajectory], curves: Sequence[tuple[Floats, Floats]], positions: Floats
) -> Floats:
    """Average curves within questions after numbers of tokens [Q X]; one that has ended keeps its last value."""
    values = [np.interp(positions, lens, values) for lens, values in curves]
    return _average_curves(trajectories, values, len(positions))


def _average_curves(trajectories: Sequence[Trajectory], values: Sequence[Floats], n: int) -> Floats:
    by_question: dict[str, list[Floats]] = {}
    for trajectory, own in zip(trajectories, values, strict=True):
        by_question.setdefault(trajectory.question_id, []).append(own)
    return np.array([np.mean(own, axis=0) for own in by_question.values()]).reshape(-1, n)


def _list_measures(descents: dict[Mode, list[Descent]], settings: CurveSettings) -> dict[str, dict[Mode, list[float]]]:
    """By name of a measure and mode, its value for each trajectory."""
    most = f"{100 * settings.share:g} %"
    return {
        name: {mode: [measure(descent) for descent in own] for mode, own in descents.items()}
        for name, measure in {
            "L̂ at the start": lambda d: d.start,
            "L̂ at the end": lambda d: d.end,
            "lowest L̂": lambda d: d.lowest,
            "tokens followed": lambda d: float(d.length),
            "tokens to 50 % of the fall": lambda d: d.half,
            f"tokens to {most} of the fall": lambda d: d.most,
            "share of the length to 50 %": lambda d: d.half / max(1, d.length),
            f"share of the length to {most}": lambda d: d.most / max(1, d.length),
        }.items()
    }


def _contrast_at_length(
    curves: CurveSet,
    paired: dict[Mode, list[Trajectory]],
    descents: dict[Mode, list[Descent]],
    settings: CurveSettings,
) -> Contrast | None:
    """Compare L̂ after as many tokens as no-thinking takes."""
    short = [t.question_id for t in paired["nothink"]]
    lengths = average_known(short, [float(d.length) for d in descents["nothink"]])
    ends = average_known(short, [d.end for d in descents["nothink"]])
    there = []
    for trajectory in paired["think"]:
        trace = curves.gold[trajectory.id]
        there.append(float(np.interp(lengths[trajectory.question_id], trace.prefix_lens, trace.mean_nll)))
    after = average_known([t.question_id for t in paired["think"]], there)
    return contrast_values("L̂ after as many tokens", after, ends, settings)


def _estimate_above(
    ids: dict[Mode, list[str]], descents: dict[Mode, list[Descent]], settings: CurveSettings
) -> Estimate:
    """Estimate how often a no-thinking trajectory ends above a thinking one of its question."""
    ends: dict[str, list[float]] = {}
    for question, descent in zip(ids["think"], descents["think"], strict=True):
        ends.setdefault(question, []).append(descent.end)
    pairs = [
        (question, descent.end > end + settings.margin)
        for question, descent in zip(ids["nothink"], descents["nothink"], strict=True)
        for end in ends[question]
    ]
    above = estimate_share("above", [question for question, _ in pairs], [flag for _, flag in pairs], settings)
    assert above is not None
    return above


def _count_descents(
    mode: Mode, curves: CurveSet, traced: Sequence[Trajectory], settings: CurveSettings
) -> ModeDescents:
    own = [measure_trace(curves.gold[t.id], settings) for t in traced]
    return ModeDescents(
        mode,
        len(curves.list_mode(mode)),
        len(traced),
        sum(not descent.falls for descent in own),
        sum(descent.end > descent.start for descent in own),
    )
