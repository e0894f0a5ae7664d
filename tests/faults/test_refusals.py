"""Full disks, failing disks and jumping clocks: a line that says so, and nothing lost."""

import os
import shutil
import subprocess

import pytest

from tests.faults.breaking import Fault
from tests.faults.harness import check_finished, expect_line, find_difference, refuse
from tests.faults.stages import STAGES

every_stage = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)


@pytest.mark.slow
@every_stage
def test_a_call_that_is_refused_loses_nothing(workshop, tmp_path, stage, count):
    n_points = workshop.finish(stage)[1].n_points
    kinds = [Fault("full", 1 + n_points // 3), Fault("EIO", 1 + n_points // 2)]
    codes = [
        refuse(workshop, stage, tmp_path / str(i), fault, "disk is full" if fault.kind != "EIO" else "can't be written")
        for i, fault in enumerate(kinds)
    ]
    count(stage, "calls refused", len(codes))


@pytest.mark.slow
@every_stage
def test_a_clock_that_jumps_by_years_changes_nothing(workshop, tmp_path, stage):
    folder = workshop.prepare(stage, tmp_path / "folder")
    outcome = workshop.server.run(stage, folder, Fault("clock"))
    assert outcome.code == 0, outcome.said
    assert find_difference(stage, folder, workshop.finish(stage)[0]) is None


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"a file system can only be mounted by root, or under `unshare -rm`: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk, n_free):
    """Take up the room on a file system but for so many bytes."""
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    filler = disk / "filler"
    with filler.open("wb") as file:
        file.write(bytes(max(0, free - n_free)))
    return filler


def measure(folder):
    """Bytes of the blocks that a folder's files take."""
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.rglob("*") if path.is_file())


@pytest.mark.slow
@every_stage
def test_on_a_real_disk_that_is_full_a_stage_says_so_and_ends_when_there_is_room(
    workshop, tmp_path, stage, small_disk, count
):
    reference, _ = workshop.finish(stage)
    folder = workshop.prepare(stage, small_disk / "folder")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    filler = fill(small_disk, max(0, (measure(reference) - measure(folder)) // 2 // 4096 * 4096))
    said = tmp_path / "said"
    outcome = workshop.server.run(stage, folder, said=said)
    expect_line(outcome, "No space left" if stage.study else "disk is full")  # a made-up step writes by itself
    for path, content in before.items():
        if path.name not in (".lock", "manifest.json"):
            assert path.read_bytes().startswith(content) or path.name == "trajectories.jsonl", path
    filler.unlink()
    check_finished(workshop, stage, folder)
    count(stage, "full disks", 1)
    shutil.rmtree(folder)
