import re

import pytest

from raml.errors import DataError
from raml.records import Question
from raml.tiny import make_questions, write_trajectories

SIZES = [(4, 6), (7, 8)]
questions = [question for size in SIZES for question in make_questions(30, split="validation", size=size)]


@pytest.mark.parametrize("style", ["verbose", "terse"])
def test_every_trajectory_ends_in_the_answer(calculate, style):
    for question in questions:
        for trajectory in write_trajectories(question, 1, seed=1, style=style):
            expected = calculate(question.prompt.removeprefix("Calculate ").removesuffix("."))
            assert trajectory.answer == question.answer == str(expected)
            end = f"{expected}\n</think>\n\n**Final Answer**\n\\boxed{{{expected}}}"
            assert re.search(rf"\b{re.escape(end)}$", trajectory.text)


def test_every_line_that_is_no_slip_is_true_and_every_slip_is_false(calculate):
    n_slips = 0
    for question in questions:
        for trajectory in write_trajectories(question, 4, seed=2, slip=0.3):
            for line in trajectory.lines:
                match = re.fullmatch(r"\S+ (\S+)=(\d+) so (\S+)", line.text)
                assert match, line
                true = calculate(match[1]) == int(match[2]) and calculate(match[3]) == int(question.answer)
                # A slip in one number of a minimum or maximum may not change the value of what remains.
                assert true or line.slip
                n_slips += line.slip
    assert n_slips > 50


def test_a_slip_is_put_right_by_the_next_line():
    for question in questions:
        for trajectory in write_trajectories(question, 2, seed=3, slip=0.5):
            for line, after in zip(trajectory.lines, trajectory.lines[1:], strict=False):
                assert line.slip == after.text.startswith("Wait,")
            assert not trajectory.lines[-1].slip


def test_a_slip_line_is_never_a_line_that_could_be_right():
    for question in questions:
        for trajectory in write_trajectories(question, 4, seed=4, slip=0.5):
            for line, after in zip(trajectory.lines, trajectory.lines[1:], strict=False):
                if line.slip:
                    assert line.text.split(" ", 1)[1] != after.text.split(" ", 1)[1]


def test_terse_trajectories_state_only_what_remains(calculate):
    for question in questions:
        for line in write_trajectories(question, 1, seed=5, style="terse")[0].lines:
            assert calculate(line.text.removeprefix("=")) == int(question.answer)


def test_32_distinct_trajectories_exist_from_four_operands_on():
    for question in questions:
        assert len({trajectory.text for trajectory in write_trajectories(question, 32, seed=0)}) == 32


def test_the_seed_fixes_the_trajectories():
    question = questions[0]
    assert write_trajectories(question, 5, seed=7) == write_trajectories(question, 5, seed=7)
    assert write_trajectories(question, 5, seed=7) != write_trajectories(question, 5, seed=8)


def test_asking_for_more_than_exist_says_how_many_there_are():
    # 1+2+3 has two legal orders, so two terse trajectories.
    question = Question(id="q", prompt="Calculate 1+2+3.", answer="6")
    with pytest.raises(DataError, match="only 2 distinct terse"):
        write_trajectories(question, 3, seed=0, style="terse")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": -1}, "-1"),
        ({"style": "long"}, "'long'"),
        ({"slip": 1.5}, "1.5"),
        ({"slip": 0.1, "style": "terse"}, "terse"),
    ],
)
def test_arguments_out_of_range_are_refused_by_value(options, message):
    with pytest.raises(DataError, match=message):
        write_trajectories(questions[0], **{"n": 1, "seed": 0, **options})
