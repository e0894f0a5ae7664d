"""L̂ along trajectories, one panel a question: the paper's Fig. 3."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from raml.errors import DataError
from raml.figures.saving import make_figure
from raml.figures.style import LOOKS, STYLE, shorten
from raml.records import Question, Trace, Trajectory


def smooth_ema(values: NDArray[np.floating], alpha: float) -> NDArray[np.float64]:
    """Exponential moving average: s[0] = v[0], s[i] = alpha v[i] + (1 - alpha) s[i-1].

    Raises:
        DataError: alpha is not in (0, 1].
    """
    if not 0 < alpha <= 1:
        raise DataError(f"Smoothing alpha is {alpha}; it must be above 0 and at most 1.")
    smoothed = np.empty(len(values))
    last = 0.0
    for i, value in enumerate(values.tolist()):
        last = value if i == 0 else alpha * value + (1 - alpha) * last
        smoothed[i] = last
    return smoothed


def plot_traces(
    questions: Sequence[Question],
    trajectories: Sequence[Trajectory],
    traces: Sequence[Trace],
    *,
    alpha: float = 0.01,
    max_questions: int = 12,
) -> Figure:
    """Draw L̂ against the normalised position, one panel a question, raw thin and smoothed thick, as in Fig. 3.

    Right trajectories are blue and solid, wrong ones orange and dashed, undecided ones grey and dotted. The x axis is
    prefix length / trajectory length, the y axis nats; alpha = 0.01 is the paper's, made for thousands of tokens.

    Raises:
        DataError: there is no trace of these trajectories, or alpha is not in (0, 1].
    """
    by_id = {trajectory.id: trajectory for trajectory in trajectories}
    panels: dict[str, list[Trace]] = {}
    for trace in traces:
        if trace.trajectory_id in by_id:
            panels.setdefault(by_id[trace.trajectory_id].question_id, []).append(trace)
    shown = [question for question in questions if question.id in panels][:max_questions]
    if not shown:
        raise DataError("There is nothing to plot: none of these trajectories has been traced.")
    n_columns = min(4, len(shown))
    n_rows = math.ceil(len(shown) / n_columns)
    with rc_context(STYLE):
        figure = make_figure(n_columns, (2.1 if n_columns < 3 else 1.6) * n_rows + 0.4)
        axes = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True).flatten()
        for axis, question in zip(axes, shown, strict=False):
            _draw_panel(axis, panels[question.id], by_id, alpha)
            axis.set_title(shorten(question.public_prompt(), figure.get_figwidth() / n_columns - 0.4), parse_math=False)
        for i, axis in enumerate(axes):
            axis.set_visible(i < len(shown))
            axis.tick_params(labelbottom=i + n_columns >= len(shown))
        _add_legend(figure, [by_id[t.trajectory_id] for question in shown for t in panels[question.id]])
        figure.supxlabel("position in the trajectory (prefix length / length)")
        figure.supylabel("L̂, answer loss (nats per token)")
    return figure


def _draw_panel(axis: Axes, traces: Sequence[Trace], by_id: dict[str, Trajectory], alpha: float) -> None:
    for trace in traces:
        color, dashes, _ = LOOKS[by_id[trace.trajectory_id].correct]
        position = trace.prefix_lens / max(1, int(trace.prefix_lens[-1]))
        axis.plot(position, trace.mean_nll, color=color, linewidth=0.5, alpha=0.35)
        axis.plot(position, smooth_ema(trace.mean_nll, alpha), color=color, linestyle=dashes, linewidth=1.2)
    axis.set_xlim(0, 1)
    axis.set_ylim(bottom=0)
    axis.grid(visible=True)


def _add_legend(figure: Figure, shown: Sequence[Trajectory]) -> None:
    handles = [
        Line2D([], [], color=color, linestyle=dashes, label=f"{label} ({count})")
        for correct, (color, dashes, label) in LOOKS.items()
        if (count := sum(trajectory.correct is correct for trajectory in shown))
    ]
    figure.legend(handles=handles, loc="outside upper right", ncols=3)
