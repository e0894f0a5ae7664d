"""`raml questions FILE --clean`: what stays, what goes, and where one can read why."""

import json

import pytest

from raml.records import SCHEMA_VERSION
from raml.store import Run

ROWS = [
    {"prompt": "Calculate 3+4.", "answer": "7", "level": 1},
    {"prompt": "Calculate <b>5</b>+4, see https://example.org/sums.", "answer": "9"},
    {"prompt": "In the figure, what is the angle at $P$?", "answer": "30"},
    {"prompt": "Use the table below to find the mean.", "answer": "3"},
    {"id": "cut", "prompt": "Solve the equation:", "answer": "2"},
    {"prompt": "Show that 2 is prime.", "answer": ""},
    {"prompt": "Show that 3 is prime.", "answer": "Proof: only 1 and 3 divide it."},
    {"prompt": "Calculate  3+4.", "answer": "7"},
    {"prompt": "What is a half of a third?", "answer": "\\frac{1}{6}"},
]


@pytest.fixture
def file(tmp_path):
    return write(tmp_path / "mine.jsonl", ROWS)


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_questions_are_cleaned_and_the_dropped_ones_listed_with_the_reason(raml, file, tmp_path):
    code, out, _ = raml("questions", file, "--out", tmp_path / "run", "--clean")
    assert code == 0
    run = Run(tmp_path / "run")
    assert [(q.prompt, q.answer) for q in run.read_questions()] == [
        ("Calculate 3+4.", "7"),
        ("Calculate 5+4.", "9"),
        ("What is a half of a third?", "\\frac{1}{6}"),
    ]
    dropped = read(run.dropped_path)
    assert [(row["place"], row["reason"]) for row in dropped] == [
        ("mine.jsonl line 3", "needs a picture"),
        ("mine.jsonl line 4", "needs outside material"),
        ("mine.jsonl line 5", "incomplete"),
        ("mine.jsonl line 6", "no answer"),
        ("mine.jsonl line 7", "not verifiable"),
        ("mine.jsonl line 8", "duplicate"),
    ]
    assert dropped[2] == {
        "v": SCHEMA_VERSION,
        "place": "mine.jsonl line 5",
        "id": "cut",
        "prompt": "Solve the equation:",
        "answer": "2",
        "reason": "incomplete",
        "detail": 'it ends in ":"',
    }
    lines = out.splitlines()
    assert lines[0] == f"Wrote 3 questions to {run.questions_path}"
    assert lines[1] == f"Dropped 6 of 9 rows, listed in {run.dropped_path}"
    assert [line.split(maxsplit=1) for line in lines[2:8]] == [
        ["1", "incomplete"],
        ["1", "no answer"],
        ["1", "needs a picture"],
        ["1", "needs outside material"],
        ["1", "not verifiable"],
        ["1", "duplicate"],
    ]
    assert lines[8] == "Took links or HTML out of 1 of the questions that stay"
    assert lines[9].startswith("Next: raml sample")


def test_the_manifest_has_both_files_with_their_rows(raml, file, tmp_path):
    raml("questions", file, "--out", tmp_path / "run", "--clean")
    run = Run(tmp_path / "run")
    (stage,) = run.read_manifest().stages
    assert [(entry.path, entry.rows) for entry in stage.outputs] == [
        ("questions.jsonl", 3),
        ("dropped_questions.jsonl", 6),
    ]
    assert stage.config["clean"] is True
    assert [run.describe_file(run.path / entry.path).sha256 for entry in stage.outputs] == [
        entry.sha256 for entry in stage.outputs
    ]


def test_the_same_file_gives_the_same_bytes_wherever_it_lies(raml, file, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    again = write(tmp_path / "elsewhere" / "mine.jsonl", ROWS)
    raml("questions", file, "--out", tmp_path / "one", "--clean")
    raml("questions", again, "--out", tmp_path / "two", "--clean")
    for name in ("questions.jsonl", "dropped_questions.jsonl"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_cleaning_what_was_kept_keeps_its_bytes(raml, file, tmp_path):
    raml("questions", file, "--out", tmp_path / "one", "--clean")
    kept = [{k: row[k] for k in ("id", "prompt", "answer")} for row in read(tmp_path / "one" / "questions.jsonl")]
    _, out, _ = raml("questions", write(tmp_path / "kept.jsonl", kept), "--out", tmp_path / "two", "--clean")
    assert "Dropped 0 of 3 rows" in out
    assert "Took links or HTML out of 0 of" in out
    assert (tmp_path / "two" / "dropped_questions.jsonl").read_bytes() == b""
    assert [(q.id, q.prompt) for q in Run(tmp_path / "two").read_questions()] == [(q["id"], q["prompt"]) for q in kept]


def test_limit_takes_the_first_so_many_that_stay(raml, tmp_path):
    file = write(tmp_path / "mine.jsonl", [ROWS[2], ROWS[0], ROWS[5], ROWS[1], ROWS[3]])
    _, out, _ = raml("questions", file, "--out", tmp_path / "run", "--clean", "--limit", "2")
    assert [q.answer for q in Run(tmp_path / "run").read_questions()] == ["7", "9"]
    assert "Dropped 2 of 4 rows" in out


@pytest.mark.parametrize(("name", "lines"), [("mine.csv", (3, 4)), ("mine.jsonl", (2, 3))])
def test_other_formats_are_cleaned_alike(raml, tmp_path, name, lines):
    file = tmp_path / name
    if name.endswith("csv"):
        file.write_text('problem,answer\nCalculate 3+4.,7\n"In the figure, what is $x$?",3\nWhat is 2 + 3?,\n')
    else:
        write(file, [{"problem": "Calculate 3+4.", "answer": 7}, {"problem": "In the figure, what is $x$?"}, ROWS[5]])
    assert raml("questions", file, "--out", tmp_path / "run", "--clean")[0] == 0
    assert [q.answer for q in Run(tmp_path / "run").read_questions()] == ["7"]
    assert [row["place"] for row in read(tmp_path / "run" / "dropped_questions.jsonl")] == [
        f"{name} line {line}" for line in lines
    ]


def test_a_row_without_an_answer_is_an_error_only_where_nothing_is_cleaned(raml, file, tmp_path):
    code, _, err = raml("questions", file, "--out", tmp_path / "run")
    assert code == 2
    assert "line 6: field 'answer' is empty" in err


def test_questions_that_are_not_cleaned_leave_no_list_of_other_ones_behind(raml, file, tmp_path):
    raml("questions", file, "--out", tmp_path / "run", "--clean")
    raml("questions", write(tmp_path / "good.jsonl", ROWS[:2]), "--out", tmp_path / "run")
    assert not (tmp_path / "run" / "dropped_questions.jsonl").exists()
    assert len(Run(tmp_path / "run").read_questions()) == 2


@pytest.mark.parametrize(
    ("rows", "arguments", "fragment"),
    [
        (ROWS[2:6], (), "All 4 rows of"),
        (ROWS[2:6], (), "1 incomplete, 1 no answer, 1 needs a picture, 1 needs outside material"),
        ([], (), "has no questions"),
        ([{"text": "Calculate 3+4.", "answer": "7"}], (), "line 1 has no field 'prompt'"),
        (ROWS, ("--limit", "0"), "--limit is 0"),
    ],
    ids=["all dropped", "counts", "empty", "no prompts", "limit"],
)
def test_what_leaves_no_question_is_one_line_and_nothing_is_written(raml, tmp_path, rows, arguments, fragment):
    file = write(tmp_path / "mine.jsonl", rows)
    code, out, err = raml("questions", file, "--out", tmp_path / "run", "--clean", *arguments)
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert fragment in err
    assert not (tmp_path / "run").exists()


def test_the_embedded_questions_have_nothing_to_clean(raml, tmp_path):
    code, _, err = raml("questions", "tiny", "--out", tmp_path / "run", "--clean")
    assert code == 2
    assert err.strip() == (
        'raml: --clean is for files; the questions of "tiny" have nothing to clean. More: raml questions --help'
    )
    assert not (tmp_path / "run").exists()


def test_a_question_with_trajectories_is_not_cleaned_away(raml, tmp_path):
    file = write(
        tmp_path / "mine.jsonl", [ROWS[0], {"prompt": "In the figure, $x = 3$. Calculate 2+1.", "answer": "3"}]
    )
    raml("questions", file, "--out", tmp_path / "run")
    raml("sample", "tiny", tmp_path / "run", "--n", "1", "--max-new-tokens", "5")
    before = (tmp_path / "run" / "questions.jsonl").read_bytes()
    code, _, err = raml("questions", file, "--out", tmp_path / "run", "--clean")
    assert code == 2
    assert "holds trajectories of question" in err
    assert (tmp_path / "run" / "questions.jsonl").read_bytes() == before
    assert not (tmp_path / "run" / "dropped_questions.jsonl").exists()


def test_the_questions_of_a_run_are_not_cleaned_but_kept(raml, file, tmp_path):
    raml("questions", file, "--out", tmp_path / "run", "--clean")
    questions = tmp_path / "run" / "questions.jsonl"
    code, _, err = raml("questions", questions, "--out", tmp_path / "again", "--clean")
    assert code == 2
    assert "questions.jsonl holds a run's questions, which stay as they are" in err
    assert raml("questions", questions, "--out", tmp_path / "again")[0] == 0
    assert Run(tmp_path / "again").read_questions() == Run(tmp_path / "run").read_questions()
