"""The same records, byte for byte, from this process, several, and a Ray cluster, whatever goes wrong there."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

RECORDS = (
    "trajectories.jsonl",
    "traces.parquet",
    "readouts.parquet",
    "updates.parquet",
    "alignments.parquet",
    "adaptations.parquet",
    "resamplings.parquet",
    "faithfulness.json",
    "evaluation.json",
)
STAGES = {
    "sample": ["--n", "4", "--max-new-tokens", "120", "--temperature", "1", "--batch-size", "6"],
    "trace": ["--readout", "--target", "both"],
    "update": ["--n-prefixes", "4"],
    "align": ["--n-prefixes", "3"],
    "adapt": ["--steps", "2"],
    "faithfulness": ["--n-trajectories", "4", "--n", "3", "--max-borders", "4"],
    "landscape": ["--n-steps", "3", "--n-questions", "2", "--n-paths", "1"],
    "evaluate": ["--n-resamples", "99"],
}


def hash_records(folder):
    """SHA-256 of every file of records."""
    files = [folder / name for name in RECORDS] + sorted((folder / "landscapes").glob("*.safetensors"))
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()}


def run_raml(*words, **environment):
    """Run a command line in a process of its own."""
    made = subprocess.run(
        [sys.executable, "-m", "raml", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"} | environment,
    )
    assert made.returncode == 0, made.stderr[-2000:]
    return made


def run_stages(folder, names, *hands):
    for name in names:
        target = ["tiny", folder] if name == "sample" else [folder]
        run_raml(name, *target, *STAGES[name], *hands)


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("questions")
    run_raml("questions", "tiny", "--limit", "6", "--out", folder)
    return folder


@pytest.fixture(scope="module")
def alone(questions, tmp_path_factory):
    """What one process makes of all stages."""
    folder = tmp_path_factory.mktemp("runs") / "alone"
    shutil.copytree(questions, folder)
    run_stages(folder, STAGES)
    return folder


@pytest.fixture(scope="module")
def address():
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    yield cluster.address
    cluster.shutdown()


@pytest.mark.slow
def test_several_processes_make_the_same_bytes(questions, alone, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(questions, folder)
    run_stages(folder, STAGES, "--workers", "2")
    assert len(hash_records(alone)) == len(RECORDS) + 1
    assert hash_records(folder) == hash_records(alone)


@pytest.mark.slow
def test_a_cluster_makes_the_same_bytes(questions, alone, address, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(questions, folder)
    run_stages(folder, STAGES, "--ray", address)
    assert hash_records(folder) == hash_records(alone)


@pytest.mark.slow
@pytest.mark.parametrize("hands", [("--workers", "2"), ("--ray",)])
def test_a_driver_that_is_killed_and_started_again_loses_and_doubles_nothing(alone, address, tmp_path, hands):
    hands = (*hands, address) if hands == ("--ray",) else hands
    folder = tmp_path / "run"
    shutil.copytree(alone, folder)
    (folder / "alignments.parquet").unlink()
    journal = folder / "alignments.journal.jsonl"
    words = [sys.executable, "-m", "raml", "align", str(folder), *STAGES["align"], *hands]
    n_before = 0
    for _ in range(3):
        process = subprocess.Popen(
            words, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < end:
            if count_lines(journal) > n_before:
                break
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        n_before = count_lines(journal)
    made = run_raml("align", folder, *STAGES["align"], *hands)
    assert hash_records(folder) == hash_records(alone)
    n_new, n_there = map(int, re.search(r"Wrote (\d+) alignments \((\d+) were there\)", made.stdout).groups())
    assert n_there == n_before > 0
    assert n_new > 0


def count_lines(path):
    return path.read_bytes().count(b"\n") if path.is_file() else 0


@pytest.mark.slow
def test_workers_that_are_killed_at_random_change_nothing(questions, alone, address, tmp_path):
    """Every second a worker of the cluster is killed while it samples and traces."""
    folder = tmp_path / "run"
    shutil.copytree(questions, folder)
    for name in ("sample", "trace"):
        target = ["tiny", str(folder)] if name == "sample" else [str(folder)]
        words = [sys.executable, "-m", "raml", name, *target, *STAGES[name], "--ray", address]
        said = (tmp_path / name).open("w+")
        process = subprocess.Popen(words, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=said)
        n_killed = 0
        while process.poll() is None:
            time.sleep(1.0)
            victims = find_actors()
            if n_killed < 2 and victims:
                os.kill(victims[0], signal.SIGKILL)
                n_killed += 1
        said.close()
        assert process.returncode == 0, (tmp_path / name).read_text()[-2000:]
        assert n_killed
    made, expected = hash_records(folder), hash_records(alone)
    assert made
    assert made == {name: expected[name] for name in made}


def find_actors():
    """Process ids of the cluster's workers."""
    import psutil

    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        words = process.info["cmdline"] or []
        if words and words[0].startswith("ray::_Actor"):
            found.append(process.info["pid"])
    return found
