"""Two commands on one folder: the second says who is there, and changes nothing."""

import hashlib
import os
import re
import socket

import pytest

from raml.errors import RunError
from raml.store import COMMAND, Run, lock_run
from raml.store.lock import HELD
from tests.faults.stages import STAGES

HOMES = {"import": "other", "study": "home"}
LOCKING = [stage for stage in STAGES if stage.name not in ("export", "report")]
"""Stages that write a run; an export and a page are single files, each replaced whole."""


def find_home(stage, folder):
    return folder / ("model" if stage.trains else HOMES.get(stage.name, "run"))


def hash_files(folder):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def be_second(workshop, stage, place):
    folder = workshop.prepare(stage, place)
    home = find_home(stage, folder)
    token = COMMAND.set(("raml", "sample", "tiny", "run two"))
    try:
        with lock_run(home):
            before = hash_files(folder)
            outcome = workshop.server.run(stage, folder)
            assert hash_files(folder) == before
    finally:
        COMMAND.reset(token)
    assert outcome.code == 2
    who = f"is being written by process {os.getpid()} on {re.escape(socket.gethostname())}"
    when = r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC \(raml sample tiny 'run two'\)"
    assert re.search(f"{who} {when}", outcome.said)


@pytest.mark.slow
@pytest.mark.parametrize("stage", LOCKING, ids=lambda stage: stage.name)
def test_every_stage_keeps_out_of_a_folder_that_is_being_written(workshop, tmp_path, stage):
    be_second(workshop, stage, tmp_path / "folder")


@pytest.fixture
def no_locks(monkeypatch):
    """A file system that has none, as some network ones."""

    def refuse(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)


def write_owner(run, **changes):
    owner = {"pid": os.getpid(), "host": socket.gethostname(), "command": "raml trace run", "since": "then"} | changes
    run.mkdir(exist_ok=True)
    (run / HELD).write_text(str(owner).replace("'", '"'))


def test_without_locks_a_file_stands_for_one_while_it_is_held(tmp_path, no_locks):
    run = tmp_path / "run"
    with lock_run(run):
        Run(run).write_questions([])
        with pytest.raises(RunError, match=f"is being written by process {os.getpid()} on"), lock_run(run):
            pass
        assert (run / HELD).exists()
    assert not (run / HELD).exists()


def test_without_locks_a_process_that_is_gone_is_followed_and_one_elsewhere_is_not(tmp_path, no_locks):
    run = tmp_path / "run"
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    write_owner(run, pid=child)
    with lock_run(run):
        pass
    write_owner(run, host="another", pid=child)
    advice = rf"process {child} on another since then \(raml trace run\).*If that process is gone, remove .*{HELD}"
    with pytest.raises(RunError, match=advice), lock_run(run):
        pass
    assert (run / HELD).exists()
