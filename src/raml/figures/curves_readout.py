"""When the model's own answer is right and settles, and how well scores tell right from wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from raml.errors import DataError
from raml.figures.curves import Line, draw_mean
from raml.figures.saving import PaperFigure, make_figure
from raml.figures.style import COLORS, INK, LOOKS, PAGE, STYLE
from raml.records import Estimate

EVENT_LOOKS: dict[str, tuple[str, Any]] = {
    "first right": (COLORS[2], "solid"),
    "settled": (COLORS[3], (0, (5, 1.5))),
    "last change": (COLORS[6], (0, (1, 1.2))),
}
VERDICT_LOOKS: dict[str, tuple[str, Any]] = {
    "right": LOOKS[True][:2],
    "wrong": LOOKS[False][:2],
    "all": (COLORS[6], (0, (1, 1.2))),
}

KINDS = {"all pairs": (COLORS[0], "o"), "within questions": (COLORS[1], "s")}


def plot_readouts(panels: Mapping[str, tuple[Mapping[str, Line], Mapping[str, Line]]]) -> Figure:
    """Draw, a row a mode, what has happened up to a share of the reasoning, and how often the readout is right there.

    Left: the share of trajectories whose own answer was right for the first time, is right for good, or has changed for
    the last time; one that never gets there stays below 1. Right: the share of right answers after a prefix, for
    trajectories that end right, wrong, and all. Means over questions with 95 % bands.

    Args:
        panels: By mode, the questions' values [Q X] at shares [X], by event and by verdict.

    Raises:
        DataError: there is no value.
    """
    if not any(len(values) for events, _ in panels.values() for _, values in events.values()):
        raise DataError("There is nothing to plot: no readout was followed.")
    with rc_context(STYLE):
        figure = PaperFigure(figsize=(PAGE, 2.3 * len(panels) + 0.2), layout="constrained")
        axes = figure.subplots(len(panels), 2, squeeze=False)
        for row, (mode, groups) in zip(axes, panels.items(), strict=True):
            titles = "share of trajectories that got there", "share of readouts that are right"
            for axis, lines, looks, title in zip(row, groups, (EVENT_LOOKS, VERDICT_LOOKS), titles, strict=True):
                for name, (positions, values) in lines.items():
                    draw_mean(axis, positions, values, *looks[name], label=name)
                axis.set_title(f"{mode}: {title}")
                axis.set_xlabel("share of the length")
                axis.set_xlim(0, 1)
                axis.set_ylim(0, 1.02)
                axis.yaxis.set_major_formatter(PercentFormatter(1))
                axis.grid(visible=True)
                axis.legend()
    return figure


def plot_recognition(panels: Mapping[str, Sequence[tuple[str, Estimate | None, Estimate | None]]]) -> Figure:
    """Draw the AUROC of each score with its interval, over all pairs and within questions, a panel a mode.

    Args:
        panels: By mode, the scores' names and both estimates, None where there is none.

    Raises:
        DataError: there is no estimate.
    """
    rows = {mode: [row for row in own if row[1] or row[2]] for mode, own in panels.items()}
    rows = {mode: own for mode, own in rows.items() if own}
    if not rows:
        raise DataError("There is nothing to plot: no score tells right from wrong trajectories.")
    height = 0.26 * max(map(len, rows.values())) + 0.9
    with rc_context(STYLE):
        figure = make_figure(len(rows), height)
        axes = figure.subplots(1, len(rows), squeeze=False)[0]
        for axis, (mode, own) in zip(axes, rows.items(), strict=True):
            _draw_estimates(axis, [pooled for _, pooled, _ in own], -0.14, *KINDS["all pairs"])
            _draw_estimates(axis, [within for _, _, within in own], 0.14, *KINDS["within questions"])
            axis.axvline(0.5, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
            axis.set_yticks(np.arange(len(own)), [name for name, _, _ in own])
            axis.invert_yaxis()
            axis.set_xlim(0, 1.02)
            axis.set_title(f"{mode}: AUROC, 0.5 is chance")
            axis.grid(visible=True, axis="x")
        handles = [
            Line2D([], [], color=color, marker=marker, markersize=4, label=name)
            for name, (color, marker) in KINDS.items()
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def _draw_estimates(axis: Axes, estimates: Sequence[Estimate | None], shift: float, color: str, marker: str) -> None:
    """Draw estimates one below the other, with intervals where there are any."""
    for place, estimate in enumerate(estimates):
        if estimate is None:
            continue
        if estimate.method != "none":
            ends, height = [estimate.low, estimate.high], place + shift
            axis.plot(ends, [height, height], color=color, linewidth=1.2, solid_capstyle="butt")
        axis.plot(estimate.value, place + shift, color=color, marker=marker, markersize=4)
