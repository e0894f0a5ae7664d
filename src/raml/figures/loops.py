"""What training with an inner loop changed: the answer's loss in each way of answering, before and after."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from raml.errors import DataError
from raml.figures.saving import make_figure
from raml.figures.style import COLORS, GREY, LETTERS, STYLE
from raml.stats import estimate_mean

Losses = Mapping[str, NDArray[np.float64]]
"""By way of answering, nats [seed question]."""
BEFORE = (GREY, "s", "before training")
AFTER = (COLORS[0], "o", "after it, mean of the seeds")
GAP = 0.16
"""From the middle of a way to its marks."""
N_RESAMPLES = 999
"""Of each interval in a picture."""


def plot_loops(before: Losses, after: Mapping[str, Losses]) -> Figure:
    """Draw a panel an outer loop: means over questions with 95 % intervals, seeds averaged within each question.

    Small dots are single seeds. The number beside each mark is its value in nats.

    Args:
        before: Losses before any training.
        after: Losses after training, by title.

    Raises:
        DataError: there is nothing to draw, or a panel has other ways of answering.
    """
    if not after or not before:
        raise DataError("There is nothing to plot: no loop was measured.")
    if any(list(panel) != list(before) for panel in after.values()):
        raise DataError(f"Every panel needs the ways of answering {', '.join(before)}.")
    with rc_context(STYLE):
        figure = make_figure(len(after), 2.8)
        axes = figure.subplots(1, len(after), squeeze=False, sharey=True)[0]
        width = int(LETTERS * figure.get_figwidth() / len(after) / (len(before) + 1))
        for axis, (title, losses) in zip(axes, after.items(), strict=True):
            for place, (old, new) in enumerate(zip(before.values(), losses.values(), strict=True)):
                _draw_mean(axis, place - GAP, old, BEFORE)
                _draw_mean(axis, place + GAP, new, AFTER)
            axis.set_title(title)
            axis.set_xticks(range(len(before)), [textwrap.fill(name, width) for name in before])
            axis.set_xlim(-0.6, len(before) - 0.3)
            axis.set_ylim(bottom=-0.03 * axis.get_ylim()[1])  # so that marks near 0 are whole
            axis.grid(visible=True, axis="y")
        axes[0].set_ylabel("answer's loss (nats per token)")
        marks = [
            Line2D([], [], color=color, marker=marker, markersize=4.5, label=label)
            for color, marker, label in (BEFORE, AFTER)
        ]
        marks.append(Line2D([], [], linestyle="none", color=AFTER[0], marker=".", markersize=4, label="a seed"))
        figure.legend(handles=marks, loc="outside lower center", ncols=3)
    return figure


def _draw_mean(axis: Axes, place: float, losses: NDArray[np.float64], looks: tuple[str, str, str]) -> None:
    color, marker, _ = looks
    mean = estimate_mean("loss", losses.mean(axis=0).tolist(), n_resamples=N_RESAMPLES)
    if np.isfinite(mean.low):
        axis.plot([place, place], [mean.low, mean.high], color=color, linewidth=1.0)
    axis.plot(place, mean.value, color=color, marker=marker, markersize=4.5)
    if len(losses) > 1:
        axis.plot(
            [place - 0.08] * len(losses), losses.mean(axis=1), linestyle="none", marker=".", markersize=4, color=color
        )
    offset, side = ((-11, 3), "right") if looks is BEFORE else ((6, 3), "left")
    axis.annotate(
        f"{mean.value:.3g}", (place, mean.value), offset, textcoords="offset points", ha=side, fontsize=6, color=color
    )
