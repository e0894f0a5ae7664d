"""Fig. 5: both modes' curves, by hand arithmetic."""

import pytest

from raml.studies import fig5
from raml.studies.plan import SCALES, load_setup
from raml.studies.verdict import judge

SETUP = load_setup("fig5", "tiny")
CURVES = (
    ("a", "think", True, (2, 2, 1, 0.1, 0)),
    ("a", "nothink", False, (2, 1, 1)),
    ("b", "think", True, (3, 3, 3, 3, 1)),
    ("b", "nothink", False, (3, 2.5)),
    ("alone", "think", True, (9, 0)),
)


def test_speed_and_optimum_are_compared_question_by_question(write_curves, tmp_path):
    """90 % of the falls after 3 and 1 tokens, and after 4 and 1: −2, −3; lowest 1 − 0 and 2.5 − 1: 1, 1.5."""
    write_curves(*CURVES)
    outcome = fig5.conclude(SETUP, tmp_path)
    values = {name: measure.estimate.value for name, measure in outcome.measures.items()}
    assert values == pytest.approx({"speed": -2.5, "optimum": 1.25})
    assert {measure.estimate.n_questions for measure in outcome.measures.values()} == {2}
    assert set(outcome.figures) == {"", "means"}
    assert outcome.models == ["made-up"]


def test_curves_that_do_not_fall_are_told_and_have_no_speed(write_curves, tmp_path):
    write_curves(("a", "think", True, (2, 1)), ("a", "nothink", False, (2, 2.5)))
    outcome = fig5.conclude(SETUP, tmp_path)
    assert outcome.measures["speed"].estimate is None
    assert outcome.measures["speed"].note == "No question has falling curves of both modes."
    assert outcome.measures["optimum"].estimate.value == pytest.approx(1)
    assert "Of 1 no-thinking curves 1 do not fall" in " ".join(outcome.remarks)
    assert judge(SETUP.rules, outcome.measures)[1] == "undecided"


def test_without_both_modes_nothing_is_compared(write_curves, tmp_path):
    write_curves(("a", "think", True, (2, 1)), ("b", "nothink", False, (2, 1)))
    outcome = fig5.conclude(SETUP, tmp_path)
    assert [measure.note for measure in outcome.measures.values()] == [
        "No question has falling curves of both modes.",
        "No question has curves of both modes.",
    ]
    assert not outcome.figures
    assert judge(SETUP.rules, outcome.measures)[1] == "undecided"


@pytest.mark.parametrize("scale", SCALES)
def test_the_probed_run_is_enough(scale):
    assert {step.folder for step in fig5.plan(load_setup("fig5", scale))} == {"probe"}
