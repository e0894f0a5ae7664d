import numpy as np
import pytest

from raml.errors import DataError
from raml.figures.alignment import plot_alignment, plot_alignment_layers, plot_loss_changes
from raml.figures.saving import save_figure

VALUES = [0.1, 0.3, 0.2, 0.4]


def find_means(axis):
    return [line.get_xdata()[0] for line in axis.lines if line.get_markersize() == 5]


def test_each_kind_of_text_has_a_point_a_question_and_its_mean():
    figure = plot_alignment({"cosine": {"right": VALUES, "wrong": [0.0, np.nan, 0.2]}, "other": {"wrong": [0.5, 0.7]}})
    first, second = figure.axes
    assert [text.get_text() for text in first.get_yticklabels()] == ["right", "wrong"]
    clouds = [line.get_xdata().tolist() for line in first.lines if line.get_markersize() == 2.2]
    assert clouds == [VALUES, [0.0, 0.2]]
    assert find_means(first) == pytest.approx([0.25, 0.1])
    assert find_means(second) == pytest.approx([0.6])
    assert first.yaxis_inverted()


def test_one_question_has_a_mean_without_an_interval():
    (axis,) = plot_alignment({"cosine": {"right": [0.3]}}).axes
    assert find_means(axis) == [0.3]
    assert len(axis.lines) == 3  # point, mean and zero


def test_layers_show_means_over_questions():
    values = np.array([[0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [0.2, 0.2, 0.5]])
    figure = plot_alignment_layers({"cosine": {"right": values}, "similarity": {"right": values[:, ::-1]}})
    first, second = figure.axes
    np.testing.assert_allclose(first.lines[0].get_ydata(), [0.2, 0.2, 0.3])
    np.testing.assert_allclose(second.lines[0].get_ydata(), [0.3, 0.2, 0.2])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["right"]


def test_layers_without_some_values_show_the_mean_of_the_others():
    values = np.array([[0.1, np.nan, np.nan], [0.3, 0.2, np.nan], [0.2, 0.4, np.nan]])
    (axis,) = plot_alignment_layers({"cosine": {"right": values}}).axes
    np.testing.assert_allclose(axis.lines[0].get_ydata(), [0.2, 0.3, np.nan])


def test_loss_changes_are_points_beside_the_diagonal():
    (axis,) = plot_loss_changes({"right": ([-1, -2], [-3, -4]), "shuffled": ([0.5], [1.0])}).axes
    assert [c.get_offsets().tolist() for c in axis.collections] == [[[-1, -3], [-2, -4]], [[0.5, 1.0]]]


def test_figures_are_the_same_bytes_each_time(tmp_path):
    panels = {"cosine": {"right": VALUES, "undecided": VALUES}}
    files = [save_figure(plot_alignment(panels), tmp_path / name) for name in ("a", "b")]
    assert files[0][0].read_bytes() == files[1][0].read_bytes()


@pytest.mark.parametrize(
    ("plot", "empty"),
    [
        (plot_alignment, {"cosine": {"right": []}}),
        (plot_alignment_layers, {}),
        (plot_loss_changes, {"right": ([], [])}),
    ],
)
def test_no_values_make_no_figure(plot, empty):
    with pytest.raises(DataError, match="nothing to plot"):
        plot(empty)
