"""Figs. 3 and 16: how L̂ changes along right and wrong trajectories, by hand arithmetic."""

import pytest

from raml.studies import fig3, fig16, load_setup
from raml.studies.verdict import judge


def conclude(study, home):
    """Return the value and number of questions of each measure, and what is remarked."""
    outcome = study.conclude(load_setup(study.__name__.rsplit(".")[-1], "tiny"), home)
    found = {
        name: one.estimate and (one.estimate.value, one.estimate.n_questions) for name, one in outcome.measures.items()
    }
    return found, " ".join(outcome.remarks)


def test_fig_3_averages_right_trajectories_within_each_question(write_curves, tmp_path):
    """Falls: a (−3 − 1)/2, b 1.5, c 0. Ranks 2, 3, 1 correlate with 1, 2, 3 by 1 − 6 · 6/24 = −0.5; c has no trend."""
    write_curves(
        ("a", "think", True, (4, 2, 1)),
        ("a", "think", True, (4, 5, 3)),
        ("b", "think", True, (1, 2, 2.5)),
        ("b", "think", False, (1, 9, 9)),
        ("b", "nothink", True, (9, 1)),
        ("c", "think", True, (2, 2, 2)),
    )
    found, told = conclude(fig3, tmp_path)
    assert found == {"fall": (pytest.approx(-1 / 6), 3), "trend": (pytest.approx((-0.75 + 1) / 2), 2)}
    assert told == "1 curves without any movement have no trend."


def test_fig_16_sets_wrong_trajectories_beside_right_ones_of_the_same_question(write_curves, tmp_path):
    """Wrong: a +2, b −1, c +3. Right: a −2, b −2. What is undecided is neither."""
    write_curves(
        ("a", "think", False, (2, 4)),
        ("a", "think", True, (3, 1)),
        ("b", "think", False, (1, 0)),
        ("b", "think", True, (2, 0)),
        ("c", "think", False, (0, 3)),
        ("c", "think", None, (0, 50)),
        ("c", "nothink", False, (0, 50)),
        own=True,
    )
    found, told = conclude(fig16, tmp_path)
    assert found == {"change": (pytest.approx(4 / 3), 3), "beside right ones": (2.5, 2)}
    assert told == "3 wrong and 2 right trajectories."


@pytest.mark.parametrize(("study", "n"), [(fig3, 2), (fig16, 3)])
def test_trajectories_without_a_curve_are_counted(write_curves, tmp_path, make_trajectory, study, n):
    run = write_curves(("a", "think", True, (4, 2, 1)), ("a", "think", False, (1, 2, 3)), own=True)
    run.write_trajectories([*run.read_trajectories(), make_trajectory("so so", "a", 9, id="lost", correct=True)])
    assert f"1 of {n} trajectories have no curve and are left out." in conclude(study, tmp_path)[1]


@pytest.mark.parametrize(("study", "correct"), [(fig3, False), (fig16, True)])
def test_without_trajectories_of_the_kind_nothing_is_measured_drawn_or_decided(write_curves, tmp_path, study, correct):
    write_curves(("a", "think", correct, (3, 2, 1)), own=True)
    setup = load_setup(study.__name__.rsplit(".")[-1], "tiny")
    outcome = study.conclude(setup, tmp_path)
    assert all(one.estimate is None for one in outcome.measures.values())
    assert outcome.figures == {}
    assert judge(setup.rules, outcome.measures)[1] == "undecided"
