"""The same landscape to turn around: one HTML file with Plotly inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from raml.figures.surface import Floats, Surface, choose_surface, interpolate, place_by_level
from raml.figures.traces import LOOKS
from raml.records import Landscape, PlanePath, Trajectory

DASHES = {True: "solid", False: "dash", None: "dot"}
HOVER = (
    "prefix of %{customdata[0]} tokens<br>L̂ with it in the context %{customdata[1]:.4f} nats<br>"
    "surface here %{customdata[2]:.4f} nats<br>distance from the weights %{customdata[3]:.3g}, "
    "from the plane %{customdata[4]:.3g}<extra>%{fullData.name}</extra>"
)


def build_landscape_page(
    landscape: Landscape, trajectories: Sequence[Trajectory], *, question_id: str | None = None
) -> str:
    """Build a self-contained HTML page: surface, contour below, and both ways to draw each trajectory.

    Entries and `question_id` are as in `plot_landscape`. The page asks nothing of the network. The same arguments give
    the same text.

    Raises:
        DataError: the landscape has no such question.
    """
    import plotly.graph_objects as go
    import plotly.io

    surface = choose_surface(landscape, list(trajectories), question_id)
    correct = {trajectory.id: trajectory.correct for trajectory in trajectories}
    heights, scale = surface.lift(surface.loss), _describe_heights(surface)
    figure = go.Figure(
        go.Surface(
            x=surface.alphas,
            y=surface.betas,
            z=heights.T,  # Plotly's rows go along y
            customdata=surface.loss.T,
            colorscale="Viridis",
            opacity=0.85,
            contours={"z": {"show": True, "usecolormap": True, "project_z": True}},
            hovertemplate="α %{x:.3f}, β %{y:.3f}<br>L̂ without trajectory %{customdata:.4f} nats<extra></extra>",
            colorbar=scale,
            name="surface",
        )
    )
    for path in surface.paths:
        ways = {"foot on the plane": path.coordinates, "as in the paper": place_by_level(surface, path)}
        for way, places in ways.items():
            shown = True if way == "foot on the plane" else "legendonly"
            figure.add_trace(go.Scatter3d(**_describe_path(surface, path, places, way, correct), visible=shown))
    figure.update_layout(
        title={"text": _describe(landscape, surface), "font": {"size": 14}},
        scene={
            "xaxis": {"title": {"text": "α"}},
            "yaxis": {"title": {"text": "β"}},
            "zaxis": {"title": {"text": "L̂, nats"}, **{k: v for k, v in scale.items() if k.startswith("tick")}},
            "aspectmode": "manual",
            "aspectratio": {"x": 1, "y": 1, "z": 0.7},
        },
        legend={"orientation": "h"},
        margin={"l": 0, "r": 0, "b": 0, "t": 60},
        template="plotly_white",
    )
    page = plotly.io.to_html(figure, include_plotlyjs=True, full_html=True, div_id="landscape", validate=False)
    return page.replace("<head>", "<head><title>Landscape</title>", 1)


def _describe_heights(surface: Surface) -> dict[str, Any]:
    """What colours and heights mean, as Plotly takes it: ticks in nats, also where logarithms are drawn."""
    if not surface.is_log:
        return {"title": {"text": "nats"}}
    low, high = (float(surface.lift(np.array(value))) for value in (surface.loss.min(), surface.loss.max()))
    ticks = np.linspace(low, high, 6)
    return {"title": {"text": "nats"}, "tickvals": ticks.tolist(), "ticktext": [f"{10**tick:.2g}" for tick in ticks]}


def _describe_path(
    surface: Surface, path: PlanePath, places: Floats, way: str, correct: dict[str, bool | None]
) -> dict[str, Any]:
    """One path as Plotly's Scatter3d takes it; what lies outside the grid is left out."""
    verdict = correct.get(path.trajectory_id)
    color, _, label = LOOKS[verdict]
    values = interpolate(surface, places)
    columns = (path.prefix_lens, path.loss, values, path.distance, path.off_plane)
    heights = np.where(np.isfinite(values), surface.lift(np.nan_to_num(values)), np.nan)
    return {
        "x": places[:, 0],
        "y": places[:, 1],
        "z": heights,
        "customdata": np.stack(columns, axis=1).astype(float),
        "mode": "lines+markers",
        "marker": {"size": 3, "color": color},
        "line": {"color": color, "width": 5, "dash": DASHES[verdict]},
        "name": f"{label} {path.trajectory_id[:8]}, {way}",
        "hovertemplate": HOVER,
    }


def _describe(landscape: Landscape, surface: Surface) -> str:
    model = landscape.model.name.rstrip("/").split("/")[-1].replace("<", "‹")
    about = surface.title.replace("<", "‹")
    lines = [f"L̂ without trajectory on a plane through {model} ({landscape.settings.plane}), {about}"]
    if surface.paths:
        shares = [100 * path.off_plane_share for path in surface.paths if path.length] or [0.0]
        lines.append(f"{min(shares):.1f} to {max(shares):.1f} % of the paths' length lies off the plane")
    return "<br>".join(lines)
