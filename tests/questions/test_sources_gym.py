"""Reasoning Gym: real tasks of the package that is installed."""

import json
import sys
from importlib.metadata import version

import pytest

from raml.errors import DataError, MissingExtra
from raml.questions import SourceSettings, load_source
from raml.questions.sources import parse_options

reasoning_gym = pytest.importorskip("reasoning_gym")


def load(name, **changes):
    return load_source(f"reasoning-gym:{name}", SourceSettings(**{"limit": 5, **changes}))


def test_sums_have_whole_numbers_and_are_checked_as_mathematics():
    loaded = load("chain_sum", seed=7)
    assert len({q.id for q in loaded.questions}) == 5
    for question in loaded.questions:
        entry = question.meta["reasoning_gym"]["entry"]
        assert int(question.answer) == eval(entry["metadata"]["expression"])  # noqa: S307
        assert question.prompt == entry["question"]
        assert (question.kind, question.domain) == ("math", "chain_sum")
    assert loaded.config == {
        "package": "reasoning_gym",
        "task": "chain_sum",
        "revision": version("reasoning_gym"),
        "size": 5,
        "seed": 7,
        "task_options": {},
    }
    assert loaded.questions[0].source == f"reasoning-gym:chain_sum@{version('reasoning_gym')}"


def test_the_same_seed_gives_the_same_questions_and_more_of_them_begin_alike():
    one, two = load("basic_arithmetic", seed=3), load("basic_arithmetic", seed=3, limit=8)
    assert two.questions[:5] == one.questions
    assert load("basic_arithmetic", seed=4).questions != one.questions


def test_without_a_limit_there_are_a_hundred():
    assert len(load("chain_sum", limit=None).questions) == 100


@pytest.mark.parametrize("name", ["countdown", "knights_knaves", "boxnet", "base_conversion"])
def test_what_is_no_plain_number_is_checked_by_the_task_with_an_entry_that_a_file_can_keep(name):
    questions = load(name).questions
    asked = [q for q in questions if q.kind == "reasoning-gym"]
    assert asked
    for question in asked:
        kept = question.meta["reasoning_gym"]
        assert kept["dataset"] == name
        assert json.loads(json.dumps(kept)) == kept
        assert question.answer == (kept["entry"]["answer"] or "")
        if question.answer:
            task = reasoning_gym.create_dataset(name, size=1, seed=0)
            assert task.score_answer(question.answer, kept["entry"]) == 1


def test_fractions_in_a_tasks_metadata_are_kept_as_text():
    loaded = load("gsm_symbolic", limit=60)  # some of the first sixty have one
    assert {question.kind for question in loaded.questions} == {"math"}
    assert "/" in json.dumps([q.meta["reasoning_gym"]["entry"]["metadata"] for q in loaded.questions])


def test_questions_that_come_again_are_left_out_with_a_note():
    loaded = load("coin_flip", limit=100)
    assert loaded.notes == (f"{100 - len(loaded.questions)} questions came again and were left out.",)
    assert len({q.id for q in loaded.questions}) == len(loaded.questions) < 100


def test_options_go_to_the_generator():
    loaded = load("chain_sum", task_options=parse_options(["min_terms=3", "max_terms=3"]))
    assert {q.meta["reasoning_gym"]["entry"]["metadata"]["num_terms"] for q in loaded.questions} == {3}
    assert loaded.config["task_options"] == {"min_terms": 3, "max_terms": 3}


def test_options_are_json_or_text():
    assert parse_options(["a=3", "b=true", "c=[1, 2]", "d=easy", "e=x=y", "f="]) == {
        "a": 3,
        "b": True,
        "c": [1, 2],
        "d": "easy",
        "e": "x=y",
        "f": "",
    }
    for wrong in ("min_terms", "=3", "min terms=3"):
        with pytest.raises(DataError, match="is not of the form key=value"):
            parse_options([wrong])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("chain_summ", {}, r"no task 'chain_summ'; did you mean chain_sum or decimal_chain_sum\?$"),
        ("zzzzzz", {}, r"no task 'zzzzzz'; it has ab, acre, .*zebra_puzzles\.$"),
        (
            "chain_sum",
            {"terms": 3},
            "can't make chain_sum with these options: .*'terms'.* It has: min_terms, max_terms",
        ),
        ("chain_sum", {"min_terms": "3"}, "can't make chain_sum with these options"),
        ("chain_sum", {"min_terms": -3}, "with these options: min_terms must be positive"),
        ("composite", {}, "with these options: Must specify at least one dataset"),
        ("chain_sum", {"size": 3}, "--task-option size has a flag of its own"),
    ],
)
def test_what_it_can_not_make_is_one_message(name, options, message):
    with pytest.raises(DataError, match=message):
        load(name, task_options=options)


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(MissingExtra, match=r"pip install 'raml\[tasks\]'"):
        load("chain_sum")
