import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raml.errors import DataError
from raml.influence.agreement import correlate_ranks
from raml.influence.sentences import (
    CONTRAST,
    DISTANCE,
    DIVERGENCE,
    FALL,
    GOLD,
    LENGTH,
    OWN,
    PLACE,
    SHARE,
    Tally,
    measure_chance_distance,
    measure_resampled,
    measure_sentences,
    split_tally,
    tally_answers,
)
from tests.influence.resamplings import make_resampling

FEW = settings(max_examples=30)
NUMBERS = st.sampled_from(["1", "2", "3", None])
ROWS = st.integers(2, 6).flatmap(lambda n: st.lists(st.lists(NUMBERS, min_size=n, max_size=n), min_size=2, max_size=5))
"""Answers [border, continuation], of which "1" is right."""


def measure(rows):
    return measure_resampled(tally_answers(make_resampling("t", rows, right="1")))


def test_share_distance_and_divergence_by_hand():
    """Right and "5" twice each before; right three times and "7" once after.

    Shares 2/4 and 3/4. Distance (|0.75 − 0.5| + |0 − 0.5| + |0.25 − 0|)/2 = 0.5. With one added to each of the three
    counts: p = (3, 3, 1)/7, q = (4, 1, 2)/7, so the divergence is (3 ln(3/4) + 3 ln 3 + ln(1/2))/7.
    """
    values = measure([["1", "1", "5", "5"], ["1", "7", "1", "1"]])
    assert values[SHARE] == pytest.approx([0.25])
    assert values[DISTANCE] == pytest.approx([0.5])
    assert values[DIVERGENCE] == pytest.approx([(3 * math.log(3 / 4) + 3 * math.log(3) + math.log(1 / 2)) / 7])


def test_contrast_by_hand():
    """Continuations of even number: right twice, then once; those of odd number: right once, then never.

    Both shares of right fall by 1/2, and those of "5" rise by it: 1/2 (1/4 + 1/4). A fifth on each side has no partner.
    """
    assert measure([["1", "1", "1", "5"], ["5", "5", "1", "5"]])[CONTRAST] == pytest.approx([1 / 4])
    assert measure([["1", "1", "1", "5", "7"], ["5", "5", "1", "5", "8"]])[CONTRAST] == pytest.approx([1 / 4])
    assert measure([["1", "1"], ["5", "5"], [None, None]])[CONTRAST].tolist() == [1, 1]
    assert measure([["1", "5"], ["5", "1"]])[CONTRAST].tolist() == [-1]
    assert measure([["1", "1", "1", "5"], ["1", "1", "1", "1"]])[CONTRAST].tolist() == [0]
    assert np.isnan(measure([["1"], ["5"]])[CONTRAST]).all()


@pytest.mark.parametrize("answers", [["1", "1", "1", "5"], ["1", "1", "5", "5"], ["1", "2", "3", "5"]])
def test_without_effect_contrast_is_as_often_below_0_as_above_and_distance_never_is(answers):
    """Every way to part four answers into two before and two after is then as likely as any other."""
    found = [measure([list(order[:2]), list(order[2:])]) for order in itertools.permutations(answers)]
    contrasts = np.sort([values[CONTRAST][0] for values in found])
    np.testing.assert_allclose(contrasts, -contrasts[::-1])
    assert np.mean([values[DISTANCE] for values in found]) > 0.3


def test_where_answers_vary_less_and_less_chance_ranks_distances_but_not_contrasts():
    """Sentences without effect, right answers more likely at each: later ones have smaller distances by noise alone."""
    generator = np.random.default_rng(0)
    found = {CONTRAST: [], DISTANCE: []}
    for _ in range(1000):
        values = {name: [] for name in found}
        for right in np.linspace(0.5, 0.98, 6):
            kinds = (generator.random((2, 10)) > right).astype(int)
            for name, own in measure_resampled(Tally(kinds, np.ones((2, 10), bool))).items():
                values.get(name, []).append(own[0])
        for name, own in values.items():
            found[name].append(correlate_ranks(np.array(own), np.arange(6.0)))
    assert np.nanmean(found[DISTANCE]) < -0.3
    assert np.nanmean(found[CONTRAST]) == pytest.approx(0, abs=0.05)


def test_wrong_answers_move_the_distance_but_not_the_share():
    values = measure([["5", "5"], ["7", "7"], ["7", None]])
    np.testing.assert_array_equal(values[SHARE], [0, 0])
    np.testing.assert_array_equal(values[DISTANCE], [1, 0.5])


def test_right_answers_are_one_however_they_are_written():
    record = make_resampling("t", [["1/2", "0.5"], [r"\frac12", "3"]], correct=[[True, True], [True, False]])
    assert tally_answers(record).kinds.tolist() == [[0, 0], [0, 1]]


def test_wrong_answers_are_one_where_only_their_writing_differs():
    rows = [["12", "$12$", " 12. "], ["-12", "1.2", None]]
    assert tally_answers(make_resampling("t", rows, right="1")).kinds.tolist() == [[1, 1, 1], [2, 3, 4]]


def test_equal_changes_tie_although_their_fractions_are_rounded():
    """0.1 − 0.0, 0.2 − 0.1, 0.3 − 0.2 differ in binary."""
    rows = [["1"] * k + ["5"] * (10 - k) for k in range(4)]
    assert set(measure(rows)[SHARE]) == {0.1}
    assert set(measure(rows)[DISTANCE]) == {0.1}


def test_what_is_undecided_has_no_part_in_shares_and_what_is_unknown_none_in_distances():
    """Before: right, undecided "5", nothing known. After: right, wrong "5", undecided "5"."""
    record = make_resampling(
        "t", [["1", "5", None], ["1", "5", "5"]], correct=[[True, None, None], [True, False, None]]
    )
    values = measure_resampled(tally_answers(record))
    assert values[SHARE] == pytest.approx([1 / 2 - 1])
    assert values[DISTANCE] == pytest.approx([2 / 3 - 1 / 2])


def test_a_border_of_which_nothing_is_known_makes_nan_on_both_sides():
    rows = [["1", "1"], [None, None], ["1", "1"]]
    record = make_resampling("t", rows, correct=[[True, True], [None, None], [True, True]])
    values = measure_resampled(tally_answers(record))
    for name in (SHARE, CONTRAST, DISTANCE, DIVERGENCE):
        assert np.isnan(values[name]).tolist() == [True, True]


@FEW
@given(ROWS)
def test_bounds_hold(rows):
    values = measure(rows)
    assert (np.abs(values[SHARE]) <= values[DISTANCE] + 1e-9).all()
    assert ((values[DISTANCE] >= 0) & (values[DISTANCE] <= 1)).all()
    assert (values[DIVERGENCE] >= -1e-9).all()
    assert (np.abs(values[CONTRAST]) <= 1).all()


@FEW
@given(ROWS)
def test_going_backwards_turns_shares_and_leaves_distances(rows):
    forth, back = measure(rows), measure(rows[::-1])
    np.testing.assert_allclose(forth[SHARE], -back[SHARE][::-1])
    np.testing.assert_allclose(forth[DISTANCE], back[DISTANCE][::-1])
    np.testing.assert_allclose(forth[CONTRAST], back[CONTRAST][::-1])


@FEW
@given(ROWS, st.permutations(["2", "3", None]))
def test_names_of_wrong_answers_do_not_matter(rows, names):
    new = dict(zip(["2", "3", None], names, strict=True)) | {"1": "1"}
    renamed = [[new[answer] for answer in row] for row in rows]
    for name, values in measure(rows).items():
        np.testing.assert_allclose(values, measure(renamed)[name])


@FEW
@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_continuations_does_not_matter(rows, random):
    mixed = [random.sample(row, len(row)) for row in rows]
    again = measure(mixed)
    for name in (SHARE, DISTANCE, DIVERGENCE):  # a contrast is of two halves of them
        np.testing.assert_allclose(measure(rows)[name], again[name])


def test_the_probes_measures_by_hand(make_trajectory):
    record = make_resampling(
        "q-0", [["1"]] * 3, loss=[3.0, 1.0, 1.5], own_loss=[0.99, 0.09, 0.09], prefix_lens=[1, 6, 8]
    )
    values = measure_sentences(make_trajectory(), record, epsilon=0.01).values
    assert values[FALL] == pytest.approx([2.0, -0.5])
    assert values[GOLD] == pytest.approx([2.0, 0.5])
    assert values[OWN] == pytest.approx([math.log(10), 0], abs=1e-5)  # 1.00 to 0.10
    assert values[PLACE].tolist() == [0, 1]
    assert values[LENGTH].tolist() == [5, 2]


def test_a_resampling_of_another_trajectory_and_an_epsilon_of_0_are_refused(make_trajectory):
    with pytest.raises(DataError, match="is of other, not of q-0"):
        measure_sentences(make_trajectory(), make_resampling("other", [["1"]] * 2))
    with pytest.raises(DataError, match="Epsilon is 0"):
        measure_sentences(make_trajectory(), make_resampling("q-0", [["1"]] * 2), epsilon=0)


@FEW
@given(ROWS, st.integers(0, 99))
def test_halves_are_parts_of_the_whole_and_have_nothing_in_common(rows, seed):
    whole = tally_answers(make_resampling("t", rows, right="1"))
    halves = split_tally(whole, np.random.default_rng(seed))
    n = len(rows[0])
    for border, row in enumerate(whole.kinds):
        both = [*halves[0].kinds[border], *halves[1].kinds[border]]
        assert len(both) == n // 2 * 2
        left = row.tolist()
        for kind in both:
            left.remove(kind)  # fails if it was there more often than in the whole
        assert len(left) == n % 2


def test_chance_moves_answers_that_vary_and_no_others():
    """Two of one kind before and two of another after: of the three ways to pair four, one parts them so again.

    The distance is 1 then (2 of 6 draws of two) and 0 otherwise, 1/3 on average.
    """
    generator = np.random.default_rng(0)
    same = tally_answers(make_resampling("t", [["1", "1"], ["1", "1"]], right="1"))
    assert measure_chance_distance(same, generator).tolist() == [0]
    parted = tally_answers(make_resampling("t", [["1", "1"], ["2", "2"]], right="1"))
    assert measure_chance_distance(parted, generator, n_draws=4000) == pytest.approx([1 / 3], abs=0.03)
