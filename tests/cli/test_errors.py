"""Bad input gives one line, exit code 2, and nothing half-written."""

import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from safetensors.torch import load_file, save_file

from raml.models import find_source
from raml.store import Run, lock_run

GOOD = '{"prompt": "Calculate 3+4.", "answer": "7"}\n'


def snapshot(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def expect_error(result, *fragments):
    code, out, err = result
    assert code == 2, (out, err)
    assert len(err.strip().splitlines()) == 1, err
    assert re.fullmatch(r"raml: .*[.!?…] More: raml [a-z -]+\n", err), err
    assert "Traceback" not in err
    for fragment in fragments:
        assert fragment in err
    return err


def make_command(arguments, prelude=""):
    """The command line as a process of its own, which first runs some code."""
    code = f"{prelude}\nimport sys\nfrom raml.cli import run\nsys.exit(run(sys.argv[1:]))"
    return [sys.executable, "-c", code, *map(str, arguments)]


def run_as(arguments, prelude=""):
    result = subprocess.run(make_command(arguments, prelude), capture_output=True, text=True, check=False)
    return result.returncode, result.stdout, result.stderr


@pytest.fixture
def run(tmp_path, raml):
    raml("questions", "tiny", "--limit", "1", "--out", tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        ("", "has no questions"),
        (GOOD + "{oops\n", "line 2 is no JSON object"),
        (GOOD + '{"prompt": "x", "answer": ""}\n', "line 2: field 'answer' is empty"),
        (GOOD + GOOD, "line 2: question id"),
        ('{"id": "a", "prompt": "x", "answer": "1"}\n{"id": "a", "prompt": "y", "answer": "1"}\n', "question id 'a'"),
    ],
    ids=["empty", "malformed", "empty answer", "same question twice", "duplicate id"],
)
def test_a_bad_question_file(raml, tmp_path, content, fragment):
    file = tmp_path / "bad.jsonl"
    file.write_text(content)
    expect_error(raml("questions", file, "--out", tmp_path / "run"), fragment)
    assert not (tmp_path / "run").exists()


def test_questions_do_not_replace_those_that_have_trajectories(raml, run, tmp_path):
    raml("sample", "tiny", run, "--n", "1", "--max-new-tokens", "5")
    before = snapshot(run)
    file = tmp_path / "other.jsonl"
    file.write_text(GOOD)
    expect_error(raml("questions", file, "--out", run), "holds trajectories of question", "which is missing here")
    assert snapshot(run) == before


def test_an_id_keeps_its_question_once_it_has_trajectories(raml, tmp_path):
    file, run = tmp_path / "q.jsonl", tmp_path / "run"
    file.write_text('{"id": "a", "prompt": "Calculate 3+4.", "answer": "7"}\n')
    raml("questions", file, "--out", run)
    raml("sample", "tiny", run, "--n", "1", "--max-new-tokens", "5")
    before = snapshot(run)
    file.write_text('{"id": "a", "prompt": "Calculate 3+4.", "answer": "8"}\n')
    expect_error(raml("questions", file, "--out", run), "question 'a', which is another one here")
    row = {"id": "a", "question": "Calculate 3+4.", "answer": "8", "trajectory": "\\boxed{8}"}
    file.write_text(json.dumps(row) + "\n")
    expect_error(raml("import", "plain", file, run, "--model", "tiny"), "line 1: question id 'a' belongs to another")
    assert snapshot(run) == before


def test_a_run_without_questions_and_one_without_trajectories(raml, tmp_path, run):
    expect_error(raml("sample", "tiny", tmp_path / "none"), "has no questions.jsonl", "raml questions")
    expect_error(raml("trace", tmp_path / "none"), "has no questions.jsonl")
    expect_error(raml("trace", run), "has no trajectories", "raml sample")
    expect_error(raml("report", run), "has no trajectories")


@pytest.mark.parametrize(
    ("name", "fragment"),
    [
        ("tinny", "No model 'tinny'"),
        ("./no/such/folder", "no model file or folder"),
        ("missing.gguf", "no model file or folder missing.gguf"),
        ("somebody/some-model", "the Hub can't be reached"),
        ("not a name!", "No model 'not a name!'"),
    ],
)
def test_an_unknown_model(raml, run, name, fragment):
    before = snapshot(run)
    expect_error(raml("sample", name, run), fragment)
    assert snapshot(run) == before


def make_model_folder(tmp_path, change=None, remove=()):
    folder = tmp_path / "model"
    shutil.copytree(find_source("tiny"), folder)
    for name in remove:
        (folder / name).unlink()
    if change is not None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | change))
    return folder


def test_a_folder_that_is_no_model(raml, run, tmp_path):
    (tmp_path / "empty").mkdir()
    expect_error(raml("sample", tmp_path / "empty", run), "has no config.json")
    (tmp_path / "file.txt").write_text("x")
    expect_error(raml("sample", tmp_path / "file.txt", run), "no .gguf file")
    folder = make_model_folder(tmp_path, remove=["model.safetensors"])
    expect_error(raml("sample", folder, run), "has no weights")


def test_pickled_weights_are_refused_and_not_run(raml, run, tmp_path):
    folder = make_model_folder(tmp_path, remove=["model.safetensors"])

    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "exploded"),))

    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb()))
    expect_error(raml("sample", folder, run), "only pickled weights", "safetensors")
    assert not (tmp_path / "exploded").exists()


def test_a_model_of_another_kind_an_unknown_one_and_one_with_code_of_its_own(raml, run, tmp_path):
    folder = make_model_folder(tmp_path, {"model_type": "t5"})
    expect_error(raml("sample", folder, run), "is not a causal language model")
    shutil.rmtree(folder)
    folder = make_model_folder(tmp_path, {"model_type": "nobody-knows"})
    expect_error(raml("sample", folder, run), "'nobody-knows'")
    shutil.rmtree(folder)
    folder = make_model_folder(tmp_path, {"model_type": "own", "auto_map": {"AutoModelForCausalLM": "code.Model"}})
    (folder / "code.py").write_text(f"import os; os.mkdir({str(tmp_path / 'exploded')!r})")
    expect_error(raml("sample", folder, run), "--trust-remote-code")
    assert not (tmp_path / "exploded").exists()


def test_weights_that_are_not_all_there_are_refused(raml, run, tmp_path):
    folder = make_model_folder(tmp_path)
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.0.mlp.gate_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    expect_error(raml("sample", folder, run), "lacks 1 of its weights", "gate_proj")


@pytest.mark.parametrize("shard", ["shard.bin", "../outside.safetensors", "missing.safetensors", 7])
def test_an_index_may_name_only_safetensors_files_of_its_folder(raml, run, tmp_path, shard):
    folder = make_model_folder(tmp_path)
    (folder / "model.safetensors").rename(folder / "decoy.safetensors")
    (folder / "shard.bin").write_bytes(b"a pickle")
    shutil.copy(folder / "decoy.safetensors", tmp_path / "outside.safetensors")
    index = {"metadata": {}, "weight_map": {"model.norm.weight": shard}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    expect_error(raml("sample", folder, run), "model.safetensors.index.json")


def test_an_adapter_is_not_taken_for_a_model(raml, run, tmp_path):
    folder = make_model_folder(tmp_path)
    (folder / "adapter_config.json").write_text("{}")
    expect_error(raml("sample", folder, run), "is an adapter")


def test_damaged_model_files(raml, run, tmp_path):
    folder = make_model_folder(tmp_path)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:5000])
    expect_error(raml("sample", folder, run), "can't be loaded")
    (folder / "model.safetensors").write_bytes(whole)
    (folder / "config.json").write_text("[]")
    expect_error(raml("sample", folder, run), "config.json is no JSON object")
    gguf = tmp_path / "bad.gguf"
    gguf.write_bytes(b"GGUF" + b"\xff" * 100)
    expect_error(raml("sample", gguf, run), "bad.gguf")


def test_a_model_without_chat_template_and_one_given(raml, run, tmp_path):
    folder = make_model_folder(tmp_path, remove=["chat_template.jinja"])
    expect_error(raml("sample", folder, run), "has no chat template", "--chat-template")
    template = tmp_path / "mine.jinja"
    template.write_text("{% for m in messages %}{{ m.content }}{% endfor %}\n\n")
    code, _, _ = raml("sample", folder, run, "--chat-template", template, "--n", "1", "--max-new-tokens", "5")
    assert code == 0
    expect_error(raml("sample", folder, run, "--chat-template", tmp_path / "none"), "can't be read")


def test_a_trajectory_longer_than_the_context_is_refused_and_nothing_is_written(raml, tmp_path):
    file = tmp_path / "long.jsonl"
    row = {"question": "Calculate 3+4.", "answer": "7", "trajectory": "3+4=7 so " * 400}
    file.write_text(json.dumps(row) + "\n")
    expect_error(raml("import", "plain", file, tmp_path / "run", "--model", "tiny"), "long.jsonl line 1", "1024")
    assert not (tmp_path / "run").exists()


def test_a_run_of_a_newer_schema_is_left_alone(raml, run):
    (run / "manifest.json").write_text('{"schema_version": 99, "stages": {}}')
    before = snapshot(run)
    for command in (("sample", "tiny", run), ("trace", run), ("report", run), ("questions", "tiny", "--out", run)):
        expect_error(raml(*command), "newer version of raml (schema 99")
    assert snapshot(run) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("frob",),
        ("sample",),
        ("sample", "tiny", "run", "--n", "many"),
        ("sample", "tiny", "run", "--frob", "1"),
        ("sample", "tiny", "run", "--mode", "dream"),
        ("questions", "tiny"),
    ],
)
def test_a_wrong_command_line(raml, arguments):
    expect_error(raml(*arguments))


@pytest.mark.parametrize(
    ("flags", "fragment"),
    [
        (("--n", "0"), "n is 0"),
        (("--limit", "0"), "--limit is 0"),
        (("--batch-size", "0"), "Batch size 0"),
        (("--temperature", "-1"), "temperature is -1"),
        (("--max-new-tokens", "5000"), "Use --max-new-tokens"),
        (("--threads", "0"), "--threads is 0"),
        (("--dtype", "float7"), "Unknown dtype 'float7'"),
        (("--device", "quantum"), "Device 'quantum'"),
        (("--config", "no.toml"), "no.toml"),
    ],
)
def test_a_setting_out_of_range(raml, run, flags, fragment):
    before = snapshot(run)
    expect_error(raml("sample", "tiny", run, *flags), fragment)
    assert snapshot(run) == before


def test_a_stage_in_which_nothing_could_be_done_is_an_error(raml, run):
    raml("sample", "tiny", run, "--n", "2", "--max-new-tokens", "5")
    expect_error(raml("trace", run, "--bridge", ""), "bridge has no tokens")
    assert not (run / "traces.parquet").exists()


def test_a_second_writer_is_told_who_the_first_one_is(raml, run):
    with lock_run(run):
        result = run_as(("sample", "tiny", run, "--n", "1", "--max-new-tokens", "5"))
    expect_error(result, f"is being written by process {os.getpid()}")
    assert raml("sample", "tiny", run, "--n", "1", "--max-new-tokens", "5")[0] == 0


@pytest.mark.parametrize("fault", ["OSError(38, 'no locks here')", "BlockingIOError(11, 'held')"])
def test_a_file_system_without_locks_works_and_a_held_lock_leaves_nothing(tmp_path, fault):
    prelude = f"import fcntl\ndef flock(*_):\n    raise {fault}\nfcntl.flock = flock"
    result = run_as(("questions", "tiny", "--limit", "1", "--out", tmp_path / "run"), prelude)
    if "held" in fault:
        expect_error(result, "is being written by process")
        assert not (tmp_path / "run").exists()
    else:
        assert result[0] == 0


def test_a_disk_without_a_byte_left_is_one_line_and_leaves_nothing(tmp_path):
    full = SMALL_DISK.replace("3000", "0")
    result = run_as(("questions", "tiny", "--limit", "1", "--out", tmp_path / "run"), full)
    expect_error(result, "The disk is full")
    assert not (tmp_path / "run").exists()


def test_an_interrupt_says_how_to_go_on(run):
    # A shell that starts tests in the background makes them ignore Ctrl-C, and children inherit that.
    prelude = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = make_command(("sample", "tiny", run, "--n", "400", "--batch-size", "2"), prelude)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    journal = run / "trajectories.jsonl"
    try:
        # A third line is there once the second batch is being written: the first one is safe then.
        while not journal.exists() or journal.read_bytes().count(b"\n") < 3:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert err.decode() == "Interrupted. What was finished is kept; run the same command again to go on.\n"
    assert out == b""
    assert Run(run).read_trajectories()


def test_trace_settings_out_of_range(raml, run):
    raml("sample", "tiny", run, "--n", "1", "--max-new-tokens", "5")
    before = snapshot(run)
    expect_error(raml("trace", run, "--alpha", "0"), "--alpha is 0")
    expect_error(raml("trace", run, "--limit", "0"), "--limit is 0")
    expect_error(raml("trace", run, "--every", "0"), "--every is 0")
    expect_error(raml("trace", run, "--memory", "lots"), "'lots' is no size in bytes; write it like 800MB")
    expect_error(raml("trace", run, "--memory", "0GB"), "is no size in bytes")
    expect_error(raml("trace", run, "--memory", "2MB"), "Scoring", "2 MB are allowed")
    expect_error(raml("trace", run, "--readout-tokens", "5"), "need --readout")
    expect_error(raml("trace", run, "--readout", "--readout-tokens", "0"), "--readout-tokens is 0")
    expect_error(raml("trace", run, "--readout", "--readout-stop", ""), "--readout-stop is empty")
    assert snapshot(run) == before


def test_a_read_only_folder(raml, tmp_path):
    """A file where the folder should be is refused by the kernel for root too."""
    (tmp_path / "file").write_text("")
    expect_error(raml("questions", "tiny", "--out", tmp_path / "file" / "run"), "can't be written")
    if os.geteuid() != 0:
        (tmp_path / "locked").mkdir(mode=0o500)
        expect_error(raml("questions", "tiny", "--out", tmp_path / "locked" / "run"), "can't be written")


SMALL_DISK = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
"""


def test_a_full_disk_leaves_whole_records_and_the_same_command_goes_on_later(raml, tmp_path):
    """The kernel cuts writes short at a file size of 3,000 bytes, as a full disk would."""
    run = tmp_path / "run"
    raml("questions", "tiny", "--limit", "2", "--out", run)
    sample = ("sample", "tiny", run, "--n", "2", "--batch-size", "1", "--max-new-tokens", "30", "--threads", "1")
    expect_error(run_as(sample, SMALL_DISK), "The disk is full")
    kept = (run / "trajectories.jsonl").read_bytes()
    assert kept.endswith(b"\n")
    assert 1 <= len(Run(run).read_trajectories()) < 4
    assert [p.name for p in run.iterdir() if "partial" in p.name] == []
    assert run_as(sample)[0] == 0
    assert len(Run(run).read_trajectories()) == 4


def test_debug_shows_the_traceback(tmp_path):
    code, _, err = run_as(("report", tmp_path / "none", "--debug"))
    assert code == 1
    assert "Traceback" in err
    assert "RunError" in err


def test_a_config_file_that_is_no_toml_or_has_unknown_keys(raml, run, tmp_path):
    config = tmp_path / "raml.toml"
    config.write_text("[sample\n")
    expect_error(raml("sample", "tiny", run, "--config", config), "is no TOML")
    config.write_text("[sample]\nfrob = 1\n")
    expect_error(raml("sample", "tiny", run, "--config", config), "frob")
