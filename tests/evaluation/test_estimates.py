import pytest

from raml.errors import DataError
from raml.evaluation import choose_metrics, collect_cells, evaluate
from raml.stats import Metric

AVG = [Metric("avg")]


def test_each_score_is_the_metrics_mean_over_questions(make_run):
    """Right in 2 of 4 and 4 of 4: Avg@4 is 3/4, Pass@2 is (5/6 + 1)/2, mG-Pass@2 (1/6 + 1)/2."""
    cells = collect_cells([make_run("1100", "1111")])
    (score,) = evaluate(cells, [*AVG, Metric("pass", 2), Metric("mg-pass", 2)], n_resamples=99).scores
    assert [estimate.name for estimate in score.estimates] == ["Avg@4", "Pass@2", "mG-Pass@2"]
    assert [estimate.value for estimate in score.estimates] == pytest.approx([3 / 4, 11 / 12, 7 / 12])
    assert (score.n_min, score.n_max, score.n_cut, score.mean_tokens) == (4, 4, 0, 3)
    assert score.verdicts == {
        "right": 6, "wrong": 2, "no answer": 0, "unparsed": 0, "timed out": 0, "undecided": 0,
    }  # fmt: skip


def test_undecided_responses_are_left_out_or_counted_as_wrong_and_the_notes_say_which(make_run):
    """Of q0's decided responses 1 of 2 is right, of all 1 of 3."""
    cells = collect_cells([make_run("10?", "111")])
    left_out = evaluate(cells, AVG, n_resamples=99)
    assert left_out.scores[0].estimates[0].name == "Pass@1"
    assert left_out.scores[0].estimates[0].value == pytest.approx((1 / 2 + 1) / 2)
    assert (left_out.scores[0].n_min, left_out.scores[0].n_max) == (2, 3)
    assert "1 responses are not decided and left out" in left_out.notes[0]
    as_wrong = evaluate(cells, AVG, undecided="wrong", n_resamples=99)
    assert as_wrong.scores[0].estimates[0].name == "Avg@3"
    assert as_wrong.scores[0].estimates[0].value == pytest.approx((1 / 3 + 1) / 2)
    assert "counted as wrong" in as_wrong.notes[0]
    with pytest.raises(DataError, match="choose leave-out or wrong"):
        evaluate(cells, AVG, undecided="right")


def test_a_question_with_too_few_decided_responses_is_left_out_by_name(make_run):
    cells = collect_cells([make_run("1??", "110", "111")])
    result = evaluate(cells, [Metric("pass", 2)], n_resamples=99)
    assert result.scores[0].left_out == ("q0",)
    assert result.scores[0].estimates[0].n_questions == 2
    assert any("1 questions with too few decided responses are left out" in note for note in result.notes)


def test_where_no_question_is_decided_there_is_no_score(make_run):
    with pytest.raises(DataError, match=r"a on bench: no question has 1 decided responses.*raml grade"):
        evaluate(collect_cells([make_run("??", "??")]), AVG)


def test_missing_responses_are_named_and_not_taken_for_wrong_ones(make_run):
    cells = collect_cells([make_run("11", "11", "1")])
    with pytest.raises(DataError, match="a on bench: Question q2 has 1 responses where most have 2"):
        evaluate(cells, AVG)
    assert evaluate(cells, AVG, uneven=True, n_resamples=99).scores[0].estimates[0].name == "Pass@1"


def test_a_k_beyond_the_responses_names_the_question(make_run):
    with pytest.raises(DataError, match="k = 3 responses can't be drawn from the 2 of question q0"):
        evaluate(collect_cells([make_run("11", "10")]), [Metric("pass", 3)])


def test_the_later_model_is_compared_with_the_earlier_on_shared_questions(make_run):
    """q2 is the first model's alone; on q0 and q1 the second one has 1 and 1 against 1/2 and 0."""
    result = evaluate(
        collect_cells([make_run("10", "00", "11"), make_run("11", "11", model="b", weights="bb")]), AVG, n_resamples=99
    )
    (made,) = result.comparisons
    assert (made.model, made.baseline, made.benchmark) == ("b", "a", "bench")
    assert (made.difference.value, made.difference.n_questions) == (pytest.approx(3 / 4), 2)
    assert made.p == pytest.approx(2 / 4)  # of the 4 ways to swap, the two extreme ones
    assert "b and a on bench share 2 of 2 and 3 questions; are compared on these." in result.notes
    assert "With 2 questions no paired test can find a difference at the 5 % level." in result.notes


def test_models_without_a_shared_question_are_not_compared_and_that_is_said(make_run):
    questions, trajectories = make_run("10", "01", model="b", weights="bb")
    moved = [t for t in trajectories if t.question_id == "q1"]
    result = evaluate(collect_cells([make_run("11"), (questions, moved)]), AVG, n_resamples=99)
    assert result.comparisons == ()
    assert any("share 0 of 1 and 1 questions; so they are not compared" in note for note in result.notes)


def test_questions_without_a_response_are_noted(make_run):
    questions, trajectories = make_run("1", "1", "0")
    result = evaluate(collect_cells([(questions, trajectories[:2])]), AVG, n_resamples=99)
    assert result.scores[0].unanswered == ("q2",)
    assert "a on bench: 1 questions have no response and are left out." in result.notes


def test_one_shared_question_is_no_evidence_and_no_crash(make_run):
    questions, trajectories = make_run("10", "00", model="b", weights="bb")
    result = evaluate(collect_cells([make_run("11"), (questions, trajectories[:2])]), AVG, n_resamples=99)
    assert result.comparisons[0].p == 1
    assert result.comparisons[0].difference.n_questions == 1


def test_a_benchmark_that_the_baseline_did_not_take_is_noted(make_run):
    runs = [make_run("11"), make_run("10", source="other"), make_run("10", model="b", weights="bb")]
    result = evaluate(collect_cells(runs), AVG, baseline="b", n_resamples=99)
    assert "b has no responses on other, so nothing is compared there." in result.notes


def test_with_a_baseline_only_it_is_compared_with_and_holm_counts_all_rows(make_run):
    runs = [make_run("1000", "1100"), *(make_run("1111", "1110", model=m, weights=m) for m in "bc")]
    everything = evaluate(collect_cells(runs), AVG, n_resamples=99)
    assert [(c.model, c.baseline) for c in everything.comparisons] == [("b", "a"), ("c", "a"), ("c", "b")]
    against_b = evaluate(collect_cells(runs), AVG, baseline="b", n_resamples=99)
    assert [(c.model, c.baseline) for c in against_b.comparisons] == [("a", "b"), ("c", "b")]
    assert against_b.comparisons[0].p_holm == pytest.approx(min(1, 2 * against_b.comparisons[0].p))
    with pytest.raises(DataError, match="No model 'z' to compare with; there are: a, b, c"):
        evaluate(collect_cells(runs), AVG, baseline="z")


def test_odd_k_is_noted_with_what_a_perfect_model_gets(make_run):
    result = evaluate(collect_cells([make_run("111", "110")]), [Metric("mg-pass", 3)], n_resamples=99)
    assert result.notes == ("mG-Pass@3 is the paper's sum, which for odd k gives a perfect model (3 − 1)/3, not 1.",)


@pytest.mark.parametrize(
    ("n", "k"), [(1, None), (2, None), (4, 2), (7, 2), (8, 4), (15, 4), (16, 8), (64, 8)]
)  # half of the responses, at most the paper's 8
def test_without_a_k_half_of_the_responses_are_drawn(make_run, n, k):
    names = [(metric.kind, metric.k) for metric in choose_metrics(collect_cells([make_run("1" * n)]))]
    assert names == [("avg", None)] + ([] if k is None else [("pass", k), ("mg-pass", k)])


def test_a_tau_adds_g_pass_at_each_k(make_run):
    cells = collect_cells([make_run("1111")])
    metrics = choose_metrics(cells, ks=(2, 4, 2), taus=("3/4",))
    assert [(m.kind, m.k) for m in metrics] == [
        ("avg", None),
        ("pass", 2), ("g-pass", 2), ("mg-pass", 2),
        ("pass", 4), ("g-pass", 4), ("mg-pass", 4),
    ]  # fmt: skip
