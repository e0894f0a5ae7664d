import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raml.configs import find_config, list_configs

SFT = (
    *("--model", "tiny-base", "--device", "cpu", "--threads", "1"),
    *("--batch-size", "8", "--learning-rate", "1e-3"),
)


@pytest.fixture
def oracle_run(raml, tmp_path):
    """Sixteen training questions with two oracle trajectories each."""
    run = tmp_path / "run"
    assert raml("questions", "tiny", "--split", "train", "--limit", 16, "--out", run)[0] == 0
    assert raml("sample", "oracle", run, "--n", 2)[0] == 0
    return run


def test_the_oracle_answers_questions_of_its_world(raml, tmp_path):
    run = tmp_path / "run"
    raml("questions", "tiny", "--limit", 3, "--out", run)
    code, out, _ = raml("sample", "oracle", run, "--n", 2)
    assert code == 0
    assert "Of 6: 6 right" in out
    before = (run / "trajectories.jsonl").read_bytes()
    assert "Wrote 0 trajectories (6 were there)" in raml("sample", "oracle", run, "--n", 2)[1]
    assert (run / "trajectories.jsonl").read_bytes() == before
    (tmp_path / "other.jsonl").write_text('{"prompt": "What is two and two?", "answer": "4"}\n')
    raml("questions", tmp_path / "other.jsonl", "--out", tmp_path / "other")
    code, _, error = raml("sample", "oracle", tmp_path / "other")
    assert code == 2
    assert "is not of the tiny world" in error


def test_the_oracle_is_terse_when_asked_and_models_know_no_style(raml, tmp_path):
    run = tmp_path / "run"
    raml("questions", "tiny", "--limit", 2, "--out", run)
    assert raml("sample", "oracle", run, "--n", 1, "--style", "terse")[0] == 0
    texts = [json.loads(line)["text"] for line in (run / "trajectories.jsonl").read_text().splitlines()]
    reasoning = [text.partition("<think>\n")[2].partition("\n</think>")[0] for text in texts]
    assert all(line.startswith("=") for text in reasoning for line in text.splitlines())
    code, _, error = raml("sample", "tiny", run, "--style", "terse")
    assert code == 2
    assert "--style is for the oracle" in error


def test_a_trained_model_is_sampled_at_once_and_a_finished_run_says_so(raml, oracle_run, tmp_path):
    out = tmp_path / "model"
    train = ("train", "sft", *SFT, "--trajectories", oracle_run, "--out", out)
    code, printed, error = raml(*train)
    assert (code, error) == (0, "")
    assert "32 examples with" in printed
    assert "Made 4 updates; loss" in printed
    assert f"Next: raml sample {out} RUN" in printed
    code, printed, _ = raml("sample", out, oracle_run, "--n", 1, "--max-new-tokens", 20, "--limit", 2)
    assert code == 0
    assert "Wrote 2 trajectories" in printed
    code, printed, _ = raml(*train)
    assert code == 0
    assert "is finished: 4 updates. Nothing was trained." in printed


def test_flags_override_a_config_file_and_the_manifest_has_both(raml, oracle_run, tmp_path):
    config = tmp_path / "train.toml"
    config.write_text('[train.sft]\nmodel = "tiny-base"\nbatch_size = 16\nlearning_rate = 1e-3\nn = 1\n')
    out = tmp_path / "model"
    line = ("--config", config, "train", "sft", "--trajectories", oracle_run, "--out", out, "--batch-size", 8)
    assert raml(*line)[0] == 0
    settings = json.loads((out / "manifest.json").read_text())["stages"][0]["config"]["settings"]
    assert (settings["batch_size"], settings["learning_rate"], settings["n"]) == (8, 1e-3, 1)
    assert settings["balance"] == "paper"


def start(arguments):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "raml", *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_updates(metrics, n, process):
    limit = time.monotonic() + 120
    while time.monotonic() < limit and process.poll() is None:
        if metrics.is_file() and metrics.read_bytes().count(b"\n") >= n:
            return
        time.sleep(0.002)
    raise AssertionError("no update in time" if process.poll() is None else process.stdout.read())


@pytest.mark.slow
def test_a_killed_command_run_again_ends_with_the_bytes_of_an_undisturbed_one(raml, oracle_run, tmp_path):
    line = ("train", "sft", *SFT, "--trajectories", oracle_run, "--epochs", "10", "--save-every", "3")
    assert raml(*line, "--out", tmp_path / "whole")[0] == 0
    torn = tmp_path / "torn"
    for n_updates in (4, 11, 25):  # killed three times, each time a few updates further on
        process = start((*line, "--out", torn))
        wait_for_updates(torn / "metrics.jsonl", n_updates, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    process = start((*line, "--out", torn))
    printed = process.communicate()[0]
    assert process.returncode == 0, printed
    assert re.search(r"Made \d+ updates \(\d+ were there\)", printed)
    whole = (tmp_path / "whole" / "model.safetensors").read_bytes()
    assert (torn / "model.safetensors").read_bytes() == whole
    steps = [json.loads(row)["step"] for row in (torn / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 41))


def launch(n, line):
    """Run a command in n processes, as `accelerate launch` does on GPUs."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(n)),
            *("-m", "raml", *map(str, line)),
        ],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_two_processes_make_the_model_of_one(raml, oracle_run, tmp_path):
    line = ("train", "sft", *SFT, "--trajectories", oracle_run)
    assert raml(*line, "--out", tmp_path / "one")[0] == 0
    assert launch(2, (*line, "--out", tmp_path / "two")).count("Made 4 updates") == 1
    (stage,) = json.loads((tmp_path / "two" / "manifest.json").read_text())["stages"]
    assert stage["config"]["resolved"]["n_processes"] == 2
    assert stage["config"]["resolved"]["micro_batch_size"] == 4
    from safetensors.torch import load_file

    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-3
    first, second = (
        [json.loads(row)["loss"] for row in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    )
    assert second == pytest.approx(first, rel=1e-3)
    code, _, error = raml(*line, "--out", tmp_path / "two")  # one process can't go on where two were
    assert code == 2
    assert "n_processes was 2, now 1" in error


@pytest.mark.slow
def test_two_processes_draw_other_questions_for_groups_whose_rewards_are_equal(oracle_run, tmp_path):
    grpo = (
        *("train", "grpo", "--model", "tiny", "--questions", oracle_run, "--format", "none", "--device", "cpu"),
        *("--group-size", 2, "--n-update", 1, "--batch-size", 8, "--max-steps", 2, "--max-completion-length", 90),
        *("--dynamic-sampling", 2, "--threads", 1, "--out", tmp_path / "two"),
    )
    assert launch(2, grpo).count("Made 2 updates") == 1
    rows = [json.loads(row) for row in (tmp_path / "two" / "metrics.jsonl").read_text().splitlines()]
    assert all(0 <= row["useful_group_rate"] <= 1 for row in rows)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("sft", "--model", "tiny-base"), "either trajectories"),
        (("sft", "--model", "nowhere/there/is", "--trajectories", "RUN"), "There is no model file or folder"),
        (("sft", "--model", "tiny-base", "--trajectories", "nothing"), "has no questions.jsonl"),
        (("sft", "--model", "tiny-base", "--rows", "nothing.parquet"), "nothing.parquet can't be read"),
        (("sft", "--model", "tiny-base", "--trajectories", "RUN", "--max-length", "5"), "longer than 5 tokens"),
        (("sft", "--model", "tiny-base", "--trajectories", "RUN", "--batch-size", "0"), "batch_size is 0"),
        (("dpo", "--model", "tiny-base", "--trajectories", "RUN"), "None of 16 questions has both"),
        (("grpo", "--model", "tiny-base", "--questions", "nothing"), "nothing is no .jsonl, .csv or .parquet file"),
        (
            ("sft", "--model", "tiny-base", "--trajectories", "RUN", "--report-to", "bogus"),
            "No tool 'bogus' to report to",
        ),
        (("grpo", "--model", "tiny-base", "--questions", "RUN", "--vllm", "server"), "--vllm needs vLLM"),
        (
            (
                *("grpo", "--model", "tiny-base", "--questions", "RUN", "--batch-size", "16", "--max-steps", "1"),
                *("--updates-per-generation", "2"),
            ),
            "max_steps 1 is less than updates_per_generation 2",
        ),
        (("grpo", "--model", "tiny-base", "--questions", "RUN"), "16 questions are too few for one update of 64"),
        (
            (
                *("grpo", "--model", "tiny-base", "--questions", "RUN", "--batch-size", "32"),
                *("--micro-batch-size", "8", "--n-update", "1"),
            ),
            "can't be cut into groups of 16",
        ),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(raml, oracle_run, tmp_path, monkeypatch, arguments, what):
    monkeypatch.chdir(tmp_path)
    words = [oracle_run if word == "RUN" else word for word in arguments]
    code, _, error = raml("train", *words, "--out", "model")
    assert code == 2
    assert what in error
    assert error.count("\n") == 1
    assert not Path("model").exists()


def test_a_folder_with_something_else_is_left_as_it_is(raml, oracle_run):
    before = sorted(path.name for path in oracle_run.iterdir())
    code, _, error = raml("train", "sft", *SFT, "--trajectories", oracle_run, "--out", oracle_run)
    assert code == 2
    assert "holds something that is no training run" in error
    assert sorted(path.name for path in oracle_run.iterdir()) == before


def test_a_question_without_a_right_trajectory_is_named_and_left_out(raml, oracle_run, tmp_path):
    path = oracle_run / "trajectories.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    lost = rows[0]["question_id"]
    path.write_text("".join(json.dumps({**row, "correct": row["question_id"] != lost}) + "\n" for row in rows))
    code, printed, _ = raml("train", "sft", *SFT, "--trajectories", oracle_run, "--out", tmp_path / "model")
    assert code == 0
    assert f"1 questions left out: no right trajectory ({lost})." in printed


def test_a_gguf_file_can_t_be_trained(raml, oracle_run, tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    code, _, error = raml(
        *("train", "sft", "--model", tmp_path / "model.gguf", "--trajectories", oracle_run, "--out", tmp_path / "out")
    )
    assert code == 2
    assert "is a .gguf file, which can't be trained" in error


def test_without_trl_the_extra_is_named(raml, oracle_run, tmp_path, monkeypatch):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "trl" else real(name, *rest))
    code, _, error = raml("train", "sft", *SFT, "--trajectories", oracle_run, "--out", tmp_path / "model")
    assert code == 2
    assert "Training needs trl: pip install 'raml[train]'." in error


@pytest.mark.parametrize("name", list_configs(".toml"))
def test_every_packaged_config_is_understood_from_any_folder(raml, name, tmp_path, monkeypatch):
    """Each is read as its command reads it, with the data that its own comment leaves to the user."""
    import tomllib

    import raml.training as training

    monkeypatch.chdir(tmp_path)
    seen = []

    class Stop(Exception):
        pass

    def keep(settings, *args, **kwargs):
        seen.append(settings)
        raise Stop

    table = tomllib.loads(list_configs(".toml")[name].read_text())["train"]
    (technique,) = table
    monkeypatch.setattr(training, f"train_{technique}", keep, raising=False)
    given = table[technique]
    data = () if "questions" in given else ("--questions", "q") if technique == "grpo" else ("--trajectories", "run")
    model = () if "model" in given else ("--model", "m")
    with pytest.raises(Stop):
        raml("--config", name, "train", technique, *model, *data, "--out", "never")
    (settings,) = seen
    for entry, value in given.items():
        if entry == "cold_start":
            assert settings.cold_start.learning_rate == value["learning_rate"]
            assert settings.cold_start.model == settings.model
            assert settings.cold_start.chat_template == settings.chat_template
        elif entry == "prompt":
            assert settings.prompt.instruction == value["instruction"]
        elif entry == "chat_template":
            assert find_config(settings.chat_template, ".jinja").is_file()
        else:
            found = getattr(settings, entry)
            assert (list(map(str, found)) if isinstance(found, tuple) else found) == value
