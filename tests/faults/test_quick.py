"""One fault of each kind in every run of the tests, of stages that are quick; `make test-slow` has all of them."""

import json
import os
import random

import pytest

from raml.store import lock_run
from tests.faults.breaking import Fault
from tests.faults.harness import kill_at_points, refuse
from tests.faults.stages import BY_NAME
from tests.faults.test_damage import check, damage_and_mend, flip
from tests.faults.test_lock import be_second


@pytest.mark.parametrize("name", ["questions", "sample", "export", "import", "grade", "landscape", "evaluate"])
def test_killed_at_a_write_and_run_again_a_stage_gives_the_same_bytes(workshop, tmp_path, name):
    stage = BY_NAME[name]
    generator = random.Random(name)
    kind, at = generator.choice(["torn", "before"]), generator.randint(1, workshop.finish(stage)[1].n_points)
    kill_at_points(workshop, stage, [Fault(kind, at)], tmp_path)


@pytest.mark.parametrize("name", ["sample", "evaluate"])
def test_a_disk_that_fills_up_ends_a_stage_with_one_line(workshop, tmp_path, name):
    stage = BY_NAME[name]
    middle = workshop.finish(stage)[1].n_points // 2
    assert refuse(workshop, stage, tmp_path / "folder", Fault("full", middle), "disk is full") == 2


@pytest.mark.parametrize("name", ["questions", "import"])
def test_a_second_command_says_who_writes_the_run_and_changes_nothing(workshop, tmp_path, name):
    be_second(workshop, BY_NAME[name], tmp_path / "folder")


@pytest.mark.parametrize(
    ("name", "pattern"), [("questions", "run/questions.jsonl"), ("landscape", "run/landscapes/*.safetensors")]
)
def test_a_flipped_byte_is_told_set_aside_and_made_again(workshop, tmp_path, capsys, name, pattern):
    damage_and_mend(workshop, tmp_path, capsys, name, pattern)


def test_a_lock_is_free_again_after_its_process_was_killed(workshop, tmp_path):
    """The kernel releases it; what the file says of its owner then counts for nothing."""
    stage = BY_NAME["sample"]
    folder = workshop.prepare(stage, tmp_path / "folder")
    assert workshop.server.run(stage, folder, kill_after_s=0.3).code == -9
    with lock_run(folder / "run"):
        assert str(os.getpid()) in (folder / "run" / ".lock").read_text()
    assert (folder / "run" / ".lock").read_text() == ""


def test_only_the_damaged_trajectory_is_sampled_again(workshop, tmp_path):
    """Of 8 trajectories one has a changed byte: 7 stay, 1 is made."""
    stage = BY_NAME["sample"]
    reference, _ = workshop.finish(stage)
    folder = workshop.prepare_after(stage, tmp_path / "folder")
    path = folder / "run" / "trajectories.jsonl"
    flip(path)
    refused = workshop.server.run(stage, folder)
    assert refused.code == 2
    assert "checksum" in refused.said
    assert "raml check run --repair" in refused.said
    assert check(folder / "run", "--repair") == 1
    assert path.read_bytes().count(b"\n") == 7
    assert "Wrote 1 trajectories (7 were there)" in workshop.server.run(stage, folder).said
    assert path.read_bytes() == (reference / "run" / "trajectories.jsonl").read_bytes()


def test_a_damaged_manifest_is_refused_by_name_and_can_be_set_aside(workshop, tmp_path):
    stage = BY_NAME["evaluate"]
    folder = workshop.prepare(stage, tmp_path / "folder")
    path = folder / "run" / "manifest.json"
    path.write_text(path.read_text().replace('"stage": "questions"', '"stage": "questionz"'))
    refused = workshop.server.run(stage, folder)
    assert refused.code == 2
    assert "checksum does not fit" in refused.said
    assert "raml check run --repair" in refused.said
    assert check(folder / "run", "--repair") == 1
    assert workshop.server.run(stage, folder).code == 0
    assert [one["stage"] for one in json.loads(path.read_bytes())["stages"]] == ["evaluate"]
