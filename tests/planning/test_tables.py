"""Plans of commands without a model: on a part of the run, in another folder."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from raml.cli import run as run_command
from raml.errors import RunError
from raml.planning import tables
from raml.planning.record import Duration
from raml.planning.tables import copy_part, plan_tables
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


def test_time_and_bytes_grow_in_a_straight_line_with_the_trajectories(run, monkeypatch):
    monkeypatch.setattr(tables, "LARGEST", 4)
    monkeypatch.setattr(tables, "measure_start", lambda: Duration(1, 1))
    monkeypatch.setattr(tables, "read_resident", lambda: 1000)
    n_read = []
    monkeypatch.setattr(tables, "read_peak", lambda: 2000 + 100 * n_read[-1])
    monkeypatch.setattr(tables, "measure_time", lambda call: call() or Duration(0.5 + n_read[-1], 2 * n_read[-1]))

    def command(parts):
        (part,) = parts
        n_read.append(len(Run(part).read_trajectories()))
        (part / "out").write_bytes(b"x" * 10 * n_read[-1])

    plan = plan_tables("report", [run.path], command)
    assert n_read == [2, 2, 4]
    assert plan.n_units == 12
    assert (plan.work.wall_s, plan.work.cpu_s) == (12.5, 24)
    assert plan.peak_bytes == 2000 + 1200
    assert plan.n_disk_bytes == 120


def test_a_run_without_trajectories_is_refused_as_the_command_refuses_it(tmp_path):
    folder = Run(tmp_path / "empty")
    folder.write_questions([Question("q", "What?", "2")])
    with pytest.raises(RunError, match="has no trajectories"):
        plan_tables("report", [folder.path], lambda parts: read_something(*parts))


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
