"""How updates lie to the gradient: cosines by kind of text, by layer, and predicted against true change of the loss."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from raml.errors import DataError
from raml.figures.saving import PaperFigure, make_figure
from raml.figures.style import COLORS, COLUMN, INK, LETTERS, LIGHT, LOOKS, STYLE
from raml.stats import estimate_mean

Groups = Mapping[str, Sequence[float] | NDArray[np.float64]]
"""By kind of text, a value for each question."""

_LOOKS = {
    "right": (LOOKS[True][0], "o", "solid"),
    "wrong": (LOOKS[False][0], "X", (0, (5, 1.5))),
    "other question": (COLORS[2], "s", (0, (5, 1.5, 1, 1.5))),
    "shuffled": (COLORS[3], "^", (0, (3, 1))),
    "random tokens": (COLORS[4], "D", (0, (1, 1.2))),
    "random direction": (COLORS[6], "P", (0, (1, 3))),
}
_ELSE = (LOOKS[None][0], "v", (0, (1, 1.5)))
N_RESAMPLES = 999
"""Of each interval in a picture."""


def plot_alignment(panels: Mapping[str, Groups]) -> Figure:
    """Draw a panel a measure: for each kind of text a point a question, and the mean with its 95 % interval.

    Args:
        panels: Title of a measure to its values by kind of text. Values that are NaN are left out.

    Raises:
        DataError: there is no value.
    """
    _check(any(len(values) for groups in panels.values() for values in groups.values()))
    names = list(dict.fromkeys(name for groups in panels.values() for name in groups))
    with rc_context(STYLE):
        figure = make_figure(len(panels), 0.28 * len(names) + 0.8)
        axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        for axis, (title, groups) in zip(axes, panels.items(), strict=True):
            for place, name in enumerate(names):
                _draw_points(axis, place, name, groups.get(name, ()))
            axis.axvline(0, color=INK, linewidth=0.8)
            axis.set_title(textwrap.fill(title, int(LETTERS * figure.get_figwidth() / (len(panels) + 0.5))))
            axis.set_yticks(range(len(names)), names)
            axis.grid(visible=True, axis="x")
            axis.locator_params(axis="x", nbins=4)
        axes[0].invert_yaxis()
        figure.supxlabel("small: questions; large: their mean with its 95 % interval")
    return figure


def plot_alignment_layers(panels: Mapping[str, Mapping[str, NDArray[np.float64]]]) -> Figure:
    """Draw a panel a measure: its mean over questions in each layer, a line a kind of text, with 95 % intervals.

    Args:
        panels: Title of a measure to its values [question layer] by kind of text. Values that are NaN are left out.

    Raises:
        DataError: there is no value.
    """
    _check(any(len(values) for groups in panels.values() for values in groups.values()))
    with rc_context(STYLE):
        figure = make_figure(len(panels), 2.7)
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axis, (title, groups) in zip(axes, panels.items(), strict=True):
            for name, values in groups.items():
                _draw_layers(axis, name, np.asarray(values))
            axis.axhline(0, color=INK, linewidth=0.8)
            axis.set_title(title)
            axis.set_xlabel("layer")
            axis.locator_params(axis="x", integer=True)
            axis.grid(visible=True)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def plot_loss_changes(groups: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> Figure:
    """Draw the true change of the answer's loss against the one that its gradient predicts, a point a question.

    Were the updates small steps, all points would lie on the dashed diagonal.

    Args:
        groups: By kind of text, predicted and true changes in nats.

    Raises:
        DataError: there is no value.
    """
    _check(any(len(predicted) for predicted, _ in groups.values()))
    with rc_context(STYLE):
        figure = PaperFigure(figsize=(COLUMN, 3.2), layout="constrained")
        axis = figure.subplots()
        for name, (predicted, true) in groups.items():
            color, marker, _ = _LOOKS.get(name, _ELSE)
            axis.scatter(predicted, true, s=10, color=color, marker=marker, alpha=0.75, linewidths=0, label=name)
        axis.axline((0, 0), slope=1, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        axis.axhline(0, color=LIGHT, linewidth=0.6)
        axis.axvline(0, color=LIGHT, linewidth=0.6)
        axis.set_xlabel("change of L that the gradient predicts (nats)")
        axis.set_ylabel("true change of L (nats)")
        axis.grid(visible=True)
        figure.legend(loc="outside lower center", ncols=3)
    return figure


def _draw_points(axis: Axes, place: int, name: str, values: Sequence[float] | NDArray[np.float64]) -> None:
    known = [float(value) for value in values if math.isfinite(value)]
    if not known:
        return
    color, marker, _ = _LOOKS.get(name, _ELSE)
    # Points side by side in the order in which they come, so that equal ones are seen.
    heights = place + 0.28 * (np.arange(len(known)) * 0.618 % 1 - 0.5)
    axis.plot(
        known, heights, linestyle="none", marker=marker, markersize=2.2, color=color, alpha=0.35, markeredgewidth=0
    )
    mean = estimate_mean(name, known, n_resamples=N_RESAMPLES)
    if math.isfinite(mean.low):
        axis.plot([mean.low, mean.high], [place, place], color=INK, linewidth=1.2, solid_capstyle="butt")
    axis.plot(mean.value, place, marker=marker, markersize=5, color=color, markeredgecolor=INK)


def _draw_layers(axis: Axes, name: str, values: NDArray[np.float64]) -> None:
    if not len(values):
        return
    color, marker, dashes = _LOOKS.get(name, _ELSE)
    layers, lines = np.arange(values.shape[1]), np.full((3, values.shape[1]), math.nan)
    for layer, column in enumerate(values.T):
        known = column[np.isfinite(column)].tolist()
        if known:
            mean = estimate_mean(name, known, n_resamples=N_RESAMPLES)
            lines[:, layer] = mean.low, mean.value, mean.high
    low, middle, high = lines
    axis.fill_between(layers, low, high, where=np.isfinite(low), color=color, alpha=0.12, linewidth=0)
    axis.plot(layers, middle, color=color, marker=marker, markersize=2.5, linestyle=dashes, label=name)


def _check(has_values: bool) -> None:
    if not has_values:
        raise DataError("There is nothing to plot: no alignment was measured.")
