"""Each way in which a response can be right, wrong, or neither."""

import pytest

from raml.answers import Grade, extract_choice, grade_answer, grade_response, read_choice
from raml.errors import TimedOutError
from raml.records import CodeTests, Question

HALF = Question("q", "What is 1 : 2?", "1/2")
CHOICE = Question("c", "Which?", "B", kind="choice")
CODE = Question("p", "Print the number.", "", kind="code", tests=CodeTests(("3\n",), ("3\n",)))


@pytest.mark.parametrize(
    ("text", "answer", "correct", "verdict"),
    [
        ("\\boxed{0.5}", "0.5", True, "right"),
        ("\\boxed{3}", "3", False, "wrong"),
        ("none", None, False, "no answer"),
        ("\\boxed{?}", "?", False, "unparsed"),
        ("<think>\\boxed{0.5}</think> so it is", None, False, "no answer"),
    ],
)
def test_mathematics(text, answer, correct, verdict):
    assert grade_response(text, HALF) == Grade(answer, correct, verdict)


@pytest.mark.parametrize(("text", "answer"), [("\\boxed{3}", "3"), ("no box", None)])
def test_a_gold_answer_that_cannot_be_parsed_leaves_all_undecided(text, answer):
    grade = grade_response(text, Question("q", "Why?", "$"))
    assert (grade.answer, grade.correct, grade.verdict) == (answer, None, "undecided")
    assert "Gold answer '$' can't be parsed" in grade.error


def test_a_gold_answer_that_is_text_is_compared_as_text():
    question = Question("q", "Which day?", "\\text{Tuesday}")
    assert grade_response("\\boxed{\\text{Tuesday}}", question).verdict == "right"
    assert grade_response("\\boxed{\\text{Friday}}", question).verdict == "wrong"


def test_a_comparison_that_takes_too_long_is_neither_right_nor_wrong(monkeypatch):
    def never(gold, answer):
        raise TimedOutError("Answer '9^9^9' not decided in 5 s.")

    monkeypatch.setattr("raml.answers.grade.compare_answers", never)
    assert grade_answer("9^{9^9}", HALF) == Grade("9^{9^9}", None, "timed out", "Answer '9^9^9' not decided in 5 s.")


@pytest.mark.parametrize(
    ("text", "letter", "verdict"),
    [
        ("\\boxed{B}", "B", "right"),
        ("\\boxed{\\text{B}}", "B", "right"),
        ("\\boxed{(b)}", "B", "right"),
        ("\\boxed{B. 3 m}", "B", "right"),
        ("\\boxed{\\textbf{B)}\\ 3\\,\\text{m}}", "B", "right"),
        ("\\boxed{Option B}", "B", "right"),
        ("\\boxed{C}", "C", "wrong"),
        ("I think the answer is **(B)**.", "B", "right"),
        ("Answer: B", "B", "right"),
        ("The answer is A. No: the final answer is option B", "B", "right"),
        ("<think>the answer is B</think> The answer is C.", "C", "wrong"),
        ("A is better than B", None, "no answer"),
        ("The answer is Bohr's", None, "no answer"),
        ("<think>the answer is B", "B", "right"),
        ("\\boxed{3 m}", "3 m", "unparsed"),
        ("\\boxed{A or B}", "A or B", "unparsed"),
        ("\\boxed{AB}", "AB", "unparsed"),
    ],
)
def test_multiple_choice(text, letter, verdict):
    grade = grade_response(text, CHOICE)
    assert (grade.answer, grade.verdict, grade.correct) == (letter, verdict, verdict == "right")


def test_a_gold_choice_that_is_no_letter_is_an_error_of_the_question():
    grade = grade_response("\\boxed{B}", Question("c", "Which?", "3 m", kind="choice"))
    assert (grade.correct, grade.verdict) == (None, "undecided")
    assert "'3 m' is no option's letter" in grade.error


def test_choices_are_read_as_capital_letters():
    assert read_choice(" $\\mathrm{c}$ ") == "C"
    assert read_choice("") is None
    assert extract_choice("") is None


@pytest.mark.parametrize("question", [CODE, Question("r", "Why?", "x", kind="reasoning-gym")], ids=lambda q: q.kind)
def test_what_a_model_wrote_is_not_run_unless_asked_for(question):
    grade = grade_response("```python\nprint(3)\n```\n\\boxed{x}", question)
    assert (grade.correct, grade.verdict) == (None, "undecided")
    assert "--allow-code-execution" in grade.error


def test_a_response_without_a_program_gave_no_answer():
    assert grade_response("I can't.", CODE, allow_code=True) == Grade(None, False, "no answer")


def test_a_question_without_tests_is_at_fault():
    question = Question("p", "Print.", "", kind="code", tests=CodeTests((), ()))
    grade = grade_answer("print(3)", question, allow_code=True)
    assert (grade.correct, grade.verdict) == (None, "undecided")
    assert "Question p has no tests" in grade.error
