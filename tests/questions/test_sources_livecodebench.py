"""LiveCodeBench: programs and functions, public and hidden tests, releases and time windows."""

import base64
import json
import pickle
import zlib
from datetime import date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raml.errors import DataError
from raml.questions import SourceSettings, load_source
from raml.questions.sources.livecodebench import RELEASES, list_updates, name_file


def pack(tests):
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests)))).decode()


PROGRAM = {
    "question_title": "Sum",
    "question_content": "Read two numbers and print their sum.",
    "platform": "atcoder",
    "question_id": "abc000_a",
    "contest_id": "abc000",
    "contest_date": "2025-02-08T00:00:00",
    "starter_code": "",
    "difficulty": "easy",
    "public_test_cases": json.dumps([{"input": "1 2\n", "output": "3\n", "testtype": "stdin"}]),
    "private_test_cases": pack([{"input": "4 5\n", "output": "9\n", "testtype": "stdin"}]),
    "metadata": "{}",
}
FUNCTION = PROGRAM | {
    "question_title": "Double",
    "question_content": "Return {twice} the number.",
    "platform": "leetcode",
    "question_id": "9001",
    "contest_date": "2025-03-01T00:00:00",
    "starter_code": "class Solution:\n    def double(self, n: int) -> int:\n        ",
    "difficulty": "hard",
    "public_test_cases": json.dumps([{"input": "2", "output": "4", "testtype": "functional"}]),
    "private_test_cases": json.dumps([{"input": "3", "output": "6", "testtype": "functional"}]),
    "metadata": json.dumps({"func_name": "double"}),
}


def load(tmp_path, *rows, **changes):
    path = tmp_path / "test6.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_source("livecodebench", SourceSettings(files=(path,), **changes)).questions


def test_a_program_reads_and_prints(tmp_path):
    (question,) = load(tmp_path, PROGRAM)
    assert question.prompt == (
        "Read two numbers and print their sum.\n\n"
        "The Python program reads standard input and prints the result to standard output."
    )
    assert (question.kind, question.answer, question.domain) == ("code", "", "easy")
    assert question.tests is not None
    assert question.tests.inputs == ("1 2\n", "4 5\n")
    assert question.tests.outputs == ("3\n", "9\n")
    assert question.tests.function is None
    assert question.meta == {
        "question_title": "Sum",
        "question_id": "abc000_a",
        "contest_id": "abc000",
        "platform": "atcoder",
        "difficulty": "easy",
        "contest_date": "2025-02-08",
    }


def test_a_function_completes_its_starter_code(tmp_path):
    (question,) = load(tmp_path, FUNCTION)
    assert question.prompt == (
        "Return {twice} the number.\n\nComplete this Python code without changing any name in it:\n\n"
        "```python\nclass Solution:\n    def double(self, n: int) -> int:\n```"
    )
    assert question.tests is not None
    assert (question.tests.inputs, question.tests.outputs) == (("2", "3"), ("4", "6"))
    assert question.tests.function == "double"


def test_parquet_with_times_gives_the_same(tmp_path):
    rows = [row | {"contest_date": datetime.fromisoformat(row["contest_date"])} for row in (PROGRAM, FUNCTION)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "lcb.parquet")
    loaded = load_source("livecodebench", SourceSettings(files=(tmp_path / "lcb.parquet",))).questions
    assert [(q.id, q.meta, q.tests) for q in loaded] == [
        (q.id, q.meta, q.tests) for q in load(tmp_path, PROGRAM, FUNCTION)
    ]


@pytest.mark.parametrize(
    ("since", "until", "ids"),
    [
        (None, None, ["abc000_a", "9001"]),
        (date(2025, 2, 8), date(2025, 3, 1), ["abc000_a", "9001"]),
        (date(2025, 2, 9), None, ["9001"]),
        (None, date(2025, 2, 28), ["abc000_a"]),
    ],
)
def test_a_time_window_holds_its_first_and_last_day(tmp_path, since, until, ids):
    assert [q.meta["question_id"] for q in load(tmp_path, PROGRAM, FUNCTION, since=since, until=until)] == ids


def test_tests_out_of_the_window_or_behind_the_limit_stay_packed(tmp_path):
    broken = FUNCTION | {"private_test_cases": "broken"}
    assert len(load(tmp_path, PROGRAM, broken, until=date(2025, 2, 28))) == 1
    assert len(load(tmp_path, PROGRAM, broken, limit=1)) == 1
    with pytest.raises(DataError, match=r"test6\.jsonl line 2: Private tests 'broken'"):
        load(tmp_path, PROGRAM, broken)


def test_an_empty_window_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no row is a question that livecodebench asks for"):
        load(tmp_path, PROGRAM, since=date(2026, 1, 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"contest_date": "soon"}, "contest_date 'soon' is no date"),
        ({"metadata": "[]"}, "column 'metadata' is no JSON dict"),
        ({"public_test_cases": "{"}, "column 'public_test_cases' is no JSON list"),
        ({"public_test_cases": "[" * 100_000}, "column 'public_test_cases' is no JSON list"),
        ({"public_test_cases": '[{"input": "1"}]'}, "a test has no output as text"),
        ({"public_test_cases": '["1"]'}, "a test has no input as text"),
        ({"private_test_cases": 3}, "Private tests '3'"),
    ],
)
def test_a_malformed_problem_is_named(tmp_path, change, message):
    with pytest.raises(DataError, match=message):
        load(tmp_path, PROGRAM | change)


@pytest.mark.parametrize("hidden", ["", "[]", None])
def test_a_problem_without_hidden_tests_keeps_its_public_ones_and_one_without_any_does_not_stop_the_rest(
    tmp_path, hidden
):
    bare = FUNCTION | {"public_test_cases": "[]", "private_test_cases": hidden}
    one, none = load(tmp_path, PROGRAM | {"private_test_cases": hidden}, bare)
    assert one.tests is not None
    assert one.tests.inputs == ("1 2\n",)
    assert none.tests is not None
    assert none.tests.inputs == ()


def test_a_hidden_pickle_that_would_run_something_is_refused(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (print, ("ran",))

    harmful = base64.b64encode(zlib.compress(pickle.dumps(Harmful()))).decode()
    with pytest.raises(DataError, match=r"line 1: Private tests hold a pickle with opcode"):
        load(tmp_path, PROGRAM | {"private_test_cases": harmful})


def test_a_release_is_all_updates_up_to_it():
    assert list_updates("v6") == ["v6"]
    assert list_updates("release_v3") == ["v1", "v2", "v3"]
    assert [name_file(update) for update in list_updates("release_v6")] == [
        "test.jsonl",
        "test2.jsonl",
        "test3.jsonl",
        "test4.jsonl",
        "test5.jsonl",
        "test6.jsonl",
    ]
    assert len(RELEASES) == 12
    with pytest.raises(DataError, match="no release 'v7' of LiveCodeBench; choose one of v1, v2"):
        list_updates("v7")
