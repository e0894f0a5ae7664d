r"""Sentences that give the answer away are found, and others are let alone."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raml.efficiency.leaks import cut_leaks, gives_away, strip_latex


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The sum is 1,234.", "1234"),
        ("It is 1234.0 in all", "1,234"),
        ("1{,}234 of them", "1234"),
        (r"\(1\,234\) of them", "1234"),
        ("It costs $12 now", "12"),
        ("the 12th", "12"),
        ("That leaves 12.", "12"),
        (r"= \frac{1}{2}", "0.5"),
        ("0.50 of it", r"\frac12"),
        ("half is 6/12", "1/2"),
        ("x = -5", "-5"),
        ("x = \N{MINUS SIGN}5", "-5"),
        ("8-5 is left", "5"),
        ("it is - 1/2", r"-\frac{1}{2}"),
        ("12 is the length", r"12\text{ cm}"),
        ("so 12", "x = 12"),
        ("12 percent", "12%"),
        ("the slope is 2x here", "2x"),
        ("the slope is 2 x here", "2x"),
        ("It must be paris", r"\text{Paris}"),
        ("we get x + 1 here", "x+1"),
        (r"an angle of \frac{\pi}{2}", r"\dfrac{\pi}{2}"),
        ("the pair is (3,4) here", "(3, 4)"),
        ("on the interval [0, 1) it is", r"\left[0,1\right)"),
        ("so -x is left", "-x"),
        (r"we get 2 \sqrt 3 there", r"2\sqrt{3}"),
        ("a side of 2\N{SQUARE ROOT}3", r"2\sqrt{3}"),
        ("an area of 6\N{GREEK SMALL LETTER PI}r", r"6 \pi r"),
        ("that is 2\N{MULTIPLICATION SIGN}3^5", r"2 \times 3^5"),
        ("it falls to \N{EN DASH}5", "-5"),
        ("it must be Paris", "Paris."),
        ("so 25 in all", r"25 \text{ cm}^2"),
    ],
)
def test_an_answer_is_found_in_whatever_way_it_is_written(text, answer):
    assert gives_away(text, answer)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("123 and 3.12 and 1,200", "12"),
        ("12.5 of them", "12"),
        ("8-5 is left", "-5"),
        ("x = -5", "5"),
        ("a slope of 2", "2x"),
        ("the Parisian way", "Paris"),
        ("we get x + 10 here", "x+1"),
        ("the pair is (3, 45)", "(3, 4)"),
        (r"a side of 12\sqrt{3}", r"2\sqrt{3}"),
        ("nothing", ""),
        ("", "12"),
    ],
)
def test_what_only_looks_like_the_answer_is_not_taken_for_it(text, answer):
    assert not gives_away(text, answer)


@pytest.mark.parametrize(
    "text",
    [
        "The answer is B.",
        "the correct answer is **B**",
        "Answer B",
        "so option B is correct",
        "answer: (b)",
        r"\boxed{B}",
        r"\boxed{\text{B}} so we are done",
        "The answer is A at first, later the answer is B.",
        "We choose (B).",
        "Hence (b) fits",
        "I pick B.",
        "B is correct.",
        "The correct one is B.",
        "Correct: B",
        "It must be B.",
        "Therefore, B.",
        "So **B** it is.",
        "the letter B",
    ],
)
def test_an_options_letter_is_found_where_it_is_named_as_the_answer(text):
    assert gives_away(text, "B", "choice")
    assert not gives_away(text, "D", "choice")


@pytest.mark.parametrize(
    "text", ["B follows from A.", "Let B be a set.", r"the answer is \boxed{C}", "Vitamin B helps.", "f(B) is right"]
)
def test_an_options_letter_elsewhere_is_no_answer(text):
    assert not gives_away(text, "B", "choice")


def test_sentences_that_give_it_away_go_and_the_others_stay_as_they_are():
    text = "First 3+4 is 7. Then twice that, 14. We also know 140.\nSo it is $14!\nDone."
    assert cut_leaks(text, ["14"]) == ("First 3+4 is 7. We also know 140.\n\nDone.", True)


def test_a_text_without_the_answer_is_left_alone():
    assert cut_leaks("  First 3+4 is 7. Then double it. ", ["14", "15"]) == ("First 3+4 is 7. Then double it.", False)


def test_the_gold_and_the_own_answer_both_go():
    assert cut_leaks("It may be 3. Or 4. Or 5.", ["3", "5"]) == ("Or 4.", True)


def test_what_two_lines_give_away_only_together_goes_with_both():
    assert cut_leaks("We add up.\nThe answer is\nB\nas said.", ["B"], "choice") == ("We add up.\nas said.", True)


def test_a_text_that_tells_nothing_else_is_gone():
    assert cut_leaks(r"The answer is \boxed{14}.", ["14"]) == ("", True)


def test_marks_of_latex_are_taken_away_and_what_they_mark_stays():
    assert strip_latex(r"\boxed{\text{about } \tfrac{3}{4}\,\mathrm{m}}") == "about 3/4 m"


numbers = st.fractions(min_value=-2000, max_value=2000).map(lambda x: Fraction(round(x * 4), 4))
words = st.sampled_from(["so", "we add", "and", "then", "answer is", "option", "\n", ". ", "- ", "=", "(", ")", "$"])
pieces = st.lists(st.one_of(words, numbers.map(lambda x: f"{float(x):,g}"), numbers.map(str)), max_size=15)


@settings(max_examples=50)
@given(pieces, numbers)
def test_nothing_is_left_that_gives_the_answer_away(parts, number):
    rest, leaked = cut_leaks(" ".join(parts), [str(number)])
    assert not gives_away(rest, str(number))
    assert leaked or rest == " ".join(parts).strip()


@settings(max_examples=50)
@given(numbers.filter(lambda x: x >= 0), st.sampled_from(["so {} is it", "\\({}\\)", "it costs ${}.", "({})", "={}"]))
def test_a_number_is_found_however_it_is_written(number, frame):
    ratio = rf"\frac{{{2 * number.numerator}}}{{{2 * number.denominator}}}"
    forms = (str(number), f"{float(number):.2f}", f"{float(number):,.4f}", ratio)
    for form in forms:
        for answer in forms:
            assert gives_away(frame.format(form), answer)
