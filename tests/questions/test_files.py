import csv
import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raml.errors import DataError, RunError
from raml.questions import read_question_file
from raml.records import CodeTests, Question
from raml.store import Run


def write(tmp_path, content, name="questions.jsonl"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_the_three_formats_give_the_same_questions(tmp_path):
    jsonl = write(
        tmp_path, '{"question": "1 + 1?", "answer": 2, "level": "easy"}\n\n{"problem": "2 + 2?", "answer": "4"}\n'
    )
    csv = write(tmp_path, 'prompt,answer,level\n1 + 1?,2,easy\n"2 + 2?",4,\n', "q.csv")
    pq.write_table(pa.table({"prompt": ["1 + 1?", "2 + 2?"], "answer": [2, 4]}), tmp_path / "q.parquet")
    read = [read_question_file(path) for path in (jsonl, csv, tmp_path / "q.parquet")]
    for questions in read:
        assert [(q.prompt, q.answer) for q in questions] == [("1 + 1?", "2"), ("2 + 2?", "4")]
        assert [q.id for q in questions] == [q.id for q in read[0]]
    assert read[0][0].meta == {"level": "easy"}
    assert read[0][0].source == "questions.jsonl"


def test_a_given_id_is_kept(tmp_path):
    (question,) = read_question_file(write(tmp_path, '{"id": "aime-3", "prompt": "a", "answer": "b", "domain": "x"}\n'))
    assert (question.id, question.domain) == ("aime-3", "x")


GOOD = '{"prompt": "a", "answer": "1"}\n'


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ("", "q.jsonl", "has no questions"),
        ("\n\n", "q.jsonl", "has no questions"),
        (GOOD + "{not json}\n", "q.jsonl", "line 2 is no JSON object"),
        (GOOD + "[1, 2]\n", "q.jsonl", "line 2 is no JSON object"),
        (GOOD + '{"prompt": "a"}\n', "q.jsonl", "line 2: field 'answer' is missing"),
        (GOOD + '{"answer": "1"}\n', "q.jsonl", "line 2 has no field 'prompt'"),
        (GOOD + '{"prompt": "b", "answer": " "}\n', "q.jsonl", "line 2: field 'answer' is empty"),
        (GOOD + '{"prompt": "", "answer": "1"}\n', "q.jsonl", "line 2: field 'prompt' is empty"),
        (GOOD + '{"prompt": "b", "answer": [1]}\n', "q.jsonl", "line 2: field 'answer' is no text"),
        (GOOD + '{"prompt": "b", "answer": true}\n', "q.jsonl", "line 2: field 'answer' is no text"),
        (GOOD + GOOD, "q.jsonl", r"line 2: question id .* was used at .*line 1"),
        (b'{"prompt": "\xff", "answer": "1"}\n', "q.jsonl", "not UTF-8"),
        ("[" * 100_000, "q.jsonl", "line 1 is no JSON object"),
        (
            '{"prompt": "a", "answer": "1", "x": ' + "[" * 900 + "]" * 900 + "}",
            "q.jsonl",
            "line 1: a field nests lists",
        ),
        ("prompt,answer\na\n", "q.csv", "line 2 has not as many fields"),
        ("prompt,answer\na,b,c\n", "q.csv", "line 2 has not as many fields"),
        ('prompt,answer\n"a,b\n', "q.csv", "malformed"),
        ("prompt,answer\n", "q.csv", "has no questions"),
        ("PAR1 no", "q.parquet", "is no parquet file"),
        ("x", "q.txt", "is no .jsonl, .csv or .parquet file"),
    ],
)
def test_a_bad_file_gives_one_message_with_its_place(tmp_path, content, name, message):
    with pytest.raises(DataError, match=message):
        read_question_file(write(tmp_path, content, name))


@pytest.fixture
def run(tmp_path):
    """A run with a question of each of two kinds."""
    run = Run(tmp_path / "run")
    tests = CodeTests(("1 2",), ("3",))
    code = Question("sum", "Add two numbers.", "", "programs", kind="code", tests=tests, source="a.jsonl@3")
    math = Question("one", "1 + 1?", "2", meta={"level": [1, {"v": 2}]}, instruction="Think.", redacted=True)
    run.write_questions([code, math])
    return run


def test_questions_of_another_run_are_the_same_questions(run):
    assert read_question_file(run.questions_path) == run.read_questions()


def test_a_line_of_a_run_without_its_checksum_may_be_edited(run):
    edited = run.questions_path.read_text().replace("1 + 1?", "2 + 0?")
    lines = [line.partition(',"crc"')[0] + "}\n" for line in edited.splitlines()]
    run.questions_path.write_text("".join(lines))
    assert [question.prompt for question in read_question_file(run.questions_path)] == ["Add two numbers.", "2 + 0?"]


def test_rows_that_only_look_like_records_are_read_as_any_others(tmp_path):
    csv_file = write(tmp_path, "v,id,prompt,answer\n2,a,1 + 1?,2\n", "q.csv")
    (question,) = read_question_file(csv_file)
    assert (question.id, question.meta) == ("a", {"v": "2"})
    (question,) = read_question_file(write(tmp_path, '{"prompt":"a","answer":"1","crc":"deadbeef"}\n'))
    assert question.meta == {"crc": "deadbeef"}


def test_a_line_of_a_run_may_have_fields_of_later_versions(run):
    lines = [{"later": 1, **msgspec.json.decode(line)} for line in run.questions_path.read_text().splitlines()]
    run.questions_path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_question_file(run.questions_path) == run.read_questions()
    run.questions_path.write_text("".join(json.dumps(line | {"v": 999}) + "\n" for line in lines))
    with pytest.raises(RunError, match="newer version"):
        read_question_file(run.questions_path)


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ('"answer":"2"', '"answer":" "', DataError, r"line 2 is no Question record: its answer is empty"),
        ("1 + 1?", "1 + 2?", DataError, r"line 2: the checksum does not fit .*take the field crc out"),
        ('"kind":"math"', '"kind":"chess"', DataError, r"line 2 is no Question record: Invalid enum value 'chess'"),
        ('"inputs":["1 2"]', '"inputs":[]', DataError, r"line 1 is no Question record: its tests have 0 inputs and 1"),
        ('{"v":2,', '{"v":999,', RunError, r"line 1 was written by a newer version"),
    ],
)
def test_a_broken_line_of_a_run_is_refused(run, old, new, error, message):
    text = run.questions_path.read_text()
    assert old in text
    text = text.replace(old, new)
    if "checksum" not in message:
        text = "".join(line.partition(',"crc"')[0] + "}\n" for line in text.splitlines())
    run.questions_path.write_text(text)
    with pytest.raises(error, match=message):
        read_question_file(run.questions_path)


def test_a_field_of_csv_may_be_a_whole_chain_of_thought(tmp_path, monkeypatch):
    monkeypatch.setattr(csv, "field_size_limit", csv.field_size_limit)
    csv.field_size_limit(131_072)  # what Python begins with
    (question,) = read_question_file(write(tmp_path, f"prompt,answer,thought\na,1,{'x' * 300_000}\n", "q.csv"))
    assert len(question.meta["thought"]) == 300_000


def test_spare_columns_of_other_types_are_kept_as_text_and_bytes_are_counted(tmp_path):
    at = datetime(2025, 1, 31, 12, 30, tzinfo=UTC)
    spare = {
        "nanoseconds": pa.array([1_738_326_600_000_000_001], pa.timestamp("ns", "UTC")),
        "seconds": pa.array([at], pa.timestamp("s", "UTC")),
        "day": pa.array([date(2025, 1, 31)]),
        "hour": pa.array([time(12, 30)]),
        "took": pa.array([timedelta(seconds=90)]),
        "price": pa.array([Decimal("1.50")]),
        "picture": pa.array([b"\x89PNG"]),
        "nested": pa.array([{"day": date(2025, 1, 31), "bytes": b"x", "list": [b"x", b"y"], "level": 5}]),
    }
    pq.write_table(pa.table({"prompt": ["a"], "answer": ["1"], **spare}), tmp_path / "q.parquet")
    (question,) = read_question_file(tmp_path / "q.parquet")
    assert question.meta == {
        "nanoseconds": "2025-01-31T12:30:00.000000001+00:00",
        "seconds": "2025-01-31T12:30:00+00:00",
        "day": "2025-01-31",
        "hour": "12:30:00",
        "took": "0:01:30",
        "price": "1.50",
        "nested": {"day": "2025-01-31", "list": [], "level": 5},
        "bytes_left_out": 4,
    }
    assert msgspec.json.decode(msgspec.json.encode(question.meta)) == question.meta


def test_a_time_beyond_the_calendar_is_named_by_its_place(tmp_path):
    times = pa.array([0] * 70 + [10**14], pa.timestamp("s"))
    prompts = [f"{i} + 1?" for i in range(71)]
    pq.write_table(pa.table({"prompt": prompts, "answer": ["1"] * 71, "at": times}), tmp_path / "q.parquet")
    with pytest.raises(DataError, match=r"q\.parquet rows 65 to 71: a value can't be read"):
        read_question_file(tmp_path / "q.parquet")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"There is no file .*none\.jsonl"):
        read_question_file(tmp_path / "none.jsonl")
