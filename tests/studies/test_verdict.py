"""Verdicts: where an interval and the training seeds lie beside a rule's border."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.errors import DataError
from raml.records import Estimate, Rule
from raml.studies.verdict import Measure, judge

ABOVE = Rule("gain", "what is gained", "points", above=0.0)
BELOW = Rule("fall", "how far it falls", "nats", below=1.0)
OPPOSITE = {"supported": "not supported", "not supported": "supported", "undecided": "undecided"}
numbers = st.floats(-5, 5)


def measure(low, high, *by_seed):
    return Measure(Estimate("m", (low + high) / 2, low, high, 0.95, "made up", 64), by_seed)


def judge_one(rule, found):
    (finding,), verdict = judge([rule], {rule.measure: found})
    assert finding.verdict == verdict
    return verdict


@pytest.mark.parametrize(
    ("low", "high", "by_seed", "verdict"),
    [
        (1.0, 3.0, (), "supported"),
        (1.0, 3.0, (2.0, 1.0), "supported"),
        (1.0, 3.0, (2.0, -0.1), "undecided"),
        (1.0, 3.0, (2.0, 0.0), "undecided"),
        (0.0, 3.0, (), "undecided"),
        (-1.0, 3.0, (1.0, 2.0), "undecided"),
        (-3.0, 0.0, (), "not supported"),
        (-3.0, -1.0, (-1.0, 0.0), "not supported"),
        (-3.0, -1.0, (-1.0, 0.5), "undecided"),
        (0.0, 0.0, (), "not supported"),
        (1.0, math.inf, (), "supported"),
        (-math.inf, -1.0, (), "not supported"),
    ],
)
def test_the_whole_interval_and_every_seed_have_to_lie_above_the_border(low, high, by_seed, verdict):
    assert judge_one(ABOVE, measure(low, high, *by_seed)) == verdict


@pytest.mark.parametrize(
    ("low", "high", "by_seed", "verdict"),
    [
        (-1.0, 0.9, (), "supported"),
        (-1.0, 0.9, (0.5, 1.0), "undecided"),
        (-1.0, 1.0, (), "undecided"),
        (1.0, 2.0, (1.0,), "not supported"),
        (1.0, 2.0, (0.9,), "undecided"),
    ],
)
def test_or_below_it(low, high, by_seed, verdict):
    assert judge_one(BELOW, measure(low, high, *by_seed)) == verdict


@given(numbers, numbers, st.lists(numbers, max_size=3), numbers)
def test_a_border_from_below_is_one_from_above_seen_in_the_mirror(one, other, by_seed, border):
    low, high = sorted((one, other))
    above = judge_one(Rule("m", "", "", above=border), measure(low, high, *by_seed))
    below = judge_one(Rule("m", "", "", below=-border), measure(-high, -low, *(-value for value in by_seed)))
    assert above == below


@given(numbers, numbers, st.lists(numbers, max_size=3), numbers)
def test_what_lies_clear_of_a_border_supports_one_rule_or_its_opposite(one, other, by_seed, border):
    low, high = sorted((one, other))
    if border in (low, high, *by_seed):
        return
    found = measure(low, high, *by_seed)
    opposite = judge_one(Rule("m", "", "", below=border), found)
    assert judge_one(Rule("m", "", "", above=border), found) == OPPOSITE[opposite]


@pytest.mark.parametrize(
    ("gain", "fall", "verdict"),
    [
        ((1, 2), (-1, 0), "supported"),
        ((1, 2), (0, 2), "undecided"),
        ((-1, 2), (0, 2), "undecided"),
        ((1, 2), (2, 3), "not supported"),
        ((-2, -1), (-1, 0), "not supported"),
        ((-2, -1), (0, 2), "not supported"),
    ],
)
def test_a_claim_of_two_parts_needs_both_and_falls_with_one(gain, fall, verdict):
    findings, told = judge([ABOVE, BELOW], {"fall": measure(*fall), "gain": measure(*gain)})
    assert [finding.measure for finding in findings] == ["gain", "fall"]
    assert told == verdict


def test_what_could_not_be_measured_is_undecided_and_says_why():
    (finding,), verdict = judge([ABOVE], {"gain": Measure(None, note="No question has both.")})
    assert verdict == finding.verdict == "undecided"
    assert (finding.value, finding.low, finding.high, finding.n_questions) == (None, None, None, 0)
    assert finding.note == "No question has both."
    (finding,), _ = judge([ABOVE], {"gain": Measure(None)})
    assert finding.note == "It could not be measured."
    _, verdict = judge([ABOVE, BELOW], {"gain": measure(1, 2), "fall": Measure(None)})
    assert verdict == "undecided"


def test_a_value_that_is_no_number_supports_nothing():
    found = Measure(Estimate("m", math.nan, math.nan, math.nan, 0.95, "made up", 1))
    assert judge_one(ABOVE, found) == judge_one(BELOW, found) == "undecided"
    assert judge_one(ABOVE, measure(1, 2, math.nan)) == "undecided"


def test_infinite_ends_are_no_ends():
    (finding,), _ = judge([ABOVE], {"gain": measure(1.0, math.inf)})
    assert (finding.low, finding.high) == (1.0, None)


@pytest.mark.parametrize("rule", [Rule("gain", "", ""), Rule("gain", "", "", above=0.0, below=1.0)])
def test_a_rule_has_one_border(rule):
    with pytest.raises(DataError, match="gain needs either above or below"):
        judge([rule], {"gain": measure(1, 2)})


@pytest.mark.parametrize("measures", [{}, {"loss": measure(1, 2)}, {"gain": measure(1, 2), "loss": measure(1, 2)}])
def test_rules_and_measures_are_about_the_same(measures):
    with pytest.raises(DataError, match="rules are about gain"):
        judge([ABOVE], measures)
