"""Accuracy against tokens, in context and generated: the paper's Fig. 11."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter, SymmetricalLogLocator

from raml.errors import DataError
from raml.figures.saving import PaperFigure
from raml.figures.style import COLORS, DASHES, INK, LOOKS, PAGE, STYLE
from raml.records import Estimate, Method


class ShownPoint(Protocol):
    """What is drawn of a point."""

    @property
    def method(self) -> Method:
        """How the answer was made."""
        ...

    @property
    def variant(self) -> str:
        """Its line among the method's."""
        ...

    @property
    def level(self) -> float:
        """Its place on the line."""
        ...

    @property
    def accuracy(self) -> Estimate:
        """Share of right answers."""
        ...

    @property
    def pass_at_n(self) -> Estimate | None:
        """Chance of a right one among n."""
        ...

    @property
    def n_thinking(self) -> Estimate:
        """Tokens in context."""
        ...

    @property
    def n_generated(self) -> Estimate:
        """Tokens generated."""
        ...


Line = tuple[Method, str]
"""Method and variant."""
Key = tuple[Method, str, float]
"""Method, variant and level."""
MARKERS: dict[Method, str] = {
    "full": "*",
    "no-thinking": "X",
    "cut": "o",
    "wait": "s",
    "summary": "P",
    "early-exit": "^",
    "prune": "D",
    "random": "d",
}
LINE_COLORS: dict[Method, str] = {
    "full": INK,
    "no-thinking": COLORS[1],
    "cut": COLORS[0],
    "wait": COLORS[5],
    "summary": COLORS[4],
    "early-exit": COLORS[2],
    "prune": COLORS[3],
    "random": LOOKS[None][0],
}
FILLS = ("full", "none", "left", "top")
"""Of the marks of a method's variants, one after the other."""
RING: dict[str, Any] = {
    "marker": "o",
    "markersize": 9,
    "fillstyle": "none",
    "color": INK,
    "markeredgewidth": 1.1,
    "linestyle": "none",
    "zorder": 6,
}
WIDE = 20
"""Ratio of most to fewest tokens from which on their axis is logarithmic."""
FEW = 10
"""Tokens up to which such an axis is linear where there are points near 0."""
X_TITLES = {"n_thinking": "tokens in context when answering", "n_generated": "tokens generated, all in all"}


def plot_frontier(points: Sequence[ShownPoint], *, n: int, chosen: Sequence[Key] = ()) -> Figure:
    """Draw accuracy, and Pass@n below it, against tokens in context (left) and tokens generated (right).

    A line is a method and variant, its marks the levels, with intervals over questions; "full" and "no-thinking" are
    single marks, and the dotted line is the height of "full". Colours can be told apart with every common colour
    vision, marks and dashes in print. A ring marks a rule that was chosen; the legend says its level.

    Args:
        points: Such as a frontier's; those without Pass@n are missing from the lower row.
        n: Of Pass@n; with n = 1 the lower row would repeat the upper one and is left out.
        chosen: Method, variant and level of the chosen rules.

    Raises:
        DataError: there are no points.
    """
    if not points:
        raise DataError("There is nothing to plot: the frontier has no points.")
    lines: dict[Line, list[ShownPoint]] = {}
    for point in points:
        lines.setdefault((point.method, point.variant), []).append(point)
    rows = {"accuracy": "accuracy (share right)"}
    if n > 1 and any(point.pass_at_n is not None for point in points):
        rows["pass_at_n"] = f"Pass@{n}"
    n_legend = math.ceil(len(lines) / 3) + bool(chosen)
    with rc_context(STYLE):
        figure = PaperFigure(figsize=(PAGE, 2.4 * len(rows) + 0.14 * n_legend + 0.4), layout="constrained")
        grid = figure.subplots(len(rows), 2, squeeze=False, sharey="row", sharex="col")
        for (measure, title), axes in zip(rows.items(), grid, strict=True):
            for x, axis in zip(X_TITLES, axes, strict=True):
                _draw_panel(axis, lines, x, measure, set(chosen))
            axes[0].set_ylabel(title)
            ends = [end for p in points if (e := getattr(p, measure)) is not None for end in (e.low, e.high)]
            axes[0].set_ylim(max(-0.02, min(ends) - 0.04), min(1.03, max(ends) + 0.04))
        for (x, title), axis in zip(X_TITLES.items(), grid[-1], strict=True):
            axis.set_xlabel(title)
            _scale_tokens(axis, [getattr(point, x).value for point in points])
        figure.align_ylabels()
        _add_legend(figure, list(lines), points[0].accuracy.level, chosen)
    return figure


def _draw_panel(axis: Axes, lines: dict[Line, list[ShownPoint]], x: str, measure: str, chosen: set[Key]) -> None:
    for line, points in lines.items():
        shown = sorted((p for p in points if getattr(p, measure) is not None), key=lambda p: p.level)
        if not shown:
            continue
        places = [getattr(point, x).value for point in shown]
        heights = [getattr(point, measure).value for point in shown]
        ends = [(getattr(point, measure).low, getattr(point, measure).high) for point in shown]
        reach = [[h - low for h, (low, _) in zip(heights, ends, strict=True)]]
        reach.append([high - h for h, (_, high) in zip(heights, ends, strict=True)])
        look = _find_look(line, list(lines))
        drawn = axis.errorbar(places, heights, yerr=reach, elinewidth=0.7, capsize=1.5, capthick=0.7, **look)
        for part in (*drawn[1], *drawn[2]):
            part.set_alpha(0.6)
        rings = [i for i, point in enumerate(shown) if (point.method, point.variant, point.level) in chosen]
        axis.plot([places[i] for i in rings], [heights[i] for i in rings], **RING)
        if line[0] == "full":
            axis.axhline(heights[0], color=INK, linewidth=0.7, linestyle=(0, (1, 2)), zorder=0)
    axis.yaxis.set_major_formatter(PercentFormatter(1.0))
    axis.grid(visible=True)


def _find_look(line: Line, lines: Sequence[Line]) -> dict[str, Any]:
    """Colour and mark say the method, fill and dashes the variant; what chance does is grey and dashed."""
    method, variant = line
    # Pruning and its control have the same fill.
    variants = list(dict.fromkeys(v for m, v in lines if m == method or {m, method} == {"prune", "random"}))
    place = variants.index(variant)
    dashes = (0, (4, 2)) if method == "random" else DASHES[place % len(DASHES)]
    return {
        "color": LINE_COLORS[method],
        "marker": MARKERS[method],
        "markersize": 8 if method == "full" else 4,
        "fillstyle": FILLS[place % len(FILLS)],
        "linestyle": dashes,
        "linewidth": 1.0,
        "zorder": {"random": 2, "full": 5}.get(method, 3),
    }


def _scale_tokens(axis: Axes, values: Sequence[float]) -> None:
    low, high = min(values), max(values)
    if high / max(low, 1) >= WIDE:
        if low >= 1:
            axis.set_xscale("log")
            axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        else:  # no reasoning at all: the place of 0 is where decades begin
            axis.set_xscale("symlog", linthresh=FEW, linscale=0.5)
            axis.xaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=FEW, subs=(1, 2, 5)))
            axis.set_xlim(-FEW / 4, 1.4 * high)
        axis.xaxis.set_minor_formatter(NullFormatter())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _add_legend(figure: Figure, lines: Sequence[Line], level: float, chosen: Sequence[Key]) -> None:
    rings = {(method, variant): f" (ring: {at:g})" for method, variant, at in chosen}
    single = [(method, variant) for method, variant, _ in chosen if method in ("no-thinking", "summary")]
    handles = [Line2D([], [], **_find_look(line, lines)) for line in lines]
    labels = [
        (f"{line[0]}: {line[1]}" if line[1] else line[0]) + ("" if line in single else rings.get(line, ""))
        for line in lines
    ]
    if chosen:
        handles.append(Line2D([], [], **RING))
        labels.append("chosen on one half of the questions")
    legend = figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=3,
        title=f"bars: {100 * level:g} % intervals over questions; dotted: full",
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
