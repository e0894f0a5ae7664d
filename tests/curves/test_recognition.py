from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from raml.curves import group_curves, measure_recognition
from raml.curves.recognition import BASELINES, CURVE_FEATURES, PENALTY, READOUT_FEATURES, fit_logistic, split_questions


@pytest.fixture
def told_apart(make_trajectory, make_trace, make_readout):
    """Eight questions with a right and a wrong trajectory each; right ones end with a low L̂ of their own answer."""
    trajectories, traces, readouts = [], [], []
    for i in range(8):
        for repeat, correct in enumerate((True, False)):
            answer = "2" if correct else "3"
            made = make_trajectory(
                question_id=f"q{i}", repeat=repeat, correct=correct, answer=answer, logprobs=(-0.1 * (i + 1),) * 3
            )
            end = 0.1 * i if correct else 0.05 + 0.1 * i
            trajectories.append(made)
            traces += [make_trace(made.id, [2 + 0.01 * (i % 3), 1, end], "own"), make_trace(made.id, [2, 1, 0])]
            readouts.append(make_readout(made.id, ["1", "2", answer], mean_logprob=[-1, -1, -0.5 - 0.1 * (i % 4)]))
    (curves,) = group_curves(trajectories, traces, readouts)
    return curves


def index(recognition):
    return {row.score: row for row in recognition.rows}


def test_scores_are_what_their_names_say(told_apart, quick):
    """Wrong ones end 0.05 above the right one of their question, less than one question from the next."""
    found = measure_recognition(told_apart, "think", quick)
    rows = index(found)
    assert rows.keys() == CURVE_FEATURES.keys() | READOUT_FEATURES.keys() | BASELINES.keys()
    low_end = rows["low own L̂ at the end"]
    assert low_end.within.estimate.value == 1
    # of 8 × 8 pairs the right one of question i is lower than the wrong one of j wherever i ≤ j: 36
    assert low_end.pooled.estimate.value == 36 / 64
    assert rows["low own L̂ at the start"].pooled.estimate.value == 0.5
    assert rows["short response"].within.estimate.value == 0.5
    # right ones say "2" after two of three prefixes, wrong ones "3" after one
    assert rows["readout gives the own answer"].pooled.estimate.value == 1
    # "2" stays from prefix 1 on where "3" comes at prefix 2
    assert rows["early last change"].within.estimate.value == 1
    assert rows["few changes of the readout"].within.estimate.value == 1
    assert {score for score, row in rows.items() if row.is_baseline} == set(BASELINES)
    assert (found.n_right, found.n_wrong) == (8, 8)


def test_scores_do_not_know_which_answer_is_right(told_apart, quick, make_trace):
    """Other grades of the readouts and other curves of the gold answer change nothing."""
    before = measure_recognition(told_apart, "think", quick)
    told_apart.readouts = {
        name: replace(readout, correct=tuple(i % 2 == 0 for i in range(len(readout.answers))))
        for name, readout in told_apart.readouts.items()
    }
    told_apart.gold = {name: make_trace(name, [9, 5, 1]) for name in told_apart.gold}
    assert measure_recognition(told_apart, "think", quick) == before


def test_the_combined_score_is_fitted_without_the_questions_it_is_measured_on(told_apart, quick):
    """Turning right and wrong round on the held-out half turns its AUROC round and leaves the weights."""
    before = measure_recognition(told_apart, "think", quick).held_out
    _, held = split_questions([t.question_id for t in told_apart.trajectories], quick.seed)
    told_apart.trajectories = [
        replace(t, correct=not t.correct) if t.question_id in held else t for t in told_apart.trajectories
    ]
    after = measure_recognition(told_apart, "think", quick).held_out
    assert (after.weights, after.best) == (before.weights, before.best)
    assert (before.n_fitted, before.n_tested) == (4, 4)
    for old, new in zip(before.rows, after.rows, strict=True):
        assert new.pooled.estimate.value == pytest.approx(1 - old.pooled.estimate.value)
    assert before.rows[0].score == "combined"
    assert before.rows[0].pooled.estimate.value == 1
    assert BASELINES.keys().isdisjoint(before.weights)


def test_a_score_that_some_lack_is_measured_on_the_others_and_counted(told_apart, quick):
    first, second, *_ = told_apart.trajectories
    del told_apart.readouts[first.id]
    told_apart.trajectories[1] = replace(second, logprobs=None)
    found = measure_recognition(told_apart, "think", quick)
    rows = index(found)
    assert (rows["sure of the last readout"].n_unknown, rows["likely tokens"].n_unknown) == (1, 1)
    assert rows["sure of the last readout"].pooled.n_right == 7
    assert found.held_out.n_unknown == 2


def test_without_readouts_or_logprobs_their_scores_have_no_row(told_apart, quick):
    told_apart.readouts = {}
    told_apart.trajectories = [replace(t, logprobs=None) for t in told_apart.trajectories]
    rows = index(measure_recognition(told_apart, "think", quick))
    assert rows.keys() == {*CURVE_FEATURES, "short response"}


def test_what_can_t_be_scored_is_counted(told_apart, quick):
    first, second, third, *rest = told_apart.trajectories
    del told_apart.own[third.id]
    told_apart.trajectories = [replace(first, correct=None), replace(second, answer=None), third, *rest]
    found = measure_recognition(told_apart, "think", quick)
    assert (found.n_undecided, found.n_unanswered, found.n_untraced) == (1, 1, 1)
    assert found.n_right + found.n_wrong == 13


def test_where_all_are_right_nothing_is_told_apart(told_apart, quick):
    told_apart.trajectories = [replace(t, correct=True) for t in told_apart.trajectories]
    found = measure_recognition(told_apart, "think", quick)
    assert found.held_out is None
    assert all(row.pooled is row.within is None for row in found.rows)
    assert measure_recognition(told_apart, "nothink", quick) is None


def test_p_values_are_adjusted_over_scores_and_kinds_together(told_apart, quick):
    made = [a for row in measure_recognition(told_apart, "think", quick).rows for a in (row.pooled, row.within)]
    least = min(a.p for a in made)
    assert min(a.p_holm for a in made) == pytest.approx(min(1, least * len(made)))


def test_logistic_regression_ends_where_its_gradient_is_zero():
    """At the optimum Σ (p − y) x + penalty · w = 0 and Σ (p − y) = 0."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(60, 3))
    right = rng.random(60) < expit(values @ [1.0, -0.5, 0.0] + 0.3)
    weights, constant = fit_logistic(values, right)
    error = expit(values @ weights + constant) - right
    np.testing.assert_allclose(values.T @ error + PENALTY * weights, 0, atol=1e-3)
    assert error.sum() == pytest.approx(0, abs=1e-3)


def test_a_score_without_variation_gets_no_weight_and_a_perfect_one_a_finite_one():
    values = np.column_stack([np.zeros(6), [-1, -1, -1, 1, 1, 1]])
    weights, constant = fit_logistic(values, values[:, 1] > 0)
    assert weights[0] == 0
    # by symmetry the constant is 0, and 6 (1 − σ(w)) = w
    assert 6 * (1 - expit(weights[1])) == pytest.approx(weights[1], abs=1e-3)
    assert constant == pytest.approx(0, abs=1e-3)


def test_halves_depend_on_seed_and_ids_alone():
    ids = [f"q{i}" for i in range(9)]
    first, second = split_questions(ids, 0)
    assert (len(first), len(second)) == (5, 4)
    assert first | second == set(ids)
    assert split_questions(ids[::-1] + ids, 0) == (first, second)
    assert split_questions(ids, 1) != (first, second)
