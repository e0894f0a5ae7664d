"""Influences, resamplings and attempts: they come back as they were, and in the order of the trajectories."""

import dataclasses
import math

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from raml.records import (
    Attempt,
    Influence,
    InfluenceSettings,
    ModelIdentity,
    Resampling,
    ResamplingSettings,
    check_record,
)
from raml.store import Journal, Run, read_jsonl
from raml.store.lines import encode_line
from raml.store.tables import read_table, write_table
from tests.store.test_store import QUESTIONS

MODEL = ModelIdentity("m", None, None, "auto", "served")
INFLUENCE = Influence(
    id="i",
    trajectory_id="q0-0",
    model=MODEL,
    settings=InfluenceSettings(words=("“wait”", "a|b")),
    trace_id="t",
    prefix_lens=np.array([0, 3, 4, 9], np.int32),
    change=np.array([-1.5, 0.0, 1e-30], np.float32),
    relative=np.array([math.inf, math.nan, 0.25], np.float32),
    log_change=np.array([-0.0, math.nan, 7.0], np.float32),
    parts=("number", "word", "other"),
    words=(None, "“wait”", None),
)
RESAMPLING = Resampling(
    id="r",
    trajectory_id="q0-0",
    model=MODEL,
    settings=ResamplingSettings(n=3),
    prefix_lens=np.array([1, 8], np.int32),
    loss=np.array([2.5, 0.0], np.float32),
    own_loss=np.array([math.nan, math.inf], np.float32),
    answers=(("14", None, ""), ("\u2028", "“odd”", None)),
    correct=((True, False, None), (None, False, None)),
    n_written=((3, 0, 17), (2**31 - 1, 1, 1)),
)
ATTEMPT = Attempt("a", "q0-0", "q0", MODEL, "cut", "", 64.0, 0, 64, 80, "14", True, "right")
EMPTY = {"answers": (), "correct": (), "n_written": (), **dict.fromkeys(("loss", "own_loss"), np.zeros(0, np.float32))}


def assert_same(record, other):
    for field in dataclasses.fields(record):
        ours, theirs = getattr(record, field.name), getattr(other, field.name)
        if isinstance(ours, np.ndarray):
            assert ours.dtype == theirs.dtype, field.name
            assert ours.tobytes() == theirs.tobytes(), field.name
        else:
            assert ours == theirs, field.name


@pytest.mark.parametrize(
    "record",
    [
        INFLUENCE,
        dataclasses.replace(
            INFLUENCE,
            prefix_lens=np.zeros(1, np.int32),
            **dict.fromkeys(("change", "relative", "log_change"), np.zeros(0, np.float32)),
            **dict.fromkeys(("parts", "words"), ()),
        ),
        RESAMPLING,
        dataclasses.replace(RESAMPLING, prefix_lens=np.zeros(0, np.int32), **EMPTY),
        dataclasses.replace(RESAMPLING, answers=((), ()), correct=((), ()), n_written=((), ())),
    ],
    ids=["influence", "no step", "resampling", "no border", "no continuation"],
)
def test_each_comes_back_bit_for_bit_from_both_formats(tmp_path, record):
    write_table(tmp_path / "x.parquet", [record, record], type(record))
    (tmp_path / "x.jsonl").write_bytes(encode_line(record) * 2)
    for read in (
        read_table(tmp_path / "x.parquet", type(record)),
        read_jsonl(tmp_path / "x.jsonl", type(record)),
    ):
        assert len(read) == 2
        assert_same(record, read[1])


def test_a_resampling_from_before_lengths_were_kept_has_none(tmp_path):
    write_table(tmp_path / "new.parquet", [RESAMPLING], Resampling)
    pq.write_table(pq.read_table(tmp_path / "new.parquet").drop_columns("n_written"), tmp_path / "old.parquet")
    old = dataclasses.replace(RESAMPLING, n_written=())
    assert_same(old, read_table(tmp_path / "old.parquet", Resampling)[0])
    plain = msgspec.json.decode(encode_line(RESAMPLING))
    del plain["n_written"], plain["crc"]
    (tmp_path / "old.jsonl").write_bytes(msgspec.json.encode(plain) + b"\n")
    assert_same(old, read_jsonl(tmp_path / "old.jsonl", Resampling)[0])


@pytest.mark.parametrize("n_written", [((1, 2, 3),), ((1, 2, 3), (1, 2)), ((1, 2, 3), (1, 2, -1))])
def test_lengths_that_can_not_be_are_refused(n_written):
    with pytest.raises(ValueError, match=r"lengths as answers|n_written"):
        check_record(dataclasses.replace(RESAMPLING, n_written=n_written))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"answer": None, "correct": None, "verdict": "undecided", "error": "“odd” \u2028 text", "loss": 0.0},
        {"method": "prune", "kept": ((0, 3), (5, 9)), "text": "", "loss": 1e-30, "level": 0.1, "leaked": True},
    ],
)
def test_attempts_come_back_from_jsonl_as_they_were(tmp_path, changes):
    attempt = dataclasses.replace(ATTEMPT, **changes)
    (tmp_path / "x.jsonl").write_bytes(encode_line(attempt))
    assert read_jsonl(tmp_path / "x.jsonl", Attempt) == [attempt]


def test_a_loss_that_is_no_number_comes_back_as_unknown(tmp_path):
    """JSON has no NaN; unknown is null there."""
    (tmp_path / "x.jsonl").write_bytes(encode_line(dataclasses.replace(ATTEMPT, loss=math.nan)))
    assert read_jsonl(tmp_path / "x.jsonl", Attempt) == [dataclasses.replace(ATTEMPT, loss=None)]


@pytest.fixture
def run(tmp_path, make_trajectory):
    """Three questions in the order 2, 0, 1, with one trajectory each."""
    folder = Run(tmp_path / "run")
    folder.write_questions([QUESTIONS[i] for i in (2, 0, 1)])
    folder.write_trajectories([make_trajectory(question_id=f"q{i}") for i in range(3)])
    return folder


@pytest.mark.parametrize("record", [INFLUENCE, RESAMPLING], ids=["influence", "resampling"])
def test_closing_puts_records_into_the_order_of_the_trajectories(run, record):
    """A record of a trajectory that is no longer there comes last."""
    name = {Influence: "influences", Resampling: "resamplings"}[type(record)]
    order = ["gone-0", "q1-0", "q2-0", "q0-0"]
    made = [dataclasses.replace(record, id=f"{i}", trajectory_id=t) for i, t in enumerate(order)]
    with Journal(getattr(run, f"{name}_journal_path")) as journal:
        journal.append(made)
    assert [r.trajectory_id for r in getattr(run, f"read_{name}")()] == order
    closed = getattr(run, f"close_{name}")()
    assert [r.trajectory_id for r in closed] == ["q2-0", "q0-0", "q1-0", "gone-0"]
    assert [r.id for r in getattr(run, f"read_{name}")()] == [r.id for r in closed]
    assert not getattr(run, f"{name}_journal_path").exists()


def test_attempts_are_ordered_by_trajectory_method_variant_level_and_draw(run):
    changes = [
        {"trajectory_id": "q2-0", "method": "wait"},
        {"trajectory_id": "q0-0", "variant": "a", "level": 128.0},
        {"trajectory_id": "q0-0", "variant": "b", "level": 8.0},
        {"trajectory_id": "q0-0", "variant": "b", "level": 64.0, "draw": 0},
        {"trajectory_id": "q0-0", "variant": "b", "level": 64.0, "draw": 1},
        {"trajectory_id": "gone", "method": "cut"},
    ]
    expected = [dataclasses.replace(ATTEMPT, id=f"{i}", **own) for i, own in enumerate(changes)]
    contents = set()
    for order in (expected, expected[::-1]):
        run.attempts_path.unlink(missing_ok=True)
        with Journal(run.attempts_path) as journal:
            journal.append(order)
        assert run.order_attempts() == expected
        assert run.read_attempts() == expected
        contents.add(run.attempts_path.read_bytes())
    assert len(contents) == 1


def test_summaries_are_ordered_by_the_trajectory_that_they_are_of(run, make_trajectory):
    """A summary's question is the trajectory; then come the summarising model and the repeat."""
    other = ModelIdentity("z", None, "00", "float32", "cpu")
    expected = [
        make_trajectory(question_id="q2-0"),
        make_trajectory(question_id="q0-0", repeat=0),
        make_trajectory(question_id="q0-0", repeat=1),
        make_trajectory(question_id="q0-0", repeat=0, model=other, id="of z"),
        make_trajectory(question_id="gone"),
    ]
    with Journal(run.summaries_path) as journal:
        journal.append(expected[::-1])
    assert run.order_summaries() == expected
    assert run.read_summaries() == expected


def test_a_run_without_attempts_or_summaries_has_none(run):
    assert run.read_attempts() == run.read_summaries() == []
    assert run.read_influences() == run.read_resamplings() == []
