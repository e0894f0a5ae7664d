"""Averages, chances and savings behind the frontier, against hand arithmetic and slow definitions."""

from fractions import Fraction
from itertools import combinations
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.efficiency.outcomes import (
    FULL,
    NO_THINKING,
    Outcome,
    Resamples,
    average,
    collect_cells,
    compute_passes,
    compute_saving,
    estimate_saving,
    get_generated,
    get_right,
    get_thinking,
    is_decided,
    pair_outcomes,
)
from raml.stats import compute_pass_at_k, estimate_mean
from tests.efficiency.made_up import make_attempt, make_full

CUT = ("cut", "", 50.0)


def make_outcomes(shares, question_id="a"):
    """An outcome for each share of right draws."""
    return [
        Outcome(f"{question_id}{i}", question_id, Fraction(share), Fraction(1), Fraction(1), 1)
        for i, share in enumerate(shares)
    ]


def test_draws_are_averaged_within_their_trajectory_and_trajectories_within_their_question():
    """Question a: one trajectory right in 1 of 4 draws, one in its only draw: (1/4 + 1) / 2 = 5/8, not 2/5."""
    first, second, third = make_full("a", 0), make_full("a", 1), make_full("b", 0)
    attempts = [make_attempt(first, correct=i == 2, draw=i, n_thinking=10 * i) for i in range(4)]
    attempts += [make_attempt(second, n_thinking=25), make_attempt(third, correct=False)]
    cell = collect_cells([first, second, third], attempts)[CUT]
    assert average(cell.outcomes, get_right) == {"a": Fraction(5, 8), "b": 0}
    assert average(cell.outcomes, get_thinking) == {"a": 20, "b": 50}  # (0 + 10 + 20 + 30) / 4 = 15, and 25
    assert average(cell.outcomes, get_generated) == {"a": 55, "b": 55}
    assert [outcome.n_draws for outcome in cell.outcomes] == [4, 1, 1]


def test_trajectories_as_they_are_become_the_points_full_and_no_thinking():
    trajectories = [make_full("a", 0, reasoning_len=80), make_full("a", 0, False, 3, 9, mode="nothink")]
    cells = collect_cells(trajectories, [])
    assert list(cells) == [FULL, NO_THINKING]
    (full,), (short,) = cells[FULL].outcomes, cells[NO_THINKING].outcomes
    assert (full.right, full.n_thinking, full.n_generated) == (1, 80, 90)
    assert (short.right, short.n_thinking, short.n_generated) == (0, 3, 12)


def test_points_come_in_the_order_of_methods_variants_and_levels():
    full = make_full()
    keys = [("random", "own", 0.5), ("cut", "", 64.0), ("cut", "", 8.0), ("prune", "own", 0.5), ("prune", "gold", 0.75)]
    attempts = [make_attempt(full, method=m, variant=v, level=at) for m, v, at in keys]
    expected = [FULL, ("cut", "", 8.0), ("cut", "", 64.0), ("prune", "gold", 0.75), ("prune", "own", 0.5), keys[0]]
    assert list(collect_cells([full], attempts)) == expected


def test_what_does_not_count_is_left_out_and_counted():
    known, unknown, other = make_full("a", 0), make_full("a", 1, correct=None), make_full("b", 0, correct=None)
    alone = make_full("b", 0, mode="nothink")
    attempts = [
        make_attempt(known),
        make_attempt(known, correct=None, draw=1),
        make_attempt(unknown),
        make_attempt(known, method="summary", correct=False, answer=None, error="Nothing is left.", leaked=True),
        make_attempt(make_full("c")),
    ]
    cells = collect_cells([known, unknown, other, alone], attempts)
    assert {key[0]: (len(cell.outcomes), cell.n_left_out, cell.n_leaked) for key, cell in cells.items()} == {
        "full": (1, 2, 0),
        "no-thinking": (0, 1, 0),  # its question has no thinking one that counts
        "cut": (1, 2, 0),  # one undecided, one of a trajectory that is; that of question c belongs nowhere
        "summary": (0, 1, 1),
    }


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({}, True),
        ({"correct": False, "answer": None}, True),  # no answer is a wrong one
        ({"correct": False, "error": "It divided by zero."}, True),  # what a program did wrong
        ({"correct": None}, False),
        ({"correct": False, "answer": None, "error": "Nothing was left."}, False),
    ],
)
def test_an_attempt_counts_unless_it_is_undecided_or_failed(changes, counts):
    assert is_decided(make_attempt(make_full(), **changes)) is counts


def test_the_same_record_twice_counts_once_and_another_setting_is_a_further_draw():
    full = make_full()
    first = make_attempt(full, correct=True)
    other = make_attempt(full, correct=False, id="with another bridge")
    cell = collect_cells([full], [first, first, other])[CUT]
    assert cell.outcomes[0].n_draws == 2
    assert cell.outcomes[0].right == Fraction(1, 2)
    assert cell.n_repeated == 1


def test_the_question_of_an_attempt_is_its_trajectorys():
    cell = collect_cells([make_full("a")], [make_attempt(make_full("a"), question_id="misnamed")])[CUT]
    assert cell.outcomes[0].question_id == "a"


def test_pairs_are_the_trajectories_that_both_points_have():
    trajectories = [make_full("a", i) for i in range(3)] + [make_full("b", 0), make_full("a", 0, mode="nothink")]
    attempts = [make_attempt(trajectories[i]) for i in (0, 2)]
    attempts += [make_attempt(trajectories[i], method="wait") for i in (2, 3)]
    cells = collect_cells(trajectories, attempts)
    cut, wait = cells[CUT], cells["wait", "", 50.0]
    assert [[o.trajectory_id for o in side] for side in pair_outcomes(cut, cells[FULL])] == [["a0", "a2"]] * 2
    assert [[o.trajectory_id for o in side] for side in pair_outcomes(cut, wait)] == [["a2"]] * 2
    short, full = pair_outcomes(cells[NO_THINKING], cells[FULL])
    assert [o.trajectory_id for o in short] == ["a0n"]
    assert [o.trajectory_id for o in full] == ["a0", "a1", "a2"]


def test_pass_at_n_draws_once_from_each_of_n_trajectories():
    """Wrong in 1/2, 1/4 and 1 of their draws: pairs are wrong together in 1/8, 1/2 and 1/4, in the mean 7/24."""
    outcomes = make_outcomes([Fraction(1, 2), Fraction(3, 4), 0])
    assert compute_passes(outcomes, 1) == {"a": 1 - Fraction(7, 12)}
    assert compute_passes(outcomes, 2) == {"a": 1 - Fraction(7, 24)}
    assert compute_passes(outcomes, 3) == {"a": 1 - Fraction(1, 8)}
    assert compute_passes(outcomes, 4) == {}
    assert compute_passes([*outcomes, *make_outcomes([1], "b")], 3).keys() == {"a"}


@given(st.lists(st.booleans(), min_size=1, max_size=9), st.integers(1, 9))
def test_pass_at_n_of_single_draws_is_the_papers(right, n):
    n = min(n, len(right))
    assert compute_passes(make_outcomes(right), n) == {"a": compute_pass_at_k(len(right), sum(right), n)}


@given(st.lists(st.fractions(0, 1, max_denominator=4), min_size=1, max_size=6), st.integers(1, 6))
def test_pass_at_n_is_the_mean_over_all_choices_of_trajectories(shares, n):
    n = min(n, len(shares))
    by_choice = [1 - prod(1 - share for share in chosen) for chosen in combinations(shares, n)]
    assert compute_passes(make_outcomes(shares), n) == {"a": sum(by_choice, Fraction(0)) / len(by_choice)}


def test_a_saving_is_a_share_of_all_tokens_together():
    """50 of 100 and 50 of 300 tokens: 100 of 400 are left, though the mean of the two savings is 2/3."""
    ours, full = {"a": Fraction(50), "b": Fraction(50)}, {"b": Fraction(300), "a": Fraction(100)}
    assert compute_saving(ours, full) == Fraction(3, 4)
    made = estimate_saving("saved", ours, full, Resamples())
    # Linearised: 3/4 − (50 − 25) / 200 and 3/4 − (50 − 75) / 200.
    expected = estimate_mean("saved", [0.625, 0.875])
    assert (made.value, made.low, made.high) == pytest.approx((0.75, expected.low, expected.high))
    assert estimate_saving("saved", ours, {"a": Fraction(0), "b": Fraction(0)}, Resamples()) is None


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(1, 900)), min_size=1, max_size=8))
def test_the_estimate_of_a_saving_is_the_saving(pairs):
    ours = {str(i): Fraction(own) for i, (own, _) in enumerate(pairs)}
    full = {str(i): Fraction(all_) for i, (_, all_) in enumerate(pairs)}
    made = estimate_saving("saved", ours, full, Resamples(n_resamples=19))
    assert made.value == pytest.approx(1 - sum(own for own, _ in pairs) / sum(all_ for _, all_ in pairs), abs=1e-9)
    assert made.low <= made.value + 1e-9
    assert made.value <= made.high + 1e-9
