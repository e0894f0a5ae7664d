"""What a view of the page is made of: paragraphs, charts, tables and surfaces, as plain data that page/chart.js draws.

Everything that is drawn is also what its CSV file holds, so nothing is computed in the browser that a reader can't get.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Number = float | None
"""None where a value is unknown; infinity and NaN become None on their way into the page."""


@dataclass(frozen=True)
class Axis:
    """An axis of a chart."""

    label: str
    """With its unit, such as "tokens in context" or "ΔL̂, nats"."""
    scale: Literal["linear", "log", "percent"] = "linear"
    """"percent": shares from 0 to 1 that are written as percent."""
    zero: bool = False
    """Whether there is a line at 0, which is then always in sight."""


@dataclass(frozen=True)
class Series:
    """Marks that belong together: one colour, one shape, one entry of the legend."""

    name: str
    look: int
    """Index into the page's colours, shapes and dashes; series of one look in several charts mean the same."""
    x: Sequence[Number]
    y: Sequence[Number]
    """In a chart with rows, the index of the row."""
    low: Sequence[Number] = ()
    """Ends of an interval around the measured value, which is y, or x in a chart with rows; empty if there are none."""
    high: Sequence[Number] = ()
    notes: Sequence[str] = ()
    """What is said of each mark when it is pointed at, beside its values; empty if there is nothing to say."""
    line: bool = False
    """Whether its marks are joined."""
    marks: bool = True
    """Whether its points are marked."""
    faint: bool = False
    """For what stands behind the rest, such as single questions behind their mean."""


@dataclass(frozen=True)
class Chart:
    """A figure: values over values, or, with rows, values of named things below each other."""

    key: str
    """Names it in links and files: letters, digits and dashes."""
    title: str
    caption: str
    """What is drawn, how intervals were made, what a reader must know."""
    x: Axis
    y: Axis
    series: Sequence[Series]
    rows: Sequence[str] = ()
    """Names of the rows from top to bottom; empty for values over values."""
    diagonal: bool = False
    """Whether the line x = y is drawn."""


@dataclass(frozen=True)
class Table:
    """Rows of text."""

    key: str
    title: str
    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Path:
    """A trajectory's path over a surface."""

    name: str
    correct: bool | None
    trajectory_id: str
    prefix_lens: Sequence[int]
    loss: Sequence[Number]
    """L̂ with that prefix in the context, in nats."""
    off_plane: Sequence[Number]
    """Distance from the plane."""
    places: dict[str, tuple[Sequence[Number], Sequence[Number], Sequence[Number]]]
    """Alpha, beta and height of each point, by the way it is drawn; the first way is shown at first."""


@dataclass(frozen=True)
class Surface:
    """A landscape to turn around."""

    key: str
    title: str
    caption: str
    alphas: Sequence[float]
    betas: Sequence[float]
    loss: Sequence[Sequence[Number]]
    """In nats; loss[y][x] belongs to alphas[x] and betas[y]."""
    is_log: bool
    """Whether heights are drawn as logarithms; losses and the paths' heights are in nats all the same."""
    paths: Sequence[Path]


Part = Chart | Table | Surface


@dataclass(frozen=True)
class View:
    """A view of the page, with a tab of its own."""

    key: str
    title: str
    """Of its tab, a word or two."""
    paragraphs: Sequence[str]
    """What one sees here and what was found."""
    parts: Sequence[Part]
