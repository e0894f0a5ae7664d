import math

import pytest

from raml.errors import DataError
from raml.figures.trained import Shown, plot_amounts, plot_models
from raml.records import Estimate


def make_shown(value, *by_seed, low=None, high=None):
    ends = (value - 5 if low is None else low, value + 4 if high is None else high)
    return Shown(Estimate("Pass@8", value, *ends, 0.95, "BCa+t", 30), by_seed)


def find_marks(axis, size):
    return [
        float(line.get_xdata()[0]) for line in axis.lines if line.get_markersize() == size and len(line.get_xdata())
    ]


def test_a_row_a_model_with_mean_interval_and_seeds():
    figure = plot_models({"Pass@8": {"base": make_shown(30, 28, 32), "SFT": make_shown(60)}})
    (axis,) = [axis for axis in figure.axes if axis.get_visible()]
    assert [text.get_text() for text in axis.get_yticklabels()] == ["base", "SFT"]
    assert find_marks(axis, 5) == [30, 60]
    spans = [
        tuple(line.get_xdata()) for line in axis.lines if line.get_linewidth() == 1.2 and len(line.get_xdata()) == 2
    ]
    assert spans == [(25, 34), (55, 64)]
    seeds = [line.get_xdata() for line in axis.lines if line.get_marker() == "."]
    assert [list(x) for x in seeds] == [[28, 32], []]
    assert axis.yaxis_inverted()


def test_the_papers_values_are_hollow_marks_in_a_panel_of_their_own():
    panels = {"Pass@8": {"base": make_shown(30), "SFT": make_shown(60)}, "Pass@1": {"base": make_shown(9)}}
    figure = plot_models(panels, published={"Pass@8": {"SFT": (36.7, 83.0)}}, benchmarks=("AIME24", "MATH500"))
    ours, paper, other = [axis for axis in figure.axes if axis.get_visible()]
    assert [axis.get_title(loc="left") for axis in (ours, paper, other)] == ["Pass@8", "Pass@8, paper", "Pass@1"]
    assert [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in paper.lines] == [(36.7, 1), (83.0, 1)]
    assert {line.get_markerfacecolor() for line in paper.lines} == {"none"}
    assert [text.get_text() for text in figure.legends[0].get_texts()][1:] == ["paper: AIME24", "paper: MATH500"]


@pytest.mark.parametrize("published", [None, {"Pass@8": {"SFT": (36.7,)}}])
def test_the_legend_speaks_of_seeds_where_there_are_some(published):
    def read_legend(shown):
        panels = {"Pass@8": {"SFT": shown}}
        legend = plot_models(panels, published=published, benchmarks=("AIME24",)).legends[0]
        return legend.get_texts()[0].get_text()

    assert "seeds" not in read_legend(make_shown(60))
    assert "seeds" in read_legend(make_shown(60, 58, 62))


def test_published_values_need_a_benchmark_each():
    with pytest.raises(DataError, match="1 published values for 2 benchmarks"):
        plot_models({"Pass@8": {"SFT": make_shown(60)}}, published={"Pass@8": {"SFT": (1.0,)}}, benchmarks=("a", "b"))


def test_no_model_is_nothing_to_plot():
    with pytest.raises(DataError, match="nothing to plot"):
        plot_models({})


def test_an_unbounded_interval_is_not_drawn():
    (axis, *_) = plot_models({"Pass@8": {"SFT": make_shown(60, low=-math.inf, high=math.inf)}}).axes
    assert len([line for line in axis.lines if line.get_linewidth() == 1.2]) == 0
    assert find_marks(axis, 5) == [60]


def test_lines_over_amounts_stand_beside_each_other_and_levels_lie_across():
    lines = {"SFT": {1: make_shown(20), 32: make_shown(40, 38, 43)}, "GRPO": {1: make_shown(30)}}
    figure = plot_amounts({"Pass@8": lines}, label="questions", levels={"Pass@8": {"base": make_shown(10)}})
    (axis,) = figure.axes
    by_name = {line.get_label(): line for line in axis.lines}
    assert by_name["SFT"].get_ydata().tolist() == [20, 40]
    assert by_name["GRPO"].get_ydata().tolist() == [30]
    assert by_name["GRPO"].get_linestyle() == "None"
    assert set(by_name["base"].get_ydata()) == {10}
    assert axis.get_xticks().tolist() == [1, 32]
    # Two lines are moved apart by the same factor, to either side.
    left, right = by_name["SFT"].get_xdata()[0], by_name["GRPO"].get_xdata()[0]
    assert left * right == pytest.approx(1)
    assert left < 1
    ends = [segment[:, 1].tolist() for bars in axis.collections for segment in bars.get_segments()]
    assert ends[:2] == [[15, 24], [35, 44]]


def test_lines_without_a_common_amount_stay_in_place_and_numbers_do_not_lie_over_each_other():
    lines = {"SFT": {250: make_shown(20), 4000: make_shown(40)}, "GRPO": {224: make_shown(30)}}
    (axis,) = plot_amounts({"Pass@8": lines}, label="questions").axes
    by_name = {line.get_label(): line for line in axis.lines}
    assert by_name["SFT"].get_xdata().tolist() == [250, 4000]
    assert by_name["GRPO"].get_xdata().tolist() == [224]
    assert axis.get_xticks().tolist() == [250, 4000]


@pytest.mark.parametrize("line", [{}, {0: make_shown(5)}])
def test_amounts_must_be_there_and_above_0(line):
    with pytest.raises(DataError, match="nothing to plot on a logarithmic axis"):
        plot_amounts({"Pass@8": {"SFT": line}}, label="questions")
