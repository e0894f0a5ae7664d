"""Models on benchmarks as bars with intervals: the paper's Fig. 7."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from raml.errors import DataError
from raml.figures.saving import make_figure
from raml.figures.style import COLORS, COLUMN, INK, LETTERS, PAGE, STYLE
from raml.records import Estimate, Evaluation

MAX_LABEL = 60
"""Characters of a model's label; of a longer one the end is shown."""
HATCHES = ("", "//", "..", "\\\\", "xx", "--", "oo")


def plot_evaluation(evaluation: Evaluation, *, metrics: Sequence[str] | None = None) -> Figure:
    """Draw a panel a metric: benchmarks along the x axis, a bar a model, with its interval over questions.

    Colours can be told apart with every common colour vision, hatches in print. A model that did not take a benchmark
    has no bar there.

    Args:
        evaluation: What to draw.
        metrics: Names of the metrics, such as "Pass@8"; by default all, Avg@n of whatever n in one panel.

    Raises:
        DataError: no score has such a metric.
    """
    panels = _find_panels(evaluation, metrics)
    benchmarks = list(dict.fromkeys(score.benchmark for score in evaluation.scores))
    models = list(dict.fromkeys(score.model for score in evaluation.scores))
    width = max(1.6, 0.4 + 0.2 * len(models) * len(benchmarks))
    n_columns = min(len(panels), max(1, int(PAGE // width)))
    n_rows = math.ceil(len(panels) / n_columns)
    with rc_context(STYLE):
        figure = make_figure(1 if width * n_columns <= COLUMN else 2, 2.0 * n_rows + 0.4)
        figure.set_layout_engine("constrained", w_pad=0.05, h_pad=0.04)
        axes = figure.subplots(n_rows, n_columns, squeeze=False, sharey=True).flatten()
        for axis, (name, estimates) in zip(axes, panels.items(), strict=False):
            _draw_bars(axis, estimates, benchmarks, models)
            axis.set_title(name)
        for axis in axes[len(panels) :]:
            axis.set_visible(False)
        level = evaluation.scores[0].estimates[0].level
        figure.supylabel(f"mean over questions, {100 * level:g} % interval")
        if len(models) > 1:
            _add_legend(figure, models)
    return figure


def _find_panels(evaluation: Evaluation, metrics: Sequence[str] | None) -> dict[str, dict[tuple[str, str], Estimate]]:
    """Sort estimates into panels, by benchmark and model."""
    panels: dict[str, dict[tuple[str, str], Estimate]] = {}
    for score in evaluation.scores:
        for estimate in score.estimates:
            if metrics is None or estimate.name in metrics:
                name = "Avg@n" if estimate.name.startswith("Avg@") and metrics is None else estimate.name
                panels.setdefault(name, {})[score.benchmark, score.model] = estimate
    if not panels:
        there = ", ".join(dict.fromkeys(e.name for score in evaluation.scores for e in score.estimates))
        raise DataError(f"There is nothing to plot: no metric {', '.join(metrics or ())}; there are {there}.")
    return panels


def _add_legend(figure: Figure, models: Sequence[str]) -> None:
    handles = [
        Patch(facecolor=COLORS[i % len(COLORS)], hatch=HATCHES[i % len(HATCHES)], edgecolor="white")
        for i in range(len(models))
    ]
    labels = [model if len(model) <= MAX_LABEL else f"…{model[1 - MAX_LABEL :]}" for model in models]
    fitting = max(1, int(LETTERS * figure.get_figwidth()) // (max(map(len, labels)) + 10))
    legend = figure.legend(handles, labels, loc="outside upper left", ncols=min(4, fitting))
    for text in legend.get_texts():
        text.set_parse_math(False)


def _draw_bars(
    axis: Axes, estimates: dict[tuple[str, str], Estimate], benchmarks: Sequence[str], models: Sequence[str]
) -> None:
    bar = 0.8 / len(models)
    for i, model in enumerate(models):
        there = [(place, estimates[name, model]) for place, name in enumerate(benchmarks) if (name, model) in estimates]
        x = np.array([place for place, _ in there]) + (i - (len(models) - 1) / 2) * bar
        values = np.array([estimate.value for _, estimate in there])
        errors = np.abs(np.array([(e.value - e.low, e.high - e.value) for _, e in there]).reshape(-1, 2).T)
        axis.bar(
            x,
            values,
            0.92 * bar,
            color=COLORS[i % len(COLORS)],
            hatch=HATCHES[i % len(HATCHES)],
            edgecolor="white",
            linewidth=0.4,
        )
        axis.errorbar(x, values, yerr=errors, fmt="none", ecolor=INK, elinewidth=0.9, capsize=2)
    axis.set_xticks(range(len(benchmarks)), benchmarks, rotation=20 if len(benchmarks) > 2 else 0)
    for text in axis.get_xticklabels():
        text.set_parse_math(False)
        if len(benchmarks) > 2:
            text.set_horizontalalignment("right")
    axis.set_ylim(0, 1.03)
    axis.yaxis.set_major_formatter(PercentFormatter(1.0))
    axis.grid(visible=True, axis="y")
    axis.set_axisbelow(True)
