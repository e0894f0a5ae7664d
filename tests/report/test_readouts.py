"""Readouts in the page's data: what is carried, withheld, shortened and refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from raml.errors import DataError, NumericsError
from raml.report import build_report
from raml.report.payload import ANSWER_LIMIT
from tests.report.conftest import HOSTILE_PIECES, make_readout, make_run
from tests.report.test_build import decode, read_payload


def read_readouts(run):
    payload = read_payload(build_report(*run.records, readouts=run.readouts))
    return {t["id"]: t["readout"] for t in payload["trajectories"]}


def test_answers_are_carried_once_and_come_back_by_their_index(read_run):
    shown = read_readouts(read_run)
    for readout in read_run.readouts:
        in_page = shown[readout.trajectory_id]
        index = decode(in_page["index"], "u1")
        assert len(set(in_page["answers"])) == len(in_page["answers"])
        assert tuple(in_page["answers"][i] for i in index) == readout.answers
        assert tuple(in_page["correct"][i] for i in index) == readout.correct
        np.testing.assert_array_equal(decode(in_page["mean_logprob"], "<f4"), readout.mean_logprob)
        np.testing.assert_array_equal(decode(in_page["margin"], "<f4"), readout.margin)
    assert shown["sum-2"] is None
    assert shown["product-0"] is None


def test_prefix_lengths_are_carried_only_where_they_are_not_the_traces(read_run):
    shown = read_readouts(read_run)
    assert shown["sum-0"]["prefix_lens"] is None
    assert decode(shown["sum-1"]["prefix_lens"], "<i4").tolist() == [0, 3, 6]


def test_landmarks_are_in_the_page(read_run):
    # 3 3 5 – 5 5 5 5 over a reasoning of 7 tokens.
    in_page = read_readouts(read_run)["sum-0"]
    assert (in_page["first_right"], in_page["last_change"]) == (2, 4)
    assert in_page["overthinking"] == pytest.approx(3 / 7)


def test_more_answers_than_a_byte_can_count_keep_their_places(large_run):
    answers = [f"{n}" for n in range(2001)]
    in_page = read_readouts(large_run.but(readouts=(make_readout("large-0", answers, "5"),)))["large-0"]
    assert decode(in_page["index"], "<i4").tolist() == list(range(2001))
    assert in_page["answers"] == answers


def test_a_page_without_readouts_has_none_of_their_figures(run):
    payload = read_payload(build_report(*run.records))
    assert {t["readout"] for t in payload["trajectories"]} == {None}
    assert not any(figure["key"].startswith("median") for figure in payload["overview"])


def test_long_answers_are_shortened_and_two_that_begin_alike_stay_two():
    start = "7" * 1000
    run = make_run().but(readouts=(make_readout("sum-0", [start + str(n % 2) for n in range(8)], "5"),))
    in_page = read_readouts(run)["sum-0"]
    assert in_page["answers"] == ["7" * (ANSWER_LIMIT - 1) + "…"] * 2
    assert in_page["last_change"] == 7


def test_hostile_answers_come_back_as_text_without_lone_surrogates(hostile_run):
    (in_page,) = read_readouts(hostile_run).values()
    index = decode(in_page["index"], "u1")
    assert in_page["answers"][index[0]].startswith("</script><img src=x")
    assert in_page["answers"][index[7]] == "\ufffd"
    assert in_page["answers"][index[HOSTILE_PIECES.index("a\u2028b\u2029c")]] == "a b c"
    assert max(map(len, in_page["answers"])) <= ANSWER_LIMIT


def test_answers_of_a_withheld_question_are_withheld(read_run):
    readouts = tuple(replace(r, answers=tuple(a and "SECRET" + a for a in r.answers)) for r in read_run.readouts)
    questions = (replace(read_run.questions[0], redacted=True), read_run.questions[1])
    html = build_report(questions, *read_run.records[1:], readouts=readouts)
    assert "SECRET" not in html
    shown = {t["id"]: t["readout"] for t in read_payload(html)["trajectories"]}
    assert shown["sum-0"]["answers"] == ["withheld", "withheld", None]
    assert shown["sum-0"]["correct"] == [False, True, False]


@pytest.mark.parametrize(
    "change",
    [
        {"answers": ("5",) * 7},
        {"correct": (True,) * 9},
        {"margin": np.ones(3, np.float32)},
        {"prefix_lens": np.array([0, 1, 2, 3, 4, 5, 6, 10], np.int32)},
        {"prefix_lens": np.array([0, 1, 2, 2, 4, 5, 6, 7], np.int32)},
        {"prefix_lens": np.arange(1, 9, dtype=np.int32)},
    ],
    ids=str,
)
def test_a_readout_that_does_not_fit_its_trajectory_is_refused(read_run, change):
    readouts = (replace(read_run.readouts[0], **change),)
    with pytest.raises(DataError, match="readout-sum-0 of trajectory sum-0 of 9 tokens"):
        build_report(*read_run.records, readouts=readouts)


def test_a_readout_without_a_trace_by_the_same_model_is_refused(read_run):
    readout = read_run.readouts[0]
    other = replace(readout, model=replace(readout.model, dtype="bfloat16"))
    for wrong in (other, replace(readout, trajectory_id="sum-2"), replace(readout, trajectory_id="gone")):
        with pytest.raises(DataError, match="has no trace by the same model"):
            build_report(*read_run.records, readouts=(wrong,))


def test_a_second_readout_of_a_trajectory_is_refused(read_run):
    with pytest.raises(DataError, match="sum-0 has more than one readout"):
        build_report(*read_run.records, readouts=(read_run.readouts[0], replace(read_run.readouts[0], id="again")))


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_a_log_probability_that_is_not_finite_is_refused(read_run, value):
    readout = replace(read_run.readouts[0], mean_logprob=np.full(8, value, np.float32))
    with pytest.raises(NumericsError, match="readout-sum-0 of trajectory sum-0"):
        build_report(*read_run.records, readouts=(readout,))
