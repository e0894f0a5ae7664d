"""Records of a run folder that a hand, another program, a bad disk or an attacker changed."""

import json
import shlex
from collections.abc import Callable

import pytest

from raml.cli import run
from tests.hostile.harness import Case, check, edit, endless, fifo, folder, locked, loop, mark

REPORT = "report run"
LINES = {
    "questions.jsonl": (REPORT, "Question", "prompt"),
    "trajectories.jsonl": (REPORT, "Trajectory", "text"),
    "attempts.jsonl": ("compress run cut --budget 8 --threads 1", "Attempt", "method"),
}
"""Files of lines: what reads each, its record, and a field that must be text."""


def take_sum_out(row: dict) -> dict:
    """Take the checksum out, so that what is looked at is the record itself."""
    return {key: value for key, value in row.items() if key != "crc"}


def first(change: Callable[[dict], object]) -> Callable:
    """Change the first record of a file of lines."""

    def apply(content: bytes) -> bytes:
        head, _, rest = content.partition(b"\n")
        return json.dumps(change(take_sum_out(json.loads(head)))).encode() + b"\n" + rest

    return edit(apply)


def without(name: str) -> Callable:
    return first(lambda row: {key: value for key, value in row.items() if key != name})


def replaced(name: str, value: object) -> Callable:
    return first(lambda row: row | {name: value})


def raw(name: str, text: str) -> Callable:
    """Put JSON text in a field's place that no JSON writer would write."""

    def apply(content: bytes) -> bytes:
        head, _, rest = content.partition(b"\n")
        row = take_sum_out(json.loads(head)) | {name: "@@"}
        return json.dumps(row).encode().replace(b'"@@"', text.encode("utf-8", "surrogatepass")) + b"\n" + rest

    return edit(apply)


def list_line_cases() -> list[Case]:
    cases = []
    for file, (command, record, field) in LINES.items():
        damages = {
            "no JSON": (edit(lambda b: b"{oops\n" + b), f"line 1 is no {record} record"),
            "a list": (edit(lambda b: b"[1]\n" + b), f"line 1 is no {record} record"),
            "a number": (edit(lambda b: b"7\n" + b), f"line 1 is no {record} record"),
            "a torn line in the middle": (edit(lambda b: b[:40] + b"\n" + b), f"line 1 is no {record} record"),
            "not UTF-8": (edit(lambda b: b'{"\xff\xfe": 1}\n' + b), f"line 1 is no {record} record"),
            "a byte order mark": (edit(lambda b: b"\xef\xbb\xbf" + b), f"line 1 is no {record} record"),
            "UTF-16": (edit(lambda b: b.decode().encode("utf-16")), f"line 1 is no {record} record"),
            "NUL bytes": (edit(lambda b: bytes(100) + b"\n" + b), f"line 1 is no {record} record"),
            "a missing field": (without(field), f"line 1 is no {record} record"),
            "a wrong type": (replaced(field, 7), f"line 1 is no {record} record"),
            "null for text": (replaced(field, None), f"line 1 is no {record} record"),
            "half a character": (raw(field, '"\\ud800"'), f"line 1 is no {record} record"),
            "100,000 brackets": (raw(field, "[" * 100_000), f"line 1 is no {record} record"),
            "100,000 closed brackets": (raw(field, "[" * 100_000 + "]" * 100_000), f"line 1 is no {record} record"),
            "a line of 50 MB": (edit(lambda b: b"x" * 50_000_000 + b"\n" + b), f"line 1 is no {record} record"),
            "a newer version": (replaced("v", 99), "newer version of raml (schema 99"),
            "a version of 10^400": (raw("v", "1" + "0" * 400), "line 1"),
            "a version that is text": (replaced("v", "two"), "schema version 'two'"),
            "a locked file": (locked, "can't be read: Permission denied"),
        }
        cases += [
            Case(f"{file}: {name}", command, said, {f"run/{file}": made}) for name, (made, said) in damages.items()
        ]
    return cases


def list_number_cases() -> list[Case]:
    numbers = {
        "reasoning_len": ("-1", "1.5", "true", '"2"', "99999999", "1" + "0" * 400, "9223372036854775808"),
        "token_ids": ("[-1]", "[1.5]", "[9223372036854775808]", "[null]", "7", '"ab"', "[1e999]"),
        "token_ends": ("[3,2,1]", "[-5]", "[1000000]", "[]", "[9223372036854775808]"),
        "repeat": ("-1", "1e400", "9223372036854775808", "null"),
        "logprobs": ("[NaN]", "[Infinity]", "[1e999]", "[0.5]", "[-1]", '["x"]'),
        "prompt_ids": ("[-3]", "[[]]", "[99999999999999999999]"),
        "correct": ("2", '"yes"'),
        "finish": ('"tired"', "0"),
        "model": ("{}", '"tiny"', "null", "[]"),
        "id": ("7", "null", '""'),
        "question_id": ('"nobody"', "null"),
        "sampling": ('{"temperature": "hot"}', "[]"),
    }
    return [
        Case(
            f"trajectories.jsonl: {name} is {value[:24]}",
            REPORT,
            "question nobody" if value == '"nobody"' else "line 1 is no Trajectory record",
            {"run/trajectories.jsonl": raw(name, value)},
        )
        for name, values in numbers.items()
        for value in values
    ]


PLACES = {
    "questions.jsonl": REPORT,
    "trajectories.jsonl": REPORT,
    "traces.parquet": REPORT,
    "traces.journal.jsonl": REPORT,
    "readouts.parquet": REPORT,
    "manifest.json": REPORT,
    "evaluation.json": REPORT,
    "influence.json": REPORT,
    "compress.json": REPORT,
    "alignment.json": REPORT,
    "updates.parquet": "update run --n-prefixes 2 --n-others 0 --limit 1 --threads 1",
    "alignments.parquet": "align run --n-prefixes 1 --n-directions 2 --limit 1 --no-nulls --threads 1",
    "adaptations.parquet": "adapt run --steps 1 --limit 1 --threads 1",
    "influence.parquet": "influence run --n-resamples 99",
    "resamplings.parquet": "faithfulness run --n-trajectories 1 --n 2 --max-borders 4 --threads 1",
    "attempts.jsonl": "compress run cut --budget 8 --threads 1",
}
SAYS = {
    "a folder": "{} can't be read: it is a folder, not a file",
    "a pipe": "{} can't be read: it is a pipe, not a file",
    "a link to itself": "{} can't be read: Too many levels of symbolic links",
    "an endless device": "{} can't be read: it is a device, not a file",
}
SPECIAL = {"a folder": folder, "a pipe": fifo, "a link to itself": loop, "an endless device": endless}
CASES = [
    *list_line_cases(),
    *list_number_cases(),
    *(
        Case(f"{file} is {name}", command, SAYS[name].format(f"run/{file}"), {f"run/{file}": made})
        for file, command in PLACES.items()
        for name, made in SPECIAL.items()
    ),
]


def test_the_run_itself_can_be_read(place):
    """What is refused below is refused for the damage."""
    place("run")
    assert run(shlex.split(REPORT)) == 0


@pytest.mark.parametrize("case", mark(CASES))
def test_damaged_records(case, place, capsys):
    place("run")
    check(case, capsys)
