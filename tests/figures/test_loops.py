import numpy as np
import pytest

from raml.errors import DataError
from raml.figures.loops import plot_loops

BEFORE = {"plain": np.array([[1.0, 3.0]]), "read": np.array([[0.5, 0.7]])}
AFTER = {"plain": np.array([[1.0, 2.0], [2.0, 3.0]]), "read": np.array([[0.1, 0.3], [0.3, 0.5]])}


def test_seeds_are_averaged_within_questions_and_drawn_alone():
    """Before: means 2 and 0.6. After: 2 and 0.3, of seeds 1.5, 2.5 and 0.2, 0.4."""
    figure = plot_loops(BEFORE, {"Algorithm 1": AFTER, "Algorithm 2": AFTER})
    for axis in figure.axes:
        marks = [line for line in axis.lines if line.get_markersize() == 4.5 and line.get_marker() in "os"]
        means = [line.get_ydata()[0] for line in marks]
        assert means == pytest.approx([2.0, 2.0, 0.6, 0.3])
        seeds = [[*line.get_ydata()] for line in axis.lines if line.get_marker() == "."]
        np.testing.assert_allclose(seeds, [[1.5, 2.5], [0.2, 0.4]])
        assert [text.get_text() for text in axis.get_xticklabels()] == ["plain", "read"]


def test_panels_of_other_ways_and_nothing_at_all_are_errors():
    with pytest.raises(DataError, match="ways of answering plain, read"):
        plot_loops(BEFORE, {"Algorithm 1": {"read": AFTER["read"], "plain": AFTER["plain"]}})
    with pytest.raises(DataError, match="nothing to plot"):
        plot_loops(BEFORE, {})
