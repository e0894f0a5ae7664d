"""Plans of commands without a model: on a part of the run, in another folder."""

import os
import signal
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow.parquet as pq
import pytest

from raml.cli import run as run_command
from raml.errors import RunError
from raml.planning import tables
from raml.planning.record import Duration
from raml.planning.tables import Try, copy_part, plan_tables, try_command
from raml.records import Question, Trace, TraceSettings
from raml.store import Journal, Run


@pytest.fixture
def run(tmp_path, make_trajectory):
    """Six questions with two trajectories each, all traced."""
    folder = Run(tmp_path / "run")
    names = [f"q{i}" for i in range(6)]
    folder.write_questions([Question(name, f"What is {name}?", "2") for name in names])
    trajectories = [make_trajectory("one two. three four.", name, repeat) for name in names for repeat in range(2)]
    folder.write_trajectories(trajectories)
    with Journal(folder.traces_journal_path) as journal:
        for t in trajectories:
            nll = np.linspace(2, 1, 5, dtype=np.float32)[:, None]
            lens = np.arange(5, dtype=np.int32)
            journal.append([Trace(f"trace-{t.id}", t.id, t.model, TraceSettings(), "one-pass", (3,), (4,), lens, nll)])
    folder.close_traces()
    return folder


def test_a_part_has_all_trajectories_of_its_questions_and_what_is_about_them(run, tmp_path):
    part = Run(tmp_path / "part")
    assert copy_part(run.path, part.path, 3) == 4  # the third is of the second question, which has another one
    assert [t.question_id for t in part.read_trajectories()] == ["q0", "q0", "q1", "q1"]
    assert {t.trajectory_id for t in part.read_traces()} == {t.id for t in part.read_trajectories()}
    assert len(part.read_questions()) == 6


def test_rows_are_taken_from_every_row_group_whatever_is_between_them(run, tmp_path):
    traces = run.read_traces()
    pq.write_table(pq.read_table(run.traces_path), tmp_path / "small.parquet", row_group_size=3)
    wanted = [traces[i].trajectory_id for i in (0, 2, 3, 11)]
    tables._copy_rows(tmp_path / "small.parquet", tmp_path / "some.parquet", {*wanted, "nobody"})
    assert pq.read_table(tmp_path / "some.parquet")["trajectory_id"].to_pylist() == wanted
    tables._copy_rows(tmp_path / "small.parquet", tmp_path / "none.parquet", {"nobody"})
    assert pq.read_table(tmp_path / "none.parquet").num_rows == 0


def make_try(n):
    """A second, two of a processor, ten bytes on disk and a hundred in memory for each trajectory, beside the start."""
    return Try(n, Duration(0.5 + n, 1 + 2 * n), 2000 + 100 * n, 10 * n)


@pytest.fixture
def tried(monkeypatch):
    """Parts that are asked for, none of which is in truth tried; the run's twelve trajectories are many."""
    monkeypatch.setattr(tables, "WHOLE", 3)
    monkeypatch.setattr(tables, "PARTS", (1, 2, 4, 8))
    monkeypatch.setattr(tables, "measure_start", lambda: Duration(1, 1))
    monkeypatch.setattr(tables, "read_resident", lambda: 1000)
    asked = []
    monkeypatch.setattr(tables, "try_command", lambda _, runs, n, **__: asked.append(n) or make_try(n))
    return asked


def test_time_and_bytes_grow_in_a_straight_line_with_the_trajectories(run, tried):
    plan = plan_tables("report", [run.path], print)
    assert tried == [1, 2, 4, 8]
    assert plan.n_units == 12
    assert (plan.work.wall_s, plan.work.cpu_s) == (12.5, 25)
    assert plan.peak_bytes == 2000 + 1200
    assert plan.n_disk_bytes == 120


def test_the_line_goes_through_the_two_largest_parts(run, tried, monkeypatch):
    taken = {1: 10, 2: 20, 4: 30, 8: 34}
    monkeypatch.setattr(tables, "try_command", lambda _, runs, n, **__: replace(make_try(n), n_disk_bytes=taken[n]))
    assert plan_tables("report", [run.path], print).n_disk_bytes == 34 + 4


@pytest.mark.parametrize(
    ("limit", "parts", "n"),
    [(None, [1, 2, 4, 8], 12), (3, [3], 3), (4, [1, 2, 4], 4), (5, [1, 2, 4, 5], 5)],
    ids=["all", "so few that they are tried at once", "as many as a part", "fewer than the largest part"],
)
def test_no_more_is_tried_than_a_command_looks_at(run, tried, limit, parts, n):
    plan = plan_tables("report", [run.path], print, limit=limit)
    assert tried == parts
    assert plan.n_units == n
    assert plan.n_disk_bytes == 10 * n


def test_after_two_parts_none_is_tried_once_the_time_is_spent(run, tried, monkeypatch):
    monkeypatch.setattr(tables, "MAX_CPU_S", 1)
    plan_tables("report", [run.path], print)
    assert tried == [1, 2]


def test_a_part_that_came_out_larger_is_followed_by_a_larger_one(run, tried, monkeypatch):
    monkeypatch.setattr(tables, "try_command", lambda _, runs, n, **__: tried.append(n) or make_try(n + 5))
    assert plan_tables("report", [run.path], print).n_disk_bytes == 120
    assert tried == [1, 7]


def hold(n, part):
    """Hold so many bytes, and write some."""
    held = np.ones(n, np.uint8)
    (part / "written").write_bytes(held[:1].tobytes() * len(Run(part).read_trajectories()))


def test_a_try_knows_nothing_of_the_one_before(run):
    small = try_command(partial(hold, 1), [run.path], 4, tables=True)
    large = try_command(partial(hold, 300_000_000), [run.path], 4, tables=True)
    again = try_command(partial(hold, 1), [run.path], 12, tables=True)
    assert large.peak - small.peak == pytest.approx(300_000_000, rel=0.05)
    assert again.peak == pytest.approx(small.peak, rel=0.1)
    assert (small.n, small.n_disk_bytes, again.n_disk_bytes) == (4, 4, 12)


def end(_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_try_that_the_system_ends_is_told_of(run):
    with pytest.raises(RunError, match=r"Tried on 4 trajectories, .* ended by the system \(signal SIGKILL\)"):
        try_command(end, [run.path], 4, tables=True)


def test_a_run_without_trajectories_is_refused_as_the_command_refuses_it(tmp_path):
    folder = Run(tmp_path / "empty")
    folder.write_questions([Question("q", "What?", "2")])
    with pytest.raises(RunError, match="has no trajectories"):
        plan_tables("report", [folder.path], read_something)


def read_something(path):
    raise RunError(f"{path} has no trajectories.")


@pytest.mark.parametrize(("command", "flags"), [("report", []), ("curves", []), ("influence", ["--n-resamples", "9"])])
def test_a_plan_is_printed_and_nothing_is_done(run, command, flags, capsys):
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    assert run_command([command, str(run.path), *flags, "--plan"]) == 0
    printed = capsys.readouterr().out
    assert f"raml {command}:" in printed
    assert "memory" in printed
    assert "Nothing was done." in printed
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before
