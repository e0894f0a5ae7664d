"""Probe against resampling: sentences as points, and how well rankings agree, beside place, length and noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from raml.errors import DataError
from raml.figures.saving import PaperFigure
from raml.figures.style import COLORS, GREY, INK, LIGHT, LOOKS, PAGE, STYLE
from raml.records import Estimate

_MARKS = {True: "o", False: "X", None: "v"}


@dataclass(frozen=True)
class Cloud:
    """The sentences of all trajectories, as points."""

    x_label: str
    y_label: str
    points: Mapping[bool | None, tuple[Sequence[float], Sequence[float]]]
    """By whether the trajectory is right: x and y; NaN where unknown."""


@dataclass(frozen=True)
class Ranking:
    """How well several measures rank sentences as resampling does."""

    title: str
    agreements: Mapping[str, Estimate]
    """Mean rank correlation by name of the measure; the first is the probe."""
    ceiling: float | None
    """The most that noise allows."""


def plot_faithfulness(clouds: Sequence[Cloud], rankings: Sequence[Ranking]) -> Figure:
    """Draw a panel of points for each cloud, and one of correlations with 95 % intervals for all rankings.

    Blue circles are sentences of right trajectories, orange crosses of wrong ones, grey triangles of undecided ones.
    The grey line in a ranking is the most that its noise allows.

    Raises:
        DataError: there is no point.
    """
    if not any(len(x) for cloud in clouds for x, _ in cloud.points.values()):
        raise DataError("There is nothing to plot: no sentence was measured.")
    with rc_context(STYLE):
        figure = PaperFigure(figsize=(PAGE, 3.2), layout="constrained")
        axes = figure.subplots(1, len(clouds) + 1, width_ratios=[*[3.5] * len(clouds), 4.6], squeeze=False)[0]
        for axis, cloud in zip(axes, clouds, strict=False):
            _draw_cloud(axis, cloud)
        _draw_rankings(axes[-1], rankings)
        figure.legend(handles=_make_handles(clouds, rankings), loc="outside lower center", ncols=4)
    return figure


def _draw_cloud(axis: Axes, cloud: Cloud) -> None:
    for right, (x, y) in cloud.points.items():
        color, _, label = LOOKS[right]
        axis.scatter(x, y, s=9, color=color, marker=_MARKS[right], alpha=0.45, linewidths=0, label=label)
    axis.axhline(0, color=LIGHT, linewidth=0.6)
    axis.axvline(0, color=LIGHT, linewidth=0.6)
    axis.set_xlabel(cloud.x_label)
    axis.set_ylabel(cloud.y_label)
    axis.grid(visible=True)


def _draw_rankings(axis: Axes, rankings: Sequence[Ranking]) -> None:
    """Draw a block of rows for each ranking, its title above them."""
    place, ticks, names = 0.0, [], []
    for ranking in rankings:
        axis.text(
            0.02,
            place,
            ranking.title,
            va="center",
            transform=axis.get_yaxis_transform(),
            backgroundcolor="white",
        )
        first = place + 1
        for i, (name, estimate) in enumerate(ranking.agreements.items()):
            place += 1
            color, marker = (COLORS[0], "o") if i == 0 else (LOOKS[None][0], "s")
            if math.isfinite(estimate.low):
                axis.plot([estimate.low, estimate.high], [place, place], color=INK, linewidth=1.1)
            axis.plot(estimate.value, place, marker=marker, markersize=5, color=color, markeredgecolor=INK)
            ticks.append(place)
            names.append(f"{name} (n = {estimate.n_questions})")
        if ranking.ceiling is not None:
            axis.vlines(ranking.ceiling, first - 0.4, place + 0.4, color=GREY, linewidth=1.8, alpha=0.7)
        place += 1.2
    axis.axvline(0, color=INK, linewidth=0.8)
    axis.set_yticks(ticks, names)
    axis.set_ylim(place - 0.5, -0.6)
    axis.set_xlim(-1.02, 1.02)
    axis.set_xlabel("rank correlation (Spearman)")
    axis.grid(visible=True, axis="x")


def _make_handles(clouds: Sequence[Cloud], rankings: Sequence[Ranking]) -> list[Line2D]:
    shown = [right for right in LOOKS if any(len(cloud.points.get(right, ((), ()))[0]) for cloud in clouds)]
    handles = [
        Line2D([], [], color=LOOKS[right][0], marker=_MARKS[right], linestyle="none", label=f"of {name} trajectories")
        for right, name in ((right, LOOKS[right][2]) for right in shown)
    ]
    if any(ranking.ceiling is not None for ranking in rankings):
        handles.append(Line2D([], [], color=GREY, linewidth=1.8, alpha=0.7, label="most that the noise allows"))
    return handles
