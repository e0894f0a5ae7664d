"""Killed at any write and run again, every stage ends with the bytes of an undisturbed run."""

import random
import subprocess
import sys

import pytest

from tests.faults.breaking import Fault
from tests.faults.harness import check_finished, find_difference, kill_at_points
from tests.faults.stages import STAGES

KINDS = ("before", "torn", "after")
SECONDS = 6.0
"""For the kills of one stage at its write points: as many of these as that allows, but at least so many."""
AT_LEAST = 6
N_RANDOM = 14


def choose_points(n_points, n_wanted):
    """Evenly spread points, the first and the last among them, each with another kind of death."""
    n = min(n_points, n_wanted)
    at = sorted({1 + round(i * (n_points - 1) / max(1, n - 1)) for i in range(n)})
    return [Fault(KINDS[i % 3], point) for i, point in enumerate(at)]


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_killed_at_its_write_points_a_stage_gives_the_same_bytes(workshop, tmp_path, stage, count):
    _, undisturbed = workshop.finish(stage)
    n_wanted = max(AT_LEAST, int(SECONDS / 1.5 / undisturbed.wall_s))
    faults = choose_points(undisturbed.n_points, n_wanted)
    kill_at_points(workshop, stage, faults, tmp_path)
    count(stage, "kills at write points", len(faults))


BUSY = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"
"""Ends with the process that started it, however that ends."""


@pytest.fixture
def load():
    """Two processes that are always busy."""
    busy = [subprocess.Popen(["nice", "-n", "5", sys.executable, "-c", BUSY]) for _ in range(2)]
    yield
    for process in busy:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_killed_at_random_moments_under_load_a_stage_gives_the_same_bytes(workshop, tmp_path, stage, load, count):
    reference, undisturbed = workshop.finish(stage)
    generator = random.Random(stage.name)
    n_killed, folder = 0, workshop.prepare(stage, tmp_path / "0")
    for i in range(1, 4 * N_RANDOM):
        if n_killed == N_RANDOM:
            break
        after_s = generator.random() * undisturbed.wall_s
        if workshop.server.run(stage, folder, kill_after_s=after_s).code == -9:
            n_killed += 1
        else:  # it was faster, and is at its end
            assert find_difference(stage, folder, reference) is None
            folder = workshop.prepare(stage, tmp_path / str(i))
    check_finished(workshop, stage, folder)
    count(stage, "kills at random moments", n_killed)
    assert n_killed == N_RANDOM
