"""Plans beside what is then measured, in fresh processes."""

import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from raml.cli import run as run_command
from raml.models import find_source, load_model
from raml.prompts import build_prompt, decode_tokens
from raml.records import PromptSettings, Question, Trajectory
from raml.store import Run

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "memory.py"
WITHIN = 0.25
STAGES = (
    "sample tiny RUN --n 4 --seed 1",
    "trace RUN",
    "trace RUN --readout",
    "landscape RUN --n-steps 9 --n-questions 4 --n-paths 4",
    "update RUN --limit 16",
    "align RUN --limit 8",
    "adapt RUN --limit 16",
    "influence RUN",
    "curves RUN",
    "faithfulness RUN --n-trajectories 8 --n 8",
    "compress RUN cut prune",
    "evaluate RUN",
    "report RUN",
)


@pytest.fixture(scope="module")
def bench():
    """The benchmark's functions."""
    spec = importlib.util.spec_from_file_location("benchmark_memory", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for their module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory):
    """A run of the embedded model, traced."""
    path = str(tmp_path_factory.mktemp("plans") / "run")
    for words in (["questions", "tiny", "--limit", "16", "--out", path], ["sample", "tiny", path, "--n", "2"]):
        assert run_command(words) == 0
    traced = path + "-traced"
    shutil.copytree(path, traced)
    assert run_command(["trace", traced, "--target", "both", "--readout"]) == 0
    return Path(path), Path(traced)


def check(bench, words, run, tmp_path):
    """Plan and run in a copy; memory and a processor's seconds are within a quarter, most of three times."""
    ratios = []
    for repeat in range(3):
        copy = tmp_path / f"run-{repeat}"
        shutil.copytree(run, copy)
        command = [str(copy) if word == "RUN" else word for word in words]
        plan, (taken, _) = bench.read_plan(bench.run_alone([*command, "--plan"])[1]), bench.run_alone(command)
        ratios.append((plan.peak / taken.peak, plan.cpu_s / taken.cpu_s))
    for of_kind in zip(*ratios, strict=True):
        assert sorted(of_kind)[1] == pytest.approx(1, abs=WITHIN), ratios


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_plan_for_the_embedded_model_is_within_a_quarter_of_what_is_measured(bench, stage, tiny_run, tmp_path):
    words = stage.split()
    check(bench, words, tiny_run[words[0] not in ("sample", "trace")], tmp_path)


@pytest.mark.real
@pytest.mark.skipif("RAML_REAL_MODEL" not in os.environ, reason="RAML_REAL_MODEL names no model folder")
@pytest.mark.parametrize("stage", ["sample MODEL RUN --n 1 --max-new-tokens 48", "trace RUN --every 8", "adapt RUN"])
def test_a_plan_for_a_real_model_is_within_a_quarter_of_what_is_measured(bench, stage, real_run, tmp_path):
    words = [os.environ["RAML_REAL_MODEL"] if word == "MODEL" else word for word in stage.split()]
    check(bench, words, real_run, tmp_path)


@pytest.fixture(scope="module")
def real_run(tmp_path_factory):
    """Two trajectories of a real model."""
    path = str(tmp_path_factory.mktemp("real") / "run")
    assert run_command(["questions", "tiny", "--limit", "2", "--out", path]) == 0
    assert run_command(["sample", os.environ["RAML_REAL_MODEL"], path, "--n", "1", "--max-new-tokens", "96"]) == 0
    return Path(path)


def make_long_run(folder, n_tokens):
    """A run with one trajectory of so many random tokens, and a model of the embedded one's size that can read it."""
    source, model = find_source("tiny"), folder / "model"
    shutil.copytree(source, model)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 40_000}))
    loaded = load_model(str(model), device="cpu")
    ids = tuple(np.random.default_rng(0).integers(10, config["vocab_size"], n_tokens).tolist())
    text, ends = decode_tokens(loaded.tokenizer, ids)
    run = Run(folder / "run")
    run.write_questions([Question("q", "How many?", "7")])
    prompt = build_prompt(loaded.tokenizer, Question("q", "How many?", "7"), PromptSettings())
    about = {"question_id": "q", "repeat": 0, "model": loaded.identity, "mode": "think", "correct": None}
    tokens = {"prompt_ids": prompt, "token_ids": ids, "reasoning_len": n_tokens, "text": text, "token_ends": ends}
    run.write_trajectories([Trajectory(id=f"long-{n_tokens}", **about, **tokens)])
    return run.path


@pytest.mark.slow
def test_a_trajectory_of_32000_tokens_is_traced_in_the_memory_that_is_allowed(bench, tmp_path):
    peaks = {}
    for n_tokens in (32, 32_000):
        run = make_long_run(tmp_path / str(n_tokens), n_tokens)
        words = ["trace", str(run), "--every", "64", "--memory", "200MB"]
        peaks[n_tokens] = bench.run_alone(words)[0].peak
    assert peaks[32_000] - peaks[32] < 200 * 2**20
