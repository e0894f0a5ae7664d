"""`raml check`: what it says of a run, and what it sets aside."""

import dataclasses

import pytest

from raml.cli import run as run_raml
from raml.errors import RunError
from raml.records import Trace
from raml.store import Run, StageClock
from raml.store.check import check_run
from raml.store.lines import encode_line
from raml.store.repair import repair_files
from raml.store.tables import GROUP, read_table, write_table
from tests.store.test_store import QUESTIONS, make_trace


@pytest.fixture
def run(tmp_path, make_trajectory):
    """Questions, a trajectory of each, and nine traces of the first in two row groups."""
    run = Run(tmp_path / "run")
    run.write_questions(QUESTIONS)
    trajectories = [make_trajectory(question_id=question.id) for question in QUESTIONS]
    run.write_trajectories(trajectories)
    traces = [dataclasses.replace(make_trace(seed=i), trajectory_id=trajectories[0].id) for i in range(GROUP + 1)]
    write_table(run.traces_path, traces, Trace)
    (run.path / "curves.json").write_text("[]")
    outputs = {run.questions_path: 3, run.trajectories_path: 3, run.traces_path: GROUP + 1}
    clock = StageClock(run, "trace", {})
    clock.finish(inputs=(), outputs={**outputs, run.path / "curves.json": None}, n_units=1, n_new=1)
    return run


def list_faults(run):
    return {check.path.name: check.faults for check in check_run(run.path) if check.faults}


def call(*words):
    with pytest.raises(SystemExit) as ended:
        run_raml([str(word) for word in words])
    return ended.value.code


def test_a_whole_run_is_called_whole(run, capsys):
    assert list_faults(run) == {}
    assert run_raml(["check", str(run.path)]) == 0
    out = capsys.readouterr().out
    assert "trajectories.jsonl: 3 records, whole" in out
    assert out.endswith("All 5 files are whole.\n")


def test_a_folder_without_records_is_refused(tmp_path):
    with pytest.raises(RunError, match="neither questions nor a manifest"):
        check_run(tmp_path)


def test_a_damaged_line_is_set_aside_and_the_others_stay(run, capsys):
    lines = run.trajectories_path.read_bytes().splitlines(keepends=True)
    bad = lines[1].replace(b'"repeat":0', b'"repeat":1')
    run.trajectories_path.write_bytes(lines[0] + bad + lines[2])
    assert call("check", run.path) == 1
    out = capsys.readouterr().out
    assert "trajectories.jsonl: 2 records, damaged" in out
    assert "line 2: the checksum does not fit" in out
    assert f"Next: raml check {run.path} --repair" in out
    assert call("check", run.path, "--repair") == 1
    assert run.trajectories_path.read_bytes() == lines[0] + lines[2]
    assert (run.path / "damaged" / "trajectories.jsonl").read_bytes() == bad


def test_what_is_set_aside_twice_is_kept_twice(run):
    for _ in range(2):
        (run.path / "curves.json").write_text("[ ]")
        repair_files(check_run(run.path))
    assert {path.name for path in (run.path / "damaged").iterdir()} == {"curves.json", "curves.2.json"}


def test_of_a_table_only_the_damaged_row_group_is_lost(run):
    content = bytearray(run.traces_path.read_bytes())
    content[content.find(b"\x28\xb5\x2f\xfd") + 8] ^= 1  # in the first page compressed with zstd
    run.traces_path.write_bytes(content)
    (fault,) = list_faults(run)["traces.parquet"]
    assert fault.startswith("row group 1 of 2")
    repair_files(check_run(run.path))
    assert [trace.id for trace in read_table(run.traces_path, Trace)] == [f"t{GROUP}"]
    assert (run.path / "damaged" / "traces.parquet").read_bytes() == content


def test_every_changed_byte_of_a_table_is_told(run):
    """Also where no record is: in headers of pages and in the table of contents."""
    content = run.traces_path.read_bytes()
    for at in range(0, len(content), 97):
        damaged = bytearray(content)
        damaged[at] ^= 1
        run.traces_path.write_bytes(damaged)
        assert "traces.parquet" in list_faults(run), at


def test_a_table_that_is_no_table_any_more_is_moved(run):
    run.traces_path.write_bytes(b"PAR1 and nothing else")
    assert list_faults(run)["traces.parquet"][0].startswith("unreadable")
    repair_files(check_run(run.path))
    assert not run.traces_path.exists()
    assert (run.path / "damaged" / "traces.parquet").exists()


def test_doubled_ids_are_told_and_the_first_is_kept(run):
    line = run.questions_path.read_bytes().splitlines(keepends=True)[0]
    with run.questions_path.open("ab") as file:
        file.write(line)
    assert list_faults(run)["questions.jsonl"] == [f"line 4: id {QUESTIONS[0].id} was there before."]
    repair_files(check_run(run.path))
    assert run.read_questions() == QUESTIONS


def test_records_about_what_is_not_there_are_told_and_stay(run):
    run.questions_path.write_bytes(b"".join(map(encode_line, QUESTIONS[:2])))
    run.trajectories_path.write_bytes(b"".join(run.trajectories_path.read_bytes().splitlines(keepends=True)[1:]))
    faults = list_faults(run)
    assert faults["trajectories.jsonl"][0].startswith("1 records are about a question that is not here")
    assert faults["traces.parquet"][0].startswith(f"{GROUP + 1} records are about a trajectory that is not here")
    assert repair_files(check_run(run.path)) == []


def test_a_file_that_is_missing_or_is_not_what_a_stage_wrote_is_told(run):
    (run.path / "curves.json").write_text("[1]")
    run.traces_path.unlink()
    faults = list_faults(run)
    assert "its hash is not the one in manifest.json" in faults["curves.json"][0]
    assert faults["traces.parquet"] == ["missing; run `raml trace` again as you did before"]


def test_what_an_interrupted_stage_leaves_is_no_damage(run, make_trajectory):
    with run.trajectories_path.open("ab") as file:
        file.write(encode_line(make_trajectory(question_id=QUESTIONS[0].id, repeat=1)))
        file.write(encode_line(make_trajectory(question_id=QUESTIONS[0].id, repeat=2))[:40])
    run.traces_journal_path.write_bytes(encode_line(make_trace(seed=99))[:50])
    (run.path / ".report.html.7.partial").write_bytes(b"<")
    assert list_faults(run) == {}
    notes = {check.path.name: check.notes for check in check_run(run.path)}
    assert notes["trajectories.jsonl"][0].startswith("its last line is torn")
    assert notes["traces.journal.jsonl"][-1] == "records of a stage that is not finished"
    assert notes[".report.html.7.partial"]


def test_a_study_folder_is_looked_at_with_the_runs_in_it(run):
    (run.path.parent / "steps.jsonl").write_bytes(b'{"v":2}\n')
    names = {check.path.relative_to(run.path.parent).as_posix() for check in check_run(run.path.parent)}
    assert {"steps.jsonl", "run/questions.jsonl"} <= names
