"""What a stage's end takes, where some or all of its records are there already."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from raml.errors import DataError
from raml.planning import tracing, units
from raml.planning.assembly import Work, assemble
from raml.planning.generation import plan_sample
from raml.planning.load import Load
from raml.planning.record import Duration
from raml.planning.rehearsal import Piece
from raml.planning.rewriting import Continuing
from raml.planning.standing import Closing, take_standing
from raml.planning.tracing import plan_trace
from raml.probes import stream_probes
from raml.probes.resampling import resample_trajectory
from raml.records import (
    PromptSettings,
    Question,
    Readout,
    ReadoutSettings,
    ResamplingSettings,
    TraceSettings,
    UpdateSettings,
    check_record,
)
from raml.sampling import plan_samples, resolve_sampling, stream_trajectories
from raml.store.lines import encode_line
from raml.updates.compile import compile_trajectory


@pytest.fixture(scope="module")
def some(tiny):
    """Two questions, and a trajectory of each."""
    questions = [Question("a", "What is 2 + 3?", "5"), Question("b", "What is 4 + 4?", "8")]
    sampling = resolve_sampling(tiny, None)
    units = plan_samples(tiny, questions, 1, prompt=PromptSettings(), settings=sampling)
    made = [t for batch in stream_trajectories(tiny, units, settings=sampling) for t in batch]
    return {question.id: question for question in questions}, made


def fail():
    raise DataError("a piece was run")


def test_where_nothing_is_to_be_made_the_end_counts_and_nothing_is_rehearsed(tiny):
    work = Work("trace", 0, "traces", [], (), 0)
    closing = Closing(Duration(3, 4), 5000, 60)
    plan = assemble(tiny, take_standing(tiny), work, [Piece(Load(rows=1), fail)], lambda: closing)
    assert plan.work == Duration(3, 4)
    assert plan.n_disk_bytes == 60
    assert plan.host[-1].n_bytes == 5000


@pytest.mark.parametrize("n_done", [0, 1, 2])
def test_traces_that_are_there_are_drawn_too(tiny, some, n_done, monkeypatch):
    monkeypatch.setattr(tracing, "ROWS_OF_PIECES", (64,))
    questions, trajectories = some
    settings = TraceSettings(every=8)
    outcomes = [one for batch in stream_probes(tiny, trajectories, questions, settings) for one in batch]
    done = {trace.id for one in outcomes[:n_done] for trace in one.traces}
    drawn = []
    plan = plan_trace(
        tiny, trajectories, questions, settings, done=done, draw=lambda _, traces: drawn.append([*traces])
    )
    assert plan.n_units == 2 - n_done
    (traces,) = drawn
    assert [trace.id for trace in traces] == [trace.id for one in outcomes for trace in one.traces]
    assert [trace.nll.shape for trace in traces] == [trace.nll.shape for one in outcomes for trace in one.traces]


def test_readouts_are_stored_with_as_many_tokens_as_in_the_rehearsal(tiny, some, monkeypatch):
    stored = []
    monkeypatch.setattr(tracing, "ROWS_OF_PIECES", (64,))
    monkeypatch.setattr(tracing, "store_records", lambda _, records: stored.extend(records))
    readout = ReadoutSettings(every=8, max_new_tokens=4)
    plan = plan_trace(tiny, some[1], some[0], TraceSettings(every=8), readout=readout)
    readouts = [record for record in stored if isinstance(record, Readout)]
    n_prefixes = sum(len(record.prefix_lens) for record in readouts)
    n_written = sum(len(ids) for record in readouts for ids in record.token_ids)
    assert len(readouts) == 2
    assert 0 < plan.tokens_written <= plan.most_written == 4 * n_prefixes
    assert n_written == pytest.approx(plan.tokens_written, abs=n_prefixes / 2)


def test_where_all_units_are_there_they_are_what_is_stored_and_drawn(tiny, some, monkeypatch):
    there = [SimpleNamespace(id=f"of-{key}", trajectory_id=key) for key in (some[1][0].id, some[1][1].id, "another")]
    closed, stored = [], []
    monkeypatch.setattr(units, "store_records", lambda _, records: stored.extend(records))
    whole = units.Rehearsed(lambda _, t: [(f"of-{t.id}", fail)], lambda *_: Load(rows=1))
    plan = units.plan_units(
        "update",
        tiny,
        some[1],
        whole,
        lambda _: whole,
        read=lambda: there,
        parts=lambda *_: (),
        unit="updates",
        close=lambda _, trajectories, records: closed.append((trajectories, records)),
    )
    assert plan.n_units == 0
    assert plan.work.cpu_s > 0
    assert stored == there[:2]
    assert closed == [(some[1], there[:2])]


def test_at_the_end_of_sampling_all_trajectories_are_written(tiny, some):
    questions, trajectories = some
    sampling = resolve_sampling(tiny, None)
    one, four = (
        plan_samples(tiny, [*questions.values()], n, prompt=PromptSettings(), settings=sampling) for n in (1, 4)
    )
    done = {trajectory.id for trajectory in trajectories}
    written = sum(len(encode_line(trajectory)) for trajectory in trajectories)
    nothing = plan_sample(tiny, one, sampling, done=done, trajectories=trajectories)
    more = plan_sample(tiny, four, sampling, batch_size=1, done=done, trajectories=trajectories)
    assert (nothing.n_units, more.n_units) == (0, 6)
    assert nothing.n_disk_bytes == pytest.approx(written, abs=3)
    assert more.n_disk_bytes == pytest.approx(4 * written, rel=0.3)


def test_made_up_resamplings_are_as_large_as_real_ones(tiny, some):
    settings = ResamplingSettings(n=2, max_borders=3)
    questions, (trajectory, _) = some
    real = resample_trajectory(
        tiny, trajectory, questions[trajectory.question_id], replace(settings, sampling=trajectory.sampling)
    )
    (made,) = Continuing(settings, 8, 20, None).make_records(tiny, [trajectory])
    check_record(made)
    assert made.prefix_lens.tolist() == real.prefix_lens.tolist()
    assert np.shape(made.answers) == np.shape(made.correct) == np.shape(made.n_written) == np.shape(real.n_written)
    assert made.n_written[0] == (len(trajectory.token_ids) - real.prefix_lens[0],) * 2
    assert len(encode_line(made)) == pytest.approx(len(encode_line(real)), rel=0.2)


def test_what_has_no_sentences_has_no_made_up_resampling(tiny, make_trajectory):
    assert (
        Continuing(ResamplingSettings(), 8, 20, None).make_records(tiny, [make_trajectory("", reasoning_len=0)]) == []
    )


def test_records_with_fewer_prefixes_are_stored_as_large_as_they_will_be(tiny, some):
    questions, (trajectory, _) = some
    few, many = (
        compile_trajectory(tiny, trajectory, questions[trajectory.question_id], UpdateSettings(n_prefixes=n))[0]
        for n in (3, 9)
    )
    (wide,) = units._widen([few], [trajectory], 9)
    check_record(wide)
    assert wide.prefix_lens.tolist() == many.prefix_lens.tolist()
    for name in ("loss", "residual", "gram", "weight_norm"):
        ours, real = getattr(wide, name), getattr(many, name)
        assert (ours.shape, ours.dtype) == (real.shape, real.dtype), name
    assert len(encode_line(wide)) == pytest.approx(len(encode_line(many)), rel=0.05)
