"""How records show themselves in a notebook: small HTML without scripts, in the colours of the page around it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from raml.records.evaluation import Estimate
    from raml.records.landscapes import Landscape
    from raml.records.probes import Trace

WIDTH, HEIGHT = 320, 64
"""Of a curve, in pixels."""
SIDE = 200
"""Of a map, in pixels."""
MAX_POINTS = 240
"""Of a drawn curve; of a longer one the least and the greatest value of each stretch are drawn."""
MAX_CELLS = 32
"""Along a side of a drawn map; of a finer grid every second, third … line is drawn."""
MAX_PATHS = 12
"""Trajectories on a map."""
VIRIDIS = ("440154", "482878", "3e4989", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "b5de2b", "fde725")
"""Colours of the tenths of a map's points, from the lowest."""


def show_estimate(estimate: Estimate) -> str:
    """Write an estimate as HTML: value, interval, how it was made, number of questions."""
    if math.isfinite(estimate.low) and math.isfinite(estimate.high):
        interval = f"[{estimate.low:.4g}, {estimate.high:.4g}], {100 * estimate.level:g} %, {estimate.method}"
    else:
        interval = "none: too few values to tell"
    rows = {"value": f"{estimate.value:.4g}", "interval": interval, "questions": f"{estimate.n_questions:,}"}
    return _frame(estimate.name, "", rows)


def show_trace(trace: Trace) -> str:
    """Write a trace as HTML: L̂ after each prefix as a curve, its start, end and lowest value, and who scored what."""
    loss, lens = trace.mean_nll, trace.prefix_lens
    rows = {"trajectory": trace.trajectory_id, "model": f"{trace.model.name}, {trace.model.dtype}"}
    rows["scored"] = f"{trace.settings.target} answer of length {len(trace.answer_ids):,}, {trace.scorer}"
    if not np.isfinite(loss).any():
        return _frame("Trace", "", rows)
    lowest = int(np.nanargmin(np.where(np.isfinite(loss), loss, np.nan)))
    rows["L̂ (nats)"] = f"{loss[0]:.4g} → {loss[-1]:.4g}, lowest {loss[lowest]:.4g} after {lens[lowest]:,} tokens"
    rows["prefixes"] = f"{len(lens):,}, of {lens[0]:,} to {lens[-1]:,} tokens"
    return _frame("Trace", _draw_curve(lens.astype(float), loss), rows)


def show_landscape(landscape: Landscape) -> str:
    """Write a landscape as HTML: the mean loss over its questions as a map with the paths on it, and its settings."""
    loss, settings = landscape.loss.astype(float).mean(axis=0), landscape.settings
    base = float(landscape.base_loss.mean())
    reach = (
        f"α {landscape.alphas[0]:g} to {landscape.alphas[-1]:g}, β {landscape.betas[0]:g} to {landscape.betas[-1]:g}"
    )
    rows = {
        "model": f"{landscape.model.name}, {landscape.model.dtype}",
        "plane": settings.plane + (f", {settings.normalization} norms" if settings.plane == "random" else ""),
        "grid": f"{loss.shape[0]} × {loss.shape[1]}, {reach}",
        "L̂ (nats)": f"{base:.4g} at the weights, {loss.min():.4g} to {loss.max():.4g} on the grid",
        "questions": f"{len(landscape.question_ids):,}" + (", mean" if len(landscape.question_ids) > 1 else ""),
    }
    if settings.toward:
        rows["towards"] = ", ".join(settings.toward)
    if landscape.paths:
        shares = [100 * path.off_plane_share for path in landscape.paths]
        rows["paths"] = f"{len(shares):,}, {min(shares):.3g} to {max(shares):.3g} % of their length off the plane"
        if len(shares) > MAX_PATHS:
            rows["paths"] += f"; {MAX_PATHS} drawn"
    rows["colours"] = "a tenth of the points each, dark is low; α to the right, β up"
    return _frame("Landscape", _draw_map(landscape, loss), rows)


def _frame(title: str, picture: str, rows: Mapping[str, str]) -> str:
    cells = "".join(
        f'<tr><td style="text-align:left;opacity:0.7">{escape(name)}</td>'
        f'<td style="text-align:left;overflow-wrap:anywhere">{escape(value)}</td></tr>'
        for name, value in rows.items()
    )
    heading = f'<thead><tr><th colspan="2" style="text-align:left">{escape(title)}</th></tr></thead>'
    table = f'<table style="color:inherit;font-size:inherit">{heading}<tbody>{cells}</tbody></table>'
    return f'<div style="display:flex;flex-wrap:wrap;gap:16px;align-items:center">{picture}{table}</div>'


def _draw_curve(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    """Draw a curve from 0 nats up; values that are not finite are gaps."""
    top = float(y[np.isfinite(y)].max()) or 1.0
    kept = _thin(y)
    across = WIDTH * (x[kept] - x[0]) / max(float(x[-1] - x[0]), 1.0)
    up = HEIGHT * (1 - y[kept] / top)
    path = _write_path(across, up)
    end = f'<circle cx="{across[-1]:.1f}" cy="{up[-1]:.1f}" r="3" fill="currentColor"/>' if np.isfinite(up[-1]) else ""
    return (
        f'<svg role="img" aria-label="L̂ along the trajectory" width="{WIDTH + 8}" height="{HEIGHT + 8}" '
        f'viewBox="-4 -4 {WIDTH + 8} {HEIGHT + 8}" fill="none" stroke="currentColor">'
        f'<path d="M0 {HEIGHT}H{WIDTH}" opacity="0.4"/><path d="{path}" stroke-width="1.5"/>{end}</svg>'
    )


def _thin(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """Choose at most MAX_POINTS places, first and last among them, at which a curve has all its peaks and dips."""
    if len(values) <= MAX_POINTS:
        return np.arange(len(values))
    kept = {0, len(values) - 1}
    for stretch in np.array_split(np.arange(len(values)), MAX_POINTS // 2 - 1):
        known = stretch[np.isfinite(values[stretch])]
        kept |= {int(known[values[known].argmin()]), int(known[values[known].argmax()])} if len(known) else {stretch[0]}
    return np.array(sorted(kept))


def _write_path(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    """Write points as an SVG path that starts anew after a gap."""
    parts, command = [], "M"
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        if math.isfinite(a) and math.isfinite(b):
            parts.append(f"{command}{a:.1f} {b:.1f}")
            command = "L"
        else:
            command = "M"
    return "".join(parts)


def _draw_map(landscape: Landscape, loss: NDArray[np.float64]) -> str:
    """Draw the grid's points as cells and the feet of θ'_i as lines that end in a dot."""
    columns, rows = (slice(None, None, math.ceil(n / MAX_CELLS)) for n in loss.shape)
    shown = loss[columns, rows]
    tenths = np.searchsorted(np.quantile(shown, np.arange(1, 10) / 10), shown, side="left")
    alphas, betas = landscape.alphas[columns], landscape.betas[rows]
    cells = "".join(
        f'<path fill="#{color}" d="{"".join(_write_cells(tenths == tenth))}"/>' for tenth, color in enumerate(VIRIDIS)
    )
    n_x, n_y = shown.shape
    paths = ""
    for path in landscape.paths[:MAX_PATHS]:
        kept = np.unique(np.linspace(0, len(path.coordinates) - 1, 40).astype(int))
        x, y = _find_place(path.coordinates[kept, 0], alphas), n_y - _find_place(path.coordinates[kept, 1], betas)
        paths += (
            f'<path d="{_write_path(x, y)}"/><circle cx="{x[-1]:.1f}" cy="{y[-1]:.1f}" r="{n_x / 60:.2f}" fill="#fff"/>'
        )
    return (
        f'<svg role="img" aria-label="loss over the plane" width="{SIDE}" height="{SIDE}" viewBox="0 0 {n_x} {n_y}" '
        f'preserveAspectRatio="none" shape-rendering="crispEdges">{cells}'
        f'<g fill="none" stroke="#fff" stroke-width="{n_x / 100:.2f}" shape-rendering="auto" '
        f'style="filter:drop-shadow(0 0 {n_x / 150:.2f}px #000)">{paths}</g></svg>'
    )


def _write_cells(chosen: NDArray[np.bool_]) -> list[str]:
    """Write the chosen cells [x y] as SVG rectangles, neighbours in a row together; y goes up."""
    n_y, parts = chosen.shape[1], []
    for y, row in enumerate(chosen.T):
        edges = np.flatnonzero(np.diff(np.pad(row.astype(int), 1)))
        parts += [f"M{a} {n_y - 1 - y}h{b - a}v1h-{b - a}z" for a, b in edges.reshape(-1, 2).tolist()]
    return parts


def _find_place(values: NDArray[np.float64], steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where values lie along an axis of cells, whose middles are the steps."""
    return (values - steps[0]) / max(float(steps[-1] - steps[0]), 1e-12) * (len(steps) - 1) + 0.5
