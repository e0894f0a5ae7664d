import dataclasses

import pytest

from raml.errors import DataError
from raml.evaluation import collect_cells
from raml.evaluation.cells import name_benchmark
from raml.prompts import INSTRUCTIONS
from raml.records import ModelIdentity, PromptSettings, Question


def list_labels(*runs, **options):
    return [(cell.model, cell.benchmark) for cell in collect_cells(runs, **options)]


def test_models_and_benchmarks_are_told_apart_in_the_order_in_which_they_come(make_run):
    runs = [make_run("10"), make_run("11", model="b", weights="bb"), make_run("1", source="hub/other@abc")]
    assert list_labels(*runs) == [("a", "bench"), ("b", "bench"), ("a", "hub/other")]


def test_runs_with_other_seeds_add_responses_and_a_response_in_two_runs_counts_once(make_run):
    (cell,) = collect_cells([make_run("10", "11"), make_run("01", "11", seed=1), make_run("10", "11")])
    assert {question: len(made) for question, made in cell.responses.items()} == {"q0": 4, "q1": 4}


def test_runs_on_other_questions_of_a_benchmark_add_questions(make_run):
    questions, trajectories = make_run("10", "11")
    halves = [(questions, [t for t in trajectories if t.question_id == question.id]) for question in questions]
    (cell,) = collect_cells(halves)
    assert list(cell.responses) == ["q0", "q1"]


def test_a_label_says_what_tells_two_models_of_one_name_apart(make_run):
    assert list_labels(make_run("1", weights="11111111ff"), make_run("1", weights="22222222ff")) == [
        ("a (weights 11111111)", "bench"),
        ("a (weights 22222222)", "bench"),
    ]
    warm, cold = make_run("1"), make_run("1", temperature=0.0)
    assert list_labels(warm, cold) == [("a (T 1)", "bench"), ("a (T 0)", "bench")]
    nothink = make_run("1", mode="nothink", seed=5)
    assert list_labels(warm, nothink) == [("a (think)", "bench"), ("a (nothink)", "bench")]


def test_an_instruction_of_ones_own_is_another_way_of_asking_and_the_kinds_usual_one_is_none(make_run):
    questions, trajectories = make_run("11")
    usual, own = (PromptSettings(instruction=text) for text in (INSTRUCTIONS["math"], "Be brief."))
    asked = [dataclasses.replace(t, prompt=p) for t, p in zip(trajectories, (usual, own), strict=True)]
    assert list_labels((questions, asked)) == [
        ("a (usual instruction)", "bench"),
        ("a (instruction 'Be brief.')", "bench"),
    ]
    with_none = [dataclasses.replace(trajectories[1], prompt=None), asked[0]]
    assert list_labels((questions, with_none)) == [("a", "bench")]


def test_labels_stay_apart_where_what_differs_is_cut_off(make_run):
    questions, trajectories = make_run("11")
    long = "Please reason step by step and write down all that you think"
    asked = [
        dataclasses.replace(t, prompt=PromptSettings(instruction=long + end))
        for t, end in zip(trajectories, "ab", strict=True)
    ]
    first, second = list_labels((questions, asked))
    assert first != second
    assert first[0].startswith("a (instruction 'Please reason")


def test_another_delimiter_is_another_way_of_asking(make_run):
    questions, trajectories = make_run("11", mode="nothink")
    prompts = PromptSettings(mode="nothink"), PromptSettings(mode="nothink", delimiter="So:")
    asked = [dataclasses.replace(t, prompt=p) for t, p in zip(trajectories, prompts, strict=True)]
    assert list_labels((questions, asked)) == [("a (usual delimiter)", "bench"), ("a (delimiter 'So:')", "bench")]


def test_a_model_has_one_label_on_all_benchmarks(make_run):
    """Its no-thinking rival took only one of them."""
    labels = list_labels(make_run("1"), make_run("1", source="other"), make_run("1", mode="nothink", seed=3))
    assert labels == [("a (think)", "bench"), ("a (think)", "other"), ("a (nothink)", "bench")]


def test_responses_of_files_of_schema_1_go_on_with_those_of_today(make_run):
    old = make_run("1")
    new = make_run("0", seed=1, engine="transformers")
    (cell,) = collect_cells([old, new])
    assert len(cell.responses["q0"]) == 2


def test_one_id_for_two_questions_is_refused_and_on_two_benchmarks_it_is_two_questions(make_run):
    questions, trajectories = make_run("1")
    others = [dataclasses.replace(questions[0], answer="2")]
    with pytest.raises(DataError, match="id 'q0' stands for two questions, or has two gold answers"):
        collect_cells([(questions, trajectories), (others, [])])
    elsewhere = [dataclasses.replace(others[0], source="other")]
    assert len(collect_cells([(questions, trajectories), (elsewhere, trajectories)])) == 2


def test_of_two_copies_of_a_response_the_decided_one_counts_in_either_order(make_run):
    questions, trajectories = make_run("1")
    unclear = [dataclasses.replace(t, correct=None) for t in trajectories]
    for order in ([trajectories, unclear], [unclear, trajectories]):
        (cell,) = collect_cells([(questions, made) for made in order])
        assert cell.responses["q0"][0].correct is True
    wrong = [dataclasses.replace(t, correct=False) for t in trajectories]
    with pytest.raises(DataError, match="is right in one run and wrong in another"):
        collect_cells([(questions, trajectories), (questions, wrong)])


def test_questions_without_a_response_are_listed(make_run):
    questions, trajectories = make_run("1", "1", "0")
    (cell,) = collect_cells([(questions, trajectories[:1])])
    assert cell.unanswered == ("q1", "q2")


def test_what_may_quote_a_withheld_question_is_left_out(make_run):
    questions, trajectories = make_run("?")
    secret = [dataclasses.replace(t, error="Gold answer 'SECRET' is no letter.") for t in trajectories]
    (cell,) = collect_cells([([dataclasses.replace(questions[0], redacted=True)], secret)])
    assert "SECRET" not in cell.responses["q0"][0].error


def test_imported_responses_are_not_mixed_with_sampled_ones(make_run):
    questions, trajectories = make_run("11")
    mixed = [trajectories[0], dataclasses.replace(trajectories[1], sampling=None)]
    assert list_labels((questions, mixed))[1] == ("a (imported)", "bench")


def test_what_makes_a_benchmark_can_be_chosen():
    question = Question("q", "Why?", "1", domain="algebra", source="hub/set@0123")
    assert [name_benchmark(question, by) for by in ("source", "domain", "all")] == [
        "hub/set",
        "algebra",
        "all questions",
    ]
    assert name_benchmark(Question("q", "Why?", "1"), "domain") == "(no domain)"
    for source, name in [
        ("hub/set from test.jsonl", "hub/set"),
        ("reasoning-gym:chain_sum@0.1.25", "reasoning-gym:chain_sum"),
        ("words from me@home.jsonl", "words from me@home.jsonl"),
        (None, "(no source)"),
    ]:
        assert name_benchmark(Question("q", "Why?", "1", source=source), "source") == name


def test_verdicts_of_old_files_are_read_from_what_they_say(make_trajectory):
    old = [
        make_trajectory(correct=correct, answer=answer)
        for correct, answer in [(True, "1"), (False, "2"), (False, None), (None, "3")]
    ]
    assert [t.find_verdict() for t in old] == ["right", "wrong", "no answer", "undecided"]
    assert make_trajectory(correct=None, verdict="timed out").find_verdict() == "timed out"


def test_a_response_to_a_question_that_is_not_there_is_named(make_run):
    _, trajectories = make_run("1")
    with pytest.raises(DataError, match="answers question q0, which is not in its run"):
        collect_cells([([], trajectories)])


def test_runs_without_trajectories_are_refused(make_run):
    questions, _ = make_run("1")
    with pytest.raises(DataError, match="no trajectories to evaluate"):
        collect_cells([(questions, [])])


def test_models_whose_weights_a_server_keeps_have_unknown_weights(make_run):
    questions, trajectories = make_run("11")
    served = dataclasses.replace(trajectories[1], model=ModelIdentity("a", None, None, "float32", "server"))
    assert list_labels((questions, [trajectories[0], served])) == [
        ("a (weights aa)", "bench"),
        ("a (weights unknown)", "bench"),
    ]
