import math
from dataclasses import replace

import numpy as np

from raml.curves import find_landmarks, group_curves, summarize_settling
from raml.curves.settling import SHARES, find_last_change, follow_readouts, list_changes


def test_landmarks_are_where_hand_arithmetic_says(make_trajectory, make_readout):
    """Right at 10 for a moment, then 3, and right from 30 on."""
    trajectory = make_trajectory(answer="2", correct=True)
    readout = make_readout(trajectory.id, ["1", "2", "3", "2", "2"], lens=[0, 10, 20, 30, 40])
    found = find_landmarks(readout, trajectory)
    assert (found.first_right, found.settled, found.last_change, found.length) == (10, 30, 30, 40)
    flags = found.right_at_start, found.ever_right, found.right_at_end, found.left_right, found.agrees
    assert flags == (False, True, True, False, True)
    assert list_changes(readout) == [10, 20, 30]


def test_a_right_answer_that_is_given_up_is_noted(make_trajectory, make_readout):
    trajectory = make_trajectory(answer="3", correct=False)
    found = find_landmarks(make_readout(trajectory.id, ["2", "2", "3"]), trajectory)
    assert (found.first_right, found.settled, found.last_change) == (0, None, 2)
    assert (found.left_right, found.agrees) == (True, True)


def test_an_answer_that_never_changes_settled_before_the_first_token(make_trajectory, make_readout):
    trajectory = make_trajectory(answer="9", correct=False)
    found = find_landmarks(make_readout(trajectory.id, ["9", "9"]), trajectory)
    assert (found.last_change, found.first_right, found.ever_right, found.left_right) == (0, None, False, False)


def test_two_right_answers_are_one_whatever_their_form_unless_texts_alone_decide(make_readout):
    readout = make_readout("t", ["\\frac{4}{2}", "2"], [True, True])
    assert list_changes(readout) == []
    assert list_changes(readout, by_text=True) == [1]
    assert find_last_change(readout, by_text=True) == 1


def test_no_answer_is_an_answer_of_its_own(make_readout):
    assert list_changes(make_readout("t", [None, None, "1", None])) == [2, 3]


def test_what_could_not_be_decided_is_unknown_and_not_wrong(make_trajectory, make_readout):
    trajectory = make_trajectory(answer="5", correct=None)
    found = find_landmarks(make_readout(trajectory.id, ["4", "5"], [None, None]), trajectory)
    assert found.right_at_start is found.ever_right is found.right_at_end is found.left_right is None
    assert found.agrees is True
    half = find_landmarks(make_readout(trajectory.id, ["2", "5"], [True, None]), trajectory)
    assert (half.ever_right, half.left_right) == (True, None)


def test_the_last_readout_agrees_with_the_stated_answer_by_value(make_trajectory, make_readout):
    def agree(stated, correct, said, right):
        trajectory = make_trajectory(answer=stated, correct=correct)
        return find_landmarks(make_readout(trajectory.id, [said], [right]), trajectory).agrees

    assert agree("2", True, "\\frac{4}{2}", True) is True
    assert agree("2", True, "3", False) is False
    assert agree("3.0", False, "3", False) is True
    assert agree(None, False, "3", False) is None


def test_rows_are_means_over_questions_by_verdict(make_trajectory, make_readout, quick):
    """a: right, settles after 1 of 2 and after 0 of 4; b: wrong, last change after 3 of 3, and left a right answer."""
    trajectories = [
        make_trajectory(question_id="a", repeat=0, answer="2", correct=True),
        make_trajectory(question_id="a", repeat=1, answer="2", correct=True),
        make_trajectory(question_id="b", repeat=0, answer="3", correct=False),
    ]
    readouts = [
        make_readout("a-0", ["1", "2", "2"]),
        make_readout("a-1", ["2", "2", "2", "2", "2"]),
        make_readout("b-0", ["1", "2", "2", "3"]),
    ]
    (curves,) = group_curves(trajectories, [], readouts)
    rows = {row.group: row for row in summarize_settling(curves, "think", quick)}
    assert [row.n_readouts for row in rows.values()] == [2, 1, 3]
    right, wrong, every = ({name: made.value for name, made in row.means.items()} for row in rows.values())
    assert right["settled"] == right["last change"] == 0.25  # (½ + 0)/2
    assert right["after the last change"] == right["after settling"] == 0.75
    assert right["last change, tokens"] == 0.5
    assert "settled" not in wrong
    assert (wrong["first right, tokens"], wrong["last change"], wrong["left a right answer"]) == (1, 1, 1)
    assert every["after the last change"] == 0.375  # (0.75 + 0)/2
    assert (every["right at the start"], every["right at the end"], every["ever right"]) == (0.25, 0.5, 1)
    assert set(SHARES) <= every.keys()
    assert all(0 <= made.low <= made.high <= 1 for name, made in rows["all"].means.items() if "tokens" not in name)


def test_reasoning_without_a_token_has_no_places_and_is_counted(make_trajectory, make_readout, quick):
    trajectory = make_trajectory(answer="2", reasoning_len=0)
    (curves,) = group_curves([trajectory], [], [make_readout(trajectory.id, ["2"])])
    row = summarize_settling(curves, "think", quick)[-1]
    assert row.n_empty == 1
    assert "last change" not in row.means
    assert row.means["right at the end"].value == 1
    followed = follow_readouts(curves, [trajectory], np.array([0.0, 1.0]))
    assert all(values.shape == (0, 2) for values in followed.values())


def test_what_has_happened_by_a_share_of_the_length_never_shrinks_and_stays_below_one(make_trajectory, make_readout):
    trajectories = [make_trajectory(question_id="a", repeat=i) for i in range(2)]
    readouts = [
        make_readout("a-0", ["1", "2", "3", "2"], lens=[0, 3, 6, 10]),
        make_readout("a-1", ["1"] * 2, lens=[0, 5]),
    ]
    (curves,) = group_curves(trajectories, [], readouts)
    followed = follow_readouts(curves, trajectories, np.array([0, 0.3, 0.6, 0.9, 1]))
    assert followed["first right"].tolist() == [[0, 0.5, 0.5, 0.5, 0.5]]
    assert followed["settled"].tolist() == [[0, 0, 0, 0, 0.5]]
    assert followed["last change"].tolist() == [[0.5, 0.5, 0.5, 0.5, 1]]
    assert followed["accuracy"].tolist() == [[0, 0.5, 0, 0, 0.5]]


def test_undecided_readouts_leave_a_gap_in_the_accuracy(make_trajectory, make_readout):
    trajectory = make_trajectory()
    readout = replace(make_readout(trajectory.id, ["1", "2"]), correct=(None, True))
    (curves,) = group_curves([trajectory], [], [readout])
    first, last = follow_readouts(curves, [trajectory], np.array([0.0, 1.0]))["accuracy"][0]
    assert math.isnan(first)
    assert last == 1
