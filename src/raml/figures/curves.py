"""L̂ with thinking and without (the paper's Figs. 5, 13 and 15), and of gold and own answer when wrong (Fig. 16)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from raml.errors import DataError
from raml.figures.saving import PaperFigure, make_figure
from raml.figures.style import COLORS, INK, LOOKS, PAGE, STYLE, shorten
from raml.stats import estimate_mean

Floats = NDArray[np.float64]
Line = tuple[Floats, Floats]
"""Positions [X], and a curve for each question [Q X]."""
Example = tuple[str, Floats, Floats, Floats, int | None]
"""Title, tokens, L̂ of gold and of own answer there, and the prefix where they part."""
MODE_LOOKS: dict[str, tuple[str, Any]] = {
    "thinking": (COLORS[2], "solid"),
    "no-thinking": (COLORS[3], (0, (5, 1.5))),
}
ANSWER_LOOKS: dict[str, tuple[str, Any]] = {
    "gold answer": (LOOKS[True][0], "solid"),
    "own answer": (COLORS[4], (0, (5, 1.5))),
}
MARKS = {True: "o", False: "X", None: "."}
N_RESAMPLES = 999
"""Of each band in a picture."""
MANY_TIMES = 4
"""How much longer the longest curve must be than the shortest for a logarithmic axis of tokens."""
LOSS = "L̂, answer loss (nats per token)"
BAND = "95 % interval of the mean over questions"


def plot_mode_curves(by_tokens: Mapping[str, Line], by_share: Mapping[str, Line]) -> Figure:
    """Draw the mean L̂ of the gold answer in both modes with bands, against tokens and against the share of the length.

    Args:
        by_tokens: By mode, numbers of tokens and the questions' curves; those that have ended keep their last value.
        by_share: By mode, shares from 0 to 1 and the questions' curves.

    Raises:
        DataError: there is no curve.
    """
    _check(any(len(values) for _, values in (*by_tokens.values(), *by_share.values())))
    with rc_context(STYLE):
        figure = PaperFigure(figsize=(PAGE, 2.6), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        for axis, lines, label in (
            (left, by_tokens, "tokens of the response (one that has ended keeps its last value)"),
            (right, by_share, "share of the length"),
        ):
            for name, (positions, values) in lines.items():
                draw_mean(axis, positions, values, *MODE_LOOKS[name])
            axis.set_xlabel(label)
            _finish(axis)
        _scale_tokens(left)
        right.set_xlim(0, 1)
        figure.supylabel(LOSS)
        counts = {name: len(values) for name, (_, values) in by_share.items()}
        _add_legend(figure, {f"{name} (questions: {counts[name]})": MODE_LOOKS[name] for name in counts}, [BAND])
    return figure


def plot_question_curves(panels: Sequence[tuple[str, Sequence[tuple[str, bool | None, Floats, Floats]]]]) -> Figure:
    """Draw every curve of some questions in both modes against tokens, with a mark at its end: right, wrong, undecided.

    Args:
        panels: Title, and the mode, verdict, tokens [P] and L̂ [P] of each curve.

    Raises:
        DataError: there is no panel.
    """
    _check(bool(panels))
    longest = {float(tokens[-1]) for _, lines in panels for _, _, tokens, _ in lines}
    with rc_context(STYLE):
        figure, axes = _make_grid(len(panels))
        for axis, (title, lines) in zip(axes, panels, strict=False):
            for mode, correct, tokens, loss in lines:
                color, dashes = MODE_LOOKS[mode]
                axis.plot(tokens, loss, color=color, linestyle=dashes, linewidth=1.1, alpha=0.85)
                axis.plot(tokens[-1:], loss[-1:], color=color, marker=MARKS[correct], markersize=4.5, clip_on=False)
            axis.set_title(_shorten(title, len(axes)), parse_math=False)
            if max(longest) > MANY_TIMES * max(1.0, min(longest)):
                _make_logarithmic(axis)
            axis.set_xlim(0, 1.1 * max(longest))
            axis.set_xlabel("tokens")
            _finish(axis)
        figure.supylabel(LOSS)
        shown = {correct for _, lines in panels for _, correct, _, _ in lines}
        marks = {LOOKS[correct][2]: mark for correct, mark in MARKS.items() if correct in shown}
        _add_legend(figure, MODE_LOOKS, [], marks)
    return figure


def plot_wrong_curves(means: Mapping[str, tuple[Floats, Floats, Floats]], examples: Sequence[Example] = ()) -> Figure:
    """Draw L̂ of the gold and of the trajectory's own answer along wrong trajectories: means with bands, and examples.

    Args:
        means: By mode, shares of the length [X] and the questions' curves of gold and own answer [Q X].
        examples: Single trajectories; a dotted line marks where their curves part for good.

    Raises:
        DataError: there is no curve.
    """
    _check(any(len(gold) for _, gold, _ in means.values()))
    with rc_context(STYLE):
        figure, axes = _make_grid(len(means) + len(examples))
        for axis, (mode, (positions, *values)) in zip(axes, means.items(), strict=False):
            for curves, looks in zip(values, ANSWER_LOOKS.values(), strict=True):
                draw_mean(axis, positions, curves, *looks)
            axis.set_title(f"{mode}, mean (n = {len(values[0])})")
            axis.set_xlabel("share of the length")
            axis.set_xlim(0, 1)
            _finish(axis)
        for axis, (title, tokens, *values, parted) in zip(axes[len(means) :], examples, strict=False):
            for loss, (color, dashes) in zip(values, ANSWER_LOOKS.values(), strict=True):
                axis.plot(tokens, loss, color=color, linestyle=dashes, linewidth=1.0)
            if parted is not None:
                axis.axvline(parted, color=INK, linewidth=0.9, linestyle=(0, (1, 1.5)))
            axis.set_title(_shorten(title, len(axes)), parse_math=False)
            axis.set_xlabel("tokens")
            axis.set_xlim(left=0)
            _finish(axis)
        figure.supylabel(LOSS)
        _add_legend(figure, ANSWER_LOOKS, [BAND], lines={"apart from here on": (0, (1, 1.5))} if examples else {})
    return figure


def draw_mean(axis: Axes, positions: Floats, values: Floats, color: str, dashes: object, label: str = "") -> None:
    """Draw the mean over questions of curves [Q X] and its 95 % interval as a band; NaN is left out."""
    lines = np.full((3, len(positions)), math.nan)
    for i, column in enumerate(values.T):
        known = column[np.isfinite(column)].tolist()
        if known:
            mean = estimate_mean("mean", known, n_resamples=N_RESAMPLES)
            lines[:, i] = mean.low, mean.value, mean.high
    low, middle, high = lines
    axis.fill_between(positions, low, high, where=np.isfinite(low), color=color, alpha=0.16, linewidth=0)
    axis.plot(positions, middle, color=color, linestyle=dashes, linewidth=1.3, label=label)  # type: ignore[arg-type]


def _make_grid(n: int) -> tuple[Figure, list[Axes]]:
    n_columns = min(4, n)
    n_rows = math.ceil(n / n_columns)
    figure = make_figure(n, (2.0 if n_columns < 3 else 1.7) * n_rows + 0.4)
    axes = list(figure.subplots(n_rows, n_columns, squeeze=False).flatten())
    for axis in axes[n:]:
        axis.set_visible(False)
    return figure, axes[:n]


def _scale_tokens(axis: Axes) -> None:
    """Make an axis of tokens logarithmic where curves end at very different lengths."""
    highest = max((float(line.get_xdata()[-1]) for line in axis.lines), default=1.0)  # type: ignore[index]
    axis.set_xlim(0, highest)
    if highest > MANY_TIMES**2:
        _make_logarithmic(axis)


def _make_logarithmic(axis: Axes) -> None:
    axis.set_xscale("symlog", linthresh=1)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _finish(axis: Axes) -> None:
    axis.set_ylim(bottom=0)
    axis.grid(visible=True)


def _add_legend(
    figure: Figure,
    looks: Mapping[str, tuple[str, Any]],
    bands: Sequence[str],
    marks: Mapping[str, str] | None = None,
    lines: Mapping[str, Any] | None = None,
) -> None:
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=color, linestyle=dashes, linewidth=1.3, label=name)
        for name, (color, dashes) in looks.items()
    ]
    handles += [Patch(facecolor=INK, alpha=0.16, label=name) for name in bands]
    handles += [
        Line2D([], [], color=INK, marker=mark, linestyle="none", label=name) for name, mark in (marks or {}).items()
    ]
    handles += [
        Line2D([], [], color=INK, linestyle=dashes, linewidth=0.9, label=name) for name, dashes in (lines or {}).items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=5)


def _shorten(title: str, n_panels: int) -> str:
    return shorten(title, PAGE / min(4, max(2, n_panels)) - 0.4)


def _check(has_values: bool) -> None:
    if not has_values:
        raise DataError("There is nothing to plot: no curve was measured.")
