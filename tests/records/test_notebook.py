import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from raml.records import (
    Estimate,
    Landscape,
    LandscapeSettings,
    ModelIdentity,
    PlanePath,
    Trace,
    TraceSettings,
)

MODEL = ModelIdentity("org/model", None, "00", "float32", "cpu")
HOSTILE = "<script>alert(1)</script>&\"'"


def make_trace(values, **changes):
    values = np.array(values, dtype=np.float32)
    trace = Trace(
        "id", "t-1", MODEL, TraceSettings(), "one-pass", (1,), (2, 3), np.arange(len(values), dtype=np.int32),
        np.stack([values, values], axis=1),
    )  # fmt: skip
    return replace(trace, **changes)


def make_landscape(loss, coordinates=(), **changes):
    loss = np.array(loss, dtype=np.float32)
    settings = LandscapeSettings(n_steps=loss.shape[1])
    axes = (np.linspace(-1, 1, n) for n in loss.shape[1:])
    n = len(coordinates)
    path = PlanePath(
        "t-1", np.arange(n, dtype=np.int32), np.zeros(n, dtype=np.float32), np.array(coordinates, dtype=float),
        np.zeros(n), np.zeros(n), 4.0, 1.0,
    )  # fmt: skip
    landscape = Landscape(
        "id", MODEL, settings, tuple(f"q{i}" for i in range(len(loss))), *axes, loss, loss.mean(axis=(1, 2)),
        (1.0, 1.0), 0.0, (path,) if n else (),
    )  # fmt: skip
    return replace(landscape, **changes)


def read_rows(html):
    """The table as a dictionary; the picture must be well-formed."""
    svg = re.search(r"<svg.*</svg>", html)
    if svg is not None:
        ElementTree.fromstring(svg[0])
    rows, cells = {}, []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag == "td":
                cells.append("")

        def handle_data(self, data):
            if cells:
                cells[-1] += data

    Reader().feed(html)
    rows.update(zip(cells[::2], cells[1::2], strict=True))
    return rows


def read_curve(html):
    """The drawn line as points in pixels, x and y."""
    line = re.findall(r'<path d="([^"]*)"', html)[1]
    return [tuple(map(float, point.split())) for point in re.split("[ML]", line)[1:]]


def test_an_estimate_shows_its_value_interval_method_and_number_of_questions():
    rows = read_rows(Estimate("Pass@8", 0.5125, 0.4, 0.6, 0.95, "BCa+t", 30)._repr_html_())
    assert rows == {"value": "0.5125", "interval": "[0.4, 0.6], 95 %, BCa+t", "questions": "30"}


def test_an_estimate_of_which_nothing_is_known_shows_no_interval():
    rows = read_rows(Estimate("mean", 2.0, -np.inf, np.inf, 0.95, "none", 1)._repr_html_())
    assert rows["interval"].startswith("none")


def test_a_trace_shows_start_end_and_lowest_loss_and_who_scored_what():
    rows = read_rows(make_trace([2.0, 0.5, 4.0, 1.0])._repr_html_())
    assert rows["L̂ (nats)"] == "2 → 1, lowest 0.5 after 1 tokens"
    assert rows["prefixes"] == "4, of 0 to 3 tokens"
    assert rows["scored"] == "gold answer of length 2, one-pass"
    assert rows["model"] == "org/model, float32"


def test_a_trace_is_drawn_from_0_nats_up():
    """320 pixels for 2 tokens, 64 for the highest loss of 4: 2 nats are at 32 from above, 4 at 0, 0 at 64."""
    assert read_curve(make_trace([2.0, 4.0, 0.0])._repr_html_()) == [(0, 32), (160, 0), (320, 64)]


def test_a_long_trace_keeps_its_ends_peaks_and_dips_and_stays_small():
    values = 2 + 0.1 * np.sin(np.arange(32_000))
    values[12_345], values[23_456] = 9.0, 0.0
    html = make_trace(values)._repr_html_()
    assert len(html) < 20_000
    heights = [y for _, y in read_curve(html)]
    assert min(heights) == 0
    assert max(heights) == 64
    xs = [x for x, _ in read_curve(html)]
    assert (xs[0], xs[-1]) == (0, 320)
    assert xs == sorted(xs)


def test_what_is_not_finite_in_a_trace_is_a_gap():
    html = make_trace([2.0, np.nan, 1.0, 0.5])._repr_html_()
    assert re.findall(r'<path d="([^"]*)"', html)[1].count("M") == 2
    assert "<svg" not in make_trace([np.nan, np.nan])._repr_html_()
    assert "<svg" not in make_trace([])._repr_html_()


def test_a_landscape_shows_the_mean_over_its_questions_its_settings_and_its_paths():
    """Losses of two questions 0..8 and 2..10: the mean runs from 1 to 9 and is 5 at the weights."""
    grid = np.arange(9.0).reshape(3, 3)
    landscape = make_landscape([grid, grid + 2], [(0, 0), (1, 1)])
    rows = read_rows(landscape._repr_html_())
    assert rows["L̂ (nats)"] == "5 at the weights, 1 to 9 on the grid"
    assert rows["grid"] == "3 × 3, α -1 to 1, β -1 to 1"
    assert rows["plane"] == "random, filter norms"
    assert rows["questions"] == "2, mean"
    assert rows["paths"] == "1, 75 to 75 % of their length off the plane"


def test_a_landscape_s_lowest_cell_is_dark_and_its_second_axis_goes_up():
    """alpha is 1 (right) and beta is -1 (below) where the loss is lowest; the path runs to alpha -1, beta 1."""
    grid = np.arange(9.0).reshape(3, 3)
    grid[2, 0] = -1
    html = make_landscape([grid], [(0, 0), (-1, 1)])._repr_html_()
    assert re.search(r'fill="#440154" d="([^"]*)"', html)[1] == "M2 2h1v1h-1z"
    assert re.search(r'fill="#fde725" d="([^"]*)"', html)[1] == "M2 0h1v1h-1z"
    assert 'd="M1.5 1.5L0.5 0.5"' in html


def test_every_cell_of_a_map_is_drawn_once():
    loss = np.random.default_rng(0).random((1, 7, 5))
    cells = np.zeros((7, 5), dtype=int)
    for x, y, width in re.findall(r"M(\d+) (\d+)h(\d+)v1", make_landscape(loss)._repr_html_()):
        cells[int(x) : int(x) + int(width), int(y)] += 1
    assert (cells == 1).all()


def test_a_fine_landscape_with_many_paths_stays_small():
    loss = np.random.default_rng(0).random((1, 101, 101))
    landscape = make_landscape(loss, np.linspace(0, 1, 64_000).reshape(-1, 2))
    html = replace(landscape, paths=landscape.paths * 200)._repr_html_()
    assert len(html) < 30_000
    assert "12 drawn" in html


@pytest.mark.parametrize(
    "record",
    [
        Estimate(HOSTILE, 0.5, 0.4, 0.6, 0.95, "BCa+t", 30),
        make_trace([1.0, 2.0], trajectory_id=HOSTILE),
        make_trace([1.0, 2.0], model=replace(MODEL, name=HOSTILE)),
        make_landscape(np.ones((1, 3, 3)), model=replace(MODEL, name=HOSTILE)),
        make_landscape(np.ones((1, 3, 3)), settings=LandscapeSettings("checkpoints", toward=(HOSTILE, HOSTILE))),
    ],
)
def test_names_are_text_and_never_markup(record):
    html = record._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;" in html


def test_records_show_themselves_without_matplotlib():
    code = "import sys, raml.records; sys.exit(any(name.startswith(('matplotlib', 'IPython')) for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
