import matplotlib.colors
import numpy as np
import pytest

from raml.errors import DataError
from raml.figures.curves import plot_mode_curves, plot_question_curves, plot_wrong_curves
from raml.figures.curves_readout import plot_readouts, plot_recognition
from raml.figures.saving import save_figure
from raml.records import Estimate

TOKENS, SHARES = np.array([0.0, 1, 10, 100]), np.array([0.0, 0.5, 1])
FALLING = np.array([[4.0, 3, 2, 1], [2, 1, 1, 0]])
MODES = {"thinking": (TOKENS, FALLING), "no-thinking": (TOKENS, FALLING[:, ::-1])}
BY_SHARE = {name: (SHARES, values[:, 1:]) for name, (_, values) in MODES.items()}


def estimate(value, method="BCa+t"):
    return Estimate("AUROC", value, value - 0.1, value + 0.1, 0.95, method, 9)


def find_color(line):
    return matplotlib.colors.to_hex(line.get_color())


def test_modes_are_means_over_questions_with_bands_against_tokens_and_share():
    figure = plot_mode_curves(MODES, BY_SHARE)
    tokens, share = figure.axes
    np.testing.assert_allclose(tokens.lines[0].get_ydata(), [3, 2, 1.5, 0.5])
    np.testing.assert_allclose(tokens.lines[1].get_ydata(), [0.5, 1.5, 2, 3])
    np.testing.assert_allclose(share.lines[0].get_ydata(), [2, 1.5, 0.5])
    assert [len(axis.collections) for axis in figure.axes] == [2, 2]
    assert (tokens.get_xscale(), share.get_xscale()) == ("symlog", "linear")
    assert find_color(tokens.lines[0]) != find_color(tokens.lines[1])
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[:2] == ["thinking (questions: 2)", "no-thinking (questions: 2)"]


def test_curves_of_like_lengths_stay_on_a_linear_axis():
    short = {"thinking": (TOKENS[:2], FALLING[:, :2]), "no-thinking": (TOKENS[:2], FALLING[:, 2:])}
    assert plot_mode_curves(short, BY_SHARE).axes[0].get_xscale() == "linear"


def test_each_question_s_curves_end_with_a_mark_that_says_how_it_came_out():
    lines = [("thinking", True, TOKENS, FALLING[0]), ("no-thinking", False, TOKENS[:2], FALLING[0, :2])]
    figure = plot_question_curves([("What is $x$?", lines), ("Next", [("thinking", None, TOKENS, FALLING[1])])])
    first, second = figure.axes
    assert first.get_title(loc="left") == "What is $x$?"
    assert [line.get_marker() for line in first.lines] == ["None", "o", "None", "X"]
    assert [line.get_xdata()[0] for line in first.lines[1::2]] == [100, 1]
    assert [line.get_ydata()[0] for line in first.lines[1::2]] == [1, 3]
    assert second.lines[1].get_marker() == "."
    assert [text.get_text() for text in figure.legends[0].get_texts()][-3:] == ["right", "wrong", "undecided"]


def test_gold_and_own_answer_are_on_one_axis_and_their_parting_is_marked():
    examples = [("One", TOKENS, FALLING[0], FALLING[1], 10), ("Two", TOKENS, FALLING[0], FALLING[0], None)]
    figure = plot_wrong_curves({"thinking": (SHARES, FALLING[:, 1:], FALLING[:, :3])}, examples)
    mean, parted, together = figure.axes
    np.testing.assert_allclose(mean.lines[0].get_ydata(), [2, 1.5, 0.5])
    np.testing.assert_allclose(mean.lines[1].get_ydata(), [3, 2, 1.5])
    assert parted.lines[2].get_xdata()[0] == 10
    assert (len(parted.lines), len(together.lines)) == (3, 2)
    assert "n = 2" in mean.get_title(loc="left")


def test_readouts_leave_out_what_is_unknown():
    accuracy = np.array([[np.nan, 0.0, 1.0], [np.nan, 1.0, 1.0]])
    events = {"first right": (SHARES, np.array([[0, 0, 1.0], [0, 1, 1]]))}
    (left, right) = plot_readouts({"thinking": (events, {"all": (SHARES, accuracy)})}).axes
    np.testing.assert_allclose(left.lines[0].get_ydata(), [0, 0.5, 1])
    np.testing.assert_allclose(right.lines[0].get_ydata(), [np.nan, 0.5, 1])


def test_scores_are_points_with_intervals_where_there_are_any():
    rows = [("a", estimate(0.7), estimate(0.6)), ("b", estimate(1.0, "none"), None), ("c", None, None)]
    (axis,) = plot_recognition({"thinking": rows}).axes
    assert [text.get_text() for text in axis.get_yticklabels()] == ["a", "b"]
    points = [line.get_xdata()[0] for line in axis.lines if line.get_markersize() == 4]
    assert sorted(points) == [0.6, 0.7, 1.0]
    intervals = [line.get_xdata() for line in axis.lines if line.get_linewidth() == 1.2]
    assert sorted(map(tuple, intervals)) == [pytest.approx((0.5, 0.7)), pytest.approx((0.6, 0.8))]


def test_one_question_has_a_curve_without_a_band(tmp_path):
    by_tokens, by_share = {"thinking": (TOKENS, FALLING[:1])}, {"thinking": (SHARES, FALLING[:1, 1:])}
    figures = [plot_mode_curves(by_tokens, by_share) for _ in range(2)]
    assert figures[0].axes[0].lines[0].get_ydata().tolist() == [4, 3, 2, 1]
    files = [save_figure(figure, tmp_path / str(i))[0].read_bytes() for i, figure in enumerate(figures)]
    assert files[0] == files[1]


@pytest.mark.parametrize(
    ("plot", "arguments"),
    [
        (plot_mode_curves, ({}, {})),
        (plot_question_curves, ([],)),
        (plot_wrong_curves, ({},)),
        (plot_readouts, ({},)),
        (plot_recognition, ({"thinking": [("a", None, None)]},)),
    ],
)
def test_nothing_measured_makes_no_figure(plot, arguments):
    with pytest.raises(DataError, match="nothing to plot"):
        plot(*arguments)
