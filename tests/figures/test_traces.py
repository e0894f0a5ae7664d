from dataclasses import replace

import matplotlib.colors
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.errors import DataError
from raml.figures import plot_traces, save_figure, smooth_ema
from raml.records import ModelIdentity, Question, Trace, TraceSettings


def make_trace(trajectory_id, values):
    return Trace(
        f"trace of {trajectory_id}",
        trajectory_id,
        ModelIdentity("m", None, "00", "float32", "cpu"),
        TraceSettings(),
        "one-pass",
        (1,),
        (2,),
        np.arange(len(values), dtype=np.int32),
        np.array(values, dtype=np.float32)[:, None],
    )


@pytest.fixture
def run(make_trajectory):
    questions = [
        Question("a", "First $question$?", "1"),
        Question("b", "Second?", "2"),
        Question("c", "Untraced?", "3"),
    ]
    trajectories = [
        make_trajectory(question_id="a", repeat=0, correct=True),
        make_trajectory(question_id="a", repeat=1, correct=False),
        make_trajectory(question_id="b", repeat=0, correct=None),
    ]
    traces = [make_trace("a-0", [2, 1, 0.5, 0]), make_trace("a-1", [2, 3, 2, 4]), make_trace("b-0", [1, 1, 1, 1])]
    return questions, trajectories, traces


def test_the_average_follows_its_recursion():
    """s = 4, then 0.5·0 + 0.5·4 = 2, then 0.5·2 + 0.5·2 = 2, then 0.5·6 + 0.5·2 = 4."""
    assert smooth_ema(np.array([4.0, 0.0, 2.0, 6.0]), 0.5).tolist() == [4.0, 2.0, 2.0, 4.0]


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0.01, 1))
def test_the_average_stays_within_the_values_and_alpha_one_is_the_values(values, alpha):
    smoothed = smooth_ema(np.array(values), alpha)
    assert min(values) - 1e-9 <= smoothed.min() <= smoothed.max() <= max(values) + 1e-9
    assert smooth_ema(np.array(values), 1.0).tolist() == values


def test_one_panel_a_traced_question_with_raw_and_smoothed_lines_of_the_right_colours(run):
    figure = plot_traces(*run, alpha=0.5)
    panels = [axis for axis in figure.axes if axis.get_visible()]
    assert [panel.get_title(loc="left") for panel in panels] == ["First $question$?", "Second?"]
    raw, smooth, wrong_raw, _ = panels[0].get_lines()
    assert raw.get_xdata().tolist() == [0, 1 / 3, 2 / 3, 1]
    assert raw.get_ydata().tolist() == [2, 1, 0.5, 0]
    assert smooth.get_ydata().tolist() == [2, 1.5, 1, 0.5]
    assert raw.get_linewidth() < smooth.get_linewidth()
    assert matplotlib.colors.to_hex(raw.get_color()) != matplotlib.colors.to_hex(wrong_raw.get_color())
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["right (1)", "wrong (1)", "undecided (1)"]


def test_figures_are_written_as_svg_and_png_with_the_same_bytes_each_time(run, tmp_path):
    contents = []
    for name in ("one", "two"):
        files = save_figure(plot_traces(*run), tmp_path / name / "traces")
        assert [f.suffix for f in files] == [".svg", ".png"]
        contents.append([f.read_bytes() for f in files])
    assert contents[0] == contents[1]
    assert contents[0][0].startswith(b"<?xml")
    assert contents[0][1].startswith(b"\x89PNG")


def test_nothing_traced_and_a_bad_alpha_are_refused(run):
    questions, trajectories, traces = run
    with pytest.raises(DataError, match="nothing to plot"):
        plot_traces(questions, trajectories, [])
    with pytest.raises(DataError, match="alpha is 0"):
        plot_traces(questions, trajectories, traces, alpha=0)


def test_a_question_that_must_not_be_shown_is_named_by_its_id(run):
    questions, trajectories, traces = run
    withheld = [replace(question, redacted=True) for question in questions]
    titles = [axis.get_title(loc="left") for axis in plot_traces(withheld, trajectories, traces).axes]
    assert titles[0].startswith("Question a: text withheld")
