import numpy as np
import pytest

from raml.errors import DataError
from raml.figures.influence import Bar, plot_influence, plot_influence_groups
from raml.figures.saving import save_figure
from raml.records import Estimate


def estimate(value, reach=0.1):
    return Estimate("x", value, value - reach, value + reach, 0.95, "BCa+t", 9)


BARS = [
    Bar("all steps", 900, 0.5, 0.01, is_compared=False),
    Bar("wait", 12, 3.0, 0.2, estimate(0.4), estimate(-0.3), size_stands_out=True),
    Bar("since", 2, 16.0, 0.1, estimate(0.2, np.inf), estimate(0.1)),
    Bar("hold on", 1, 0.0, 0.0),
    Bar("retry", 0),
]


def find_marks(axis, marker):
    return [(line.get_xdata()[0], line.get_ydata()[0]) for line in axis.lines if line.get_marker() == marker]


def test_the_left_panel_has_mean_and_median_on_a_logarithmic_axis():
    left, _ = plot_influence(BARS).axes
    assert left.get_xscale() == "log"
    assert find_marks(left, "s") == [(0.5, 0), (3.0, 1), (16.0, 2)]
    assert find_marks(left, "|") == [(0.01, 0), (0.2, 1), (0.1, 2)]


def test_every_group_keeps_its_line_with_its_number_of_units():
    left, _ = plot_influence(BARS).axes
    names = [text.get_text() for text in left.get_yticklabels()]
    assert names == ["all steps  (n = 900)", "wait  (n = 12)", "since  (n = 2)", "hold on  (n = 1)", "retry  (n = 0)"]
    assert left.yaxis_inverted()


def test_effects_have_intervals_and_are_filled_where_they_stand_out():
    _, right = plot_influence(BARS).axes
    assert find_marks(right, "o") == [(0.4, 0.85), (0.2, 1.85)]
    assert find_marks(right, "D") == [(-0.3, 1.15), (0.1, 2.15)]
    faces = [line.get_markerfacecolor() for line in right.lines if line.get_marker() in ("o", "D")]
    assert [face == "white" for face in faces] == [False, True, True, True]
    lines = [
        list(line.get_xdata()) for line in right.lines if len(set(line.get_ydata())) == 1 and len(line.get_xdata()) == 2
    ]
    np.testing.assert_allclose(lines, [[0.3, 0.5], [-0.4, -0.2], [0.0, 0.2]], atol=1e-12)


def test_a_group_without_controls_says_so_and_one_without_units_or_all_steps_do_not():
    _, right = plot_influence(BARS).axes
    assert [(note.get_text(), note.xy[1]) for note in right.texts] == [("no control", 3)]


def test_groups_are_panels_with_their_own_lines():
    figure = plot_influence_groups({"Parts": BARS[:2], "Sentences": BARS[2:]})
    first, second = figure.axes
    assert [axis.get_title(loc="left") for axis in (first, second)] == ["Parts", "Sentences"]
    assert find_marks(first, "o") == [(0.4, 0.85)]
    assert find_marks(second, "D") == [(0.1, 0.15)]


def test_names_are_drawn_as_they_stand_and_cut_where_they_are_long(tmp_path):
    figure = plot_influence([Bar("a$b$" + "x" * 99, 3, 1.0, 1.0, estimate(1), estimate(1))])
    (label,) = figure.axes[0].get_yticklabels()
    assert label.get_text() == "a$b$" + "x" * 23 + "…  (n = 3)"
    assert save_figure(figure, tmp_path / "a")[1].stat().st_size > 1000


def test_figures_are_the_same_bytes_each_time(tmp_path):
    one, two = (save_figure(plot_influence(BARS), tmp_path / name) for name in ("a", "b"))
    assert [file.read_bytes() for file in one] == [file.read_bytes() for file in two]


@pytest.mark.parametrize(
    ("plot", "bars"), [(plot_influence, []), (plot_influence, [Bar("x", 0)]), (plot_influence_groups, {"a": []})]
)
def test_nothing_to_plot_is_refused(plot, bars):
    with pytest.raises(DataError, match="nothing to plot"):
        plot(bars)


def test_an_effect_that_is_not_finite_is_refused():
    with pytest.raises(DataError, match="not finite"):
        plot_influence([Bar("x", 1, 1.0, 1.0, estimate(np.nan))])
