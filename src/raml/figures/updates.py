"""Trajectories as paths in weight space: in their best planes, how far they are, and in which layers they move."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from raml.errors import DataError
from raml.figures.saving import PaperFigure
from raml.figures.style import LOOKS, PAGE, STYLE
from raml.records import Trajectory, Update
from raml.stats import fit_plane, measure_shape

N_PLANES = 4
"""Paths that are drawn in planes of their own."""


def plot_updates(trajectories: Sequence[Trajectory], updates: Sequence[Update]) -> Figure:
    """Draw the paths of trajectories in weight space.

    Above: some paths in the plane through θ that fits each best, dark at the first prefix and bright at the last, with
    the share of the squared distances that lies in that plane. Below: the distance ‖θ'_i − θ‖ along the trajectory,
    thin for each and thick for the mean, and the update's norm relative to the weight's by layer, mean and middle 80 %.
    Right trajectories are blue and solid, wrong ones orange and dashed.

    Raises:
        DataError: there is no update of these trajectories.
    """
    correct = {trajectory.id: trajectory.correct for trajectory in trajectories}
    shown = [update for update in updates if update.trajectory_id in correct]
    if not shown:
        raise DataError("There is nothing to plot: none of these trajectories has been made an update.")
    with rc_context(STYLE):
        figure = PaperFigure(figsize=(PAGE, 4.4), layout="constrained")
        halves = figure.add_gridspec(2, 1, height_ratios=(1, 1.15))
        upper, lower = (figure.add_subfigure(half) for half in halves)
        planes = upper.subplots(1, N_PLANES, squeeze=False)[0]
        for axis, update in zip(planes, _choose_planes(shown, correct), strict=False):
            _draw_plane(axis, update, LOOKS[correct[update.trajectory_id]][2])
        for axis in planes[len(shown) :]:
            axis.set_visible(False)
        along, by_layer = lower.subplots(1, 2)
        counts = {}
        for wanted, (color, dashes, label) in LOOKS.items():
            group = [update for update in shown if correct[update.trajectory_id] is wanted]
            if group:
                counts[label] = (color, dashes, len(group))
                _draw_distance(along, group, color, dashes)
                _draw_layers(by_layer, group, color, dashes)
        handles = [
            Line2D([], [], color=color, linestyle=dashes, label=f"{label} ({n})")
            for label, (color, dashes, n) in counts.items()
        ]
        lower.legend(handles=handles, loc="outside upper right", ncols=3)
        _label(along, "position in the trajectory (prefix length / length)", "‖θ'ᵢ − θ‖, distance from the weights")
        _label(by_layer, "layer", "‖ΔD‖ / ‖D‖ after the whole trajectory")
        by_layer.xaxis.get_major_locator().set_params(integer=True)
    return figure


def _choose_planes(updates: Sequence[Update], correct: dict[str, bool | None]) -> list[Update]:
    """Right and wrong ones in turns, as far as there are both."""
    right = [update for update in updates if correct[update.trajectory_id]]
    others = [update for update in updates if not correct[update.trajectory_id]]
    n_right = max(N_PLANES // 2, N_PLANES - len(others))
    return [*right[:n_right], *others][:N_PLANES]


def _draw_plane(axis: Axes, update: Update, label: str) -> None:
    plane, shape = fit_plane(update.gram), measure_shape(update.gram)
    points = plane.coordinates
    segments = np.stack([points[:-1], points[1:]], axis=1)
    lines = LineCollection(list(segments), cmap="viridis", linewidths=1.0)
    lines.set_array(np.linspace(0, 1, len(segments)))
    axis.add_collection(lines)
    axis.plot(*points[0], marker="o", color="black", markersize=4)
    axis.plot(*points[-1], marker="*", color="black", markersize=7)
    axis.autoscale()
    share, ratio = 100 * sum(plane.explained), shape.length / max(shape.distance, 1e-30)
    title = (
        f"{label}, {int(update.prefix_lens[-1])} tokens\n{share:.0f} % in the plane\nlength = {ratio:.1f} × distance"
    )
    axis.set_title(title)
    axis.set_aspect("equal", adjustable="datalim")
    axis.grid(visible=True)


def _draw_distance(axis: Axes, updates: Sequence[Update], color: str, dashes: object) -> None:
    places = np.linspace(0, 1, 101)
    curves = []
    for update in updates:
        position = update.prefix_lens / max(1, int(update.prefix_lens[-1]))
        distance = np.sqrt(np.clip(np.diag(update.gram), 0, None))
        curves.append(np.interp(places, position, distance))
        if len(curves) <= 24:
            axis.plot(position, distance, color=color, linewidth=0.5, alpha=0.3)
    axis.plot(places, np.mean(curves, axis=0), color=color, linestyle=dashes, linewidth=1.3)
    axis.set_xlim(0, 1)
    axis.set_ylim(bottom=0)


def _draw_layers(axis: Axes, updates: Sequence[Update], color: str, dashes: object) -> None:
    shares = np.stack([update.norm[-1] / update.weight_norm for update in updates])
    layers = np.arange(shares.shape[1])
    low, high = np.quantile(shares, (0.1, 0.9), axis=0)
    axis.fill_between(layers, low, high, color=color, alpha=0.15, linewidth=0)
    axis.plot(layers, shares.mean(axis=0), color=color, linestyle=dashes, linewidth=1.3)
    axis.set_yscale("log")
    for formatted in (axis.yaxis.set_major_formatter, axis.yaxis.set_minor_formatter):
        formatted(FuncFormatter(_show_share))


def _label(axis: Axes, x: str, y: str) -> None:
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    axis.grid(visible=True)


def _show_share(value: float, _place: int | None = None) -> str:
    """A share on a logarithmic axis: only the 1s, 2s and 5s."""
    return f"{value:g}" if f"{value:e}"[0] in "125" else ""
