import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.curves import CurveSettings, compare_modes, group_curves, measure_descent
from raml.curves.descent import average_over_share, average_over_tokens
from raml.errors import DataError

losses = st.lists(st.floats(0, 20, width=32), min_size=1, max_size=12)


def measure(values, lens=None, **settings):
    return measure_descent(
        np.arange(len(values)) if lens is None else np.array(lens), values, CurveSettings(**settings)
    )


def test_half_and_nine_tenths_of_a_fall_are_reached_where_hand_arithmetic_says():
    """From 4 down to 1 is a fall of 3: half is 1.5, so L̂ 2.5 at 20 tokens; 90 % is 2.7, so L̂ ≤ 1.3, at 30."""
    found = measure([4, 3, 2.5, 1, 2], lens=[0, 10, 20, 30, 40])
    assert (found.start, found.end, found.lowest, found.length) == (4, 2, 1, 40)
    assert (found.half, found.most) == (20, 30)
    assert found.falls


def test_a_curve_that_comes_down_by_no_more_than_the_margin_has_no_speed():
    rising, barely = measure([1, 2, 3]), measure([1, 0.9375], margin=0.0625)
    for found in (rising, barely):
        assert not found.falls
        assert math.isnan(found.half)
    assert (rising.lowest, barely.lowest) == (1, 0.9375)
    assert measure([1, 0.9375], margin=0.05).most == 1


@given(losses, st.floats(0.01, 1))
def test_the_search_agrees_with_a_loop_over_all_prefixes(values, share):
    found = measure(np.array(values), share=share)
    fall = values[0] - min(values)
    assert found.falls == (fall > 0.1)
    if found.falls:
        assert found.most == next(i for i, value in enumerate(values) if values[0] - value >= share * fall)
        assert found.half == next(i for i, value in enumerate(values) if values[0] - value >= 0.5 * fall)
        assert (found.half <= found.most) == (share >= 0.5) or found.half == found.most


@given(losses, st.integers(2, 5))
def test_longer_steps_and_a_higher_level_change_lengths_alone(values, times):
    """Whole numbers, so that the shift is exact."""
    whole = np.round(values)
    plain = measure(whole)
    moved = measure(whole + 8, lens=np.arange(len(values)) * times)
    assert moved.start - plain.start == moved.lowest - plain.lowest == 8
    assert moved.most == plain.most * times or (math.isnan(moved.most) and math.isnan(plain.most))


@pytest.mark.parametrize(("lens", "values"), [([], []), ([0], []), ([1, 2], [3, 4])])
def test_a_curve_that_does_not_begin_at_prefix_0_is_refused(lens, values):
    with pytest.raises(DataError, match="from 0 on"):
        measure(values, lens=lens)


@pytest.fixture
def both_modes(make_trajectory, make_trace):
    """Two questions with both modes, one with thinking alone.

    a: thinking 4 → 0 over 4 tokens and 4 → 2 over 2; no-thinking 3 → 2 over 1.
    b: thinking 2 → 1 over 2; no-thinking 2 → 3 over 1, which never falls.
    """
    curves = [
        ("a", "think", True, [4, 3, 2, 1, 0]),
        ("a", "think", False, [4, 3, 2]),
        ("a", "nothink", True, [3, 2]),
        ("b", "think", True, [2, 1.5, 1]),
        ("b", "nothink", False, [2, 3]),
        ("c", "think", None, [1, 0]),
    ]
    trajectories, traces = [], []
    for i, (question, mode, correct, values) in enumerate(curves):
        trajectories.append(make_trajectory(question_id=question, repeat=i, mode=mode, correct=correct))
        traces.append(make_trace(trajectories[-1].id, values))
    (curves,) = group_curves(trajectories, traces, [])
    return curves


def test_modes_are_compared_on_means_of_the_questions_that_have_both(both_modes, quick):
    compared = compare_modes(both_modes, quick)
    assert (compared.n_questions, compared.n_unpaired) == (2, 1)
    by_name = {made.measure: made for made in compared.contrasts}
    values = {name: (made.think.value, made.nothink.value, made.difference.value) for name, made in by_name.items()}
    assert values["L̂ at the start"] == (3, 2.5, -0.5)  # (4 + 2)/2 and (3 + 2)/2
    assert values["L̂ at the end"] == (1, 2.5, 1.5)  # ((0 + 2)/2 + 1)/2 and (2 + 3)/2
    assert values["lowest L̂"] == (1, 2, 1)
    assert values["tokens followed"] == (2.5, 1, -1.5)
    assert values["L̂ after as many tokens"] == (2.25, 2.5, 0.25)  # after 1 token: (3 + 1.5)/2
    assert values["accuracy"] == (0.75, 0.5, -0.25)  # (½ + 1)/2 and (1 + 0)/2
    # b's no-thinking curve never falls, so a alone has a speed: thinking 4 and 2 tokens, no-thinking 1
    assert values["tokens to 90 % of the fall"] == (3, 1, -2)
    assert by_name["tokens to 90 % of the fall"].difference.n_questions == 1
    assert all(made.p_holm >= made.p for made in compared.contrasts)


def test_how_often_no_thinking_ends_above_is_counted_in_pairs(both_modes, quick):
    """a: 2 against 0 and against 2, one of two; b: 3 against 1, the only one."""
    assert compare_modes(both_modes, quick).above.value == 0.75


def test_curves_that_never_fall_or_end_higher_are_counted_by_mode(both_modes, quick):
    think, nothink = compare_modes(both_modes, quick).modes
    assert (think.n_trajectories, think.n_traced, think.n_flat, think.n_higher) == (4, 4, 0, 0)
    assert (nothink.n_trajectories, nothink.n_traced, nothink.n_flat, nothink.n_higher) == (2, 2, 1, 1)


def test_without_a_question_in_both_modes_nothing_is_compared(both_modes, quick):
    del both_modes.gold["a-2"], both_modes.gold["b-4"]
    assert compare_modes(both_modes, quick) is None


def test_mean_curves_are_means_within_questions_and_keep_the_last_value_of_those_that_ended(make_trajectory):
    trajectories = [make_trajectory(question_id=q, repeat=i) for i, q in enumerate("aab")]
    lines = [
        (np.array([0.0, 2.0]), np.array([4.0, 0.0])),
        (np.array([0.0, 4.0]), np.array([4.0, 2.0])),
        (np.array([0.0, 1.0]), np.array([1.0, 3.0])),
    ]
    over_tokens = average_over_tokens(trajectories, lines, np.array([0.0, 2.0, 4.0]))
    assert over_tokens.tolist() == [[4, 1.5, 1], [1, 3, 3]]  # (0 + 3)/2 after two tokens, (0 + 2)/2 after four
    over_share = average_over_share(trajectories, lines, np.array([0.0, 0.5, 1.0]))
    assert over_share.tolist() == [[4, 2.5, 1], [1, 2, 3]]
