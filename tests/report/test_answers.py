"""Where the model's own answer is first right and where it changes for the last time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.report.answers import follow_answer
from raml.report.overview import summarize_run
from tests.report.conftest import make_readout, make_run


def follow(answers, gold, reasoning_len=None, prefix_lens=None):
    readout = make_readout("sum-0", answers, gold, prefix_lens)
    return follow_answer(readout, int(readout.prefix_lens[-1]) if reasoning_len is None else reasoning_len)


def test_first_right_last_change_and_overthinking_of_a_wavering_answer():
    # After 0…7 tokens; right ("5") first after 2, wrong again after 3, and from 4 on right: 3 of 7 tokens come after.
    path = follow(["3", "3", "5", "6", "5", "5", "5", "5"], gold="5")
    assert (path.first_right, path.last_change) == (2, 4)
    assert path.overthinking == pytest.approx(3 / 7)
    assert path.answers == ("3", "5", "6")
    assert path.correct == (False, True, False)
    assert path.index.tolist() == [0, 0, 1, 2, 1, 1, 1, 1]


def test_two_forms_of_the_right_answer_are_no_change_and_two_wrong_answers_are_one():
    readout = make_readout("sum-0", ["2", "14", "14.0", "14"], "14")
    readout = replace(readout, correct=(False, True, True, True))
    assert follow_answer(readout, 3).last_change == 1
    assert follow(["2", "3", "3"], gold="5").last_change == 1


def test_two_forms_of_a_wrong_answer_are_no_change_and_have_one_number():
    path = follow(["1,000", "1000", "1000.0", None, "2", "5"], gold="5")
    assert path.kinds == (0, 0, 0, 1, 2, 3)
    assert follow(["3", "1,000", "1000"], gold="5").last_change == 1
    readout = replace(make_readout("sum-0", ["5", "5.0", "4"], "5"), correct=(True, True, False))
    assert follow_answer(readout, 2).kinds == (0, 0, 1)


def test_white_space_is_no_change_but_having_no_answer_is():
    assert follow(["1 / 2", "1  /\n2", " 1 / 2 "], gold="5").last_change == 0
    path = follow(["1", None, None, None], gold="5")
    assert (path.last_change, path.overthinking, path.answers) == (1, pytest.approx(2 / 3), ("1", None))


def test_an_answer_that_never_changes_leaves_the_whole_reasoning_after_it():
    path = follow(["5", "5", "5"], gold="5")
    assert (path.first_right, path.last_change, path.overthinking) == (0, 0, 1.0)
    assert follow(["4", "4"], gold="5").first_right is None


def test_what_comes_after_the_reasoning_counts_for_nothing_but_is_listed():
    path = follow(["1", "2", "2", "5"], gold="5", reasoning_len=2)
    assert (path.first_right, path.last_change, path.overthinking) == (None, 1, 0.5)
    assert path.answers == ("1", "2", "5")
    assert path.index.tolist() == [0, 1, 1, 2]


def test_without_reasoning_there_is_no_overthinking():
    assert follow(["5"], gold="5").overthinking is None


def test_coarse_readouts_name_the_prefixes_that_were_read():
    path = follow(["1", "5", "5"], gold="5", prefix_lens=[0, 8, 10])
    assert (path.first_right, path.last_change, path.overthinking) == (8, 8, pytest.approx(0.2))


def test_an_undecided_answer_is_not_right():
    readout = replace(make_readout("sum-0", ["1", "x", "x"], "5"), correct=(False, None, None))
    path = follow_answer(readout, 2)
    assert (path.first_right, path.last_change, path.correct) == (None, 1, (False, None))


@given(st.lists(st.sampled_from(["5", "6", "7", None]), min_size=1, max_size=12))
def test_the_answer_is_the_same_from_the_last_change_on_and_another_one_just_before(answers):
    path = follow(answers, gold="5")
    assert len(set(answers[path.last_change :])) == 1
    assert path.last_change == 0 or answers[path.last_change - 1] != answers[path.last_change]
    assert [path.answers[i] for i in path.index] == answers
    if answers[-1] == "5":
        assert path.last_change == make_readout("sum-0", answers, "5").find_settled()


def medians_of(readouts, run=None):
    run = run or make_run()
    figures = summarize_run(run.questions, run.trajectories, run.traces, readouts)
    return {f.key: (f.value, f.detail) for f in figures if f.key.startswith("median")}


def test_overview_takes_medians_over_right_trajectories_alone():
    # sum-0: reasoning 7, right first after 3, last change after 5. product-0: reasoning 2, never right, change after 1.
    # sum-1 is wrong and does not count.
    readouts = (
        make_readout("sum-0", ["1", "1", "1", "5", "4", "5", "5", "5"], "5"),
        make_readout("sum-1", ["5"] * 7, "5"),
        make_readout("product-0", ["1", "2", "2"], "8"),
    )
    assert medians_of(readouts) == {
        "median_first_right": (3, "tokens, median of 1, 1 never"),
        "median_last_change": (3, "tokens, median of 2"),
        "median_overthinking": (pytest.approx((2 / 7 + 1 / 2) / 2), "median of 2"),
    }


def test_overview_leaves_no_thinking_trajectories_out_of_its_medians():
    run = make_run()
    short = replace(run.trajectories[3], mode="nothink")
    readouts = (make_readout("sum-0", ["1"] * 4 + ["5"] * 4, "5"), make_readout("product-0", ["8", "8", "8"], "8"))
    medians = medians_of(readouts, run.but(trajectories=(*run.trajectories[:3], short)))
    assert medians["median_first_right"] == (4, "tokens, median of 1")


def test_overview_without_readouts_or_right_trajectories_knows_no_medians():
    assert medians_of(()) == {}
    wrong = medians_of((make_readout("sum-1", ["5"] * 7, "5"),))
    assert set(wrong.values()) == {(None, "none read")}
    never = medians_of((make_readout("product-0", ["1", "2", "2"], "8"),))
    assert never["median_first_right"] == (None, "1 never")


def test_index_counts_up_in_the_order_of_appearance():
    np.testing.assert_array_equal(follow(["b", "a", "b", "c"], gold="5").index, [0, 1, 0, 2])
