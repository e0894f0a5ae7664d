import inspect
import re
import subprocess
import sys
import zlib

import matplotlib
import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib import rc_context
from matplotlib.colors import to_hex, to_rgb

from raml.errors import DataError
from raml.figures import save_figure
from raml.figures.saving import make_figure
from raml.figures.style import COLORS, COLUMN, PAGE, STYLE


def draw(label="L̂ of a loss α"):
    with rc_context(STYLE):
        figure = make_figure(1, 2.0)
        axis = figure.subplots()
        axis.plot([1, 2], [3, 4])
        axis.set_title(label)
    return figure


def test_letters_in_an_svg_are_outlines_that_need_no_font(tmp_path):
    (file,) = save_figure(draw(), tmp_path / "a", formats=["svg"])
    text = file.read_text()
    assert "<text" not in text
    assert "font-family" not in text
    assert "<!-- L̂ of a loss α -->" in text


def test_a_pdf_holds_its_fonts_as_truetype_and_none_as_drawings(tmp_path):
    (file,) = save_figure(draw(), tmp_path / "a", formats=["pdf"])
    data = file.read_bytes()
    objects = data + b"".join(
        zlib.decompress(stream) for stream in re.findall(rb"/FlateDecode.*?stream\r?\n(.*?)\r?\nendstream", data, re.S)
    )
    assert b"/FontFile2" in objects
    assert b"/Subtype /Type3" not in objects
    assert b"/CreationDate" not in objects


def test_every_format_has_the_same_bytes_in_another_process_which_loads_no_pyplot(tmp_path):
    save_figure(draw(), tmp_path / "here", formats=["svg", "png", "pdf"])
    code = f"""
import sys
from pathlib import Path
from matplotlib import rc_context
from raml.figures import save_figure
from raml.figures.saving import make_figure
from raml.figures.style import STYLE
{inspect.getsource(draw)}
save_figure(draw(), Path({str(tmp_path / "there")!r}), formats=["svg", "png", "pdf"])
sys.exit("matplotlib.pyplot" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    for ending in ("svg", "png", "pdf"):
        assert (tmp_path / f"here.{ending}").read_bytes() == (tmp_path / f"there.{ending}").read_bytes()


def test_a_name_with_a_dot_keeps_it(tmp_path):
    files = save_figure(draw(), tmp_path / "traces-Qwen2.5-7B")
    assert [file.name for file in files] == ["traces-Qwen2.5-7B.svg", "traces-Qwen2.5-7B.png"]
    assert [file.name for file in save_figure(draw(), tmp_path / "a.png")] == ["a.svg", "a.png"]


def test_an_unknown_format_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(DataError, match="can't be written as bmp; choose among svg, png, pdf"):
        save_figure(draw(), tmp_path / "a", formats=["bmp"])


def test_figures_are_as_wide_as_one_journal_column_or_two():
    assert (make_figure(1, 2.0).get_figwidth(), make_figure(3, 2.0).get_figwidth()) == (COLUMN, PAGE) == (3.4, 7.0)


def test_the_style_holds_in_whatever_style_is_in_use_around_it():
    with rc_context({"figure.facecolor": "black", "axes.prop_cycle": "cycler(color=['red'])", "text.color": "white"}):
        figure = draw()
    (line,) = figure.axes[0].lines
    assert to_hex(figure.get_facecolor()) == "#ffffff"
    assert to_hex(line.get_color()).upper() == "#0072B2"
    assert matplotlib.rcParams["font.size"] == matplotlib.rcParamsDefault["font.size"]


def test_colours_of_the_palette_differ_for_those_who_see_no_red_or_no_green():
    """Simulated with the matrices of Viénot, Brettel and Mollon (1999) on linear light; told apart: 0.1 of white."""
    to_lms = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
    views = {
        "protanopia": np.array([[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]]),
        "deuteranopia": np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]]),
    }
    linear = np.array([to_rgb(color) for color in COLORS]) ** 2.2
    for view in views.values():
        seen = np.clip(linear @ (np.linalg.inv(to_lms) @ view @ to_lms).T, 0, 1) ** (1 / 2.2)
        distances = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
        assert distances[~np.eye(len(COLORS), dtype=bool)].min() > 0.1


def test_ipython_shows_a_figure_as_a_picture_of_its_own_size_without_pyplot():
    data, metadata = DisplayFormatter().format(draw())
    png = data["image/png"]
    assert png.startswith(b"\x89PNG")
    assert (metadata["image/png"]["width"], metadata["image/png"]["height"]) == (326, 192)  # 3.4 × 2.0 inches of 96
    assert int.from_bytes(png[16:20], "big") == 652  # twice as many dots
