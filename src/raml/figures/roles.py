"""Token roles as in the paper's Fig. 6, with its own values beside what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from raml.errors import DataError
from raml.figures.influence import Bar, plot_influence
from raml.figures.style import GREY, STYLE

MARKER = "D"


def plot_roles(bars: Sequence[Bar], published: Mapping[str, float], *, level: float = 0.95) -> Figure:
    """Draw the influence of words as `plot_influence` does, and the paper's mean |ΔL̂| / L̂ of each as a hollow mark.

    The paper's values are of another model on other questions.

    Args:
        bars: From top to bottom.
        published: The paper's mean by a bar's label.
        level: Of the intervals.

    Raises:
        DataError: no bar has a unit, or a value is of no bar.
    """
    figure = plot_influence(bars, level=level)
    places = {bar.label: place for place, bar in enumerate(bars)}
    if unknown := [label for label in published if label not in places]:
        raise DataError(f"The paper's values are also of {', '.join(unknown)}, which have no line in this figure.")
    axis = figure.axes[0]
    with rc_context(STYLE):
        look = {"marker": MARKER, "color": "none", "markeredgecolor": GREY, "markeredgewidth": 1.0, "markersize": 5}
        for label, value in published.items():
            axis.plot(value, places[label], linestyle="none", zorder=4, **look)
        if published:
            handle = Line2D(
                [], [], linestyle="none", label="the paper's mean (another model and other questions)", **look
            )
            figure.legend(handles=[handle], loc="outside upper left")
    return figure
