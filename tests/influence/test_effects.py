"""Comparison with matched controls: against its definition written out, all permutations, and under the null."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, kstest

from raml.influence.effects import compare_matched, make_effects


def difference_by_definition(values, is_member, strata, questions):
    """Each member's value minus the mean of its stratum's others; mean over a question's members, then questions."""
    by_question = {}
    for i in range(len(values)):
        controls = [values[j] for j in range(len(values)) if strata[j] == strata[i] and not is_member[j]]
        if is_member[i] and controls:
            by_question.setdefault(questions[i], []).append(values[i] - sum(controls) / len(controls))
    means = [sum(own) / len(own) for own in by_question.values()]
    return sum(means) / len(means) if means else None


def p_by_definition(values, is_member, strata, questions):
    """All ways to choose as many members in each stratum, all equally likely: twice the smaller tail, at most 1."""
    places = [np.flatnonzero(strata == s) for s in np.unique(strata)]
    choices = [list(itertools.combinations(own.tolist(), int(is_member[own].sum()))) for own in places]
    found, drawn = difference_by_definition(values, is_member, strata, questions), []
    for chosen in itertools.product(*choices):
        labels = np.zeros(len(values), dtype=bool)
        labels[list(itertools.chain(*chosen))] = True
        drawn.append(difference_by_definition(values, labels, strata, questions))
    drawn = np.array(drawn)
    return min(1, 2 * min((drawn >= found - 1e-9).mean(), (drawn <= found + 1e-9).mean()))


def compare(values, is_member, strata, questions, **options):
    arrays = (np.asarray(values, dtype=float)[:, None], np.asarray(is_member, dtype=bool))
    return compare_matched(*arrays, np.asarray(strata), np.asarray(questions), **options)


def test_difference_is_that_of_hand_arithmetic():
    """Question 0: members 5 and 1 against mean(1, 3) = 2 and mean(4) = 4: (3 − 3)/2 = 0; question 1: 2 − 1 = 1."""
    values = [5, 1, 3, 1, 4, 2, 1]
    member = [True, False, False, True, False, True, False]
    found = compare(values, member, [0, 0, 0, 1, 1, 2, 2], [0, 0, 0, 0, 0, 1, 1])
    np.testing.assert_allclose(found.by_question[:, 0], [0, 1], atol=1e-12)
    assert found.n_units == 3


@given(
    st.lists(st.tuples(st.floats(-9, 9), st.booleans(), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=20)
)
def test_difference_equals_its_definition(rows):
    values, member, strata, questions = map(np.array, zip(*rows, strict=True))
    strata = 3 * questions + strata
    found = compare(values, member, strata, questions, n_resamples=9)
    expected = difference_by_definition(values, member, strata, questions)
    if expected is None:
        assert len(found.by_question) == found.n_units == 0
        assert found.p.tolist() == [1]
    else:
        assert found.by_question.mean() == pytest.approx(expected, abs=1e-9)


def test_p_equals_that_of_all_permutations_where_strata_have_one_member():
    """4 × 5 × 4 ways in three strata of two questions; Monte Carlo's standard error is 0.003 at most."""
    rng = np.random.default_rng(5)
    strata, questions = np.repeat([0, 1, 2], [4, 5, 4]), np.repeat([0, 0, 1], [4, 5, 4])
    member = np.isin(np.arange(13), [0, 4, 9])
    for shift in (0, 1, 2):
        values = rng.exponential(size=13) + shift * member
        expected = p_by_definition(values, member, strata, questions)
        found = compare(values, member, strata, questions, n_resamples=40_000, seed=shift)
        assert found.p[0] == pytest.approx(expected, abs=0.012)


def test_p_is_near_that_of_all_permutations_where_strata_have_more_members():
    """Turns of rings are a part of all permutations, so their p varies about it with the rings' order."""
    rng = np.random.default_rng(6)
    strata, questions = np.repeat(np.arange(4), 6), np.repeat([0, 0, 1, 1], 6)
    member = np.tile([True, True, False, False, False, False], 4)
    values = rng.exponential(size=24) + 0.5 * member
    # 15 ways in each of four strata, drawn at random.
    found = difference_by_definition(values, member, strata, questions)
    drawn = np.array(
        [
            difference_by_definition(values, rng.permuted(member.reshape(4, 6), axis=1).ravel(), strata, questions)
            for _ in range(1000)
        ]
    )
    expected = min(1, 2 * min((drawn >= found).mean(), (drawn <= found).mean()))
    over_rings = np.mean([compare(values, member, strata, questions, seed=seed).p[0] for seed in range(20)])
    assert over_rings == pytest.approx(expected, abs=0.05)


def draw_case(rng, effect=0.0):
    """Ten questions, two strata of eight each with three members; values are skewed and differ between strata."""
    strata = np.repeat(np.arange(20), 8)
    member = np.concatenate([rng.permutation(np.arange(8) < 3) for _ in range(20)])
    values = rng.exponential(size=160) ** 2 + rng.normal(size=20)[strata] + effect * member
    return values, member, strata, strata // 2


def test_p_values_are_uniform_if_labels_are_chance():
    rng = np.random.default_rng(11)
    p = [compare(*draw_case(rng), n_resamples=199, seed=i).p[0] for i in range(300)]
    assert kstest(p, "uniform").pvalue > 0.01
    assert binomtest(sum(value <= 0.05 for value in p), 300, 0.05).pvalue > 0.01


def test_p_is_small_where_an_effect_is_planted_and_its_sign_is_found():
    rng = np.random.default_rng(12)
    for effect in (6.0, -6.0):
        found = compare(*draw_case(rng, effect), n_resamples=999)
        assert found.p[0] == 2 / 1000
        assert np.sign(found.by_question.mean()) == np.sign(effect)


def test_a_difference_between_strata_is_no_effect():
    """Members are more frequent where values are large; within strata they are like the others."""
    rng = np.random.default_rng(13)
    strata = np.repeat(np.arange(40), 10)
    member = rng.random(400) < np.where(strata % 2, 0.7, 0.2)
    values = 5.0 * (strata % 2) + rng.normal(size=400)
    assert values[member].mean() - values[~member].mean() > 2
    found = compare(values, member, strata, strata // 4)
    assert abs(found.by_question.mean()) < 0.3
    assert found.p[0] > 0.01
    assert compare(values, member, strata // 4, strata // 4).p[0] < 0.001  # not matched, it would look like one


def test_equal_values_have_no_effect_and_p_one():
    found = compare(np.full(12, 0.1), np.arange(12) % 3 == 0, np.repeat([0, 1], 6), np.repeat([0, 1], 6))
    np.testing.assert_allclose(found.by_question, 0, atol=1e-15)
    assert found.p[0] == 1


def test_several_values_are_tested_with_the_same_labels():
    rng = np.random.default_rng(14)
    values, member, strata, questions = draw_case(rng)
    both = compare_matched(np.stack([values, -values], axis=1), member, strata, questions)
    assert both.p[0] == both.p[1]
    np.testing.assert_allclose(both.by_question[:, 0], -both.by_question[:, 1])
    assert both.p[0] == compare(values, member, strata, questions).p[0]


def test_units_without_controls_are_left_out_and_without_any_there_is_no_effect():
    found = compare([1, 2, 3], [True, True, False], [0, 1, 1], [0, 0, 0])
    assert found.n_units == 1
    assert make_effects(["x"], compare([1, 2], [True, True], [0, 1], [0, 0])) == {}
    assert make_effects(["x"], compare([], [], np.zeros(0, int), np.zeros(0, int))) == {}


def test_one_question_has_an_effect_and_a_test_but_no_interval():
    (effect,) = make_effects(["x"], compare([5, 1, 1, 1], [1, 0, 0, 0], [0] * 4, [0] * 4), n_resamples=99).values()
    assert effect.difference.value == pytest.approx(4)
    assert np.isinf([effect.difference.low, effect.difference.high]).all()
    assert effect.p < 1


def test_signs_of_questions_are_flipped_where_a_group_hangs_together():
    """Differences of three questions are 1, 2 and 3, so p is 2 of the 2³ ways, however many units there are."""
    values = np.concatenate([np.repeat([1.0 + q, 0.0], 50) for q in range(3)])
    member, question = np.tile(np.repeat([True, False], 50), 3), np.repeat([0, 1, 2], 100)
    found = compare(values, member, question, question, hangs_together=True)
    np.testing.assert_allclose(found.by_question[:, 0], [1, 2, 3])
    assert found.p[0] == 0.25
    assert compare(values, member, question, question).p[0] < 0.001


def test_a_burst_of_large_values_in_a_stretch_of_some_question_is_no_finding():
    """Each of ten questions has one burst at a random place; the group is the first fifth of the units of each."""
    rng, n, p = np.random.default_rng(15), 100, {True: [], False: []}
    question = np.repeat(np.arange(10), n)
    member = np.tile(np.arange(n) < n // 5, 10)
    for _ in range(60):
        bursts = [np.roll(np.repeat([5.0, 1.0], [n // 5, n - n // 5]), rng.integers(n)) for _ in range(10)]
        values = np.concatenate(bursts) * rng.exponential(size=10 * n)
        for hangs_together, own in p.items():
            options = {"hangs_together": hangs_together, "n_resamples": 199}
            own.append(compare(values, member, question, question, **options).p[0])
    assert binomtest(sum(value <= 0.05 for value in p[True]), 60, 0.05).pvalue > 0.01
    assert np.mean(np.array(p[False]) <= 0.05) > 0.3  # as if each unit of a burst were a finding of its own
