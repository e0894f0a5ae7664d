"""Which tokens move the answer: the paper's Fig. 6 beside what is left of it against matched controls."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

from raml.errors import DataError
from raml.figures.saving import PaperFigure, make_figure
from raml.figures.style import COLORS, GREY, INK, LIGHT, PAGE, STYLE
from raml.records import Estimate
from raml.stats import SIGNIFICANT

MAX_LABEL = 28
_MARKS = {"size": (COLORS[0], "o"), "direction": (COLORS[1], "D")}


@dataclass(frozen=True)
class Bar:
    """What is drawn of one group."""

    label: str
    n: int
    """Its units."""
    mean: float | None = None
    """The paper's |ΔL̂|/L̂, over units."""
    median: float | None = None
    size: Estimate | None = None
    """|Δ log(L̂+ε)| beyond that of matched controls."""
    direction: Estimate | None = None
    """Δ log(L̂+ε) beyond that of matched controls."""
    size_stands_out: bool = False
    """Whether it differs from 0 after the correction for many tests."""
    direction_stands_out: bool = False
    is_compared: bool = True
    """False for what stands for everything, and has no controls by its nature."""


def plot_influence(bars: Sequence[Bar], *, level: float = 0.95) -> Figure:
    """Draw the paper's measure by word on a logarithmic axis, and beside it the effects beyond matched controls.

    A group without units keeps its line, so that one sees that it was looked for.

    Args:
        bars: From top to bottom.
        level: Of the intervals.

    Raises:
        DataError: no group has a unit.
    """
    _check(bars)
    with rc_context(STYLE):
        figure = PaperFigure(figsize=(PAGE, 0.24 * len(bars) + 1.3), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1, 1.15))
        for place, bar in enumerate(bars):
            _draw_relative(left, place, bar)
            _draw_effects(right, place, bar)
        _name_groups(left, bars)
        left.set_xscale("log")
        left.set_title("the paper's measure |ΔL̂| / L̂")
        left.set_xlabel("share of L̂ before the step (log scale)")
        left.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        left.xaxis.set_minor_formatter(NullFormatter())
        right.set_title("beyond controls matched for place and frequency")
        right.set_xlabel("change of log(L̂+ε) minus that of controls")
        _finish(right)
        handles = [
            Line2D([], [], marker="s", color=GREY, linestyle="none", markersize=4.5, label="mean"),
            Line2D([], [], marker="|", color=INK, linestyle="none", markersize=7, markeredgewidth=1.6, label="median"),
        ]
        figure.legend(handles=handles + _list_handles(level), loc="outside lower center", ncols=3)
    return figure


def plot_influence_groups(panels: Mapping[str, Sequence[Bar]], *, level: float = 0.95) -> Figure:
    """Draw a panel a kind of group: the effects beyond matched controls.

    Args:
        panels: Title to groups, from top to bottom.
        level: Of the intervals.

    Raises:
        DataError: no group has a unit.
    """
    _check([bar for bars in panels.values() for bar in bars])
    with rc_context(STYLE):
        tallest = max(len(bars) for bars in panels.values())
        figure = make_figure(len(panels), 0.24 * tallest + 1.2)
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axis, (title, bars) in zip(axes, panels.items(), strict=True):
            for place, bar in enumerate(bars):
                _draw_effects(axis, place, bar)
            _name_groups(axis, bars)
            axis.set_title(title)
            _finish(axis)
        figure.supxlabel("change of log(L̂+ε) minus that of matched controls")
        figure.legend(handles=_list_handles(level), loc="outside upper center", ncols=4)
    return figure


def _draw_relative(axis: Axes, place: int, bar: Bar) -> None:
    """Mean as a square, median as a stroke; what is 0 has no place on a logarithmic axis."""
    if bar.mean:
        axis.plot(bar.mean, place, marker="s", color=GREY, markersize=4.5, linestyle="none")
    if bar.median:
        axis.plot(bar.median, place, marker="|", color=INK, markersize=8, markeredgewidth=1.6, linestyle="none")
    if bar.mean and bar.median:
        axis.plot([bar.median, bar.mean], [place, place], color=LIGHT, linewidth=0.8, zorder=1)


def _draw_effects(axis: Axes, place: int, bar: Bar) -> None:
    """Size above, direction below; filled where it stands out."""
    for estimate, stands_out, name, shift in (
        (bar.size, bar.size_stands_out, "size", -0.15),
        (bar.direction, bar.direction_stands_out, "direction", 0.15),
    ):
        if estimate is None:
            continue
        color, marker = _MARKS[name]
        height = place + shift
        if math.isfinite(estimate.low):
            axis.plot([estimate.low, estimate.high], [height, height], color=color, linewidth=1.0)
        face = color if stands_out else "white"
        axis.plot(
            estimate.value, height, marker=marker, markersize=4, color=color, markerfacecolor=face, linestyle="none"
        )
    if bar.n and bar.is_compared and bar.size is None and bar.direction is None:
        axis.annotate(
            "no control", (0.99, place), xycoords=("axes fraction", "data"), ha="right", va="center", fontsize=6,
            color=GREY,
        )  # fmt: skip


def _name_groups(axis: Axes, bars: Sequence[Bar]) -> None:
    names = [bar.label if len(bar.label) <= MAX_LABEL else f"{bar.label[: MAX_LABEL - 1]}…" for bar in bars]
    labels = [f"{name}  (n = {bar.n:,})" for name, bar in zip(names, bars, strict=True)]
    axis.set_yticks(range(len(bars)), labels)
    for text in axis.get_yticklabels():
        text.set_parse_math(False)
    axis.set_ylim(len(bars) - 0.5, -0.5)
    axis.grid(visible=True, axis="x")


def _finish(axis: Axes) -> None:
    axis.axvline(0, color=INK, linewidth=0.8)
    axis.grid(visible=True, axis="x")
    axis.locator_params(axis="x", nbins=6)


def _list_handles(level: float) -> list[Line2D]:
    looks = {
        "|Δ log(L̂+ε)|: above 0, moves L̂ more": _MARKS["size"],
        "Δ log(L̂+ε): below 0, answer comes nearer": _MARKS["direction"],
    }
    handles = [
        Line2D([], [], marker=marker, color=color, markersize=4, linewidth=1.0, markerfacecolor="white", label=label)
        for label, (color, marker) in looks.items()
    ]
    filled = Line2D(
        [], [], marker="o", color=INK, linestyle="none", markersize=4, label=f"filled: p < {SIGNIFICANT:g} (Holm)"
    )
    lines = Line2D([], [], color=INK, linewidth=1.0, label=f"lines: {100 * level:g} % intervals")
    return [*handles, filled, lines]


def _check(bars: Sequence[Bar]) -> None:
    if not any(bar.n for bar in bars):
        raise DataError("There is nothing to plot: no group has a unit.")
    shown = [e for bar in bars for e in (bar.size, bar.direction) if e is not None]
    if not np.isfinite([e.value for e in shown]).all():
        raise DataError("An effect to plot is not finite.")
