"""The same commands in two fresh folders give the same bytes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .stages import QUICK, draw_traces, hash_files, read_untimed, run_stages

ROOT = Path(__file__).parents[2]
KINDS = {".jsonl", ".json", ".md", ".csv", ".parquet", ".safetensors", ".svg", ".png", ".pdf", ".html"}


def find_differences(first, second):
    """Names of files that only one folder has, or that differ; both have to hold some."""
    one, other = hash_files(first), hash_files(second)
    assert len(one) > 30
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


@pytest.fixture(scope="module")
def twice(tmp_path_factory):
    folders = [tmp_path_factory.mktemp(name) for name in ("first", "second")]
    for folder in folders:
        run_stages(folder, QUICK)
        draw_traces(folder)
    return folders


def test_commands_run_twice_write_the_same_bytes(twice):
    assert find_differences(*twice) == []
    assert {Path(name).suffix for name in hash_files(twice[0])} >= KINDS


def test_another_seed_gives_other_trajectories_so_the_comparison_can_fail(twice, tmp_path):
    lines = QUICK.strip().splitlines()[:2]
    run_stages(tmp_path, "\n".join([*lines[:1], f"{lines[1]} --seed 1"]))
    one, other = hash_files(twice[0]), hash_files(tmp_path)
    assert one["run/questions.jsonl"] == other["run/questions.jsonl"]
    assert one["run/trajectories.jsonl"] != other["run/trajectories.jsonl"]


def test_only_seconds_are_left_out_of_the_comparison(tmp_path):
    path = tmp_path / "manifest.json"
    texts = (
        '{"stages": [{"wall_s": 1.5, "seed": 0, "outputs": [{"path": "metrics.jsonl", "sha256": "a"}]}]}',
        '{"stages": [{"wall_s": 2.5, "seed": 0, "outputs": [{"path": "metrics.jsonl", "sha256": "b"}]}]}',
        '{"stages": [{"wall_s": 2.5, "seed": 1, "outputs": [{"path": "metrics.jsonl", "sha256": "b"}]}]}',
        '{"stages": [{"wall_s": 2.5, "seed": 0, "outputs": [{"path": "model.safetensors", "sha256": "b"}]}]}',
    )
    read = []
    for text in texts:
        path.write_text(text)
        read.append(read_untimed(path))
    assert read[0] == read[1]
    assert len(set(read)) == 3


@pytest.mark.slow
def test_each_stage_writes_the_same_bytes_in_processes_that_hash_texts_differently(tmp_path):
    for name, hash_seed in (("first", "1"), ("second", "2")):
        (tmp_path / name).mkdir()
        code = f"from tests.determinism.stages import *; run_stages({str(tmp_path / name)!r}, WHOLE)"
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=3600,
        )
    assert find_differences(tmp_path / "first", tmp_path / "second") == []
    assert len(hash_files(tmp_path / "first")) > 100
