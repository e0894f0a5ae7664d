import random
import subprocess
import sys

import pytest

from raml.errors import DataError
from raml.records import Question, hash_key
from raml.tiny import TRAINED_SIZE, find_split, make_questions, read_expression
from raml.tiny.expressions import canonicalize, count_operands, evaluate_expression, find_bounded_value

SPLITS = ("train", "validation", "test")


def test_the_same_arguments_give_the_same_questions_and_another_seed_others():
    assert make_questions(20, split="test", seed=3) == make_questions(20, split="test", seed=3)
    assert make_questions(20, split="test", seed=3) != make_questions(20, split="test", seed=4)


def test_splits_share_no_canonical_form_whatever_the_seeds():
    forms = {
        split: {
            canonicalize(read_expression(question))
            for seed in range(3)
            for question in make_questions(300, split=split, size=(3, 5), seed=seed)
        }
        for split in SPLITS
    }
    assert not forms["train"] & forms["test"]
    assert not forms["train"] & forms["validation"]
    assert not forms["validation"] & forms["test"]


def test_no_two_questions_of_a_call_share_a_canonical_form():
    questions = make_questions(2000, split="train", size=(3, 4))
    assert len({canonicalize(read_expression(question)) for question in questions}) == 2000


@pytest.mark.parametrize("split", SPLITS)
def test_a_question_says_what_it_is(split):
    for question in make_questions(50, split=split):
        expression = read_expression(question)
        assert question.id == hash_key(question.prompt, question.answer)
        assert question.answer == str(evaluate_expression(expression))
        assert find_bounded_value(expression) is not None
        assert find_split(expression) == split
        assert question.source == "tiny"
        assert question.domain == question.meta["family"]
        assert question.meta["split"] == split
        assert question.meta["size"] == count_operands(expression)
        assert TRAINED_SIZE[0] <= question.meta["size"] <= TRAINED_SIZE[1]


def test_both_families_come_in_equal_shares_and_one_can_be_chosen():
    assert sum(question.domain == "lists" for question in make_questions(100, split="test")) == 50
    assert {question.domain for question in make_questions(20, split="test", family="lists")} == {"lists"}


def test_sizes_beyond_the_trained_ones_can_be_asked_for():
    assert {question.meta["size"] for question in make_questions(40, split="test", size=(7, 8))} == {7, 8}


def test_about_a_twentieth_of_the_world_is_test_and_as_much_validation():
    rng = random.Random(0)
    counts = dict.fromkeys(SPLITS, 0)
    for _ in range(4000):
        counts[find_split(rng.randrange(10**9))] += 1
    assert 140 < counts["test"] < 260
    assert 140 < counts["validation"] < 260


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": -1}, "-1"),
        ({"split": "dev"}, "'dev'"),
        ({"family": "logic"}, "'logic'"),
        ({"size": (1, 4)}, "1 to 4"),
        ({"size": (6, 4)}, "6 to 4"),
        ({"size": (4, 99)}, "4 to 99"),
    ],
)
def test_arguments_out_of_range_are_refused_by_value(options, message):
    with pytest.raises(DataError, match=message):
        make_questions(**{"n": 3, "split": "test", **options})


def test_a_world_that_is_too_small_says_how_many_it_has():
    with pytest.raises(DataError, match=r"Found only \d+ of 500 distinct"):
        make_questions(500, split="test", family="arithmetic", size=(2, 2))


def test_a_question_from_elsewhere_is_refused():
    with pytest.raises(DataError, match="not of the tiny world"):
        read_expression(Question(id="q", prompt="How many?", answer="3"))


def test_questions_and_oracle_need_no_torch():
    program = "import sys, raml.tiny; raml.tiny.make_questions(1, split='test'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
