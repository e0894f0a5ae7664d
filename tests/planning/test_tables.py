"""Plans of commands without a model: on a part of the run, in another folder."""

import os
import shutil
import signal
import tempfile
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow.parquet as pq
import pytest

from raml.cli import run as run_command
from raml.errors import DataError, RunError
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
    return Try(n, n, Duration(0.5 + n, 1 + 2 * n), 2000 + 100 * n, 10 * n)


@pytest.fixture
def tried(monkeypatch):
    """Parts that are asked for, none of which is in truth tried; the run's twelve trajectories are many."""
    monkeypatch.setattr(tables, "WHOLE", 3)
    monkeypatch.setattr(tables, "MAX_CPU_S", 1000)
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


def test_of_several_runs_parts_are_as_large_as_of_one(run, tried, monkeypatch):
    def try_some(_, runs, n, **__):
        tried.append(n)
        return replace(make_try(3 * n), largest=n)

    monkeypatch.setattr(tables, "try_command", try_some)
    plan = plan_tables("evaluate", [run.path] * 3, print)
    assert tried == [1, 2, 4, 8]
    assert plan.n_units == 36
    assert plan.n_disk_bytes == 360


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
    small = try_command(partial(hold, 1), [run.path], 4)
    large = try_command(partial(hold, 300_000_000), [run.path], 4)
    again = try_command(partial(hold, 1), [run.path], 12)
    assert large.peak - small.peak == pytest.approx(300_000_000, rel=0.05)
    assert again.peak == pytest.approx(small.peak, rel=0.1)
    assert (small.n, small.n_disk_bytes, again.n_disk_bytes) == (4, 4, 12)


def test_files_that_are_replaced_count_as_written(run, tmp_path):
    copy_part(run.path, tmp_path / "part", 12)
    assert try_command(rewrite, [run.path], 12).n_disk_bytes == Run(tmp_path / "part").traces_path.stat().st_size


def rewrite(part):
    part = Run(part)
    part.traces_path.write_bytes(part.traces_path.read_bytes())


def end(_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_try_that_the_system_ends_is_told_of_and_leaves_nothing(run, tmp_path, monkeypatch):
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    with pytest.raises(RunError, match=r"Tried on 4 trajectories, .* ended by the system \(signal SIGKILL\)"):
        try_command(end, [run.path], 4)
    assert not list((tmp_path / "scratch").iterdir())


def test_trajectories_beyond_the_limit_are_not_counted(run):
    assert try_command(rewrite, [run.path], 3, limit=3).n == 3


def test_a_line_that_a_kill_has_cut_off_is_left_out(run, tmp_path):
    with run.trajectories_path.open("ab") as file:
        file.write(b'{"v":1,"id":"q5-')
    assert copy_part(run.path, tmp_path / "part", 99) == 12
    assert len(Run(tmp_path / "part").read_trajectories()) == 12


def test_a_line_that_is_no_record_is_named(run, tmp_path):
    content = run.trajectories_path.read_bytes()
    run.trajectories_path.write_bytes(b'{"id":3}\n' + content)
    with pytest.raises(DataError, match=r"trajectories.jsonl has a line that is no record: .*raml check"):
        copy_part(run.path, tmp_path / "part", 99)


@pytest.mark.parametrize("words", ["report RUN", "curves RUN", "influence RUN", "evaluate RUN"])
def test_a_run_without_trajectories_is_refused_as_the_command_refuses_it(words, tmp_path, capsys):
    folder = Run(tmp_path / "empty")
    folder.write_questions([Question("q", "What?", "2")])
    command = [str(folder.path) if word == "RUN" else word for word in words.split()]
    assert run_command(command) == 2
    said = capsys.readouterr().err
    assert str(folder.path) in said or command[0] == "evaluate"
    assert run_command([*command, "--plan"]) == 2
    assert capsys.readouterr().err == said


def test_what_is_no_run_is_named_and_not_its_copy(tmp_path, capsys):
    for flags in ((), ("--plan",)):
        assert run_command(["report", str(tmp_path / "none"), *flags]) == 2
        assert f"{tmp_path / 'none'} has no questions.jsonl" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["curves", "influence"])
def test_a_limit_is_checked_before_anything_is_tried(run, command, capsys):
    assert run_command([command, str(run.path), "--limit", "0", "--plan"]) == 2
    assert "--limit is 0; it must be at least 1." in capsys.readouterr().err


@pytest.mark.parametrize("flags", [(), ("--plan",)], ids=["done", "planned"])
def test_a_run_without_responses_beside_one_with_them_is_refused_and_nothing_is_written(run, tmp_path, capsys, flags):
    other = Run(tmp_path / "other")
    other.write_questions(run.read_questions())
    before = list_all(tmp_path)
    assert run_command(["evaluate", str(run.path), str(other.path), "--k", "1", *flags]) == 2
    assert f"raml: {other.path} has no trajectories" in capsys.readouterr().err
    assert list_all(tmp_path) == before


def test_a_plan_of_several_runs_is_of_all(run, tmp_path, capsys):
    shutil.copytree(run.path, tmp_path / "other")
    assert run_command(["evaluate", str(run.path), str(tmp_path / "other"), "--k", "1", "--plan"]) == 0
    assert "trajectories         24  looked at" in capsys.readouterr().out


def test_a_plan_to_shorten_without_a_model_is_printed(run, capsys, make_trajectory):
    short = [make_trajectory("no.", f"q{i}", 2, id=f"short-{i}", mode="nothink") for i in range(6)]
    run.write_trajectories([*run.read_trajectories(), *short])
    before = list_all(run.path)
    assert run_command(["compress", str(run.path), "no-thinking", "--plan"]) == 0
    assert "raml compress:" in capsys.readouterr().out
    assert list_all(run.path) == before


def list_all(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("command", "flags"),
    [("report", []), ("curves", []), ("influence", ["--n-resamples", "9"])],
)
def test_a_plan_is_printed_and_nothing_is_done(run, command, flags, capsys):
    before = list_all(run.path)
    assert run_command([command, str(run.path), *flags, "--plan"]) == 0
    printed = capsys.readouterr().out
    assert f"raml {command}:" in printed
    assert "memory" in printed
    assert "Nothing was done." in printed
    assert list_all(run.path) == before
