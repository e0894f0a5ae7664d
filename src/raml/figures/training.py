"""Training curves of one or more runs, one panel a quantity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from raml.errors import DataError
from raml.figures.saving import make_figure
from raml.figures.style import COLORS, DASHES, LETTERS, STYLE
from raml.figures.traces import smooth_ema

Row = Mapping[str, float | None]


@dataclass(frozen=True)
class Panel:
    """How a quantity is shown."""

    title: str
    unit: str
    is_share: bool = False
    """From 0 to 1, drawn as 0 to 100 %."""


# In the order of the panels: what is optimised, what comes out, how the model behaves, whom it prefers.
PANELS = {
    "loss": Panel("Loss", "training objective"),
    "reward": Panel("Reward", "mean per response"),
    "correct_rate": Panel("Right answers", "share of responses", is_share=True),
    "format_rate": Panel("Right format", "share of responses", is_share=True),
    "completion_tokens": Panel("Response length", "tokens"),
    "entropy": Panel("Entropy", "nats per token"),
    "kl": Panel("Divergence from the reference", "nats per token"),
    "reward_margin": Panel("Reward margin", "chosen − rejected"),
    "reward_accuracy": Panel("Chosen over rejected", "share of pairs", is_share=True),
    "token_accuracy": Panel("Tokens predicted", "share of tokens", is_share=True),
}
# Drawn when asked for, as is any other quantity under its own name.
MORE_PANELS = {
    "reward_std": Panel("Spread of rewards", "standard deviation"),
    "undecided_rate": Panel("Undecided answers", "share of responses", is_share=True),
    "cut_off_rate": Panel("Responses cut off", "share of responses", is_share=True),
    "equal_reward_rate": Panel("Groups of equal reward", "share of groups", is_share=True),
    "useful_group_rate": Panel("Useful groups", "share of groups", is_share=True),
    "clip_rate": Panel("Clipped tokens", "share of tokens", is_share=True),
    "grad_norm": Panel("Gradient", "L2 norm"),
    "learning_rate": Panel("Learning rate", "per step"),
    "seconds": Panel("Time since the row before", "seconds"),
}


def plot_training(
    curves: Mapping[str, Sequence[Row]], *, quantities: Sequence[str] | None = None, alpha: float | None = None
) -> Figure:
    """Draw metrics against the training step, one panel a quantity, raw thin and smoothed thick, one colour a run.

    Args:
        curves: The rows of each run by its label, in the order of their "step"; a legend names two or more runs.
        quantities: What to draw, in this order. By default what the rows hold of loss, reward, right answers, right
            format, response length, entropy, divergence, preferences and predicted tokens.
        alpha: Weight of the newest value in the moving average. By default 20 over the rows of the longest run, so that
            the average lags by a twentieth of the panel, but at least 0.02.

    A value that is None or not finite is a gap; a row without the quantity was not a measurement, and the line runs on.

    Raises:
        DataError: there is nothing to plot, steps are missing or do not rise, or alpha is not in (0, 1].
    """
    steps = {label: _read_steps(label, rows) for label, rows in curves.items()}
    rows = [row for rows in curves.values() for row in rows]
    shown = [name for name in quantities or PANELS if any(_is_known(row.get(name)) for row in rows)]
    if not shown:
        wanted = ", ".join(quantities or PANELS)
        raise DataError(f"There is nothing to plot: none of {len(curves)} runs has a value of {wanted}.")
    if alpha is None:
        alpha = min(1.0, max(0.02, 20 / max(map(len, steps.values()))))
    n_columns = len(shown) if len(shown) < 4 else 2 if len(shown) == 4 else 3 if len(shown) < 7 else 4
    n_rows = math.ceil(len(shown) / n_columns)
    with rc_context(STYLE):
        figure = make_figure(n_columns, (2.0 if n_columns < 3 else 1.6) * n_rows + 0.4)
        figure.set_layout_engine("constrained", w_pad=0.05, h_pad=0.04)
        axes = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True).flatten()
        for axis, name in zip(axes, shown, strict=False):
            _set_up_panel(axis, PANELS.get(name) or MORE_PANELS.get(name) or Panel(name.replace("_", " "), ""))
            for i, (label, rows) in enumerate(curves.items()):
                _draw_curve(axis, steps[label], rows, name, i, alpha)
        for i, axis in enumerate(axes):
            axis.set_visible(i < len(shown))
            axis.tick_params(labelbottom=i + n_columns >= len(shown))
        figure.align_ylabels()
        figure.supxlabel("training step")
        if len(curves) > 1:
            _add_legend(figure, list(curves))
    return figure


def _read_steps(label: str, rows: Sequence[Row]) -> list[float]:
    steps: list[float] = []
    for i, row in enumerate(rows):
        step = row.get("step")
        if step is None or (steps and step <= steps[-1]):
            before = f" after step {steps[-1]:g}" if steps else ""
            raise DataError(f"Row {i} of the run {label} has step {step}{before}; steps must be there and rise.")
        steps.append(step)
    return steps


def _is_known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _set_up_panel(axis: Axes, panel: Panel) -> None:
    axis.set_title(panel.title)
    axis.grid(visible=True)
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.set_ylabel(panel.unit)
    if panel.is_share:
        axis.set_ylim(-0.03, 1.03)
        axis.yaxis.set_major_formatter(PercentFormatter(1.0))
    else:
        axis.yaxis.set_major_formatter("{x:.6g}")  # never a factor beside the title, as for a learning rate of 1e-6


def _draw_curve(axis: Axes, steps: Sequence[float], rows: Sequence[Row], name: str, i: int, alpha: float) -> None:
    measured = [(step, row[name]) for step, row in zip(steps, rows, strict=True) if name in row]
    at = np.array([step for step, _ in measured])
    raw = np.array([math.nan if value is None or not math.isfinite(value) else value for _, value in measured])
    known = np.isfinite(raw)
    smooth = np.full(len(raw), math.nan)
    smooth[known] = smooth_ema(raw[known], alpha)
    color = COLORS[i % len(COLORS)]
    axis.plot(at, raw, color=color, linewidth=0.6, alpha=0.4, marker=".", markersize=2.2, markevery=_find_lone(known))
    axis.plot(at, smooth, color=color, linestyle=DASHES[i % len(DASHES)], linewidth=1.2)


def _find_lone(known: NDArray[np.bool_]) -> list[int]:
    """Find the values between two gaps, which a line alone would not show."""
    padded = np.pad(known, 1)
    return np.flatnonzero(known & ~padded[:-2] & ~padded[2:]).tolist()


def _add_legend(figure: Figure, labels: Sequence[str]) -> None:
    handles = [
        Line2D([], [], color=COLORS[i % len(COLORS)], linestyle=DASHES[i % len(DASHES)], linewidth=1.2)
        for i in range(len(labels))
    ]
    fitting = int(LETTERS * figure.get_figwidth()) // (max(map(len, labels)) + 10)
    legend = figure.legend(handles, labels, loc="outside upper right", ncols=max(1, min(4, fitting)))
    for text in legend.get_texts():
        text.set_parse_math(False)
