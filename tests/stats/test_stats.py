import json
import math
import subprocess
import sys
import warnings
from fractions import Fraction
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, betabinom, binom, skewnorm

from raml.errors import DataError, NumericsError
from raml.stats import (
    Counts,
    Metric,
    adjust_holm,
    average_questions,
    compare_metric,
    compute_g_pass_at_k,
    compute_mg_pass_at_k,
    compute_mg_pass_at_k_integral,
    compute_p_value,
    compute_paired_p_value,
    compute_pass_at_k,
    estimate_mean,
    estimate_metric,
    measure_questions,
)

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "metric_vectors.json").read_text(encoding="utf-8"))
PASS_8, MG_8 = Metric("pass", 8), Metric("mg-pass", 8)


@st.composite
def draws(draw, max_n=40, min_k=1):
    n = draw(st.integers(min_k, max_n))
    return n, draw(st.integers(0, n)), draw(st.integers(min_k, n))


@pytest.mark.parametrize("vector", VECTORS["questions"], ids=lambda v: f"n{v['n']}-c{v['c']}-k{v['k']}")
def test_the_exact_vectors_hold_as_fractions(vector):
    at = vector["n"], vector["c"], vector["k"]
    assert compute_pass_at_k(*at) == Fraction(vector["pass_at_k"])
    assert compute_mg_pass_at_k(*at) == Fraction(vector["mg_pass_at_k_eq23"])
    assert compute_mg_pass_at_k_integral(*at) == Fraction(vector["mg_pass_at_k_integral"])
    for tau, value in vector["g_pass_at_k"].items():
        assert compute_g_pass_at_k(*at, tau) == Fraction(value)


def test_the_vectors_mean_over_questions_holds():
    vector = VECTORS["dataset_mean"]
    counts = Counts(vector["correct_counts"], vector["n"])
    for metric, key in ((PASS_8, "pass_at_k"), (MG_8, "mg_pass_at_k_eq23")):
        exact = sum(metric.compute(vector["n"], c) for c in vector["correct_counts"]) / 4
        assert exact == Fraction(vector[key])
        assert estimate_metric(metric, counts, n_resamples=99).value == pytest.approx(float(exact), abs=1e-12)


def test_values_by_hand():
    """Of 4 responses 2 are right; of the 6 pairs 1 has none right, 4 have one, 1 has both. k = 2 averages τ = 1 alone.

    Of 3 responses 2 are right and all are drawn, so J = 2: the sum (k = 3) has the threshold 3 alone, and the integral
    has G = 1 for τ in [1/2, 2/3], which is 2 · 1/6.
    """
    assert compute_pass_at_k(4, 2, 2) == Fraction(5, 6)
    assert compute_g_pass_at_k(4, 2, 2, 0.5) == Fraction(5, 6)
    assert compute_g_pass_at_k(4, 2, 2, 0.51) == Fraction(1, 6)
    assert compute_mg_pass_at_k(4, 2, 2) == compute_mg_pass_at_k_integral(4, 2, 2) == Fraction(1, 6)
    assert compute_mg_pass_at_k(3, 2, 3) == 0
    assert compute_mg_pass_at_k_integral(3, 2, 3) == Fraction(1, 3)
    assert Metric("avg").compute(4, 3) == Fraction(3, 4)


@given(draws(max_n=8), st.fractions(0, 1, max_denominator=9).filter(bool))
def test_metrics_are_shares_of_all_subsets(at, tau):
    """The definition: draw every k of n responses, the first c of them right, and count."""
    n, c, k = at
    right = [sum(i < c for i in subset) for subset in combinations(range(n), k)]
    assert compute_pass_at_k(*at) == Fraction(sum(j > 0 for j in right), len(right))
    assert compute_g_pass_at_k(*at, tau) == Fraction(sum(j >= k * tau for j in right), len(right))


@given(draws())
def test_mg_pass_is_the_sum_of_eq_23_and_the_integral_of_g_pass(at):
    """G-Pass@k is constant on ((i − 1)/k, i/k], so its integral is a sum over i."""
    k = at[2]
    steps = {i: compute_g_pass_at_k(*at, Fraction(i, k)) for i in range(1, k + 1)}
    assert compute_mg_pass_at_k(*at) == Fraction(2, k) * sum(steps[i] for i in range(math.ceil(k / 2) + 1, k + 1))
    half = Fraction(1, 2)
    widths = {i: max(half, Fraction(i, k)) - max(half, Fraction(i - 1, k)) for i in steps}
    assert compute_mg_pass_at_k_integral(*at) == 2 * sum(steps[i] * widths[i] for i in steps)


@given(draws())
def test_both_readings_agree_for_even_k_and_a_perfect_model_tells_them_apart_for_odd(at):
    n, c, k = at
    if k % 2 == 0:
        assert compute_mg_pass_at_k(n, c, k) == compute_mg_pass_at_k_integral(n, c, k)
    assert compute_mg_pass_at_k(n, n, k) == (1 if k % 2 == 0 else Fraction(k - 1, k))
    assert compute_mg_pass_at_k_integral(n, n, k) == 1


METRICS = [("pass", None), ("g-pass", "1/2"), ("g-pass", 0.9), ("mg-pass", None), ("mg-pass-integral", None)]


@pytest.mark.parametrize(("kind", "tau"), METRICS)
@given(at=draws())
def test_one_more_right_answer_never_lowers_a_metric_and_none_leaves_0_to_1(kind, tau, at):
    n, c, k = at
    metric = Metric(kind, k, tau)
    assert 0 <= metric.compute(n, max(0, c - 1)) <= metric.compute(n, c) <= 1
    assert metric.compute(n, 0) == 0


@given(draws())
def test_each_metric_is_the_function_of_its_name(at):
    n, c, k = at
    assert Metric("pass", k).compute(n, c) == compute_pass_at_k(*at)
    assert Metric("g-pass", k, 0.75).compute(n, c) == compute_g_pass_at_k(*at, "3/4")
    assert Metric("mg-pass", k).compute(n, c) == compute_mg_pass_at_k(*at)
    assert Metric("mg-pass-integral", k).compute(n, c) == compute_mg_pass_at_k_integral(*at)
    assert Metric("avg").compute(n, c) == Fraction(c, n)


@pytest.mark.parametrize(
    ("k", "tau", "least"),
    [
        (100, 0.07, 7),
        (100, np.float32(0.07), 7),
        (100, "0.07", 7),
        (25, Fraction(7, 25), 7),
        (25, "7/25", 7),
        (25, 0.28, 7),
        (10, 0.3, 3),
        (10, 0.31, 4),
        (3, 1, 3),
        (8, 1e-9, 1),
    ],
)
def test_the_least_number_of_right_answers_is_exact(k, tau, least):
    """All n = k responses are drawn, so G-Pass@k is 1 from `least` right ones on and 0 below."""
    assert compute_g_pass_at_k(k, least, k, tau) == 1
    assert compute_g_pass_at_k(k, least - 1, k, tau) == 0


@pytest.mark.parametrize("tau", [0, -0.5, 1.01, float("nan"), float("inf"), "half", "1/0"])
def test_a_tau_outside_0_to_1_is_refused(tau):
    with pytest.raises(DataError, match="above 0 and at most 1"):
        compute_g_pass_at_k(4, 2, 2, tau)
    with pytest.raises(DataError, match=f"tau is {tau}"):
        Metric("g-pass", 2, tau)


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (("pass",), "pass needs a k"),
        (("avg", 8), "avg takes no k"),
        (("avg", 0), "avg takes no k"),
        (("g-pass", 8), "g-pass needs a tau"),
        (("mg-pass", 8, 0.5), "mg-pass takes no tau"),
        (("maj", 8), "no metric 'maj'; choose one of pass, g-pass"),
    ],
)
def test_a_metric_that_is_not_one_is_refused(metric, message):
    with pytest.raises(DataError, match=message):
        Metric(*metric)


@pytest.mark.parametrize(
    ("correct", "n", "k", "message"),
    [
        ([3, 9, 4], 8, 4, "Question b: 9 of 8 responses are right"),
        ([3, 2, -1], 8, 4, "Question c: -1 of 8 responses are right"),
        ([3, 2, 1], 8, 9, "Question a: k = 9 responses can't be drawn from 8"),
        ([3, 2, 1], 8, 0, "Question a: k = 0 responses can't be drawn from 8"),
        ([0, 0, 0], 0, 1, "Question a: 0 of 0 responses are right"),
        ([[3, 2, 1], [3, 2, 9]], 8, 4, r"Question c \(training seed 1\): 9 of 8"),
    ],
)
def test_impossible_counts_are_refused_with_the_question(correct, n, k, message):
    counts = Counts(correct, n, ["a", "b", "c"])
    for measure in (measure_questions, estimate_metric):
        with pytest.raises(DataError, match=message):
            measure(Metric("mg-pass", k), counts)


def test_without_ids_a_question_is_named_by_its_place():
    with pytest.raises(DataError, match="Question 1: 9 of 8"):
        measure_questions(Metric("avg"), Counts([3, 9], 8))


@pytest.mark.parametrize(
    ("correct", "n", "ids", "message"),
    [
        ([], 8, None, "no questions"),
        ([[], []], 8, None, "no questions"),
        ([1.5, 2], 8, None, "integers"),
        ([True, False], 8, None, "integers"),
        ([1, 2], 8.0, None, "integers"),
        ([[[1]]], 8, None, "integers"),
        ([1, 2], [8, 8, 8], None, r"n has shape \(3,\)"),
        ([1, 2], 8, ["a"], "1 question ids for 2 questions"),
        ([1, 2, 3], 8, ["a", "b", "a"], "Question a is there 2 times"),
        ([1, 2, 3], [8, 6, 8], ["a", "b", "c"], "Question b has 6 responses where most have 8"),
    ],
)
def test_tables_that_are_no_counts_are_refused(correct, n, ids, message):
    with pytest.raises(DataError, match=message):
        Counts(correct, n, ids)


def test_n_may_differ_with_leave_but_not_for_the_average():
    counts = Counts([1, 2], [2, 4], uneven=True)
    assert measure_questions(Metric("pass", 2), counts).tolist() == [1, 5 / 6]
    with pytest.raises(DataError, match="Question 1 has 4 responses where most have 2"):
        measure_questions(Metric("avg"), counts)
    with pytest.raises(DataError, match="Question 0: k = 3"):
        measure_questions(Metric("pass", 3), counts)


def test_a_questions_value_is_its_mean_over_training_seeds():
    """Pass@2 of (4, 2) is 5/6, of (4, 0) is 0, of (4, 4) is 1: not Pass@2 of the mean count."""
    counts = Counts([[2, 4], [0, 4]], 4)
    assert measure_questions(Metric("pass", 2), counts).tolist() == [5 / 12, 1]
    estimate = estimate_metric(Metric("pass", 2), counts)
    assert (estimate.value, estimate.n_questions) == (pytest.approx(17 / 24), 2)


def test_estimates_name_their_metric():
    counts = Counts([1, 5, 9], 16)
    names = [
        estimate_metric(Metric(*metric), counts, n_resamples=99).name for metric in [("avg",), ("g-pass", 8, 0.75)]
    ]
    assert names == ["Avg@16", "G-Pass@8 (τ = 3/4)"]
    assert estimate_metric(Metric("mg-pass-integral", 3), counts, n_resamples=99).name == "mG-Pass@3 (integral)"
    assert compare_metric(MG_8, counts, counts).name == "mG-Pass@8 difference"


def test_the_same_seed_gives_the_same_interval_and_another_seed_another(rng_counts):
    one, two, other = (estimate_metric(MG_8, rng_counts, seed=seed) for seed in (3, 3, 4))
    assert one == two
    assert one.method == "BCa+t"
    assert one.low < one.value < one.high
    assert other.value == one.value
    assert (other.low, other.high) != (one.low, one.high)


@pytest.fixture
def rng_counts():
    return Counts(betabinom.rvs(16, 0.7, 1, size=30, random_state=1), 16)


def test_the_interval_is_near_the_normal_one_for_many_spread_questions():
    """For 2,040 questions the mean is as good as normal: value ± 1.96 standard errors."""
    correct = np.tile(np.arange(17), 120)
    estimate = estimate_metric(Metric("avg"), Counts(correct, 16), n_resamples=20_000)
    half = 1.96 * (correct / 16).std() / math.sqrt(len(correct))
    assert (estimate.value - estimate.low, estimate.high - estimate.value) == (pytest.approx(half, rel=0.03),) * 2


def test_a_higher_level_gives_a_wider_interval(rng_counts):
    narrow, wide = (estimate_metric(MG_8, rng_counts, level=level) for level in (0.8, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize("level", [0, 1, 95, -0.5])
def test_a_level_that_is_no_probability_is_refused(level, rng_counts):
    with pytest.raises(DataError, match=f"level is {level}"):
        estimate_metric(PASS_8, rng_counts, level=level)


@pytest.mark.parametrize("correct", [0, 4, 16])
@pytest.mark.parametrize("n_questions", [1, 30])
def test_equal_questions_get_the_documented_bound(correct, n_questions):
    """p = 1 − 0.05^(1/Q): 0.95 for one question, 0.095 for thirty (the "rule of three": 3/30)."""
    p = {1: 0.95, 30: 0.0950339}[n_questions]
    v = correct / 16
    estimate = estimate_metric(Metric("avg"), Counts([correct] * n_questions, 16))
    assert (estimate.value, estimate.method) == (v, "bound")
    assert (estimate.low, estimate.high) == (pytest.approx((1 - p) * v), pytest.approx((1 - p) * v + p))
    assert 0 <= estimate.low <= v <= estimate.high <= 1


def test_a_model_against_itself_differs_by_nothing_within_the_bound(rng_counts):
    estimate = compare_metric(MG_8, rng_counts, rng_counts)
    assert (estimate.value, estimate.method) == (0, "bound")
    assert (estimate.low, estimate.high) == (pytest.approx(-0.0950339), pytest.approx(0.0950339))


def test_where_bca_is_undefined_the_method_says_percentile():
    """All values lie within 2e-11 of 1; their jackknife means agree to 13 digits, and BCa's acceleration is 0/0."""
    counts = Counts([21, 22] * 500, 48)
    values = measure_questions(Metric("pass", 25), counts)
    assert 1e-12 < values.max() - values.min() < 2e-11
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimate = estimate_metric(Metric("pass", 25), counts)
    assert estimate.method == "percentile+t"
    assert estimate.low <= estimate.value <= estimate.high


def test_a_difference_is_that_of_pairs_not_of_two_samples():
    """One more right answer on every question but one: the difference hardly varies, the models' values do."""
    baseline = np.arange(15)
    better = baseline + 1
    better[0] = 0
    estimate = compare_metric(Metric("avg"), Counts(better, 16), Counts(baseline, 16))
    alone = estimate_metric(Metric("avg"), Counts(better, 16))
    assert estimate.value == pytest.approx(14 / 15 / 16)
    assert estimate.high - estimate.low < 0.1 * (alone.high - alone.low)
    swapped = compare_metric(Metric("avg"), Counts(baseline, 16), Counts(better, 16))
    assert swapped.value == -estimate.value


def test_models_with_other_numbers_of_seeds_and_responses_can_be_compared():
    estimate = compare_metric(Metric("pass", 2), Counts([[2, 4], [0, 4]], 4), Counts([4, 8], 8))
    assert estimate.value == pytest.approx(((5 / 12 - 11 / 14) + 0) / 2)


@pytest.mark.parametrize(
    ("metric", "baseline", "message"),
    [
        (PASS_8, Counts([1, 2, 3], 16), "2 questions can't be paired with the baseline's 3"),
        (PASS_8, Counts([1, 2], 16, ["a", "c"]), "Question b at place 1 is paired with the baseline's c"),
        (Metric("avg"), Counts([1, 2], 8), "Avg@16 can't be compared with Avg@8"),
    ],
)
def test_models_on_other_questions_are_not_compared(metric, baseline, message):
    with pytest.raises(DataError, match=message):
        compare_metric(metric, Counts([1, 2], 16, ["a", "b"]), baseline)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(0.3, 0.9), (1.0, 1.0), (4.0, 1.0)], ids=["hard", "spread", "easy"])
@pytest.mark.parametrize("metric", [Metric("avg"), PASS_8, MG_8], ids=lambda metric: metric.kind)
def test_intervals_cover_the_truth_as_often_as_they_say(metric, shape):
    """Thirty questions, AIME's size, of 16 responses, with success rates from a beta distribution.

    Both models of a pair have the same rate on a question, so the true difference is 0. A Pass@8 of 0.998 is beyond
    what thirty questions can tell, and is left out.
    """
    if (metric, shape) == (PASS_8, (4.0, 1.0)):
        pytest.skip("the documented exception")
    chances = betabinom.pmf(np.arange(17), 16, *shape)
    truth = sum(float(metric.compute(16, c)) * chance for c, chance in enumerate(chances))
    rng, single, paired = np.random.default_rng(7), 0, 0
    for _ in range(1000):
        rates = beta.rvs(*shape, size=30, random_state=rng)
        ours, theirs = (Counts(binom.rvs(16, rates, random_state=rng), 16) for _ in range(2))
        estimate = estimate_metric(metric, ours, n_resamples=999)
        difference = compare_metric(metric, ours, theirs, n_resamples=999)
        single += estimate.low <= truth <= estimate.high
        paired += difference.low <= 0 <= difference.high
    assert 930 <= single <= 975
    assert 930 <= paired <= 975


def test_the_bound_is_the_share_of_others_that_would_have_shown_itself():
    """If a share s of all questions has 1, the others 0, thirty are all 0 with chance (1 − s)^30: 5 % at the bound."""
    high = estimate_metric(Metric("avg"), Counts([0] * 30, 16)).high
    assert (1 - high) ** 30 == pytest.approx(0.05)


@pytest.mark.parametrize("correct", [[3, 9], [3, 9, 4]])
def test_two_or_three_questions_give_a_finite_interval(correct):
    estimate = estimate_metric(Metric("avg"), Counts(correct, 16), level=0.999)
    assert 0 <= estimate.low < estimate.value < estimate.high <= 1


@pytest.mark.parametrize(
    ("ours", "theirs"), [([16, 16, 16], [0, 0, 0]), ([3, 9, 12, 7, 1], [2, 11, 4, 7, 0]), ([5, 5], [5, 5]), ([9], [3])]
)
def test_a_p_value_is_the_share_of_swaps_that_differ_as_much(ours, theirs):
    """Of three pairs that differ alike the two extreme ones of 8 swaps do: 1/4. Equal models: all, 1."""
    differences = np.subtract(ours, theirs)
    swapped = [abs(np.dot(signs, differences)) for signs in product((1, -1), repeat=len(differences))]
    expected = np.mean([value >= abs(differences.sum()) for value in swapped])
    assert compute_p_value(Metric("avg"), Counts(ours, 16), Counts(theirs, 16)) == pytest.approx(expected)


def test_p_values_of_equal_models_are_spread_evenly():
    samples = betabinom.rvs(16, 1, 1, size=(2, 300, 30), random_state=3)
    values = [
        compute_p_value(Metric("avg"), Counts(a, 16), Counts(b, 16), n_resamples=499)
        for a, b in zip(*samples, strict=True)
    ]
    assert 0.01 <= np.mean(np.array(values) <= 0.05) <= 0.09  # 5 % give or take three standard errors
    assert 0.42 <= np.mean(np.array(values) <= 0.5) <= 0.58


def test_a_p_value_of_unpaired_questions_is_refused():
    with pytest.raises(DataError, match="is paired with the baseline's c"):
        compute_p_value(PASS_8, Counts([1, 2], 16, ["a", "b"]), Counts([1, 2], 16, ["a", "c"]))


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([0.1, 0.2, 0.3], 2 / 8),
        ([-0.1, -0.2, -0.3], 2 / 8),
        ([1, 2, 3, -1], 6 / 16),
        ([0.0, 0.0, 5e-8], 1.0),
        ([0.0, 0.0], 1.0),
        ([4.0], 1.0),
        ([3e-9, 1e-9, 2e-9, 1e-9, 2e-9], 2 / 32),
        ([3e9, 1e9, 2e9, 1e9, 2e9], 2 / 32),
    ],
)
def test_sign_flips_by_hand_at_any_scale(differences, p):
    """Three of one sign: of 8 ways to set signs 1 gives so high a sum, 1 so low a one: 2/8.

    1 + 2 + 3 − 1 = 5; of 16 ways the sums ±7 (one way each) and ±5 (two each: either 1 is negative) are as far: 6/16.
    With one difference beside zeros both signs are as far, so p is 1. Five of one sign: 2/32.
    """
    assert compute_paired_p_value(differences) == pytest.approx(p)


def test_many_differences_get_a_random_share_of_the_flips():
    """Thirty differences of 1 have 2^30 ways: no random flip comes near, and only the one that came is counted."""
    assert compute_paired_p_value([1.0] * 30, n_resamples=99) == pytest.approx(2 / 100)
    noise = np.random.default_rng(2).normal(size=40).tolist()
    assert compute_paired_p_value(noise, seed=1) == compute_paired_p_value(noise, seed=1)


def test_the_mean_of_two_values_has_at_least_the_t_interval():
    """1 and 3 nats: mean 2, s = √2, standard error 1; t at 0.975 with one degree of freedom is 12.706."""
    estimate = estimate_mean("L̂ (nats)", [1.0, 3.0])
    assert (estimate.name, estimate.value, estimate.n_questions) == ("L̂ (nats)", 2.0, 2)
    assert (estimate.low, estimate.high) == (pytest.approx(2 - 12.7062, abs=1e-4), pytest.approx(2 + 12.7062, abs=1e-4))


def test_within_0_to_1_a_mean_has_the_metrics_interval(rng_counts):
    metric = estimate_metric(Metric("avg"), rng_counts, seed=5)
    mean = estimate_mean("Avg@16", measure_questions(Metric("avg"), rng_counts).tolist(), seed=5)
    assert (mean.low, mean.high) == (pytest.approx(metric.low), pytest.approx(metric.high))
    assert mean.method == metric.method == "BCa+t"


@given(st.integers(-40, 40), st.floats(-3, 3).filter(lambda c: abs(c) > 0.01))
def test_the_interval_of_a_mean_follows_the_unit_and_is_cut_off_nowhere(exponent, factor):
    values = np.array([0.3, -1.2, 5.0, 2.2, 0.1, 7.5])
    plain = estimate_mean("x", values.tolist(), n_resamples=199)
    scale = 2.0**exponent
    scaled = estimate_mean("x", (values * scale).tolist(), n_resamples=199)
    assert (scaled.low, scaled.value, scaled.high) == (plain.low * scale, plain.value * scale, plain.high * scale)
    assert plain.low < 0 < plain.value < 5 < plain.high + 0.5
    assert estimate_mean("x", (values * factor).tolist(), n_resamples=199).value == pytest.approx(plain.value * factor)


def test_trajectories_are_averaged_within_their_question():
    """b: (1 + 3)/2 = 2 and (0 + 4)/2 = 2; a has one."""
    assert average_questions(["b", "a", "b"], [1, 5, 3]).tolist() == [2, 5]
    assert average_questions(["b", "a", "b"], np.array([[1, 0], [5, 6], [3, 4]])).tolist() == [[2, 2], [5, 6]]


@pytest.mark.parametrize("values", [[0.7], [0.7] * 30, [0.0] * 5, [1e6, 1e6 + 1e-9]])
def test_values_that_do_not_vary_get_no_interval_rather_than_a_certain_one(values):
    estimate = estimate_mean("x", values)
    assert (estimate.low, estimate.high, estimate.method) == (-math.inf, math.inf, "none")
    assert estimate.value == pytest.approx(values[0])


def test_small_values_that_vary_do_get_one():
    estimate = estimate_mean("cosine", [1e-15, 3e-15, 2e-15], n_resamples=199)
    assert -1e-14 < estimate.low < estimate.value == pytest.approx(2e-15)
    assert estimate.value < estimate.high < 1e-14


def test_means_of_nothing_and_of_values_that_are_no_numbers_are_refused():
    for compute in (lambda values: estimate_mean("gap", values), compute_paired_p_value):
        with pytest.raises(DataError, match=r"shape \(0,\)"):
            compute([])
        with pytest.raises(NumericsError, match="value nan at place 1"):
            compute([1.0, math.nan, 2.0])
        with pytest.raises(NumericsError, match="value -inf at place 0"):
            compute([-math.inf, 2.0])
    with pytest.raises(DataError, match="level is 95"):
        estimate_mean("gap", [1.0, 2.0], level=95)


@pytest.mark.slow
@pytest.mark.parametrize("skew", [0, 4])
def test_intervals_of_a_mean_without_bounds_cover_it_as_often_as_they_say(skew):
    truth, rng, covered = skewnorm.mean(skew), np.random.default_rng(7), 0
    for _ in range(1000):
        estimate = estimate_mean("x", skewnorm.rvs(skew, size=16, random_state=rng).tolist(), n_resamples=999)
        covered += estimate.low <= truth <= estimate.high
    assert 930 <= covered <= 975


def test_holm_by_hand():
    """Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1 is 0.02, 0.03, 0.06, 0.04, and none below a smaller one's."""
    assert adjust_holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert adjust_holm([0.6, 0.7]) == [1.0, 1.0]
    assert adjust_holm([0.2]) == [0.2]
    assert adjust_holm([]) == []


def test_statistics_come_without_torch():
    code = "import sys, raml.stats; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
