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
    ("text", "letter"),
    [
        ("\\boxed{B}", "B"),
        ("\\boxed{b}", "B"),
        ("\\boxed{\\text{B}}", "B"),
        ("\\boxed{(b)}", "B"),
        ("\\boxed{B. 3 m}", "B"),
        ("\\boxed{\\textbf{B)}\\ 3\\,\\text{m}}", "B"),
        ("\\boxed{\\text{B}: foo}", "B"),
        ("\\boxed{\\mathbf{B}.\\ 3}", "B"),
        ("\\boxed{(\\text{B})}", "B"),
        ("\\boxed{\\textit{B}}", "B"),
        ("\\boxed{B is correct}", "B"),
        ("\\boxed{The answer is B}", "B"),
        ("\\boxed{Option B}", "B"),
        ("\\boxed{C}", "C"),
        ("I think the answer is **(B)**.", "B"),
        ("Answer: B", "B"),
        ("Answer: (b) 3 m", "B"),
        ('the answer is "B"', "B"),
        ("The correct answer would be B", "B"),
        ("The correct option is B.", "B"),
        ("The answer is A. No: the final answer is option B", "B"),
        ("The answer is B because nothing else is 3 m.", "B"),
        ("The answer is B, while answer C neglects friction.", "B"),
        ("The answer is B. Note: the answer is a common misconception.", "B"),
        ("The answer is B.\n\nI hope this answers a question.", "B"),
        ("<think>the answer is B</think> The answer is C.", "C"),
        ("<think>the answer is B", "B"),
    ],
)
def test_a_choice_is_read_in_the_ways_in_which_models_write_it(text, letter):
    grade = grade_response(text, CHOICE)
    assert (grade.answer if grade.verdict == "no answer" else read_choice(grade.answer)) == letter
    assert grade.verdict == ("right" if letter == "B" else "wrong")


@pytest.mark.parametrize(
    "text",
    [
        "A is better than B",
        "The answer is Bohr's",
        "The answer is a bit tricky",
        "the answer is a number between 3 and 5",
        "answer: i don't know",
        "Answer: I don't know",
        "The answer is I think B",
        "Answer: A or B",
        "My answer is A and not B",
        "The answers are A and C",
        "This answers the question B",
        "",
    ],
)
def test_prose_is_no_choice(text):
    assert grade_response(text, CHOICE) == Grade(None, False, "no answer")


@pytest.mark.parametrize("box", ["3 m", "A or B", "A, C", "(A) and (C)", "A) and C)", "AB", "A/B", "none", "I think A"])
def test_a_box_without_one_option_is_unparsed(box):
    assert grade_response(f"\\boxed{{{box}}}", CHOICE) == Grade(box, False, "unparsed")


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
