import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.curves import group_curves, measure_parting, summarize_parting
from raml.errors import DataError

values = st.lists(st.floats(0, 5, width=32), min_size=2, max_size=10)


def part(make_trace, gold, own, lens=None, margin=0.1):
    return measure_parting(make_trace("t", gold, lens=lens), make_trace("t", own, "own", lens=lens), margin)


def test_curves_part_where_the_own_answer_stays_likelier_to_the_end(make_trace):
    """Apart at 10, together at 20, apart from 30 on."""
    found = part(make_trace, [1, 3, 1, 3, 4], [2, 1, 2, 1, 0], lens=[0, 10, 20, 30, 40])
    assert (found.first, found.parted, found.length) == (10, 30, 40)
    assert found.gold == (1, 4)
    assert found.own == (2, 0)


@pytest.mark.parametrize(
    ("gold", "own", "first", "parted"),
    [
        ([2, 2], [1, 1], 0, 0),  # the model leaned to its own answer all along
        ([2, 1], [1, 2], 0, None),  # and left it again
        ([1, 1], [1, 1], None, None),  # one answer has one curve
        ([1, 1.0625], [1, 1], None, None),  # a sixteenth of a nat is within the margin
    ],
)
def test_parting_from_the_start_and_never(make_trace, gold, own, first, parted):
    found = part(make_trace, gold, own)
    assert (found.first, found.parted) == (first, parted)


@given(values, st.data())
def test_parting_agrees_with_its_words(gold, data):
    from raml.records import ModelIdentity, Trace, TraceSettings

    own = data.draw(st.lists(st.floats(0, 5, width=32), min_size=len(gold), max_size=len(gold)))
    lens = np.arange(len(gold), dtype=np.int32)
    pair = [
        Trace(t, "t", ModelIdentity("m", None, "0", "f", "c"), TraceSettings(target=t), "one-pass", (1,), (2,), lens, n)
        for t, n in (("gold", np.array(gold, np.float32)[:, None]), ("own", np.array(own, np.float32)[:, None]))
    ]
    apart = [g - o > 0.25 for g, o in zip(gold, own, strict=True)]
    by_definition = [i for i in range(len(gold)) if all(apart[i:])]
    found = measure_parting(*pair, 0.25)
    assert found.parted == (min(by_definition) if by_definition else None)
    assert found.first == (apart.index(True) if any(apart) else None)


def test_traces_of_other_prefixes_or_trajectories_are_refused(make_trace):
    gold = make_trace("t", [1, 2, 3])
    for other in (make_trace("t", [1, 2], "own"), make_trace("u", [1, 2, 3], "own")):
        with pytest.raises(DataError, match="same prefixes of one trajectory"):
            measure_parting(gold, other, 0.1)


def test_only_wrong_trajectories_with_both_curves_are_measured_and_the_rest_is_counted(
    make_trajectory, make_trace, quick
):
    """Question a: one parts after 2 of 4 tokens, one never; b: one parts from the start."""
    cases = [
        ("a", False, "3", [1, 1, 2, 3, 4], [2, 2, 1, 0, 0]),
        ("a", False, "4", [1, 1], [2, 2]),
        ("b", False, "5", [2, 3], [1, 1]),
        ("b", False, None, [2, 3], None),  # gave no answer
        ("b", False, "6", None, [2, 3]),  # no trace of the gold answer
        ("b", None, "7", [1, 1], [1, 1]),  # undecided
        ("c", True, "2", [1, 0], [1, 0]),  # the gold answer itself
        ("c", True, "2.0", [1, 0], [2, 1]),  # in another form: right, so not looked at
    ]
    trajectories, traces = [], []
    for i, (question, correct, answer, gold, own) in enumerate(cases):
        trajectories.append(make_trajectory(question_id=question, repeat=i, correct=correct, answer=answer))
        name = trajectories[-1].id
        traces += [] if gold is None else [make_trace(name, gold)]
        traces += [] if own is None else [make_trace(name, own, "own", answer_ids=(7,) if answer == "2" else (8,))]
    (curves,) = group_curves(trajectories, traces, [])
    found = summarize_parting(curves, "think", quick)
    assert (found.n_wrong, found.n_unanswered, found.n_untraced, found.n_undecided) == (3, 1, 1, 1)
    assert (found.n_right, found.n_same_text) == (2, 1)
    assert found.parts.value == 0.75  # (½ + 1)/2
    assert found.parted_at_start.value == 0.5
    assert found.tokens.value == 1  # (2 + 0)/2, over those that part
    assert found.place.value == 0.25  # (2/4 + 0)/2
    assert found.losses["gold at the end"].value == (2.5 + 3) / 2
    assert found.losses["own at the end"].value == (1 + 1) / 2
    assert summarize_parting(curves, "nothink", quick) is None


def test_without_wrong_trajectories_counts_stay_and_estimates_are_none(make_trajectory, make_trace, quick):
    trajectory = make_trajectory(answer="2")
    (curves,) = group_curves([trajectory], [make_trace(trajectory.id, [1, 0], t) for t in ("gold", "own")], [])
    found = summarize_parting(curves, "think", quick)
    assert (found.n_wrong, found.n_right) == (0, 1)
    assert found.parts is found.tokens is found.place is None
    assert found.losses == {}
