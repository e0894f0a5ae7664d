"""Landscapes → the view in which they are turned around."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from raml.records import Landscape, PlanePath, Trajectory
from raml.report.charts import Axis, Chart, Part, Path, Series, Surface, View
from raml.report.looks import OUTCOMES
from raml.report.plain import round_values, shorten_model, take_turns
from raml.stats import surface as heights

N_PATHS = 12
"""Most paths over a surface; more hide each other."""
PLANES = {
    "random": "two random directions over all weights but the embeddings",
    "path": "the two directions along which one trajectory's path in weight space moves most",
    "checkpoints": "the directions to two other checkpoints, which lie at (1, 0) and (0, 1)",
}
ON_PLANE, BY_LEVEL = "foot on the plane", "as in the paper"


def describe_landscapes(landscapes: Sequence[Landscape], trajectories: Sequence[Trajectory]) -> View | None:
    """Describe each landscape as a surface with the paths of one question's trajectories; None without landscapes.

    A landscape of several questions is shown for the first that has a path, else as the mean over all.

    Args:
        landscapes: Of the run's models.
        trajectories: To tell right from wrong, and whose question a path belongs to.
    """
    if not landscapes:
        return None
    parts: list[Part] = []
    for landscape in landscapes:
        parts += _describe_landscape(landscape, trajectories)
    return View(key="landscape", title="Landscape", paragraphs=_list_paragraphs(landscapes), parts=parts)


def _list_paragraphs(landscapes: Sequence[Landscape]) -> list[str]:
    paragraphs = [
        "A surface is L̂, the answer's loss in nats, without any trajectory, at the weights moved along two directions; "
        "(0, 0) is the model itself.",
    ]
    if not any(landscape.paths for landscape in landscapes):
        return paragraphs
    paragraphs.append(
        f"A trajectory's prefix stands for exact weights. Under “{ON_PLANE}” each such point is drawn at the foot of "
        "the perpendicular from it to the plane. The share of the path's length that lies off the plane says how "
        "little that may show: where it is near 100 %, as on random planes, the surface at the foot says nothing about "
        "the loss with the prefix. The chart after it shows both."
    )
    paragraphs.append(
        f"“{BY_LEVEL.capitalize()}” draws the paper's Fig. 2: one axis is the position in the trajectory, the other is "
        "where the surface comes closest to L̂ with that prefix. That is no place in weight space; any curve could be "
        "drawn on any surface in this way."
    )
    return paragraphs


def _describe_landscape(landscape: Landscape, trajectories: Sequence[Trajectory]) -> list[Part]:
    chosen = heights.choose_surface(landscape, list(trajectories), None)
    correct = {trajectory.id: trajectory.correct for trajectory in trajectories}
    shown = take_turns(chosen.paths, N_PATHS, lambda path: correct[path.trajectory_id] is True)
    key = f"landscape-{landscape.settings.plane}-{landscape.id}"
    title = f"{shorten_model(landscape.model.name)}, plane “{landscape.settings.plane}”, {chosen.title}"
    surface = Surface(
        key=key,
        title=title,
        caption=_write_caption(landscape, chosen, shown),
        alphas=[float(alpha) for alpha in landscape.alphas],
        betas=[float(beta) for beta in landscape.betas],
        loss=[round_values(row) for row in chosen.loss.T],
        is_log=chosen.is_log,
        paths=[_describe_path(chosen, path, correct[path.trajectory_id]) for path in shown],
    )
    return [surface, _compare(f"{key}-foot", title, chosen, shown, correct)] if shown else [surface]


def _write_caption(landscape: Landscape, chosen: heights.Surface, shown: Sequence[PlanePath]) -> str:
    settings, norms = landscape.settings, landscape.direction_norms
    toward = f": {', '.join(map(shorten_model, settings.toward))}" if settings.toward else ""
    sentences = [
        f"L̂ without trajectory in nats, {chosen.title}. The plane is spanned by {PLANES[settings.plane]}{toward}.",
        f"The directions have the lengths {norms[0]:.3g} and {norms[1]:.3g} and a cosine of "
        f"{landscape.direction_cosine:z.3f} with each other.",
    ]
    if chosen.is_log:
        sentences.append("Heights and colours are logarithms of L̂.")
    if shown:
        shares = [f"{100 * share:.1f}" for share in sorted(path.off_plane_share for path in shown)]
        spread = shares[0] if shares[0] == shares[-1] else f"{shares[0]} to {shares[-1]}"
        sentences.append(f"{spread} % of the paths' length lies off the plane.")
        outside = sum(int(np.isnan(heights.interpolate(chosen, path.coordinates)).sum()) for path in shown)
        if outside:
            sentences.append(f"Feet outside the grid have no height and are not drawn: {outside}.")
    if n_more := len(chosen.paths) - len(shown):
        sentences.append(f"{n_more} more paths of this question are left out.")
    return " ".join(sentences)


def _describe_path(chosen: heights.Surface, path: PlanePath, is_right: bool | None) -> Path:
    ways = {ON_PLANE: path.coordinates, BY_LEVEL: heights.place_by_level(chosen, path)}
    return Path(
        name=f"{OUTCOMES[is_right][0]}, {path.trajectory_id[:8]}",
        correct=is_right,
        trajectory_id=path.trajectory_id,
        prefix_lens=path.prefix_lens.tolist(),
        loss=round_values(path.loss),
        off_plane=round_values(path.off_plane),
        places={
            name: (
                round_values(places[:, 0]),
                round_values(places[:, 1]),
                round_values(heights.interpolate(chosen, places)),
            )
            for name, places in ways.items()
        },
    )


def _compare(
    key: str,
    title: str,
    chosen: heights.Surface,
    shown: Sequence[PlanePath],
    correct: Mapping[str, bool | None],
) -> Chart:
    """L̂ with each prefix in the context beside the surface's value at the foot of its update."""
    series: list[Series] = []
    for path in shown:
        outcome, look = OUTCOMES[correct[path.trajectory_id]]
        position = round_values(path.prefix_lens / max(1, int(path.prefix_lens[-1])))
        notes = [f"{path.trajectory_id[:8]}, {n} tokens" for n in path.prefix_lens.tolist()]
        at_foot = round_values(heights.interpolate(chosen, path.coordinates))
        in_context = round_values(path.loss)
        series += [
            Series(f"{outcome}: L̂ with the prefix", look, position, in_context, notes=notes, line=True, marks=False),
            Series(f"{outcome}: surface at the foot", look, position, at_foot, notes=notes),
        ]
    return Chart(
        key=key,
        title=f"Does the plane show the loss? {title}",
        caption="Lines: L̂ with the prefix in the context. Marks: the surface at the foot of the same prefix's weights. "
        "Where they part, the plane does not show what the prefix does.",
        x=Axis("position in the trajectory", "percent"),
        y=Axis("nats", zero=True),
        series=series,
    )
