"""Killed at any moment and run again, a stage ends with the bytes of an undisturbed run."""

import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from raml.store import Run

SAMPLE = ("--n", "3", "--batch-size", "4", "--temperature", "1", "--max-new-tokens", "120", "--threads", "1")
TRACE = ("--readout", "--threads", "1")


def start(*arguments):
    command = [sys.executable, "-m", "raml", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(*arguments):
    process = start(*arguments)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err.decode()


def count_lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def kill_when(process, path, n_lines, delay_s):
    """Kill a process a moment after a file has so many lines; tell whether it was still running."""
    while process.poll() is None and count_lines(path) < n_lines:
        time.sleep(0.002)
    time.sleep(delay_s)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


def check_stage(reference, folder, stage, journal, kills, arguments):
    """Kill a stage at several line counts, finish it, and compare every record file with the undisturbed run's."""
    kept, n_kills = 0, 0
    for n_lines, delay_s in kills:
        n_kills += kill_when(start(stage, *arguments), journal, n_lines, delay_s)
        assert count_lines(journal) >= kept, "a finished record was lost"
        kept = count_lines(journal)
    assert n_kills > 0, "the stage was always faster than the kill"
    if stage == "sample":
        n_before = len(Run(folder).read_trajectories())
    else:  # killed between a batch's traces and its readouts, the batch is not done
        n_before = min(len(Run(folder).read_traces()), len(Run(folder).read_readouts()))
    finish(stage, *arguments)
    for name in ("questions.jsonl", "trajectories.jsonl", "traces.parquet", "readouts.parquet"):
        if (reference / name).exists():
            assert (folder / name).read_bytes() == (reference / name).read_bytes(), name
    done = Run(folder).read_manifest().find_last(stage)
    assert done.n_new == done.n_units - n_before
    assert not list(folder.glob("*.journal.jsonl"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    finish("questions", "tiny", "--limit", "12", "--out", run)
    finish("sample", "tiny", run, *SAMPLE)
    sampled = run.with_name("sampled")
    shutil.copytree(run, sampled)
    finish("trace", run, *TRACE)
    return sampled, run


def test_sampling_killed_and_run_again_gives_the_same_bytes(undisturbed, tmp_path):
    sampled, _ = undisturbed
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(sampled / "questions.jsonl", folder)
    kills = [(2, 0.0), (4, 0.05), (8, 0.2)]
    check_stage(sampled, folder, "sample", folder / "trajectories.jsonl", kills, ("tiny", folder, *SAMPLE))


def test_tracing_killed_and_run_again_gives_the_same_bytes(undisturbed, tmp_path):
    sampled, traced = undisturbed
    folder = tmp_path / "run"
    shutil.copytree(sampled, folder)
    kills = [(1, 0.0), (4, 0.01), (8, 0.0)]
    check_stage(traced, folder, "trace", folder / "traces.journal.jsonl", kills, (folder, *TRACE))


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["sample", "trace"])
def test_twenty_kills_at_random_moments_change_nothing(undisturbed, tmp_path, stage):
    generator = random.Random(0)
    sampled, traced = undisturbed
    n_kills = 0
    for i in range(4):
        folder = tmp_path / str(i)
        shutil.copytree(sampled, folder)
        if stage == "sample":
            (folder / "trajectories.jsonl").unlink()
            journal, arguments = folder / "trajectories.jsonl", ("tiny", folder, *SAMPLE)
        else:
            journal, arguments = folder / "traces.journal.jsonl", (folder, *TRACE)
        for _ in range(5):
            # A few records further than it is, and a moment later: in the work, in a write, or between two of them.
            n_lines = count_lines(journal) + generator.randrange(4)
            n_kills += kill_when(start(stage, *arguments), journal, n_lines, generator.random() * 0.1)
        finish(stage, *arguments)
        reference = sampled if stage == "sample" else traced
        for name in ("trajectories.jsonl", "traces.parquet", "readouts.parquet"):
            if (reference / name).exists():
                assert (folder / name).read_bytes() == (reference / name).read_bytes()
    assert n_kills >= 10, "most kills must hit a running process"
