"""`raml study --dry-run`: each step of each study could be run, and what could not be is found."""

import json
import re
from pathlib import Path
from unittest.mock import Mock

import huggingface_hub
import pytest

from raml.cli import study_check
from raml.cli.study_check import check_studies
from raml.cli.study_commands import check_steps, parse_words
from raml.cli.study_sources import Source, check_models, check_sources, find_existing
from raml.errors import DataError
from raml.questions import SourceSettings
from raml.studies.conclusion import plan_study
from raml.studies.plan import SCALES, STUDIES, Step, collect_steps

ASK = Step("run/questions", ("questions", "tiny", "--limit", "8", "--out", "run"), folder="run")
SAMPLE = Step("run/sample", ("sample", "tiny", "run", "--n", "2"), needs=("run/questions",), folder="run")
SFT = ("--config", "tiny/sft", "train", "sft", "--model", "tiny-base", "--trajectories", "run", "--out", "models/sft")

GRPO = ("--config", "tiny/grpo", "train", "grpo", "--model", "tiny", "--questions", "run", "--out", "models/grpo")


def find_fault(home, words=(), *, needs=("run/sample",), **others):
    """What is said against one step that comes after two good ones."""
    step = Step("last", tuple(words), needs=tuple(needs), **others)
    faults = check_steps([ASK, SAMPLE, step], home).faults
    assert set(faults) <= {"last"}
    return faults.get("last")


@pytest.mark.parametrize("scale", SCALES)
def test_nothing_is_wrong_with_any_study_s_steps_of_the_first_seed(tmp_path, scale):
    steps = collect_steps([plan_study(name, scale) for name in STUDIES])
    first = [step for step in steps if not re.search("-[12](/|$)", step.name)]
    assert check_steps(first, tmp_path).faults == {}
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("scale", SCALES)
def test_nothing_is_wrong_with_any_step_of_any_study(tmp_path, scale):
    steps = collect_steps([plan_study(name, scale) for name in STUDIES])
    assert check_steps(steps, tmp_path).faults == {}


@pytest.mark.parametrize(
    "words",
    [
        ("trace", "run", "--target", "both", "--readout"),
        ("--config", "tiny/sft", "train", "sft", "--model", "tiny-base", "--trajectories", "run", "--out", "m"),
        ("train", "grpo", "--model", "tiny", "--questions", "run", "--chat-template", "paper/chatml", "--out", "m"),
        ("sample", "Qwen/Qwen2.5-7B", "run", "--engine", "vllm"),
        ("compress", "run", "cut", "summary", "--runs", "4"),
        ("evaluate", "run", "--k", "8"),
        ("align", "run", "--dtype", "float32"),
        ("questions", "reasoning-gym:chain_sum", "--out", "other"),
    ],
)
def test_a_good_step_is_let_be(tmp_path, words):
    assert find_fault(tmp_path, words) is None


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("trace", "run", "--targt", "both"), "Unknown option: --targt"),
        (("tracee", "run"), "Unknown command"),
        (("trace", "run", "--target", "bath"), "--target"),
        (("trace", "run", "--alpha", "2"), "--alpha is 2.0"),
        (("trace", "run", "--readout-tokens", "9"), "need --readout"),
        (("trace", "elsewhere"), "reads elsewhere, which no step before it makes"),
        (("curves", "run", "--n-resamples", "many"), "many"),
        (("influence", "run", "--level", "1.5"), "--level is 1.5"),
        (("influence", "run", "--word-file", "words.txt"), "reads words.txt, and there is no such file"),
        (("landscape", "run", "--n-steps", "4"), "--n-steps is 4"),
        (("compress", "run", "cut", "--budget", "-1"), "--budget is -1"),
        (("align", "run", "--n-prefixes", "0"), "--n-prefixes is 0"),
        (("adapt", "run", "--steps", "-1"), "-1"),
        (("faithfulness", "run", "--n", "0"), "--n is 0"),
        (("sample", "tiny", "run", "--n", "0"), "n is 0"),
        (("sample", "tiny", "run", "--temperature", "-1"), "temperature is -1"),
        (("sample", "tiny", "run", "--max-new-tokens", "0"), "max_new_tokens is 0"),
        (("sample", "tiny", "run", "--batch-size", "0"), "--batch-size is 0"),
        (("sample", "tiny", "run", "--engine", "vlm"), "'vlm' is none of"),
        (("sample", "tiny", "run", "--tensor-parallel", "2"), "needs --engine vllm"),
        (("sample", "tinny", "run"), "no model tinny"),
        (("sample", "models/sft", "run"), "no model models/sft"),
        (("sample", "tiny", "run", "--chat-template", "paper/chat"), "no chat template paper/chat"),
        (("questions", "tiny", "--size", "many", "--out", "other"), "--size is 'many'"),
        (("questions", "tiny", "--since", "2025-01-01", "--out", "other"), "--since is for livecodebench"),
        (("questions", "tiny", "--limit", "0", "--out", "other"), "--limit is 0"),
        (("questions", "aime23", "--out", "other"), "no source 'aime23'"),
        (("questions", "aime24", "--clean", "--out", "other"), "--clean is for files"),
        (("questions", "livecodebench", "--release", "v9", "--out", "other"), "no release 'v9'"),
        (("questions", "reasoning-gym:chain_some", "--out", "other"), "did you mean chain_sum"),
        (("questions", "mine.jsonl", "--out", "other"), "reads mine.jsonl, and there is no such file"),
        (("questions", "aime24", "--file", "a.parquet", "--out", "other"), "reads a.parquet, and there is no such"),
        (("--config", "tiny/sfd", "train", "sft", "--out", "m"), "Config file tiny/sfd can't be read"),
        ((*SFT, "--learning-rate", "-1"), "learning_rate is -1"),
        ((*SFT, "--trajectories", "elsewhere"), "reads elsewhere"),
        ((*GRPO, "--n-update", "17"), "n_update is 17"),
    ],
)
def test_a_command_that_would_be_refused_is_found(tmp_path, words, told):
    assert told in find_fault(tmp_path, words)


def test_a_run_or_model_counts_as_there_only_for_steps_that_need_its_maker(tmp_path):
    """Steps that don't wait for a folder's maker may begin before it."""
    trace = ("trace", "run")
    assert "reads run" in find_fault(tmp_path, trace, needs=())
    assert find_fault(tmp_path, trace) is None
    (tmp_path / "run").mkdir()
    assert find_fault(tmp_path, trace, needs=()) is None
    train = Step("models/sft", SFT, needs=("run/sample",), folder="models/sft")
    test = ("sample", "models/sft", "run")
    after, beside = Step("t", test, needs=("models/sft",)), Step("u", test, needs=("run/sample",))
    assert list(check_steps([ASK, SAMPLE, train, after, beside], tmp_path).faults) == ["u"]


def test_what_a_run_would_write_is_not_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_steps([ASK, SAMPLE, Step("t", ("trace", "run"), needs=("run/sample",)), Step("s", SFT)], tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("call", "arguments", "told"),
    [
        ("raml.studies.conclusion:conclude", (("study", "fig3"), ("scale", "tiny")), None),
        ("raml.studies.conclusion:conclude", (("study", "fig3"),), "missing a required argument: 'scale'"),
        ("raml.studies.conclusion:conclude", (("study", "fig3"), ("scal", "tiny")), "'scal'|'scale'"),
        ("raml.studies.conclusion:conclud", (), "no function raml.studies.conclusion:conclud"),
        ("raml.studies.nothing:conclude", (), "no function raml.studies.nothing:conclude"),
        ("conclude", (), "no function conclude"),
    ],
)
def test_a_call_that_would_fail_is_found(tmp_path, call, arguments, told):
    fault = find_fault(tmp_path, call=call, arguments=arguments)
    if told is None:
        assert fault is None
    else:
        assert any(part in fault for part in told.split("|"))


def test_a_launcher_s_file_and_program_are_looked_for(tmp_path):
    line = (*SFT[:-1], "m")
    assert "no such file" in find_fault(tmp_path, line, launcher=("python", "fsdp.yaml"))
    step = Step("launched", line, needs=("run/sample",), launcher=("no-such-launcher",))
    found = check_steps([ASK, SAMPLE, step], tmp_path)
    assert not found.faults
    assert found.missing_here == {"The launcher no-such-launcher is not on the path.": ["launched"]}


def test_a_config_file_is_forgotten_after_its_command_line():
    assert parse_words(SFT).arguments["settings"].optimizer == "muon"
    plain = parse_words(("train", "sft", "--model", "tiny", "--trajectories", "run", "--out", "m"))
    assert plain.arguments["settings"].optimizer == "adamw"


def test_models_and_data_sets_from_elsewhere_are_collected_once(tmp_path):
    other = Step("other", ("questions", "math500-l5", "--limit", "3", "--out", "a"), folder="a")
    again = Step("again", ("questions", "math500-l5", "--limit", "9", "--out", "b"), folder="b")
    file = Step("cleaned", ("questions", "orz-math", "--clean", "--file", "orz.json", "--out", "c"), folder="c")
    (tmp_path / "orz.json").write_text("[]")
    ask = Step("asked", ("sample", "Qwen/Qwen3-0.6B", "a"), needs=("other",), folder="a")
    found = check_steps([other, again, file, ask], tmp_path)
    assert found.faults == {}
    assert found.models == {"Qwen/Qwen3-0.6B"}
    given = Source("orz-math", SourceSettings(files=(tmp_path / "orz.json",)), clean=True)
    assert found.sources == [Source("math500-l5", SourceSettings(), clean=False), given]


def test_given_files_are_read_to_their_end(tmp_path):
    rows = [{"problem": f"1 + {i}", "answer": str(i + 1), "level": 5} for i in range(3)]
    path = tmp_path / "test.jsonl"
    source = Source("math500-l5", SourceSettings(files=(path,)), clean=False)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (row,), faults = check_sources([source])
    assert faults == []
    assert row == ("math500-l5", f"found in {path}", "problem, answer, level")
    path.write_text(path.read_text() + '{"problem": "1 + 9", "answer": "", "level": 5}\n')
    rows, (fault,) = check_sources([source])
    assert rows == []
    assert "test.jsonl line 4: column 'answer' is empty" in fault
    path.write_text('{"problem": "1 + 9", "level": 5}\n')
    assert check_sources([source])[1] == [f"math500-l5: {path} has no column 'answer'; its columns are problem, level."]


def test_what_can_t_be_looked_at_is_never_called_found():
    """Tests have no network."""
    rows, faults = check_sources([Source("aime24", SourceSettings(), clean=False)])
    assert faults == []
    assert rows == [
        ("aime24", "not checked: the Hub can't be reached", "problem or Problem, answer or Answer"),
    ]
    rows, faults = check_models({"Qwen/Qwen3-0.6B"})
    assert faults == []
    assert rows == [("Qwen/Qwen3-0.6B", "not checked: it is not in the cache, and the Hub can't be reached")]


def test_a_model_that_the_hub_does_not_know_is_a_fault(monkeypatch):
    gone = huggingface_hub.errors.RepositoryNotFoundError("gone", response=Mock(headers={}, status_code=404))

    def answer(self, name, **options):
        if name == "no/such":
            raise gone
        return Mock(sha="abc")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", answer)
    rows, faults = check_models({"no/such", "a/model"})
    assert rows == [("a/model", "on the Hub, abc")]
    assert faults == ["There is no model no/such on the Hub, or it is private."]


def test_the_nearest_folder_that_is_there_says_how_much_room_there_is(tmp_path):
    assert find_existing(tmp_path / "a" / "b") == tmp_path
    assert find_existing(tmp_path) == tmp_path


def test_commands_and_costs_are_printed_and_nothing_is_made(raml, tmp_path):
    home = tmp_path / "my studies"
    code, out, _ = raml("study", "fig3", "--dry-run", "--out", home)
    lines = out.splitlines()
    assert code == 0
    assert lines[0] == f"mkdir -p '{home}' && cd '{home}'"
    assert lines[1] == "raml questions tiny --limit 64 --out probe"
    table = next(i for i, line in enumerate(lines) if line.startswith("study "))
    assert lines[table].split("  ")[-1].strip() == "GB on disk"
    assert lines[table + 1].split()[:3] == ["fig3", "5", "0.02"]
    assert f"are free at {tmp_path}." in out
    assert not home.exists()


def test_steps_that_two_studies_share_are_printed_and_summed_once(tmp_path, capsys):
    check_studies(["fig3", "fig16"], "tiny", tmp_path)
    out = capsys.readouterr().out
    assert out.count("raml trace probe") == 1
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line[:4] in ("fig3", "fig1", "toge")}
    assert rows["fig3"][0] == rows["fig16"][0] == "5"
    assert rows["together"][0] == "6"
    assert rows["together"][1:4] == rows["fig3"][1:4]


def test_all_faults_are_told_a_line_each(tmp_path, monkeypatch, capsys):
    plans = {"fig3": [ASK, Step("a", ("trace", "rum"))], "fig16": [Step("b", ("trade", "run"))]}

    def plan(name, scale):
        if name == "fig5":
            raise DataError("fig5.toml is not a study's.")
        if name == "fig6":
            raise KeyError("n_panels")
        return plans[name]

    monkeypatch.setattr(study_check, "plan_study", plan)
    with pytest.raises(DataError, match="4 of the things listed above"):
        check_studies(["fig3", "fig16", "fig5", "fig6"], "tiny", tmp_path)
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Fault")]
    assert [line.split(": ")[1] for line in told] == ["study fig5", "study fig6", "step a", "step b"]
    assert "lack 'n_panels'" in told[1]
    assert "reads rum" in told[2]


def test_a_disk_that_is_too_small_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(study_check.shutil, "disk_usage", lambda path: Mock(free=1000))
    check_studies(["fig3"], "tiny", tmp_path)
    assert "too little" in capsys.readouterr().out


def test_a_fault_is_one_line_and_exit_code_2(raml, tmp_path, monkeypatch):
    monkeypatch.setattr(study_check, "plan_study", lambda name, scale: [Step("a", ("trace", "rum"))])
    code, out, error = raml("study", "fig3", "--dry-run", "--out", tmp_path)
    assert (code, error.count("\n")) == (2, 1)
    assert "Fault: step a: It reads rum" in out
    assert Path(tmp_path).exists()
