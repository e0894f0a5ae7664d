"""How far constructed weights are from having read: errors over many orders of magnitude."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from raml.errors import DataError
from raml.figures.saving import make_figure
from raml.figures.style import COLORS, INK, STYLE
from raml.stats import estimate_mean

N_RESAMPLES = 999
"""Of each interval in a picture."""


@dataclass(frozen=True)
class Panel:
    """One kind of error, by construction."""

    title: str
    label: str
    """Of the axis: what the error is, with its unit if it has one."""
    groups: Mapping[str, Sequence[float]]
    """By construction, a value for each question; those of 0 have no place on the axis and are left out."""
    borders: Mapping[str, float] = field(default_factory=dict)
    """By construction, below which value a rule asks it to be."""


def plot_constructions(panels: Sequence[Panel]) -> Figure:
    """Draw a panel a kind of error, on a logarithmic axis: for each construction a point a question, and the mean.

    The line through a mean is its 95 % interval over questions, which is often narrower than the mark.

    Raises:
        DataError: there is no value.
    """
    if not any(len(values) for panel in panels for values in panel.groups.values()):
        raise DataError("There is nothing to plot: no construction was measured.")
    names = list(dict.fromkeys(name for panel in panels for name in panel.groups))
    with rc_context(STYLE):
        figure = make_figure(len(panels), 0.36 * len(names) + 1.0)
        axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        for axis, panel in zip(axes, panels, strict=True):
            for place, name in enumerate(names):
                _draw_row(axis, place, panel.groups.get(name, ()), panel.borders.get(name))
            axis.set_xscale("log")
            axis.set_title(panel.title)
            axis.set_xlabel(panel.label)
            axis.set_yticks(range(len(names)), names)
            axis.set_ylim(len(names) - 0.5, -0.5)
            axis.grid(visible=True, axis="x")
            axis.locator_params(axis="x", numticks=5)
        marks = [
            Line2D(
                [], [], linestyle="none", marker="o", markersize=2.2, color=COLORS[0], alpha=0.4, label="a question"
            ),
            Line2D([], [], marker="o", markersize=4.5, color=INK, label="mean, 95 % interval"),
            Line2D([], [], color=COLORS[1], linestyle=(0, (3, 1)), label="the rule: left of this"),
        ]
        figure.legend(handles=marks, loc="outside lower center", ncols=3)
    return figure


def _draw_row(axis: Axes, place: int, values: Sequence[float], border: float | None) -> None:
    if border is not None:
        axis.plot([border, border], [place - 0.4, place + 0.4], color=COLORS[1], linestyle=(0, (3, 1)), linewidth=1.0)
    known = [value for value in values if value > 0]
    if not known:
        return
    # Points side by side in the order in which they come, so that equal ones are seen.
    heights = place + 0.5 * (np.arange(len(known)) * 0.618 % 1 - 0.5)
    axis.plot(
        known, heights, linestyle="none", marker="o", markersize=2.5, color=COLORS[0], alpha=0.35, markeredgewidth=0
    )
    mean = estimate_mean("error", list(values), n_resamples=N_RESAMPLES)
    if np.isfinite(mean.low) and mean.low > 0:
        axis.plot([mean.low, mean.high], [place, place], color=INK, linewidth=1.2, solid_capstyle="butt")
    axis.plot(mean.value, place, marker="o", markersize=4.5, color=INK)
