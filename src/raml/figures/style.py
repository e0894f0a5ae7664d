"""The looks of all figures: the style file, its palette, and which colours and dashes mean what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib import RcParams, rc_params_from_file

STYLE: RcParams = rc_params_from_file(Path(__file__).with_name("raml.mplstyle"), use_default_template=False)
"""What `raml.mplstyle` sets."""
COLUMN, PAGE = 3.4, 7.0
"""Inches of one journal column, and of a page of two."""
COLORS: tuple[str, ...] = tuple(STYLE["axes.prop_cycle"].by_key()["color"])
"""The palette."""
DASHES: tuple[Any, ...] = ("solid", (0, (5, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))
"""For those who print grey."""
LETTERS = 18
"""How many letters of a title stand on an inch."""
INK, GREY, LIGHT = "#222222", "#777777", "#999999"
"""Of means and intervals, of what is beside the point, and of lines at zero."""
LOOKS: dict[bool | None, tuple[str, Any, str]] = {
    True: (COLORS[0], "solid", "right"),
    False: (COLORS[1], (0, (5, 1.5)), "wrong"),
    None: (GREY, (0, (1, 1.5)), "undecided"),
}
"""Colour, dashes and name of trajectories by whether they are right."""


def shorten(text: str, inches: float) -> str:
    """Put a text on one line, cut to what fits a width as a panel's title."""
    line, n = " ".join(text.split()), int(inches * LETTERS)
    return line if len(line) <= n else f"{line[: n - 1]}…"
