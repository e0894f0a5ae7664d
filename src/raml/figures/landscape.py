"""A loss surface over a plane in weight space, with trajectories on it: the paper's Fig. 2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from mpl_toolkits.mplot3d.axes3d import Axes3D

from raml.figures.saving import PaperFigure
from raml.figures.style import LOOKS, PAGE, STYLE
from raml.records import Landscape, Trajectory
from raml.stats.surface import Floats, Surface, choose_surface, interpolate, place_by_level

AXES = {
    "random": ("α, along a random direction", "β, along another"),
    "path": ("α, where the path moves most", "β, where it moves second most"),
    "checkpoints": ("α, towards {0}", "β, towards {1}"),
}


def plot_landscape(
    landscape: Landscape,
    trajectories: Sequence[Trajectory],
    *,
    question_id: str | None = None,
    draw: Literal["paper", "projected"] = "projected",
) -> Figure:
    """Draw one question's surface over its contour, and its trajectories on it.

    "paper" draws a trajectory as Fig. 2 does: one axis is time, the other where the surface comes closest to L̂_i; that
    is no place in weight space. "projected" draws the foot of θ'_i on the plane, names the share of the path's length
    that lies off the plane, and compares L̂_i with the surface's value at the foot in a panel of its own. Right
    trajectories are blue and solid, wrong ones orange and dashed. Heights are logarithms where losses span more than a
    factor of 30; the axis says so.

    Args:
        landscape: The surface and its paths.
        trajectories: To tell right from wrong, and whose question a path belongs to.
        question_id: Whose surface; by default the first question's that has a path, or the mean over all without paths.
        draw: How trajectories are drawn.

    Raises:
        DataError: the landscape has no such question.
    """
    surface = choose_surface(landscape, list(trajectories), question_id)
    correct = {trajectory.id: trajectory.correct for trajectory in trajectories}
    with_panel = draw == "projected" and bool(surface.paths)
    with rc_context(STYLE):
        figure = PaperFigure(figsize=(PAGE, 3.6) if with_panel else (4.2, 3.6))
        grid = figure.add_gridspec(1, 2, width_ratios=(1.5, 1)) if with_panel else figure.add_gridspec(1, 1)
        axis = figure.add_subplot(grid[0, 0], projection="3d")
        assert isinstance(axis, Axes3D)
        floor = _draw_surface(axis, surface, landscape)
        for path in surface.paths:
            places = place_by_level(surface, path) if draw == "paper" else path.coordinates
            _draw_path(axis, surface, places, LOOKS[correct.get(path.trajectory_id)], floor)
        if with_panel:
            _compare(figure.add_subplot(grid[0, 1]), surface, correct)
        _add_legend(figure, surface, correct)
        axis.set_title(_describe(surface, draw), loc="left", parse_math=False)  # in 3-D the style's place has no say
        figure.subplots_adjust(left=0.02, right=0.97, bottom=0.11, top=0.88, wspace=0.22)
    return figure


def _draw_surface(axis: Axes3D, surface: Surface, landscape: Landscape) -> float:
    """Draw surface and contour; returns the height of the floor."""
    heights = surface.lift(surface.loss)
    mesh_x, mesh_y = np.meshgrid(surface.alphas, surface.betas, indexing="ij")
    floor = float(heights.min() - 0.45 * max(float(np.ptp(heights)), 1e-6))
    axis.plot_surface(mesh_x, mesh_y, heights, cmap="viridis", alpha=0.75, linewidth=0, rstride=1, cstride=1)
    axis.contour(mesh_x, mesh_y, heights, levels=14, zdir="z", offset=floor, cmap="viridis", linewidths=0.8)
    axis.set_zlim(floor, float(heights.max()))
    ticks = axis.zaxis.get_majorticklocs()
    axis.zaxis.set_ticks(ticks[(ticks >= heights.min()) & (ticks <= heights.max())])  # none on the floor
    toward = [name.rstrip("/").split("/")[-1] for name in landscape.settings.toward]
    for set_label, label in zip((axis.set_xlabel, axis.set_ylabel), AXES[landscape.settings.plane], strict=True):
        set_label(label.format(*toward), parse_math=False)
    axis.set_zlabel("L̂ without trajectory\n(nats" + (", log scale)" if surface.is_log else ")"))
    if surface.is_log:
        axis.zaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{10**value:.2g}"))
    for flat in (axis.xaxis, axis.yaxis):
        flat.set_major_locator(MaxNLocator(5))
    axis.view_init(elev=28, azim=-60)
    return floor


def _draw_path(axis: Axes3D, surface: Surface, places: Floats, look: tuple, floor: float) -> None:
    """Draw a path on the surface and its shadow on the floor, where it lies within the grid."""
    color, dashes, _ = look
    inside = np.isfinite(interpolate(surface, places))
    x, y = (np.where(inside, values, np.nan) for values in places.T)
    heights = surface.lift(interpolate(surface, places))
    axis.plot(x, y, heights, color=color, linestyle=dashes, linewidth=1.2, zorder=10)
    axis.plot(x, y, np.full(len(x), floor), color=color, linestyle=dashes, linewidth=1.0, zorder=10)
    for place, marker in ((0, "o"), (-1, "*")):
        if inside[place]:
            axis.plot([x[place]], [y[place]], [heights[place]], marker=marker, color=color, markersize=4.5, zorder=11)


def _compare(axis: Axes, surface: Surface, correct: dict[str, bool | None]) -> None:
    """Draw L̂ of every prefix beside the surface's value at the foot of its update."""
    for path in surface.paths:
        color, dashes, _ = LOOKS[correct.get(path.trajectory_id)]
        position = path.prefix_lens / max(1, int(path.prefix_lens[-1]))
        axis.plot(position, path.loss, color=color, linestyle=dashes, linewidth=1.2)
        axis.plot(position, interpolate(surface, path.coordinates), color=color, linewidth=0.9, alpha=0.6, marker=".")
    axis.set_xlim(0, 1)
    axis.set_ylim(bottom=0)
    axis.set_xlabel("position in the trajectory")
    axis.set_ylabel("nats: L̂ᵢ (lines), surface at the foot (dots)")
    axis.grid(visible=True)


def _describe(surface: Surface, draw: str) -> str:
    if not surface.paths:
        return surface.title
    if draw == "paper":
        return f"{surface.title}; trajectories as in the paper:\nα is time, β where the surface is closest to L̂ᵢ"
    shares = [100 * path.off_plane_share for path in surface.paths if path.length]
    spread = "–".join(dict.fromkeys(f"{share:.1f}" for share in (min(shares), max(shares)))) if shares else "0.0"
    n_outside = sum(int(np.isnan(interpolate(surface, path.coordinates)).sum()) for path in surface.paths)
    text = f"{surface.title}; feet of θ'ᵢ on the plane\n{spread} % of the paths' length lies off the plane"
    return text + (f"; {n_outside} points outside are not drawn" if n_outside else "")


def _add_legend(figure: Figure, surface: Surface, correct: dict[str, bool | None]) -> None:
    handles = []
    for wanted, (color, dashes, label) in LOOKS.items():
        n = sum(correct.get(path.trajectory_id) is wanted for path in surface.paths)
        if n:
            handles.append(Line2D([], [], color=color, linestyle=dashes, label=f"{label} ({n})"))
    if handles:
        figure.legend(handles=handles, loc="upper right" if len(figure.axes) > 1 else "lower right", ncols=3)
