"""`raml evaluate` and `raml grade` as one would use them."""

import csv
import dataclasses
import io
import json

import pytest
from rich.console import Console

from raml.answers import grade_response
from raml.cli.grade import _is_due
from raml.records import CodeTests, Question
from raml.store import Run
from raml.store.lines import encode_line

SAMPLE = ("--n", "4", "--temperature", "1", "--top-p", "1", "--top-k", "0", "--max-new-tokens", "150")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    from raml.cli import run

    paths = []
    for model in ("tiny-base", "tiny"):
        path = tmp_path_factory.mktemp("runs") / model
        assert run(["questions", "tiny", "--limit", "6", "--out", str(path)]) == 0
        assert run(["sample", model, str(path), *SAMPLE]) == 0
        paths.append(path)
    return paths


def test_two_models_in_one_table_with_their_difference(raml, runs, tmp_path):
    code, out, err = raml("evaluate", *runs, "--out", tmp_path / "both", "--n-resamples", "499")
    assert (code, err) == (0, "")
    assert "Avg@4" in out
    assert "mG-Pass@2" in out
    assert "p (Holm)" in out
    assert out.count("\ntiny ") >= 4
    written = sorted(p.name for p in (tmp_path / "both").rglob("*.*") if p.is_file() and p.name != ".lock")
    assert written == [
        "evaluation.csv", "evaluation.json", "evaluation.md", "evaluation.png", "evaluation.svg", "manifest.json",
    ]  # fmt: skip
    (stage,) = Run(tmp_path / "both").read_manifest().stages
    assert stage.config["by"] == "source"
    assert len(stage.inputs) == 4
    assert {entry.path for entry in stage.outputs} >= {"evaluation.json", "figures/evaluation.svg"}


def test_the_numbers_are_those_of_the_trajectories(raml, runs):
    code, out, _ = raml("evaluate", runs[1], "--format", "json", "--n-resamples", "99")
    assert code == 0
    (score,) = json.loads(out)["scores"]
    trajectories = Run(runs[1]).read_trajectories()
    assert score["estimates"][0]["value"] == pytest.approx(sum(t.correct for t in trajectories) / 24)
    assert score["verdicts"]["right"] == sum(t.correct for t in trajectories)
    assert sum(score["verdicts"].values()) == 24


def test_what_is_printed_for_programs_is_nothing_else(raml, runs):
    _, out, _ = raml("evaluate", runs[1], "--format", "csv", "--by", "domain", "--n-resamples", "99")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert {row["benchmark"] for row in rows} == {"arithmetic", "lists"}
    _, out, _ = raml("evaluate", runs[1], "--format", "markdown", "--n-resamples", "99")
    assert out.startswith("| benchmark | model |")


def test_the_same_command_gives_the_same_bytes(raml, runs, tmp_path):
    for name in ("one", "two"):
        raml("evaluate", *runs, "--out", tmp_path / name, "--n-resamples", "199")
    files = ("evaluation.json", "evaluation.md", "evaluation.csv", "figures/evaluation.svg")
    assert all((tmp_path / "one" / f).read_bytes() == (tmp_path / "two" / f).read_bytes() for f in files)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--k", "5"), "k = 5 responses can't be drawn from the 4"),
        (("--k", "0"), "--k is 0; it must be at least 1"),
        (("--tau", "2"), "tau is 2; it must be above 0"),
        (("--level", "95"), "level is 95"),
        (("--baseline", "nobody"), "No model 'nobody' to compare with; there are: tiny-base"),
        (("--n-resamples", "3"), "--n-resamples is 3"),
        (("--seed", "-1"), "--seed is -1"),
    ],
)
def test_what_cannot_be_asked_is_one_line_and_writes_nothing(raml, runs, tmp_path, flags, message):
    code, out, err = raml("evaluate", *runs, "--out", tmp_path / "new", *flags)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "new").exists()


def test_a_run_that_is_not_there_is_one_line(raml, tmp_path):
    code, _, err = raml("evaluate", tmp_path / "nothing")
    assert code == 2
    assert "has no questions.jsonl" in err
    assert not (tmp_path / "nothing").exists()


def change(run, **fields):
    """Change the first trajectory of a run by hand."""
    folder = Run(run)
    first, *others = folder.read_trajectories()
    folder.write_trajectories([dataclasses.replace(first, **fields), *others])
    return first


@pytest.fixture
def small(raml, tmp_path):
    raml("questions", "tiny", "--limit", "2", "--out", tmp_path / "run")
    raml("sample", "tiny", tmp_path / "run", "--n", "2", "--max-new-tokens", "150")
    return tmp_path / "run"


def test_grading_again_decides_what_was_not_decided(raml, small):
    before = Run(small).trajectories_path.read_bytes()
    change(small, correct=None, verdict="timed out", error="Answer '9^9' not decided in 5 s.")
    code, out, _ = raml("grade", small)
    assert code == 0
    assert "Checked 1 of 4 trajectories again; 1 came out differently" in out
    assert Run(small).trajectories_path.read_bytes() == before
    assert Run(small).read_manifest().find_last("grade").n_new == 1


def test_grading_all_uses_a_corrected_gold_answer(raml, small):
    folder = Run(small)
    questions = folder.read_questions()
    lines = [json.loads(line) for line in folder.questions_path.read_text().splitlines()]
    lines[0]["answer"] = "123456"
    folder.questions_path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert "Checked 0 of 4" in raml("grade", small)[1]
    assert "Checked 4 of 4" in raml("grade", small, "--all")[1]
    mine = [t for t in folder.read_trajectories() if t.question_id == questions[0].id]
    assert {(t.correct, t.verdict) for t in mine} == {(False, "wrong")}


def test_a_response_whose_numbers_broke_down_is_not_graded(raml, small):
    change(small, correct=None, verdict="undecided", finish=None, error="The model's probabilities are NaN.")
    assert "Checked 3 of 4" in raml("grade", small, "--all")[1]
    assert Run(small).read_trajectories()[0].correct is None


def test_an_interrupt_keeps_what_was_checked(raml, small, monkeypatch):
    folder = Run(small)
    folder.write_trajectories(
        [dataclasses.replace(t, correct=None, verdict="undecided") for t in folder.read_trajectories()]
    )
    checked = []

    def interrupted(text, question, **options):
        if checked:
            raise KeyboardInterrupt
        checked.append(question)
        return grade_response(text, question, **options)

    monkeypatch.setattr("raml.cli.grade.grade_response", interrupted)
    assert raml("grade", small, "--workers", "1")[0] == 130
    assert sum(t.correct is not None for t in folder.read_trajectories()) == 1
    monkeypatch.undo()
    assert "Checked 3 of 4 trajectories again; 3 came out differently" in raml("grade", small)[1]


def test_why_a_withheld_question_is_undecided_is_not_said(raml, small):
    folder = Run(small)
    lines = [json.loads(line) for line in folder.questions_path.read_text().splitlines()]
    lines[0] |= {"redacted": True, "answer": "SECRET$", "kind": "choice"}
    folder.questions_path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, out, _ = raml("grade", small, "--all")
    assert code == 0
    assert "the reason is withheld" in out
    assert "SECRET" not in out
    assert "SECRET" not in raml("evaluate", small, "--n-resamples", "99", "--undecided", "wrong", "--format", "json")[1]


def test_a_narrow_terminal_shows_names_and_numbers_whole(raml, runs, monkeypatch):
    monkeypatch.setattr("raml.cli.evaluate.console", Console(force_terminal=True, width=60, highlight=False))
    _, out, _ = raml("evaluate", *runs, "--n-resamples", "99")
    assert "…" not in out


def test_programs_are_graded_only_with_leave(make_trajectory):
    question = Question("q", "Print 3.", "", kind="code", tests=CodeTests(("",), ("3",)))
    undecided = make_trajectory(correct=None, verdict="undecided")
    assert not _is_due(undecided, {"q": question}, True, False)
    assert _is_due(undecided, {"q": question}, False, True)


def test_a_program_that_was_not_run_is_run_by_grading_with_leave(raml, small):
    folder = Run(small)
    question = folder.read_questions()[0]
    code = Question(question.id, question.prompt, question.answer, kind="code", tests=CodeTests(("4\n",), ("8\n",)))
    lines = folder.questions_path.read_bytes().splitlines(keepends=True)
    folder.questions_path.write_bytes(encode_line(code) + lines[1])
    text = "```python\nprint(2 * int(input()))\n```"
    change(small, text=text, token_ids=(1,), token_ends=(len(text),), reasoning_len=1, logprobs=None, correct=None)
    code, out, _ = raml("grade", small, "--allow-code-execution")
    assert code == 0
    assert "Programs run " in out
    assert folder.read_trajectories()[0].verdict == "right"
