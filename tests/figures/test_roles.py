"""Token roles with the paper's values beside them."""

import pytest

from raml.errors import DataError
from raml.figures.influence import Bar
from raml.figures.roles import plot_roles

BARS = [
    Bar("all steps", 9, mean=0.2, median=0.1, is_compared=False),
    Bar("wait", 2, mean=2.0, median=1.0),
    Bar("hold on", 0),
]


def list_hollow(figure):
    lines = [line for line in figure.axes[0].lines if line.get_marker() == "D"]
    return {(float(line.get_xdata()[0]), int(line.get_ydata()[0])) for line in lines}


def test_each_published_value_stands_in_its_word_s_line_also_where_the_word_was_not_found():
    figure = plot_roles(BARS, {"wait": 1.22, "hold on": 279.5})
    assert list_hollow(figure) == {(1.22, 1), (279.5, 2)}
    low, high = figure.axes[0].get_xlim()
    assert low < 0.1
    assert high > 279.5


def test_without_published_values_it_is_the_plain_figure():
    assert list_hollow(plot_roles(BARS, {})) == set()


def test_a_value_of_no_line_is_refused():
    with pytest.raises(DataError, match="also of since"):
        plot_roles(BARS, {"since": 4.54})
