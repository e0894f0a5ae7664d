import math

import pytest

from raml.errors import DataError
from raml.figures.faithfulness import Cloud, Ranking, plot_faithfulness
from raml.figures.saving import save_figure
from raml.records import Estimate

CLOUD = Cloud("fall (nats)", "change", {True: ([1.0, 2.0], [0.1, 0.2]), False: ([-1.0], [-0.3]), None: ([], [])})


def estimate(value, low=math.nan, high=math.nan):
    return Estimate("Spearman", value, low, high, 0.95, "BCa+t", 7)


RANKING = Ranking("share", {"fall": estimate(0.5, 0.3, 0.7), "place": estimate(-0.2, -0.5, 0.1)}, 0.8)


def test_sentences_are_points_by_whether_their_trajectory_is_right():
    first = plot_faithfulness([CLOUD, CLOUD], [RANKING]).axes[0]
    assert [c.get_offsets().tolist() for c in first.collections] == [[[1, 0.1], [2, 0.2]], [[-1, -0.3]], []]
    assert (first.get_xlabel(), first.get_ylabel()) == ("fall (nats)", "change")


def test_rankings_have_a_row_a_measure_with_interval_and_ceiling():
    axis = plot_faithfulness([CLOUD], [RANKING, RANKING]).axes[-1]
    assert [text.get_text() for text in axis.get_yticklabels()] == ["fall (n = 7)", "place (n = 7)"] * 2
    dots = [line.get_xdata()[0] for line in axis.lines if line.get_markersize() == 5]
    assert dots == [0.5, -0.2] * 2
    assert [0.3, 0.7] in [list(line.get_xdata()) for line in axis.lines]
    assert [c.get_segments()[0][0, 0] for c in axis.collections] == [0.8] * 2
    assert axis.yaxis_inverted()


def test_the_legend_names_what_is_there_and_nothing_else():
    def list_names(*arguments):
        return [text.get_text() for text in plot_faithfulness(*arguments).legends[0].get_texts()]

    assert list_names([CLOUD], [RANKING]) == [
        "of right trajectories",
        "of wrong trajectories",
        "most that the noise allows",
    ]
    alone = Cloud("x", "y", {True: ([1.0], [0.1])})
    assert list_names([alone], [Ranking("share", {"fall": estimate(0.5, -math.inf, math.inf)}, None)]) == [
        "of right trajectories"
    ]


def test_an_agreement_of_one_question_has_no_interval():
    axis = plot_faithfulness([CLOUD], [Ranking("share", {"fall": estimate(0.5, -math.inf, math.inf)}, None)]).axes[-1]
    assert [list(line.get_xdata()) for line in axis.lines] == [[0.5], [0, 0]]


def test_the_figure_is_the_same_bytes_each_time(tmp_path):
    files = [save_figure(plot_faithfulness([CLOUD], [RANKING]), tmp_path / name) for name in ("a", "b")]
    assert files[0][0].read_bytes() == files[1][0].read_bytes()


def test_no_sentences_make_no_figure():
    with pytest.raises(DataError, match="nothing to plot"):
        plot_faithfulness([Cloud("x", "y", {True: ([], [])})], [])
