"""L̂ along trajectories, one panel a question: the paper's Fig. 3."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from raml.errors import DataError
from raml.records import Question, Trace, Trajectory
from raml.store import write_atomically, writing

# Blue and orange of the Okabe-Ito palette, told apart with every common colour vision; dashes for those who print grey.
LOOKS = {
    True: ("#0072B2", "solid", "right"),
    False: ("#D55E00", (0, (5, 1.5)), "wrong"),
    None: ("#777777", (0, (1, 1.5)), "undecided"),
}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "path",
    "svg.hashsalt": "raml",
    "axes.spines.top": False,
    "axes.spines.right": False,
}


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
        figure = Figure(figsize=(3.4 * n_columns, 2.6 * n_rows + 0.5), layout="constrained")
        axes = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True).flatten()
        for axis, question in zip(axes, shown, strict=False):
            _draw_panel(axis, question, panels[question.id], by_id, alpha)
        for axis in axes[len(shown) :]:
            axis.set_visible(False)
        _add_legend(figure, [by_id[t.trajectory_id] for question in shown for t in panels[question.id]])
        figure.supxlabel("position in the trajectory (prefix length / length)", fontsize=9)
        figure.supylabel("L̂, answer loss (nats per token)", fontsize=9)
    return figure


def save_figure(figure: Figure, path: Path) -> tuple[Path, Path]:
    """Write a figure as PATH.svg and PATH.png (the folder is made if need be); the same figure gives the same bytes.

    Returns:
        The two files.

    Raises:
        RunError: the disk is full or the folder can't be written.
    """
    files = path.with_suffix(".svg"), path.with_suffix(".png")
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    with rc_context(STYLE), warnings.catch_warnings():
        # A question in a script that the font lacks is drawn as boxes; that is no reason to fill the screen.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        for file in files:
            buffer = BytesIO()
            metadata = {"Date": None} if file.suffix == ".svg" else {}
            figure.savefig(buffer, format=file.suffix[1:], dpi=160, metadata=metadata)
            write_atomically(file, buffer.getvalue())
    return files


def _draw_panel(
    axis: Axes, question: Question, traces: Sequence[Trace], by_id: dict[str, Trajectory], alpha: float
) -> None:
    for trace in traces:
        color, dashes, _ = LOOKS[by_id[trace.trajectory_id].correct]
        position = trace.prefix_lens / max(1, int(trace.prefix_lens[-1]))
        axis.plot(position, trace.mean_nll, color=color, linewidth=0.5, alpha=0.35)
        axis.plot(position, smooth_ema(trace.mean_nll, alpha), color=color, linestyle=dashes, linewidth=1.6)
    axis.set_title(_shorten(question.public_prompt()), fontsize=8, loc="left", parse_math=False)
    axis.set_xlim(0, 1)
    axis.set_ylim(bottom=0)
    axis.grid(visible=True, linewidth=0.4, alpha=0.4)
    axis.tick_params(labelsize=8)


def _add_legend(figure: Figure, shown: Sequence[Trajectory]) -> None:
    handles = [
        Line2D([], [], color=color, linestyle=dashes, label=f"{label} ({count})")
        for correct, (color, dashes, label) in LOOKS.items()
        if (count := sum(trajectory.correct is correct for trajectory in shown))
    ]
    figure.legend(handles=handles, loc="outside upper right", ncols=3, frameon=False, fontsize=9)


def _shorten(text: str, n: int = 44) -> str:
    line = " ".join(text.split())
    return line if len(line) <= n else f"{line[: n - 1]}…"
