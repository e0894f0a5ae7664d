"""Whatever bytes a file holds: a reader reads it, or says what is wrong with it, in bounded time and memory."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from jinja2 import TemplateError

from raml.cli.main import find_toml
from raml.cli.report_views import describe_views
from raml.configs import list_configs
from raml.errors import RamlError
from raml.inputs import bound_template
from raml.interchange import READERS, ReadContext, read_plain, stream_foreign
from raml.models.gguf_header import measure_gguf
from raml.models.sizes import check_sizes
from raml.prompts import render_prompt
from raml.questions import clean_questions, read_question_file, read_rows
from raml.records import (
    Adaptation,
    Alignment,
    AlignmentSummary,
    Attempt,
    Frontier,
    Influence,
    InfluenceSummary,
    PromptSettings,
    Question,
    Readout,
    Resampling,
    Trace,
    Trajectory,
    Update,
)
from raml.store import Run, read_jsonl, read_summaries
from raml.store.landscapes import read_landscape
from raml.store.lines import encode_line
from raml.store.tables import read_table
from tests.hostile.harness import bounds
from tests.hostile.mutations import mutate
from tests.hostile.test_imports import GOOD
from tests.hostile.test_questions import parquet

SECONDS, ROOM = 60.0, 1 << 30
"""For one file; all of them are small."""
TIERS = [pytest.param(80, id="quick"), pytest.param(500, id="thorough", marks=pytest.mark.slow)]
"""How many files are made of each valid one; the quick ones are always the same."""
QUESTIONS = [
    {"prompt": "Calculate 3+4.", "answer": "7", "id": "a", "m": [1, {"b": None}]},
    {"prompt": "x", "answer": 1.5},
]
LINES = "".join(json.dumps(row) + "\n" for row in QUESTIONS).encode()
CSV = b'prompt,answer,id\n"Calculate 3+4.",7,a\n"a ""b""\nc",1,b\n'


def try_reader(valid: bytes, name: str, folder: Path, n_examples: int, read: Callable[[Path], object]) -> None:
    """Let a reader read a valid file, and then many that were changed; only RamlErrors may come out."""
    path = folder / name

    @settings(
        max_examples=n_examples,
        derandomize=n_examples < 100,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )
    @given(mutate(valid))
    @example(b"")
    def attempt(content: bytes) -> None:
        path.write_bytes(content)
        with bounds(SECONDS, ROOM), contextlib.suppress(RamlError):
            read(path)

    path.write_bytes(valid)
    read(path)
    attempt()


@pytest.mark.parametrize("n_examples", TIERS)
@pytest.mark.parametrize(
    ("file", "record_type"),
    [("questions.jsonl", Question), ("trajectories.jsonl", Trajectory), ("attempts.jsonl", Attempt)],
)
def test_lines_of_records(world, tmp_path, file, record_type, n_examples):
    valid = b"".join((world / "run" / file).read_bytes().splitlines(keepends=True)[:2])
    try_reader(valid, "x.jsonl", tmp_path, n_examples, lambda path: read_jsonl(path, record_type))


TABLES = {
    "traces": Trace,
    "readouts": Readout,
    "updates": Update,
    "alignments": Alignment,
    "adaptations": Adaptation,
    "influence": Influence,
    "resamplings": Resampling,
}


@pytest.mark.parametrize("n_examples", TIERS)
@pytest.mark.parametrize("name", TABLES)
def test_tables_of_records(world, tmp_path, name, n_examples):
    valid = (world / "run" / f"{name}.parquet").read_bytes()
    try_reader(valid, "x.parquet", tmp_path, n_examples, lambda path: read_table(path, TABLES[name]))


@pytest.mark.parametrize("n_examples", TIERS)
@pytest.mark.parametrize("name", ["traces", "updates", "influence"])
def test_journals_of_records_with_arrays(world, tmp_path, name, n_examples):
    record = read_table(world / "run" / f"{name}.parquet", TABLES[name])[0]
    try_reader(encode_line(record), "x.jsonl", tmp_path, n_examples, lambda path: read_jsonl(path, TABLES[name]))


@pytest.mark.parametrize("n_examples", TIERS)
@pytest.mark.parametrize(
    ("file", "kind"),
    [("influence.json", InfluenceSummary), ("compress.json", Frontier), ("alignment.json", AlignmentSummary)],
)
def test_summaries(world, tmp_path, file, kind, n_examples):
    valid = (world / "run" / file).read_bytes()
    try_reader(valid, file, tmp_path, n_examples, lambda path: read_summaries(path, kind))


@pytest.mark.parametrize("n_examples", TIERS)
def test_manifests(world, tmp_path, n_examples):
    valid = (world / "run" / "manifest.json").read_bytes()
    try_reader(valid, "manifest.json", tmp_path, n_examples, lambda path: Run(path.parent).read_manifest())


@pytest.mark.parametrize("n_examples", TIERS)
def test_evaluations(world, tmp_path, n_examples):
    valid = (world / "run" / "evaluation.json").read_bytes()
    try_reader(valid, "evaluation.json", tmp_path, n_examples, lambda path: describe_views(Run(path.parent), [], []))


@pytest.mark.parametrize("n_examples", TIERS)
def test_landscapes(world, tmp_path, n_examples):
    (valid,) = (world / "run" / "landscapes").glob("*.safetensors")
    try_reader(valid.read_bytes(), "x.safetensors", tmp_path, n_examples, read_landscape)


@pytest.mark.parametrize("n_examples", TIERS)
@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("q.jsonl", LINES),
        ("q.csv", CSV),
        ("q.json", json.dumps(QUESTIONS).encode()),
        ("q.parquet", parquet([{"prompt": "Calculate 3+4.", "answer": "7", "m": [1, 2]}])),
    ],
)
def test_question_files(tmp_path, name, valid, n_examples):
    def read(path: Path) -> None:
        read_question_file(path)
        clean_questions(((place, row) for place, row in read_rows(path)), source="x", limit=0)

    try_reader(valid, name, tmp_path, n_examples, read)


@pytest.mark.parametrize("n_examples", TIERS)
@pytest.mark.parametrize("format", GOOD)
def test_files_of_other_tools(tmp_path, format, n_examples):
    context = ReadContext("f.jsonl")

    def read(path: Path) -> None:
        list(stream_foreign(format, path, context) if format in READERS else read_plain(path))

    try_reader(json.dumps(GOOD[format]).encode() + b"\n", "f.jsonl", tmp_path, n_examples, read)


@pytest.mark.parametrize("n_examples", TIERS)
def test_config_files(tmp_path, n_examples):
    try_reader(list_configs(".toml")["tiny/sft"].read_bytes(), "c.toml", tmp_path, n_examples, find_toml)


@pytest.mark.parametrize("n_examples", TIERS)
def test_headers_of_gguf_files(tmp_path, n_examples):
    writer = gguf.GGUFWriter(tmp_path / "valid.gguf", "qwen2")
    writer.add_block_count(2)
    writer.add_token_list(["a", "b", "c"])
    writer.add_tensor("w", np.zeros((4, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    valid = (tmp_path / "valid.gguf").read_bytes()
    try_reader(valid, "x.gguf", tmp_path, n_examples, lambda path: measure_gguf("x", path))


@pytest.mark.parametrize("n_examples", TIERS)
@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_configurations_and_weights(place, tmp_path, file, n_examples):
    """The weights are cut to their header, which is what is read before any of them."""
    place("model")
    valid, whole = (tmp_path / "model" / file).read_bytes(), (tmp_path / "model" / "model.safetensors").read_bytes()
    n_header = 8 + int.from_bytes(whole[:8], "little")

    def read(path: Path) -> None:
        if path.name == "model.safetensors":
            path.write_bytes(path.read_bytes() + whole[n_header:])
        check_sizes("model", path.parent, [path.parent / "model.safetensors"], False)

    start = valid[:n_header] if file == "model.safetensors" else valid
    try_reader(start, file, tmp_path / "model", n_examples, read)


@pytest.mark.parametrize("n_examples", TIERS)
def test_chat_templates(tiny, tmp_path, n_examples, monkeypatch):
    """A template that is valid and does something else is none of our business; it must only end."""
    valid = tiny.tokenizer.chat_template
    monkeypatch.setattr("raml.inputs.template.SECONDS", 1.0)
    question = Question("q", "Calculate 3+4.", "7")

    def read(path: Path) -> None:
        monkeypatch.setattr(tiny.tokenizer, "chat_template", path.read_bytes().decode("utf-8", "replace"))
        render_prompt(tiny.tokenizer, question, PromptSettings())

    try_reader(valid.encode(), "t.jinja", tmp_path, n_examples, read)


def test_a_bounded_template_gives_the_tracer_back():
    with pytest.raises(TemplateError), bound_template("x"):
        raise TemplateError("x")
