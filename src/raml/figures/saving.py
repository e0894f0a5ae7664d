"""Figures that a notebook shows, and that are the same files wherever they are written."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Literal

from matplotlib import rc_context
from matplotlib.figure import Figure

from raml.errors import DataError
from raml.figures.style import COLUMN, PAGE, STYLE
from raml.store import write_atomically, writing

Format = Literal["svg", "png", "pdf"]
# Without the moment at which a file was made, the same figure gives the same bytes.
METADATA: dict[Format, dict[str, None]] = {"svg": {"Date": None}, "png": {}, "pdf": {"CreationDate": None}}
CSS_PIXELS = 96
"""To an inch, as browsers count them."""


class PaperFigure(Figure):
    """A matplotlib figure that a notebook shows as a picture.

    IPython shows matplotlib's own class only where pyplot is in use and its inline backend set up.
    """

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """Give a PNG of twice the size at which it is shown, so that it is sharp on fine screens too."""
        width, height = (round(CSS_PIXELS * inches) for inches in self.get_size_inches())
        return render_figure(self, "png", dpi=2 * CSS_PIXELS), {"width": width, "height": height}


def make_figure(n_columns: int, height: float) -> PaperFigure:
    """Make an empty figure: one journal column wide for one column of panels, else as wide as a page; inches high."""
    return PaperFigure(figsize=(COLUMN if n_columns == 1 else PAGE, height), layout="constrained")


def save_figure(figure: Figure, path: Path, *, formats: Sequence[Format] = ("svg", "png")) -> tuple[Path, ...]:
    """Write a figure as PATH.svg and PATH.png (the folder is made if need be).

    A figure made anew from the same records gives the same bytes. Letters in an SVG are outlines and a PDF holds its
    fonts (TrueType), so that both look the same on a machine without the fonts.

    Args:
        figure: What to write.
        path: Of the files; their endings are the formats.
        formats: Which files, in this order; "pdf" is what LaTeX takes.

    Returns:
        The files.

    Raises:
        DataError: a format is unknown.
        RunError: the disk is full or the folder can't be written.
    """
    if unknown := [name for name in formats if name not in METADATA]:
        raise DataError(f"A figure can't be written as {', '.join(unknown)}; choose among {', '.join(METADATA)}.")
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    stem = path.stem if path.suffix[1:] in METADATA else path.name  # a model's name may have a dot in it
    files = tuple(path.with_name(f"{stem}.{name}") for name in formats)
    for name, file in zip(formats, files, strict=True):
        write_atomically(file, render_figure(figure, name))
    return files


def render_figure(figure: Figure, name: Format, *, dpi: float | None = None) -> bytes:
    """Draw a figure in a format, a PNG with so many dots an inch (the style's by default)."""
    buffer = BytesIO()
    with rc_context(STYLE), warnings.catch_warnings():
        # A question in a script that the font lacks is drawn as boxes; that is no reason to fill the screen.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format=name, dpi=dpi or STYLE["figure.dpi"], metadata=METADATA[name])
    return buffer.getvalue()
