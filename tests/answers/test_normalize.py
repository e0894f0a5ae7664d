import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.answers import normalize_answer


@pytest.mark.parametrize(
    "same",
    [
        ("14", "14.0", " 14 ", "$14$", "14.", "$14.$", "14.$", "\\$14", "+14", "28/2", "14.000"),
        ("1000", "1,000", "1 000"),
        ("0.5", "1/2", "0.50"),
        ("(a, b)", "(A,b)", "(a,\\, b)"),
        ("-3", "-3.0", "- 3"),
    ],
)
def test_plain_variants_of_an_answer_agree(same):
    assert len({normalize_answer(answer) for answer in same}) == 1


@pytest.mark.parametrize(
    "different",
    [
        ("14", "15", "-14", "1.4", "1/4"),
        ("1,2", "12"),  # a pair is no number
        ("x", "X1", ""),
        ("1/0", "1/1"),
        ("1e999999999", "1"),  # not read as a number: it would fill the memory
        (None, "None"),
    ],
)
def test_different_answers_stay_different(different):
    assert len({normalize_answer(answer) for answer in different}) == len(different)


@given(st.one_of(st.none(), st.text(max_size=30)))
def test_any_text_can_be_normalised_and_twice_changes_nothing_for_numbers(answer):
    once = normalize_answer(answer)
    assert (once is None) == (answer is None)
    if once is not None and once.lstrip("-").isdigit() and once.isascii():
        assert normalize_answer(once) == once
