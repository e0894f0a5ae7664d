from types import SimpleNamespace

import pytest

from raml.errors import DataError
from raml.figures.frontier import plot_frontier
from raml.figures.saving import save_figure
from raml.records import Estimate


def estimate(value, reach=0.05):
    return Estimate("made up", value, value - reach, value + reach, 0.9, "BCa+t", 20)


def make_point(method, level=0.0, accuracy=0.5, tokens=(100, 110), variant="", passed=0.8):
    return SimpleNamespace(
        method=method,
        variant=variant,
        level=level,
        accuracy=estimate(accuracy),
        pass_at_n=None if passed is None else estimate(passed),
        n_thinking=estimate(tokens[0], float("inf")),
        n_generated=estimate(tokens[1], 1),
    )


POINTS = [
    make_point("full", accuracy=0.7),
    make_point("no-thinking", accuracy=0.2, tokens=(2, 12)),
    make_point("cut", 64.0, 0.6, (60, 68)),
    make_point("cut", 32.0, 0.4, (32, 40), passed=None),
    make_point("prune", 0.5, 0.5, (50, 110), "own"),
    make_point("random", 0.5, 0.3, (50, 110), "own"),
]


def find_marks(axis, color):
    return [line for line in axis.lines if line.get_color() == color and line.get_marker() not in ("_", "|", "")]


def test_lines_run_over_levels_in_all_four_panels():
    figure = plot_frontier(POINTS, n=4)
    top_left, top_right, bottom_left, _ = figure.axes
    cuts = [find_marks(axis, "#0072B2")[0] for axis in figure.axes]
    assert cuts[0].get_xdata().tolist() == [32, 60]
    assert cuts[0].get_ydata().tolist() == [0.4, 0.6]
    assert cuts[1].get_xdata().tolist() == [40, 68]
    assert cuts[2].get_xdata().tolist() == [60]  # the other has no Pass@4
    assert top_left.get_ylabel() == "accuracy (share right)"
    assert bottom_left.get_ylabel() == "Pass@4"
    assert [axis.get_xscale() for axis in (top_left, top_right)] == ["log", "linear"]  # 50 times and 9 times as many
    (across,) = (line for line in top_left.lines if list(line.get_xdata()) == [0, 1])
    assert list(across.get_ydata()) == [0.7, 0.7]  # the accuracy of full


def test_the_control_is_grey_and_dashed_beside_pruning_and_all_marks_differ():
    (axis, _) = plot_frontier(POINTS, n=1).axes
    (random,) = find_marks(axis, "#777777")
    assert random.get_linestyle() == "--"
    (pruned,) = find_marks(axis, "#CC79A7")
    assert pruned.get_linestyle() == "-"
    assert pruned.get_fillstyle() == random.get_fillstyle()
    markers = [line.get_marker() for line in plot_frontier(POINTS, n=1).legends[0].get_lines()]
    assert len(set(markers)) == len(markers) == 5


def test_variants_of_a_method_differ_in_fill_and_dashes():
    points = [make_point("early-exit", at, 0.5, variant=f"{n} probes") for n in (2, 3) for at in (0.8, 0.9)]
    first, second = plot_frontier(points, n=1).legends[0].get_lines()
    assert first.get_color() == second.get_color()
    assert first.get_fillstyle() != second.get_fillstyle()


def test_chosen_rules_have_a_ring_and_their_level_in_the_legend():
    figure = plot_frontier(POINTS, n=1, chosen=[("cut", "", 32.0), ("no-thinking", "", 0.0)])
    rings = [(*line.get_xdata(), *line.get_ydata()) for line in figure.axes[0].lines if line.get_markersize() == 9]
    assert [ring for ring in rings if ring] == [(2, 0.2), (32, 0.4)]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [
        "full", "no-thinking", "cut (ring: 32)", "prune: own", "random: own", "chosen on one half of the questions",
    ]  # fmt: skip


def test_intervals_and_level_are_those_of_the_points():
    figure = plot_frontier(POINTS[:1], n=1)
    assert figure.legends[0].get_title().get_text().startswith("bars: 90 % intervals")
    (bar,) = figure.axes[0].collections
    assert bar.get_segments()[0][:, 1].tolist() == pytest.approx([0.65, 0.75])


@pytest.mark.parametrize("tokens", [(0, 10), (0.006, 10), (1, 10)])
def test_points_without_reasoning_are_drawn_too(tokens):
    figure = plot_frontier([make_point("full"), make_point("no-thinking", tokens=tokens)], n=1)
    axis = figure.axes[0]
    assert axis.get_xscale() == ("log" if tokens[0] == 1 else "symlog")
    figure.draw_without_rendering()
    low, high = axis.get_xlim()
    labels = [label.get_text() for label in axis.get_xticklabels() if low <= label.get_position()[0] <= high]
    assert len(set(labels)) == len(labels) >= 3


def test_names_with_dollar_signs_are_no_formulas():
    figure = plot_frontier([make_point("summary", variant=r"$\helper $")], n=1)
    (text,) = [text for text in figure.legends[0].get_texts() if r"$\helper $" in text.get_text()]
    assert not text.get_parse_math()
    figure.draw_without_rendering()  # as a formula it could not be drawn


def test_the_same_points_give_the_same_bytes(tmp_path):
    files = [save_figure(plot_frontier(POINTS[:2], n=1), tmp_path / name) for name in "ab"]
    assert files[0][0].read_bytes() == files[1][0].read_bytes()


def test_no_points_make_no_figure():
    with pytest.raises(DataError, match="nothing to plot"):
        plot_frontier([], n=1)
