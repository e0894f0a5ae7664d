"""Tables, landscapes and summaries of a run folder that are not what they should be."""

import json
import math
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raml.store import Run
from raml.store.lines import encode_line
from tests.hostile.harness import Case, check, edit, mark

REPORT = "report run"
NEWER = "newer version of raml (schema 99"
TABLES = {
    "traces.parquet": (REPORT, "nll"),
    "readouts.parquet": (REPORT, "margin"),
    "updates.parquet": ("update run --n-prefixes 2 --n-others 0 --limit 1 --threads 1", "gram"),
    "alignments.parquet": (
        "align run --n-prefixes 1 --n-directions 2 --limit 1 --no-nulls --threads 1",
        "cosine",
    ),
    "adaptations.parquet": ("adapt run --steps 1 --limit 1 --threads 1", "loss"),
    "influence.parquet": ("influence run --n-resamples 99", "change"),
    "resamplings.parquet": ("faithfulness run --n-trajectories 1 --n 2 --max-borders 4 --threads 1", "loss"),
}
"""What reads each, and one of its columns of numbers."""


def table(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        pq.write_table(change(pq.read_table(path)), path)

    return apply


def put(name: str, values: Callable[[list], list], kind: pa.DataType | None = None) -> Callable[[Path], None]:
    """Replace a column."""

    def change(old: pa.Table) -> pa.Table:
        column = pa.array(values(old.column(name).to_pylist()), kind or old.schema.field(name).type)
        return old.set_column(old.column_names.index(name), name, column).replace_schema_metadata(old.schema.metadata)

    return table(change)


def dropped(name: str) -> Callable[[Path], None]:
    """Leave a column out."""
    return table(lambda old: old.drop_columns([name]))


def list_table_cases() -> list[Case]:
    cases = []
    for file, (command, column) in TABLES.items():
        damages = {
            "empty": b"",
            "text": b"no table\n",
            "cut in half": edit(lambda b: b[: len(b) // 2]),
            "without its end": edit(lambda b: b[:-4]),
            "with a lying length of the footer": edit(lambda b: b[:-8] + struct.pack("<I", 2**31 - 1) + b"PAR1"),
            "zeros in the footer": edit(lambda b: b[:-200] + bytes(192) + b[-8:]),
            "without a column": dropped(column),
            "with text for numbers": put(column, lambda v: ["x" for _ in v], pa.string()),
            "with no value": put(column, lambda v: [None for _ in v]),
            "with text for its model": put("model", lambda v: ["no JSON" for _ in v]),
            "with another thing for its settings": put("settings", lambda v: ["[1]" for _ in v]),
            "with 100,000 brackets for its settings": put("settings", lambda v: ["[" * 100_000 for _ in v]),
            "with no id": put("id", lambda v: [None for _ in v]),
            "of a newer version": table(lambda t: t.replace_schema_metadata({"raml.schema_version": "99"})),
            "of a version that is text": table(lambda t: t.replace_schema_metadata({"raml.schema_version": "two"})),
        }
        for name, made in damages.items():
            said = NEWER if name == "of a newer version" else f"run/{file} is no readable file of"
            cases.append(Case(f"{file} {name}", command, said, {f"run/{file}": made}))
    return cases


def list_length_cases() -> list[Case]:
    changes = {
        ("traces.parquet", "nll"): lambda v: [row[:-1] for row in v],
        ("traces.parquet", "prefix_lens"): lambda v: [[] for _ in v],
        ("readouts.parquet", "answers"): lambda v: [row[:-1] for row in v],
        ("readouts.parquet", "correct"): lambda v: [row[:1] for row in v],
        ("readouts.parquet", "mean_logprob"): lambda v: [row * 2 for row in v],
        ("updates.parquet", "gram"): lambda v: [row[:-1] for row in v],
        ("updates.parquet", "loss"): lambda v: [[] for _ in v],
        ("alignments.parquet", "cosine"): lambda v: [[] for _ in v],
        ("alignments.parquet", "total_cosine"): lambda v: [[] for _ in v],
        ("adaptations.parquet", "loss"): lambda v: [[] for _ in v],
        ("adaptations.parquet", "distance"): lambda v: [row[:1] for row in v],
        ("influence.parquet", "change"): lambda v: [row[:-1] for row in v],
        ("influence.parquet", "parts"): lambda v: [row[:-1] for row in v],
        ("influence.parquet", "prefix_lens"): lambda v: [[10**6] * len(row) for row in v],
        ("resamplings.parquet", "loss"): lambda v: [[] for _ in v],
        ("resamplings.parquet", "answers"): lambda v: [row[:-1] for row in v],
    }
    return [
        Case(
            f"{file}: {column} does not fit",
            TABLES[file][0],
            f"run/{file} is no readable file of",
            {f"run/{file}": put(column, change)},
        )
        for (file, column), change in changes.items()
    ]


def list_value_cases() -> list[Case]:
    lens = "prefix lengths must rise from 0"
    values = {
        "a NaN": ("nll", lambda row: [math.nan] * len(row), ("holds NaN or infinity", "is not finite")),
        "an infinity": ("nll", lambda row: [math.inf] * len(row), ("holds NaN or infinity", "is not finite")),
        "prefixes beyond the text": ("prefix_lens", lambda row: [i * 10**6 for i in range(len(row))], lens),
        "prefixes below 0": ("prefix_lens", lambda row: [i - 5 for i in range(len(row))], "no readable file of traces"),
        "one prefix again and again": ("prefix_lens", lambda row: [0] * len(row), "no readable file of traces"),
    }
    return [
        Case(f"traces.parquet: {what}", REPORT, said, {"run/traces.parquet": put(column, partial(map_rows, change))})
        for what, (column, change, said) in values.items()
    ]


def map_rows(change: Callable[[list], list], rows: list) -> list:
    return [change(row) for row in rows]


SUMMARIES = ("influence.json", "compress.json", "alignment.json")


def list_json_cases() -> list[Case]:
    cases = []
    for file in ("manifest.json", "evaluation.json", *SUMMARIES):
        damages = {
            "empty": b"",
            "text": b"no JSON",
            "a number": b"7",
            "null": b"null",
            "an object in a list": b"[{}]",
            "numbers in a list": b"[1]",
            "an empty object": b"{}",
            "cut": edit(lambda b: b[: len(b) // 2]),
            "a byte order mark": edit(lambda b: b"\xef\xbb\xbf" + b),
            "not UTF-8": edit(lambda b: b.replace(b'"', b'"\xff', 1)),
            "100,000 brackets": b"[" * 100_000,
            "100,000 objects": b'{"a":' * 100_000,
            "100,000 closed brackets": b"[" * 100_000 + b"]" * 100_000,
            "NaN": edit(lambda b: b.replace(b": 0", b": NaN", 1).replace(b":0", b":NaN", 1)),
            "10^400": edit(lambda b: b.replace(b": 0", b": 1" + b"0" * 400, 1).replace(b":0", b":1" + b"0" * 400, 1)),
            "50 MB": b"[" + b"1," * 25_000_000 + b"1]",
        }
        if file in ("manifest.json", "compress.json"):
            del damages["10^400"]  # which may be as large as they like there
        cases += [
            Case(f"{file}: {name}", REPORT, f"run/{file} is no", {f"run/{file}": made})
            for name, made in damages.items()
        ]
    return cases


LANDSCAPES = "run/landscapes"


def landscape(made: "bytes | Callable[[Path], None]") -> Callable[[Path], None]:
    """Replace or change the run's one landscape."""

    def apply(folder: Path) -> None:
        (path,) = folder.iterdir()
        if callable(made):
            made(path)
        else:
            path.write_bytes(made)

    return apply


def header(change: Callable[[dict], object]) -> Callable[[Path], None]:
    """Change the header of a safetensors file, and leave its data."""

    def apply(content: bytes) -> bytes:
        (n,) = struct.unpack("<Q", content[:8])
        made = change(json.loads(content[8 : 8 + n]))
        text = made if isinstance(made, bytes) else json.dumps(made).encode()
        return struct.pack("<Q", len(text)) + text + content[8 + n :]

    return edit(apply)


def about(change: Callable[[dict], object]) -> Callable[[Path], None]:
    """Change what a landscape's header says besides its arrays."""

    def apply(head: dict) -> dict:
        made = change({key: value for key, value in json.loads(head["__metadata__"]["raml"]).items() if key != "crc"})
        head["__metadata__"]["raml"] = made if isinstance(made, str) else json.dumps(made)
        return head

    return header(apply)


def list_landscape_cases() -> list[Case]:
    damages = {
        "empty": b"",
        "text": b"no safetensors",
        "a header longer than the file": edit(lambda b: struct.pack("<Q", 10**6) + b[8:]),
        "a header of 2^63 bytes": edit(lambda b: struct.pack("<Q", 2**63) + b[8:]),
        "a header of 2^64 - 1 bytes": edit(lambda b: b"\xff" * 8 + b[8:]),
        "a header that is no JSON": header(lambda h: b"{" * 100),
        "a header of 100,000 brackets": header(lambda h: b"[" * 100_000),
        "cut": edit(lambda b: b[:-100]),
        "more at the end": edit(lambda b: b + bytes(100)),
        "offsets beyond the file": header(lambda h: h | {"loss": h["loss"] | {"data_offsets": [0, 10**12]}}),
        "offsets that overlap": header(lambda h: h | {"loss": h["loss"] | {"data_offsets": [4, 40]}}),
        "negative offsets": header(lambda h: h | {"loss": h["loss"] | {"data_offsets": [-8, 28]}}),
        "a shape of 10^18": header(lambda h: h | {"loss": h["loss"] | {"shape": [10**9, 10**9]}}),
        "another shape": header(lambda h: h | {"loss": h["loss"] | {"shape": [3, 1, 3]}}),
        "an unknown dtype": header(lambda h: h | {"loss": h["loss"] | {"dtype": "F7"}}),
        "a dtype numpy lacks": header(lambda h: h | {"loss": h["loss"] | {"dtype": "BF16", "shape": [1, 3, 6]}}),
        "no metadata": header(lambda h: {k: v for k, v in h.items() if k != "__metadata__"}),
        "metadata of another program": header(lambda h: h | {"__metadata__": {"format": "pt"}}),
        "no array": header(lambda h: {k: v for k, v in h.items() if k != "loss"}),
        "metadata that is no JSON": about(lambda a: "{oops"),
        "metadata that is a list": about(lambda a: "[1]"),
        "metadata of 100,000 brackets": about(lambda a: "[" * 100_000),
        "another record": about(lambda a: a | {"record": "Weights"}),
        "a newer version": about(lambda a: a | {"schema_version": 99}),
        "no version": about(lambda a: {k: v for k, v in a.items() if k != "schema_version"}),
        "paths that are no list": about(lambda a: a | {"landscape": a["landscape"] | {"paths": 7}}),
        "no landscape": about(lambda a: {k: v for k, v in a.items() if k != "landscape"}),
    }
    return [
        Case(
            f"landscape: {name}",
            REPORT,
            NEWER if name == "a newer version" else ".safetensors is no",
            {LANDSCAPES: landscape(made)},
        )
        for name, made in damages.items()
    ]


CASES = [*list_table_cases(), *list_length_cases(), *list_value_cases(), *list_json_cases(), *list_landscape_cases()]


@pytest.mark.parametrize("case", mark(CASES))
def test_damaged_tables(case, place, capsys):
    place("run")
    check(case, capsys)


def read_all(run):
    """Each kind of record as its line of JSON without the checksum."""
    names = ("questions", "trajectories", "traces", "readouts", "updates", "alignments", "adaptations")
    readers = [getattr(run, f"read_{name}") for name in (*names, "influences", "resamplings", "attempts")]
    return [[encode_line(record) for record in read()] for read in readers]


def test_fields_and_columns_that_this_version_does_not_know_are_passed_over(place):
    place("run")
    run = Run(Path("run"))
    before = read_all(run)
    assert all(before)
    for name in ("questions.jsonl", "trajectories.jsonl", "attempts.jsonl"):
        rows = [json.loads(line) for line in (run.path / name).read_text().splitlines()]
        more = [{"later": [{"deep": 1}], **{key: row[key] for key in row if key != "crc"}} for row in rows]
        (run.path / name).write_text("".join(json.dumps(row) + "\n" for row in more))
    for name in TABLES:
        table(lambda old: old.append_column("later", pa.array([7] * len(old))))(run.path / name)
    assert read_all(run) == before
