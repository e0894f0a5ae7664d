"""Question files, data sets by name and files of other tools that are not what they should be."""

import base64
import io
import json
import pickle
import zlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.hostile.harness import Case, check, endless, fifo, folder, loop, mark
from tests.hostile.test_models import Bomb

GOOD = {"prompt": "Calculate 3+4.", "answer": "7"}
SPECIAL = {"a folder": folder, "a pipe": fifo, "a link to itself": loop, "endless": endless}
DEEP = "[" * 100_000


def line(**changes: object) -> str:
    return json.dumps(GOOD | changes) + "\n"


def parquet(rows: list[dict], **options: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink, **options)
    return sink.getvalue()


def list_file_cases() -> list[Case]:
    files: dict[str, tuple[str, object, str]] = {}
    for kind in ("jsonl", "csv", "parquet", "json"):
        name = f"q.{kind}"
        files |= {f"{name} is {what}": (name, made, "") for what, made in SPECIAL.items()}
        files |= {
            f"{name} is missing": ("other.txt", b"", f"There is no file {name}"),
            f"{name} is empty": (name, b"", ""),
            f"{name} is binary": (name, bytes(range(256)) * 10, ""),
            f"{name} holds 50 MB of x": (name, b"x" * 50_000_000, ""),
            f"{name} is NUL bytes": (name, bytes(1000), ""),
            f"{name} is UTF-16": (name, line().encode("utf-16"), ""),
        }
    lines = {
        "a missing answer": json.dumps({"prompt": "x"}) + "\n",
        "a missing prompt": json.dumps({"answer": "x"}) + "\n",
        "an empty prompt": line(prompt=""),
        "blanks for a prompt": line(prompt=" \n\t "),
        "a list for a prompt": line(prompt=[1]),
        "an object for an answer": line(answer={"a": 1}),
        "true for an answer": line(answer=True),
        "null for an answer": line(answer=None),
        "NaN": '{"prompt": "x", "answer": NaN}\n',
        "Infinity": '{"prompt": "x", "answer": Infinity}\n',
        "1e999": '{"prompt": "x", "answer": 1e999}\n',
        "a list for an id": line(id=[1]),
        "true for an id": line(id=True),
        "a fraction for an id": line(id=1.5),
        "half a character": '{"prompt": "\\ud800", "answer": "1"}\n',
        "half a character in meta": '{"prompt": "x", "answer": "1", "m": "\\udfff"}\n',
        "bytes that are no UTF-8": b'{"prompt": "\xff", "answer": "1"}\n',
        "100,000 brackets": f'{{"prompt": "x", "answer": "1", "m": {DEEP}\n',
        "100,000 closed brackets": f'{{"prompt": "x", "answer": "1", "m": {DEEP}{"]" * 100_000}}}\n',
        "a torn last line": line() + line()[:20],
        "a list": "[1, 2]\n",
        "two objects in one line": line().strip() + line(),
        "a raw NUL": '{"prompt": "x\0", "answer": "1"}\n',
        "an id twice": line(id="a") + line(id="a", prompt="y"),
        "single quotes": "{'prompt': 'x', 'answer': '1'}\n",
    }
    files |= {f"a row with {what}": ("q.jsonl", made, "") for what, made in lines.items()}
    tables = {
        "too many fields": "prompt,answer\nx,1,2\n",
        "too few fields": "prompt,answer\nx\n",
        "an open quote": 'prompt,answer\n"x,1\n',
        "a quote in the middle": 'prompt,answer\n"x"y,1\n',
        "no header": "x,1\n",
        "a header alone": "prompt,answer\n",
        "no UTF-8": b"prompt,answer\n\xff,1\n",
        "a header twice": "prompt,prompt\nx,1\n",
    }
    files |= {f"csv with {what}": ("q.csv", made, "") for what, made in tables.items()}
    whole = parquet([GOOD])
    files |= {
        "parquet cut": ("q.parquet", whole[: len(whole) // 2], ""),
        "parquet without magic": ("q.parquet", whole[:-4] + b"XXXX", ""),
        "parquet with zeros inside": ("q.parquet", whole[:8] + bytes(len(whole) - 16) + whole[-8:], ""),
        "parquet with no rows": ("q.parquet", parquet([GOOD])[:0] or b"", ""),
        "parquet of bytes": ("q.parquet", parquet([{"prompt": b"\xff", "answer": b"1"}]), ""),
        "parquet of numbers": ("q.parquet", parquet([{"prompt": 7.5, "answer": None}]), ""),
        "parquet of lists": ("q.parquet", parquet([{"prompt": ["x"], "answer": ["1"]}]), ""),
        "json of an object": ("q.json", json.dumps(GOOD), ""),
        "json of numbers": ("q.json", "[1, 2]", ""),
        "json of brackets": ("q.json", DEEP, ""),
        "json of texts": ("q.json", '["a"]', ""),
        "an ending that nobody knows": ("q.xlsx", b"PK", ""),
        "an ending in capitals with text": ("q.PARQUET", b"text", ""),
    }

    def name_file(name: str, label: str) -> str:
        return label.split()[0] if label.startswith("q.") else name

    return [
        Case(label, f"questions {name_file(name, label)} --out out", said or name, {name: made})
        for label, (name, made, said) in files.items()
    ]


def pack(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content)).decode()


def list_source_cases() -> list[Case]:
    code = {
        "question_content": "Add.",
        "starter_code": "",
        "metadata": "{}",
        "public_test_cases": "[]",
        "private_test_cases": "[]",
        "contest_date": "2025-01-31T00:00:00",
        "platform": "x",
        "difficulty": "easy",
        "question_title": "t",
        "question_id": "1",
        "contest_id": "1",
    }
    gpqa = {
        "Question": "Q",
        "Correct Answer": "a",
        "Incorrect Answer 1": "b",
        "Incorrect Answer 2": "c",
        "Incorrect Answer 3": "d",
        "Record ID": "r",
    }
    rows = {
        "livecodebench": {
            "a pickle that runs code": code | {"private_test_cases": pack(pickle.dumps(Bomb()))},
            "a bomb of zeros": code | {"private_test_cases": pack(bytes(1 << 21))},
            "no base64": code | {"private_test_cases": "%%%"},
            "no zlib": code | {"private_test_cases": base64.b64encode(b"x" * 99).decode()},
            "tests that are no list": code | {"public_test_cases": "7"},
            "tests that are no JSON": code | {"public_test_cases": "{oops"},
            "tests of brackets": code | {"public_test_cases": DEEP},
            "private tests of brackets": code | {"private_test_cases": DEEP},
            "tests without output": code | {"public_test_cases": '[{"input": "1"}]'},
            "a test with a number": code | {"public_test_cases": '[{"input": 1, "output": 2}]'},
            "tests of numbers": code | {"public_test_cases": "[1]"},
            "no date": code | {"contest_date": "soon"},
            "a year of 10^9": code | {"contest_date": "1000000000-01-01"},
            "metadata that is a list": code | {"metadata": "[]"},
            "a column less": {k: v for k, v in code.items() if k != "metadata"},
            "null for the problem": code | {"question_content": None},
        },
        "gpqa-diamond": {
            "a column less": {k: v for k, v in gpqa.items() if k != "Record ID"},
            "a list for an option": gpqa | {"Incorrect Answer 1": ["b"]},
            "an empty option": gpqa | {"Incorrect Answer 1": ""},
            "null for the question": gpqa | {"Question": None},
        },
        "aime24": {
            "a column less": {"problem": "x"},
            "a list": {"problem": ["x"], "answer": "1"},
            "NaN": {"problem": "x", "answer": float("nan")},
        },
        "math500": {
            "no level": {"problem": "x", "answer": "1"},
            "level 9": {"problem": "x", "answer": "1", "level": 9},
            "level text": {"problem": "x", "answer": "1", "level": "hard"},
        },
        "orz-math": {
            "one turn": [[{"from": "human", "value": "x"}]],
            "no turns": [[]],
            "numbers": [[1, 2]],
            "truth that is text": [[{"value": "x"}, {"ground_truth": "7"}]],
        },
        "livemathbench-hard": {"a column less": {"question": "x"}, "an object": {"question": {}, "answer": "1"}},
    }
    cases = []
    for source, changes in rows.items():
        for what, row in changes.items():
            as_list = isinstance(row, list)
            content = json.dumps(row if as_list else [row])
            name = "rows.json"
            cases.append(
                Case(f"{source}: {what}", f"questions {source} --file {name} --out out", name, {name: content})
            )
        cases += [
            Case(
                f"{source}: a file that is {what}",
                f"questions {source} --file rows.jsonl --out out",
                "rows.jsonl",
                {"rows.jsonl": made},
            )
            for what, made in {"empty": b"", "no JSON": b"{oops", "a pipe": fifo, "endless": endless}.items()
        ]
    return cases


CASES = [*list_file_cases(), *list_source_cases()]


@pytest.mark.parametrize("case", mark(CASES))
def test_hostile_questions(case, place, capsys):
    check(case, capsys)
