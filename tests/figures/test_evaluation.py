import pytest

from raml.errors import DataError
from raml.figures import plot_evaluation
from raml.records import Comparison, Estimate, Evaluation, Score


def make_score(model, benchmark, value=0.5):
    estimates = tuple(
        Estimate(name, value, value - 0.2, value + 0.1, 0.95, "BCa+t", 30) for name in ("Avg@8", "Pass@4")
    )
    return Score(model, benchmark, estimates, {}, 0, 8, 8, 80.0, (), ())


@pytest.fixture
def evaluation():
    scores = (make_score("base", "AIME"), make_score("a_$b$", "AIME", 0.7), make_score("base", "MATH", 0.9))
    difference = Estimate("Avg@8 difference", 0.2, 0.1, 0.3, 0.95, "BCa+t", 30)
    return Evaluation(scores, (Comparison("a_$b$", "base", "AIME", difference, 0.01, 0.02),), "leave-out", ())


def test_a_panel_a_metric_and_a_bar_where_a_model_took_a_benchmark(evaluation):
    figure = plot_evaluation(evaluation)
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["Avg@n", "Pass@4"]
    assert sorted(bar.get_height() for bar in figure.axes[0].patches) == [0.5, 0.7, 0.9]
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["AIME", "MATH"]


def test_whiskers_span_the_interval(evaluation):
    (base, _) = [c for c in plot_evaluation(evaluation).axes[0].containers if hasattr(c, "has_yerr")]
    low, high = base[2][0].get_segments()[0][:, 1]
    assert (low, high) == (pytest.approx(0.3), pytest.approx(0.6))


def test_a_label_is_text_and_no_formula(evaluation, tmp_path):
    figure = plot_evaluation(evaluation)
    figure.savefig(tmp_path / "x.svg")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["base", "a_$b$"]


def test_a_name_with_an_underscore_in_front_has_its_place_in_the_legend_and_a_long_one_is_cut():
    scores = tuple(make_score(name, "AIME") for name in ("_a", "x" * 400))
    figure = plot_evaluation(Evaluation(scores, (), "leave-out", ()))
    first, second = [text.get_text() for text in figure.legends[0].get_texts()]
    assert (first, len(second)) == ("_a", 60)


def test_many_metrics_go_on_in_the_next_row():
    many = tuple(Estimate(f"Pass@{k}", 0.5, 0.4, 0.6, 0.95, "BCa+t", 30) for k in range(1, 8))
    figure = plot_evaluation(Evaluation((Score("m", "b", many, {}, 0, 8, 8, 1.0, (), ()),), (), "leave-out", ()))
    assert sum(axis.get_visible() for axis in figure.axes) == 7
    assert figure.get_figwidth() < 12.5


def test_a_metric_that_is_not_there_is_named(evaluation):
    with pytest.raises(DataError, match=r"no metric Pass@99; there are Avg@8, Pass@4"):
        plot_evaluation(evaluation, metrics=["Pass@99"])
