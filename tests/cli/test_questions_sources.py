"""`raml questions NAME`: benchmarks in a run folder, from their files."""

import json
import subprocess
import sys

import pytest

from raml.questions.sources import hub
from raml.store import Run

COMMIT = "0123456789abcdef0123456789abcdef01234567"
AIME = [{"problem": f"What is ${i} + {i}$?", "answer": str(2 * i), "id": str(i)} for i in range(1, 4)]
PAIRS = [
    [{"from": "human", "value": "Calculate $3 + 4$."}, {"from": "assistant", "ground_truth": {"value": "7"}}],
    [{"from": "human", "value": "Show that 2 is prime."}, {"from": "assistant", "ground_truth": {"value": ""}}],
    [{"from": "human", "value": "Calculate $3 + 5$."}, {"from": "assistant", "ground_truth": {"value": "8"}}],
]
GPQA = {
    "Question": "Which of these numbers is even?",
    "Correct Answer": "two",
    "Incorrect Answer 1": "one",
    "Incorrect Answer 2": "three",
    "Incorrect Answer 3": "five",
    "Record ID": "rec1",
}


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(rows) if path.suffix == ".json" else "".join(json.dumps(row) + "\n" for row in rows)
    path.write_text(text)
    return path


def read_config(folder):
    (stage,) = Run(folder).read_manifest().stages
    return stage


def expect_error(result, *fragments):
    code, out, err = result
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    for fragment in fragments:
        assert fragment in err


def test_a_benchmarks_file_becomes_questions_with_notes(raml, tmp_path):
    file = write(tmp_path / "test.jsonl", AIME)
    code, out, _ = raml("questions", "aime25", "--file", file, "--out", tmp_path / "run")
    assert code == 0
    assert [q.answer for q in Run(tmp_path / "run").read_questions()] == ["2", "4", "6"]
    assert out.splitlines()[:3] == [
        f"Wrote 3 questions to {tmp_path / 'run' / 'questions.jsonl'}",
        "aime25 should have 30 questions; here are 3.",
        "Terms: the problems are the Mathematical Association of America's",
    ]
    stage = read_config(tmp_path / "run")
    assert stage.inputs[0].path == str(file)
    assert stage.config["files"] == ["test.jsonl"]
    assert stage.config["commit"] is None
    assert stage.config["instructions"] == ["Please reason step by step, and put your final answer within \\boxed{}."]


def test_the_manifest_says_what_came_from_the_hub(raml, tmp_path, monkeypatch):
    write(tmp_path / COMMIT / "gpqa_diamond.jsonl", [GPQA])
    (tmp_path / COMMIT / "gpqa_diamond.jsonl").rename(tmp_path / COMMIT / "gpqa_diamond.csv")
    (tmp_path / COMMIT / "gpqa_diamond.csv").write_text(",".join(GPQA) + "\n" + ",".join(GPQA.values()) + "\n")
    monkeypatch.setattr(hub, "download_snapshot", lambda *_: tmp_path / COMMIT)
    assert raml("questions", "gpqa-diamond", "--seed", 4, "--out", tmp_path / "run")[0] == 0
    (question,) = Run(tmp_path / "run").read_questions()
    assert question.source == f"Idavidrein/gpqa@{COMMIT}"
    assert question.redacted
    stage = read_config(tmp_path / "run")
    expected = {
        "repository": "Idavidrein/gpqa",
        "config": ["gpqa_diamond"],
        "split": "train",
        "commit": COMMIT,
        "seed": 4,
        "wording": ["{question}\n\nA) {A}\nB) {B}\nC) {C}\nD) {D}"],
    }
    assert {key: stage.config[key] for key in expected} == expected
    assert stage.seed == 4


def test_training_questions_are_cleaned(raml, tmp_path):
    file = write(tmp_path / "orz.json", PAIRS)
    code, out, _ = raml("questions", "orz-math", "--file", file, "--clean", "--out", tmp_path / "run")
    assert code == 0
    run = Run(tmp_path / "run")
    assert [q.answer for q in run.read_questions()] == ["7", "8"]
    assert {q.source for q in run.read_questions()} == {"Open-Reasoner-Zero/orz_math_57k_collection from orz.json"}
    assert "Dropped 1 of 3 rows" in out
    assert json.loads(run.dropped_path.read_text())["place"] == f"{file} row 2"
    one = raml("questions", "orz-math", "--file", file, "--clean", "--limit", 1, "--out", tmp_path / "one")
    assert one[0] == 0
    assert [q.answer for q in Run(tmp_path / "one").read_questions()] == ["7"]
    expect_error(raml("questions", "orz-math", "--file", file, "--out", tmp_path / "not"), "row 2: column 'answer' is")


def test_a_time_window_reaches_the_manifest_as_text(raml, tmp_path):
    row = {
        "question_content": "Print 1.",
        "contest_date": "2025-02-08T00:00:00",
        "starter_code": "",
        "public_test_cases": '[{"input": "", "output": "1", "testtype": "stdin"}]',
        "private_test_cases": "[]",
        "metadata": "{}",
    }
    file = write(tmp_path / "test6.jsonl", [row])
    flags = ("--since", "2025-02-01", "--until", "2025-02-28")
    assert raml("questions", "livecodebench", "--file", file, *flags, "--out", tmp_path / "run")[0] == 0
    config = read_config(tmp_path / "run").config
    assert (config["since"], config["until"], config["release"]) == ("2025-02-01", "2025-02-28", None)
    (question,) = Run(tmp_path / "run").read_questions()
    assert question.tests is not None
    assert question.tests.outputs == ("1",)


def test_reasoning_gym_makes_questions(raml, tmp_path):
    pytest.importorskip("reasoning_gym")
    source, flags = "reasoning-gym:chain_sum", ("--limit", 3, "--seed", 2, "--task-option", "max_terms=2")
    assert raml("questions", source, *flags, "--out", tmp_path / "run")[0] == 0
    assert len(Run(tmp_path / "run").read_questions()) == 3
    stage = read_config(tmp_path / "run")
    assert stage.config["task_options"] == {"max_terms": 2}
    assert (stage.config["task"], stage.seed) == ("chain_sum", 2)
    raml("questions", source, *flags, "--out", tmp_path / "again")
    assert (tmp_path / "run" / "questions.jsonl").read_bytes() == (tmp_path / "again" / "questions.jsonl").read_bytes()


def test_without_network_there_is_one_line_and_nothing_is_written(raml, tmp_path):
    result = raml("questions", "gpqa-diamond", "--out", tmp_path / "run")
    expect_error(result, "raml questions gpqa-diamond --file gpqa_diamond.csv --out RUN")
    assert not (tmp_path / "run").exists()


def test_an_unknown_source_lists_the_names(raml, tmp_path):
    expect_error(
        raml("questions", "aime42", "--out", tmp_path / "run"),
        "There is no source 'aime42'. It can be tiny, aime24, aime25, math500, math500-l5, livemathbench-hard,",
        "gpqa-diamond, livecodebench, orz-math, reasoning-gym:TASK, or a .jsonl, .csv, .parquet, .json file.",
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("aime24", "--clean"), '--clean is for files; the questions of "aime24" have nothing to clean.'),
        (("aime24", "--seed", "1"), "--seed is for tiny, gpqa-diamond and reasoning-gym; aime24 has no use for it"),
        (("aime24", "--release", "v3"), "--release is for livecodebench, without --file; aime24 has no use for it"),
        (("math500", "--language", "en"), "--language is for livemathbench-hard, without --file"),
        (("math500", "--since", "2025-01-01"), "--since is for livecodebench; math500 has no use for it"),
        (("aime24", "--file", "a.csv", "--revision", "x"), "--revision is for data sets by name, without --file"),
        (("livecodebench", "--file", "a.jsonl", "--release", "v3"), "--release is for livecodebench, without --file"),
        (("tiny", "--file", "a.csv"), "--file is for data sets by name; tiny has no use for it here."),
        (("tiny", "--revision", "x"), "--revision is for data sets by name"),
        (("gpqa-diamond", "--split", "train"), "--split is for tiny; gpqa-diamond has no use"),
        (("my.jsonl", "--family", "lists"), "--family is for tiny; my.jsonl has no use for it"),
        (("my.jsonl", "--seed", "1"), "--seed is for tiny, gpqa-diamond and reasoning-gym; my.jsonl"),
        (("reasoning-gym:chain_sum", "--file", "a.csv"), "--file is for data sets by name; reasoning-gym:chain_sum"),
        (("gpqa-diamond", "--task-option", "a=1"), "--task-option is for reasoning-gym"),
        (("livecodebench", "--release", "v9"), "There is no release 'v9' of LiveCodeBench"),
        (("aime24", "--limit", "0"), "--limit is 0"),
        (("aime25", "--file", "none.jsonl"), "There is no file none.jsonl."),
        (("aime25", "--file", "none.txt"), "none.txt is no .jsonl"),
    ],
)
def test_what_does_not_fit_together_is_one_line(raml, tmp_path, arguments, message):
    expect_error(raml("questions", *arguments, "--out", tmp_path / "run"), message)
    assert not (tmp_path / "run").exists()


def test_help_texts_come_without_the_packages_that_load_data():
    code = (
        "import sys, raml.cli; "
        "sys.exit(bool({'huggingface_hub', 'datasets', 'reasoning_gym', 'torch', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
