from dataclasses import replace

import matplotlib.colors
import numpy as np
import pytest

from raml.errors import DataError
from raml.figures import save_figure
from raml.figures.adaptation import plot_adaptation
from raml.records import Adaptation, AdaptSettings, ModelIdentity, Trace, TraceSettings

MODEL = ModelIdentity("m", None, "00", "float32", "cpu")


def make_adaptation(trajectory_id, losses, in_context, **settings):
    values = np.array(losses, dtype=np.float32)
    asked = AdaptSettings(n_steps=len(losses) - 1, **settings)
    name = f"adaptation of {trajectory_id}"
    return Adaptation(name, trajectory_id, MODEL, asked, values, values, values, in_context)


def make_trace(trajectory_id, losses, **settings):
    lens, nll = np.arange(len(losses), dtype=np.int32), np.array(losses, dtype=np.float32)[:, None]
    asked = TraceSettings(**settings)
    return Trace(f"trace of {trajectory_id}", trajectory_id, MODEL, asked, "one-pass", (1,), (2,), lens, nll)


@pytest.fixture
def run(make_trajectory):
    """Two right trajectories of question a, one each of b and c, and a wrong one of a."""
    right = [make_trajectory(question_id=q, repeat=r) for q, r in (("a", 0), ("a", 1), ("b", 0), ("c", 0))]
    trajectories = [*right, make_trajectory(question_id="a", repeat=2, correct=False)]
    adaptations = [
        make_adaptation("a-0", [2, 1, 0], 0.2),
        make_adaptation("a-1", [4, 3, 2], 0.4),
        make_adaptation("b-0", [6, 4, 4], 0.6),
        make_adaptation("c-0", [3, 3, 3], 0.9),
        make_adaptation("a-2", [1, 2, 3], 5),
    ]
    traces = [
        make_trace("a-0", [2, 2, 0]),
        make_trace("a-1", [4, 2, 0, 4, 0.0]),
        make_trace("b-0", [6, 3]),
        make_trace("c-0", [3, 0]),
        make_trace("a-2", [1, 5]),
    ]
    return trajectories, adaptations, traces


def get_lines(axis):
    """Values of the lines that have several points: context first, then steps."""
    return [line.get_ydata() for line in axis.get_lines()]


def test_each_panel_has_both_loops_as_means_over_questions(run):
    """After steps 0, 1, 2 question a has (2 + 4)/2 = 3, 2, 1; b has 6, 4, 4; c has 3, 3, 3: means 4, 3, 8/3.

    In context a starts at 3; half way a-0 has 2 and a-1 has 0, so 1; at the end 0. b: 6, 4.5, 3; c: 3, 1.5, 0.
    """
    figure = plot_adaptation(*run)
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles == ["right (trajectories: 4, questions: 3)", "wrong (trajectories: 1, questions: 1)"]
    context, steps = get_lines(figure.axes[0])
    assert [context[0], context[20], context[40]] == pytest.approx([4, (1 + 4.5 + 1.5) / 3, 1])
    assert steps == pytest.approx([4, 3, 8 / 3])
    assert figure.axes[0].get_lines()[1].get_xdata().tolist() == [0, 0.5, 1]
    context, steps = get_lines(figure.axes[1])
    assert ([context[0], context[20], context[40]], list(steps)) == ([1, 3, 5], [1, 2, 3])


def test_right_and_wrong_have_the_colours_of_all_figures_and_bands_only_where_there_is_an_interval(run):
    figure = plot_adaptation(*run)
    colors = [matplotlib.colors.to_hex(axis.get_lines()[0].get_color()).upper() for axis in figure.axes]
    assert colors == ["#0072B2", "#D55E00"]
    assert [len(axis.collections) for axis in figure.axes] == [2, 2]
    filled = [any(len(path.vertices) for path in c.get_paths()) for axis in figure.axes for c in axis.collections]
    assert filled == [True, True, False, False]  # one question has no interval
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [
        "in the context (right)",
        "in the context (wrong)",
        "after gradient steps",
        "95 % interval of the mean over questions",
    ]


def test_where_a_trace_is_missing_squares_mark_the_ends(run):
    """Without trajectory (3 + 6 + 3)/3 = 4; in context a has 0.3, b 0.6, c 0.9: 0.6."""
    trajectories, adaptations, traces = run
    figure = plot_adaptation(trajectories, adaptations, traces[1:])
    ends = figure.axes[0].get_lines()[0]
    assert (ends.get_marker(), ends.get_linestyle()) == ("s", "None")
    assert ends.get_ydata() == pytest.approx([4, 0.6])
    assert figure.axes[1].get_lines()[0].get_linestyle() != "None"


@pytest.mark.parametrize(
    "change", [{"target": "own"}, {"bridge": "Answer: "}, {"span": "all"}], ids=["own answer", "bridge", "span"]
)
def test_a_trace_of_other_settings_is_no_trace_of_this(run, change):
    trajectories, adaptations, traces = run
    other = [replace(trace, settings=replace(trace.settings, **change)) for trace in traces]
    figure = plot_adaptation(trajectories, adaptations, other)
    assert all(axis.get_lines()[0].get_marker() == "s" for axis in figure.axes)


def test_a_trace_of_another_model_is_no_trace_of_this(run):
    trajectories, adaptations, traces = run
    other = [replace(trace, model=replace(MODEL, weights_sha256="11")) for trace in traces]
    assert plot_adaptation(trajectories, adaptations, other).axes[0].get_lines()[0].get_marker() == "s"


def test_the_finest_of_several_traces_is_drawn(run):
    trajectories, adaptations, traces = run
    finer = make_trace("a-2", [1, 4, 4, 4, 5], every=2)
    context, _ = get_lines(plot_adaptation(trajectories, adaptations, [*traces, finer]).axes[1])
    assert context[20] == 4


def test_wide_intervals_of_few_questions_do_not_squeeze_the_curves(run):
    """The t-interval over three questions goes far beyond the highest mean, 4; the axis ends at 1.05 · 1.5 · 4."""
    assert plot_adaptation(*run).axes[0].get_ylim() == (0, pytest.approx(6.3))


def test_a_loss_of_zero_can_be_drawn_and_the_same_figure_gives_the_same_bytes(make_trajectory, tmp_path):
    one = [make_trajectory(question_id="a")], [make_adaptation("a-0", [0, 0], 0.0)]
    contents = [[f.read_bytes() for f in save_figure(plot_adaptation(*one), tmp_path / name)] for name in "xy"]
    assert contents[0] == contents[1]


def test_what_cannot_be_one_figure_is_refused(run):
    trajectories, adaptations, traces = run
    with pytest.raises(DataError, match="nothing to plot"):
        plot_adaptation(trajectories, [], traces)
    with pytest.raises(DataError, match="differ in more than their trajectories"):
        plot_adaptation(trajectories, [*adaptations, make_adaptation("a-0", [2, 1, 1], 0.2, rate=0.3)], traces)
    with pytest.raises(DataError, match="differ in more than their trajectories"):
        plot_adaptation(trajectories, [adaptations[0], make_adaptation("b-0", [2, 1], 0.2)], traces)
