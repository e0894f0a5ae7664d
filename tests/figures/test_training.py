import math

import matplotlib.colors
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.errors import DataError
from raml.figures import plot_training, save_figure, smooth_ema

NAMES = ["loss", "reward", "correct_rate", "format_rate", "completion_tokens", "entropy", "kl", "reward_margin"]


def make_rows(n_steps=20, names=("loss",)):
    return [{"step": step, **dict.fromkeys(names, 1 / step)} for step in range(1, n_steps + 1)]


def find_panels(figure):
    return [axis for axis in figure.axes if axis.get_visible()]


def find_titles(figure):
    return [axis.get_title(loc="left") for axis in find_panels(figure)]


def find_look(line):
    return matplotlib.colors.to_hex(line.get_color()), str(line._unscaled_dash_pattern)


def test_each_quantity_that_occurs_in_any_run_has_a_panel_in_a_fixed_order():
    short = [{"step": 5, "entropy": 0.3, "loss": 0.4, "seconds": 3.0, "kl": None}]
    long = [{"step": 1, "completion_tokens": 80.0, "reward": -1.0, "epoch": 0.1}]
    figure = plot_training({"one": short, "two": long})
    assert find_titles(figure) == ["Loss", "Reward", "Response length", "Entropy"]
    assert [axis.get_ylabel() for axis in find_panels(figure)][2:] == ["tokens", "nats per token"]
    assert figure.get_supxlabel() == "training step"


def test_quantities_are_drawn_as_asked_for_under_their_own_name_if_need_be():
    rows = [{"step": 1, "loss": 1.0, "learning_rate": 1e-6, "seconds": 2.0, "cache_hits": 7.0}]
    figure = plot_training({"run": rows}, quantities=["cache_hits", "learning_rate", "reward"])
    assert find_titles(figure) == ["cache hits", "Learning rate"]


def test_a_curve_is_a_thin_raw_line_and_a_thick_average_over_the_steps():
    rows = [{"step": step, "loss": loss} for step, loss in ((10, 4.0), (20, 0.0), (40, 2.0), (50, 6.0))]
    raw, smooth = plot_training({"run": rows}, alpha=0.5).axes[0].get_lines()
    assert raw.get_xdata().tolist() == smooth.get_xdata().tolist() == [10, 20, 40, 50]
    assert raw.get_ydata().tolist() == [4, 0, 2, 6]
    assert smooth.get_ydata().tolist() == [4, 2, 2, 4]
    assert raw.get_linewidth() < smooth.get_linewidth()


@pytest.mark.parametrize(("n_steps", "alpha"), [(5, 1.0), (20, 1.0), (100, 0.2), (5000, 0.02)])
def test_the_average_lags_by_a_twentieth_of_the_longest_run(n_steps, alpha):
    figure = plot_training({"long": make_rows(n_steps), "short": make_rows(4)})
    for smooth, n in zip(figure.axes[0].get_lines()[1::2], (n_steps, 4), strict=True):
        assert smooth.get_ydata() == pytest.approx(smooth_ema(1 / np.arange(1, n + 1), alpha))


@pytest.mark.parametrize("unknown", [None, math.nan, math.inf])
def test_unknown_values_are_gaps_and_do_not_enter_the_average(unknown):
    rows = [{"step": i, "loss": loss} for i, loss in enumerate([4.0, unknown, 0.0, 2.0])]
    raw, smooth = plot_training({"run": rows}, alpha=0.5).axes[0].get_lines()
    np.testing.assert_array_equal(raw.get_ydata(), [4, math.nan, 0, 2])
    np.testing.assert_array_equal(smooth.get_ydata(), [4, math.nan, 2, 2])
    assert raw.get_markevery() == [0]  # the 4 stands alone, and is a dot


def test_a_line_runs_on_over_rows_where_its_quantity_was_not_measured():
    rows = [{"step": 1, "loss": 4.0, "kl": 0.1}, {"step": 2, "loss": 3.0}, {"step": 3, "loss": 2.0, "kl": 0.2}]
    raw = plot_training({"run": rows}).axes[1].get_lines()[0]
    assert (raw.get_xdata().tolist(), raw.get_ydata().tolist()) == ([1, 3], [0.1, 0.2])
    assert raw.get_markevery() == []


@given(st.lists(st.none() | st.floats(-10, 10), min_size=1))
def test_dots_are_the_values_between_two_gaps(values):
    rows = [{"step": i, "loss": value} for i, value in enumerate(values)] + [{"step": len(values), "loss": 1.0}]
    known = [False, *(row["loss"] is not None for row in rows), False]
    raw = plot_training({"run": rows}).axes[0].get_lines()[0]
    expected = [i for i in range(len(rows)) if known[i : i + 3] == [False, True, False]]
    assert raw.get_markevery() == expected


def test_a_legend_names_the_runs_only_where_there_are_several():
    assert plot_training({"alone": make_rows()}).legends == []
    figure = plot_training({"GRPO": make_rows(), "_n = $4$": make_rows(9), "third": []})
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["GRPO", "_n = $4$", "third"]
    drawn, named = figure.axes[0].get_lines()[1::2], legend.get_lines()
    assert [find_look(curve) for curve in drawn] == [find_look(handle) for handle in named]


def test_twenty_eight_runs_are_told_apart_by_colour_and_dashes():
    figure = plot_training({f"run {i}": make_rows(3) for i in range(28)})
    looks = [find_look(line) for line in figure.axes[0].get_lines()[1::2]]
    assert len(set(looks)) == 28
    assert len({dashes for _, dashes in looks[:4]}) == 4  # for those who print grey


@pytest.mark.parametrize(
    ("n_panels", "n_columns", "n_rows"),
    [(1, 1, 1), (2, 2, 1), (3, 3, 1), (4, 2, 2), (5, 3, 2), (6, 3, 2), (7, 4, 2), (8, 4, 2)],
)
def test_panels_fill_a_grid_whose_lowest_ones_carry_the_steps(n_panels, n_columns, n_rows):
    names = NAMES[:n_panels]
    figure = plot_training({"run": make_rows(names=names)})
    panels = find_panels(figure)
    assert len(panels) == n_panels
    geometry = panels[0].get_subplotspec().get_gridspec()
    assert (geometry.nrows, geometry.ncols) == (n_rows, n_columns)
    labelled = [axis.xaxis.get_tick_params()["labelbottom"] for axis in panels]
    assert labelled == [i + n_columns >= n_panels for i in range(n_panels)]


def test_shares_are_drawn_from_0_to_100_percent_and_small_values_without_a_factor():
    rows = [{"step": step, "correct_rate": 0.5, "learning_rate": 1e-6 * step} for step in range(1, 9)]
    figure = plot_training({"run": rows}, quantities=["correct_rate", "learning_rate"])
    figure.canvas.draw()
    share, rate = figure.axes
    assert [label.get_text() for label in share.get_yticklabels()][1:-1] == ["0%", "20%", "40%", "60%", "80%", "100%"]
    assert rate.yaxis.get_offset_text().get_text() == ""
    assert "2e-06" in [label.get_text().replace("−", "-") for label in rate.get_yticklabels()]


def test_the_same_curves_give_the_same_bytes(tmp_path):
    curves = {"one": make_rows(), "two": make_rows(9)}
    contents = [
        [file.read_bytes() for file in save_figure(plot_training(curves), tmp_path / name / "training")]
        for name in ("one", "two")
    ]
    assert contents[0] == contents[1]


@pytest.mark.parametrize(
    ("curves", "message"),
    [
        ({}, "nothing to plot: none of 0 runs"),
        ({"run": []}, "nothing to plot: none of 1 runs has a value of loss, reward"),
        ({"run": [{"step": 1, "loss": None, "seconds": 2.0}]}, "nothing to plot"),
        ({"run": [{"loss": 1.0}]}, "Row 0 of the run run has step None; steps must be there and rise"),
        ({"a": [{"step": 7, "loss": 1.0}, {"step": 7, "loss": 1.0}]}, "Row 1 of the run a has step 7 after step 7"),
    ],
)
def test_curves_that_cannot_be_drawn_are_refused(curves, message):
    with pytest.raises(DataError, match=message):
        plot_training(curves)


@pytest.mark.parametrize("alpha", [0, 1.5])
def test_a_bad_alpha_is_refused(alpha):
    with pytest.raises(DataError, match=f"alpha is {alpha}"):
        plot_training({"run": make_rows()}, alpha=alpha)
