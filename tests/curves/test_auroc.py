import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.curves import CurveSettings, compute_auroc, estimate_auroc_within, estimate_pooled_auroc
from raml.errors import DataError

QUICK = CurveSettings(n_resamples=199)
scores = st.lists(st.integers(-3, 3), min_size=1, max_size=8)


def count_pairs(right, wrong):
    return np.mean([(r > w) + 0.5 * (r == w) for r in right for w in wrong])


def test_the_share_of_pairs_won_with_ties_half():
    """3 beats 2 and 1; 1 loses to 2 and ties with 1: 2.5 of 4."""
    assert compute_auroc([3, 1], [2, 1]) == 0.625


@given(scores, scores)
def test_it_is_the_count_over_all_pairs_and_the_two_sides_make_one(right, wrong):
    assert compute_auroc(right, wrong) == pytest.approx(count_pairs(right, wrong))
    assert compute_auroc(right, wrong) + compute_auroc(wrong, right) == pytest.approx(1)


@pytest.mark.parametrize(("right", "wrong"), [([], [1]), ([1], []), ([1, np.nan], [2]), ([1], [np.nan])])
def test_an_empty_side_or_an_unknown_score_is_refused(right, wrong):
    with pytest.raises(DataError, match="pairs need one of each"):
        compute_auroc(right, wrong)


def test_within_questions_the_difficulty_plays_no_part():
    """Scores are 10 higher on question a, and lower for its right trajectory: 0 within, 2 of all 3 pairs."""
    ids, values, right = ["a", "a", "b", "b"], [10, 11, 1, 0], [True, False, False, False]
    assert estimate_auroc_within(ids, values, right, QUICK).estimate.value == 0
    assert estimate_pooled_auroc(ids, values, right, QUICK).estimate.value == pytest.approx(2 / 3)


def test_within_questions_each_question_counts_once_and_those_of_one_kind_not_at_all():
    """a: 2 > 1 and 3 > 1, AUROC 1; b: 1 against 1, ½; c is all right."""
    ids = ["a", "a", "a", "b", "b", "c"]
    found = estimate_auroc_within(ids, [2, 3, 1, 1, 1, 9], [True, True, False, True, False, True], QUICK)
    assert found.estimate.value == 0.75
    assert (found.n_right, found.n_wrong, found.estimate.n_questions) == (3, 2, 2)
    assert found.p == 1  # signs of +½ and 0: all ways are as far out


def test_the_interval_is_no_narrower_than_a_bootstrap_that_copies_questions():
    """The slow way: draw questions, put their trajectories together, and count the pairs."""
    rng = np.random.default_rng(5)
    n, each = 10, 3
    values = rng.normal(size=(n, each)) + rng.normal(size=(n, 1))
    right = rng.random((n, each)) < 0.5
    ids = [str(question) for question in range(n) for _ in range(each)]
    settings = CurveSettings(n_resamples=400)
    found = estimate_pooled_auroc(ids, values.ravel().tolist(), right.ravel().tolist(), settings).estimate
    slow = []
    for times in np.random.default_rng(settings.seed).multinomial(n, np.full(n, 1 / n), size=400):
        rows = np.repeat(np.arange(n), times)
        own, flags = values[rows].ravel(), right[rows].ravel()
        if flags.any() and not flags.all():
            slow.append(count_pairs(own[flags], own[~flags]))
    low, high = np.quantile(slow, [0.025, 0.975])
    assert found.low <= low + 1e-9
    assert found.high >= high - 1e-9
    assert found.value == pytest.approx(count_pairs(values[right], values[~right]))
    assert found.method == "percentile+t"


def test_the_t_interval_takes_the_jackknife_of_whole_questions():
    """With level near 1 the t-interval is the wider one; its half width is t · sqrt((Q − 1)/Q Σ (A₋q − mean)²)."""
    from scipy.stats import t

    ids, values, right = list("aabbccdd"), [3, 1, 2, 2, 1, 2, 5, 1], [True, False] * 4
    found = estimate_pooled_auroc(ids, values, right, CurveSettings(level=0.6, n_resamples=199)).estimate
    without = []
    for question in "abcd":
        kept = [(v, r) for i, v, r in zip(ids, values, right, strict=True) if i != question]
        without.append(count_pairs([v for v, r in kept if r], [v for v, r in kept if not r]))
    spread = np.sqrt(3 / 4 * np.square(np.array(without) - np.mean(without)).sum())
    assert found.low <= found.value - t.ppf(0.8, 3) * spread + 1e-12
    assert found.high >= min(1, found.value + t.ppf(0.8, 3) * spread) - 1e-12


def test_a_perfect_score_has_no_interval_and_the_least_p_that_signs_allow():
    """All pseudo-values are 1, so only two of the 2⁸ ways to flip signs are as far from ½."""
    ids = [str(i // 2) for i in range(16)]
    found = estimate_pooled_auroc(ids, [1, 0] * 8, [True, False] * 8, QUICK)
    assert (found.estimate.value, found.estimate.low, found.estimate.high) == (1, 0, 1)
    assert found.estimate.method == "none"
    assert estimate_pooled_auroc(ids, [1, 0] * 8, [True, False] * 8, CurveSettings(n_resamples=999)).p == 2 / 2**8


def test_a_score_that_is_the_same_for_all_is_at_chance():
    found = estimate_pooled_auroc(list("aabb"), [1] * 4, [True, False] * 2, QUICK)
    assert (found.estimate.value, found.p) == (0.5, 1)


def test_one_question_with_all_wrong_ones_allows_no_test():
    found = estimate_pooled_auroc(["a", "a", "b", "c"], [0, 1, 2, 3], [False, False, True, True], QUICK)
    assert found.estimate.value == 1
    assert (found.p, found.estimate.method) == (None, "none")
    alone = estimate_auroc_within(["a", "a"], [0, 1], [False, True], QUICK)
    assert (alone.estimate.value, alone.p, alone.estimate.low, alone.estimate.high) == (1, None, 0, 1)


@pytest.mark.parametrize("estimate", [estimate_pooled_auroc, estimate_auroc_within])
@pytest.mark.parametrize("right", [[True, True], [False, False], []])
def test_without_both_kinds_there_is_nothing_to_estimate(estimate, right):
    assert estimate(["a"] * len(right), [1.0] * len(right), right, QUICK) is None
