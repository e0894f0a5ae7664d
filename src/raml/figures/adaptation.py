"""L̂ along a trajectory in the context and along gradient steps on it as text, in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from raml.errors import DataError
from raml.figures.saving import make_figure
from raml.figures.style import INK, LOOKS, STYLE
from raml.records import Adaptation, Estimate, Trace, Trajectory
from raml.stats import average_questions, estimate_mean

EXPLICIT = INK
POSITIONS = np.linspace(0, 1, 41)
"""Shares of the trajectory at which its curves are averaged."""
Looks = tuple[str, Any, str]
"""Colour, dashes and name."""
N_RESAMPLES = 999
"""Of each point's interval."""


def plot_adaptation(
    trajectories: Sequence[Trajectory], adaptations: Sequence[Adaptation], traces: Sequence[Trace] = ()
) -> Figure:
    """Draw both inner loops, a panel each for right and wrong trajectories: means over questions, 95 % intervals.

    The implicit one is L̂_i over the share of the trajectory in the context, in the panel's colour; it needs a gold
    trace of every trajectory, of the adaptation's model, bridge and span. Where one lacks it, squares mark its two ends
    alone: no trajectory, and the whole one. The explicit one, dark with circles, is L̂ without the trajectory after k of
    K gradient steps on it (upper axis). Each panel has its own y axis, cut off where the intervals of few questions go
    far beyond the means; where a single question gives none, none is drawn.

    Raises:
        DataError: there is no adaptation of these trajectories, one trajectory has two, or their steps differ.
    """
    by_id = {trajectory.id: trajectory for trajectory in trajectories}
    shown = [adaptation for adaptation in adaptations if adaptation.trajectory_id in by_id]
    if not shown:
        raise DataError("There is nothing to plot: none of these trajectories has an adaptation.")
    if len({a.trajectory_id for a in shown}) < len(shown) or len({a.settings.n_steps for a in shown}) > 1:
        raise DataError("The adaptations differ in more than their trajectories; plot those of one setting.")
    correct = [by_id[a.trajectory_id].correct for a in shown]
    groups = [
        (looks, [a for a, own in zip(shown, correct, strict=True) if own is is_right])
        for is_right, looks in LOOKS.items()
    ]
    groups = [(looks, group) for looks, group in groups if group]
    with rc_context(STYLE):
        figure = make_figure(len(groups), 2.9)
        axes = figure.subplots(1, len(groups), squeeze=False)[0]
        for axis, (looks, group) in zip(axes, groups, strict=True):
            _draw_panel(axis, looks, group, by_id, traces)
        figure.supylabel("L̂, answer loss (nats per token)")
        _add_legend(figure, [looks for looks, _ in groups])
    return figure


def _draw_panel(
    axis: Axes,
    looks: Looks,
    group: Sequence[Adaptation],
    by_id: dict[str, Trajectory],
    traces: Sequence[Trace],
) -> None:
    question_ids = [by_id[a.trajectory_id].question_id for a in group]
    n_steps = group[0].settings.n_steps
    implicit = _draw_implicit(axis, looks, question_ids, group, traces)
    explicit = _estimate(question_ids, np.array([a.loss for a in group]))
    steps = np.arange(n_steps + 1) / n_steps
    axis.plot(steps, [e.value for e in explicit], color=EXPLICIT, linewidth=0.9, marker="o", markersize=2.5)
    _draw_band(axis, steps, explicit, EXPLICIT)
    drawn = [*implicit, *explicit]
    highest = max(estimate.value for estimate in drawn)
    farthest = max([estimate.high for estimate in drawn if np.isfinite(estimate.high)], default=highest)
    axis.set_ylim(0, 1.05 * min(farthest, 1.5 * highest) or 1)
    axis.set_xlim(-0.02, 1.02)
    n_questions = len(set(question_ids))
    axis.set_title(f"{looks[2]} (trajectories: {len(group)}, questions: {n_questions})")
    axis.set_xlabel("share of the trajectory in the context")
    axis.grid(visible=True)
    there, back = (lambda x: np.multiply(x, n_steps)), (lambda k: np.divide(k, n_steps))
    upper = axis.secondary_xaxis("top", functions=(there, back))
    upper.set_xlabel("gradient steps on it as text")


def _draw_implicit(
    axis: Axes, looks: Looks, question_ids: Sequence[str], group: Sequence[Adaptation], traces: Sequence[Trace]
) -> list[Estimate]:
    """Draw L̂ along the context, or its two ends where a trace is missing; return what was drawn."""
    color, dashes, _ = looks
    curves = [_find_curve(adaptation, traces) for adaptation in group]
    known = [curve for curve in curves if curve is not None]
    if len(known) == len(curves):
        estimates = _estimate(question_ids, np.array(known))
        axis.plot(POSITIONS, [e.value for e in estimates], color=color, linestyle=dashes, linewidth=1.3)
        _draw_band(axis, POSITIONS, estimates, color)
        return estimates
    estimates = _estimate(question_ids, np.array([(a.loss[0], a.in_context_loss) for a in group]))
    axis.plot([0, 1], [e.value for e in estimates], color=color, linestyle="none", marker="s", markersize=4.5)
    for position, end in zip((0, 1), estimates, strict=True):
        if np.isfinite(end.low):
            axis.plot([position] * 2, [end.low, end.high], color=color, linewidth=1)
    return estimates


def _find_curve(adaptation: Adaptation, traces: Sequence[Trace]) -> NDArray[np.float64] | None:
    """L̂ at the common positions, from the finest trace of the same trajectory, model, bridge and span."""
    settings = adaptation.settings
    same = [
        trace
        for trace in traces
        if trace.trajectory_id == adaptation.trajectory_id
        and trace.model.key() == adaptation.model.key()
        and (trace.settings.target, trace.settings.bridge, trace.settings.span)
        == ("gold", settings.bridge, settings.span)
    ]
    if not same:
        return None
    finest = max(same, key=lambda trace: len(trace.prefix_lens))
    return np.interp(POSITIONS, finest.prefix_lens / max(1, int(finest.prefix_lens[-1])), finest.mean_nll)


def _estimate(question_ids: Sequence[str], values: NDArray[np.floating]) -> list[Estimate]:
    """Mean over questions of each column of [trajectory …], with its interval."""
    columns = average_questions(question_ids, values).T
    return [estimate_mean("L̂", column.tolist(), n_resamples=N_RESAMPLES) for column in columns]


def _draw_band(axis: Axes, x: NDArray[np.floating], estimates: Sequence[Estimate], color: str) -> None:
    low, high = np.array([(e.low, e.high) for e in estimates]).T
    known = np.isfinite(low)
    axis.fill_between(x, low, high, where=known, color=color, alpha=0.16, linewidth=0)


def _add_legend(figure: Figure, looks: Sequence[Looks]) -> None:
    handles = [
        Line2D([], [], color=color, linestyle=dashes, linewidth=1.3, label=f"in the context ({label})")
        for color, dashes, label in looks
    ]
    handles.append(Line2D([], [], color=EXPLICIT, marker="o", markersize=2.5, label="after gradient steps"))
    band = Patch(facecolor=EXPLICIT, alpha=0.16, label="95 % interval of the mean over questions")
    figure.legend(handles=[*handles, band], loc="outside lower center", ncols=min(2, len(looks)))
