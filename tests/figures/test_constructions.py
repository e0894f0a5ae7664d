import pytest

from raml.errors import DataError
from raml.figures.constructions import Panel, plot_constructions


def find_means(axis):
    return [line.get_xdata()[0] for line in axis.lines if line.get_markersize() == 4.5 and line.get_marker() == "o"]


def test_each_construction_has_a_row_that_all_panels_share():
    panels = [
        Panel("one layer", "relative error", {"nothing": [1.0, 3.0], "exact": [1e-16, 3e-16]}, {"exact": 1e-3}),
        Panel("real", "gap", {"exact": [1e-5, 2e-5, 6e-5]}),
    ]
    first, second = plot_constructions(panels).axes
    assert [text.get_text() for text in first.get_yticklabels()] == ["nothing", "exact"]
    assert find_means(first) == pytest.approx([2.0, 2e-16])
    assert find_means(second) == pytest.approx([3e-5])
    assert first.get_xscale() == second.get_xscale() == "log"
    rules = [[*line.get_xdata()] for line in first.lines if line.get_color() == "#D55E00"]
    assert rules == [[1e-3, 1e-3]]
    assert not any(line.get_color() == "#D55E00" for line in second.lines)


def test_an_error_of_zero_has_no_point_and_counts_in_the_mean():
    (axis,) = plot_constructions([Panel("one layer", "error", {"exact": [0.0, 2.0]})]).axes
    clouds = [[*line.get_xdata()] for line in axis.lines if line.get_markersize() == 2.5]
    assert clouds == [[2.0]]
    assert find_means(axis) == [1.0]


def test_nothing_to_plot_is_an_error():
    with pytest.raises(DataError, match="nothing to plot"):
        plot_constructions([Panel("one layer", "error", {"exact": []})])
