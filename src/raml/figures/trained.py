"""Trained models beside each other: by technique, and by how much they were trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from raml.errors import DataError
from raml.figures.saving import make_figure
from raml.figures.style import COLORS, DASHES, GREY, INK, LETTERS, STYLE
from raml.records import Estimate

MARKS = ("o", "s", "^", "D", "v", "P", "X")


@dataclass(frozen=True)
class Shown:
    """How good a model is by one measure, in percent."""

    estimate: Estimate
    """Over questions and training seeds."""
    by_seed: tuple[float, ...] = ()
    """Each training seed alone."""


Line = Mapping[float, Shown]
"""By an amount, such as the number of training questions."""
Published = Mapping[str, Sequence[float]]
"""By model, a value in percent for each benchmark."""


def plot_models(
    panels: Mapping[str, Mapping[str, Shown]],
    *,
    published: Mapping[str, Published] | None = None,
    benchmarks: Sequence[str] = (),
) -> Figure:
    """Draw a panel a measure: a row a model, its mean with the 95 % interval over questions, and its seeds as dots.

    Beside a panel for which the paper has values stands one with these, as hollow marks, a shape a benchmark. They are
    of other models and questions; only the order of the rows can be compared.

    Args:
        panels: Title of a measure to its values by model.
        published: The same for the paper's values.
        benchmarks: What the paper's values are of.

    Raises:
        DataError: there is no value, or a row of the paper's has not one for each benchmark.
    """
    rows = list(dict.fromkeys(name for models in panels.values() for name in models))
    if not rows:
        raise DataError("There is nothing to plot: no model was measured.")
    columns: list[tuple[str, Mapping[str, Shown] | Published, bool]] = []
    for title, models in panels.items():
        columns.append((title, models, False))
        if published and title in published:
            columns.append((f"{title}, paper", published[title], True))
    n_lines, n_columns = _arrange(len(columns), wide=bool(published))
    with rc_context(STYLE):
        figure = make_figure(n_columns, n_lines * (0.28 * len(rows) + 0.6) + 0.4)
        axes = figure.subplots(n_lines, n_columns, squeeze=False, sharex=True, sharey=True).flatten()
        for axis in axes[len(columns) :]:
            axis.set_visible(False)
        for axis, (title, values, is_paper) in zip(axes, columns, strict=False):
            for place, name in enumerate(rows):
                if name in values and is_paper:
                    _draw_published(axis, place, values[name], benchmarks)  # pyright: ignore[reportArgumentType]
                elif name in values:
                    _draw_model(axis, place, values[name])  # pyright: ignore[reportArgumentType]
            axis.set_title(title)
            axis.set_yticks(range(len(rows)), rows)
            axis.set_ylim(len(rows) - 0.5, -0.5)
            axis.set_xlim(-2, 102)
            axis.grid(visible=True, axis="x")
            axis.tick_params(axis="x", labelbottom=True)
            axis.set_xlabel("percent")
        seeded = any(shown.by_seed for models in panels.values() for shown in models.values())
        _add_legend(figure, _list_handles(benchmarks if len(columns) > len(panels) else (), seeded=seeded))
    return figure


def plot_amounts(
    panels: Mapping[str, Mapping[str, Line]],
    *,
    label: str,
    levels: Mapping[str, Mapping[str, Shown]] | None = None,
) -> Figure:
    """Draw a panel a measure: its values against an amount, a line a kind of model, with 95 % intervals and seeds.

    Args:
        panels: Title of a measure to its lines by name. A line of one amount is a mark.
        label: What the amount is; its axis is logarithmic.
        levels: By the same titles, at most four models without an amount, such as where all began: lines across.

    Raises:
        DataError: there is no value, or an amount is not above 0.
    """
    amounts = list(dict.fromkeys(amount for lines in panels.values() for line in lines.values() for amount in line))
    if not amounts or min(amounts) <= 0:
        raise DataError(f"There is nothing to plot on a logarithmic axis: the amounts are {amounts or 'none'}.")
    with rc_context(STYLE):
        figure = make_figure(len(panels), 2.6)
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for axis, (title, lines) in zip(axes, panels.items(), strict=True):
            across = (levels or {}).get(title, {})
            apart = 1.12 if sum(map(len, lines.values())) > len(set().union(*lines.values())) else 1.0
            for i, (name, line) in enumerate(lines.items()):
                _draw_line(axis, i, name, line, apart ** (i - (len(lines) - 1) / 2))
            for dashes, (name, shown) in zip(DASHES[::-1], across.items(), strict=False):
                axis.axhspan(shown.estimate.low, shown.estimate.high, color=GREY, alpha=0.12, linewidth=0)
                axis.axhline(shown.estimate.value, color=GREY, linestyle=dashes, linewidth=1.2, label=name)
            _set_amounts(axis, amounts)
            axis.set_title(title)
            axis.grid(visible=True)
            axis.set_xlabel(label)
        axes[0].set_ylabel("percent")
        handles, labels = axes[0].get_legend_handles_labels()
        shown = (one for lines in panels.values() for line in lines.values() for one in line.values())
        notes = _list_handles((), seeded=any(one.by_seed for one in shown))
        _add_legend(figure, [*handles, *notes], [*labels, *(str(note.get_label()) for note in notes)])
    return figure


def _arrange(n_panels: int, *, wide: bool) -> tuple[int, int]:
    """Put panels into lines of at most four, or of three where none belongs to the one before it."""
    n_columns = min(n_panels, 4 if wide else 3)
    return math.ceil(n_panels / n_columns), n_columns


def _draw_model(axis: Axes, place: int, shown: Shown) -> None:
    estimate = shown.estimate
    if math.isfinite(estimate.low):
        ends = (estimate.low, estimate.high)
        axis.plot(ends, (place, place), color=INK, linewidth=1.2, solid_capstyle="butt")
    heights = place + 0.22 * np.ones(len(shown.by_seed))
    axis.plot(shown.by_seed, heights, linestyle="none", marker=".", markersize=4, color=COLORS[0], alpha=0.7)
    axis.plot(estimate.value, place, marker="o", markersize=5, color=COLORS[0], markeredgecolor=INK)


def _draw_published(axis: Axes, place: int, values: Sequence[float], benchmarks: Sequence[str]) -> None:
    if len(values) != len(benchmarks):
        raise DataError(f"There are {len(values)} published values for {len(benchmarks)} benchmarks.")
    for i, value in enumerate(values):
        mark = MARKS[i % len(MARKS)]
        axis.plot(value, place, marker=mark, markersize=4.5, color="none", markeredgecolor=GREY, linestyle="none")


def _draw_line(axis: Axes, i: int, name: str, line: Line, shift: float) -> None:
    """Draw the i-th line, its amounts times a shift."""
    color, mark = COLORS[i % len(COLORS)], MARKS[i % len(MARKS)]
    there = sorted(line)
    x = np.array(there, dtype=float) * shift
    values = np.array([line[amount].estimate.value for amount in there])
    ends = np.array([(line[amount].estimate.low, line[amount].estimate.high) for amount in there], dtype=float)
    ends[~np.isfinite(ends)] = np.nan
    style = "solid" if len(there) > 1 else "none"
    axis.vlines(x, ends[:, 0], ends[:, 1], color=color, linewidth=0.9)
    for at, amount in zip(x, there, strict=True):
        seeds = line[amount].by_seed
        axis.plot([at] * len(seeds), seeds, linestyle="none", marker="_", markersize=4.5, color=color, alpha=0.7)
    axis.plot(x, values, color=color, marker=mark, markersize=4, linestyle=style, linewidth=1.0, label=name)


def _set_amounts(axis: Axes, amounts: Sequence[float]) -> None:
    """Label the amounts, but none whose number would lie over that of one before it."""
    nearest = 0.07 * math.log(max(amounts) / min(amounts))
    labelled: list[float] = []
    for amount in amounts:
        if all(abs(math.log(amount / other)) > nearest for other in labelled):
            labelled.append(amount)
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(FixedLocator(sorted(labelled)))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter("{x:,.0f}")


def _list_handles(benchmarks: Sequence[str], *, seeded: bool) -> list[Line2D]:
    """Explain the marks: what is measured here, of seeds alone too where there are any, and what is the paper's."""
    if not benchmarks:
        seeds = "; small: seeds alone" if seeded else ""
        return [Line2D([], [], color=INK, linewidth=1.2, label=f"95 % interval over questions{seeds}")]
    ours = Line2D([], [], color=COLORS[0], marker="o", markersize=5, markeredgecolor=INK, linestyle="none")
    ours.set_label(f"measured, 95 % over questions{'; dots: seeds alone' if seeded else ''}")
    marks = [
        Line2D([], [], color="none", marker=MARKS[i % len(MARKS)], markeredgecolor=GREY, label=f"paper: {name}")
        for i, name in enumerate(benchmarks)
    ]
    return [ours, *marks]


def _add_legend(figure: Figure, handles: Sequence[Line2D], labels: Sequence[str] | None = None) -> None:
    names = list(labels) if labels is not None else [str(handle.get_label()) for handle in handles]
    n_letters = sum(len(name) + 8 for name in names)
    n_lines = math.ceil(n_letters / (LETTERS * figure.get_figwidth()))
    n_columns = math.ceil(len(names) / n_lines)
    figure.legend(handles, names, loc="outside lower center", ncols=n_columns)
