"""Reasoning Gym's own scorers, run where programs run."""

import importlib.util
import json

import pytest

from raml.answers.code import Limits, check_by_task, tasks
from raml.answers.code.isolation import Isolation
from raml.answers.code.tasks import TaskScorer

needs_gym = pytest.mark.skipif(importlib.util.find_spec("reasoning_gym") is None, reason="needs raml[tasks]")


@pytest.fixture(scope="module")
def scorer():
    made = TaskScorer(Limits(cpu_s=1, wall_s=20.0))
    yield made
    made.close()


def make_entry(task, **options):
    reasoning_gym = pytest.importorskip("reasoning_gym")
    return json.loads(json.dumps(reasoning_gym.create_dataset(task, size=1, seed=3, **options)[0]))


def check(answer, task, entry, scorer):
    return check_by_task(answer, {"reasoning_gym": {"dataset": task, "entry": entry}}, scorer=scorer)


TASKS = (
    "basic_arithmetic",
    "chain_sum",
    "countdown",
    "number_sorting",
    "polynomial_equations",
    "rearc",
    "simple_integration",
    "spiral_matrix",
    "sudoku",
    "word_ladder",
    "zebra_puzzles",
)


@needs_gym
@pytest.mark.parametrize("task", TASKS)
def test_an_entrys_own_answer_is_right_after_json_and_another_is_wrong(task, scorer):
    entry = make_entry(task)
    assert check(entry["answer"], task, entry, scorer).verdict == "right"
    result = check("no such answer", task, entry, scorer)
    assert result.verdict == "wrong"
    assert f"The scorer of {task}" in result.detail


@needs_gym
def test_an_answer_that_the_scorer_evaluates_reaches_nothing_and_the_next_one_is_right(scorer, tmp_path):
    entry = make_entry("spiral_matrix")
    hostile = f"[open({str(tmp_path / 'file')!r}, 'w')]"
    assert check(hostile, "spiral_matrix", entry, scorer).verdict == "wrong"
    assert not (tmp_path / "file").exists()
    assert check(entry["answer"], "spiral_matrix", entry, scorer).verdict == "right"


@needs_gym
def test_an_answer_that_keeps_the_scorer_busy_times_out_and_the_next_one_is_right(scorer):
    entry = make_entry("countdown")
    assert check("9**9**9**9", "countdown", entry, scorer).verdict in ("timed out", "wrong")
    spiral = make_entry("spiral_matrix")
    assert check("[[0 for x in iter(int, 1)]]", "spiral_matrix", spiral, scorer).verdict == "timed out"
    assert check(entry["answer"], "countdown", entry, scorer).verdict == "right"


@needs_gym
def test_an_answer_that_leaves_files_and_folders_everywhere_does_not_change_the_next_verdict(scorer):
    entry = make_entry("spiral_matrix")
    hostile = "[__import__('os').mkdir(__import__('os').environ['HOME'] + '/%d' % n) for n in range(200, 0, -1)]"
    for _ in range(2):
        assert check(hostile, "spiral_matrix", entry, scorer).verdict == "wrong"
        assert check(entry["answer"], "spiral_matrix", entry, scorer).verdict == "right"


@needs_gym
def test_an_entry_that_cannot_be_sent_is_undecided(scorer):
    nested = []
    for _ in range(5000):
        nested = [nested]
    result = check("1", "chain_sum", make_entry("chain_sum") | {"metadata": nested}, scorer)
    assert result.verdict == "undecided"
    assert "can't be sent" in result.detail


@needs_gym
def test_an_answer_that_ends_the_process_is_wrong(scorer):
    entry = make_entry("spiral_matrix")
    result = check("[__import__('os')._exit(0)]", "spiral_matrix", entry, scorer)
    assert (result.verdict, result.detail) == (
        "wrong",
        "The scorer of spiral_matrix fails on this answer: exit status 0.",
    )


@needs_gym
def test_an_entry_whose_own_answer_is_not_right_leaves_answers_undecided(scorer):
    entry = make_entry("word_ladder") | {"answer": "BAD"}
    result = check("WORSE", "word_ladder", entry, scorer)
    assert result.verdict == "undecided"
    assert "entry's own answer" in result.detail


@needs_gym
def test_an_unknown_task_is_undecided(scorer):
    result = check("1", "no_such_task", {"question": "", "answer": "1", "metadata": {}}, scorer)
    assert result.verdict == "undecided"
    assert "no_such_task" in result.detail


@pytest.mark.parametrize("meta", [{}, {"reasoning_gym": None}, {"reasoning_gym": {"dataset": "chain_sum"}}])
def test_a_question_without_an_entry_is_undecided(meta):
    assert check_by_task("1", meta).verdict == "undecided"


def test_without_reasoning_gym_answers_are_undecided_and_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(tasks, "find_spec", lambda name: None)
    result = check_by_task("1", {"reasoning_gym": {"dataset": "chain_sum", "entry": {}}})
    assert result.verdict == "undecided"
    assert "pip install 'raml[tasks]'" in result.detail


@needs_gym
def test_where_nothing_can_be_run_answers_are_undecided():
    entry = make_entry("chain_sum")
    made = TaskScorer(isolation=Isolation("none", reason="no such kernel."))
    assert check("1", "chain_sum", entry, made).verdict == "undecided"
