"""Rollout data sets: a row a question, with a list of generations and, often, a list of verdicts on them.

The usual columns are those of OpenR1-Math-220k (its data set card on the Hugging Face Hub); others can be named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from raml.errors import DataError
from raml.interchange.build import Asked, build_row
from raml.interchange.chat import read_completion, write_response
from raml.interchange.files import write_rows
from raml.interchange.record import encode_record
from raml.interchange.rows import (
    ANSWER_COLUMNS,
    RECORD,
    ExportedResponse,
    ForeignResponse,
    ForeignRow,
    ReadContext,
    find_answer,
    read_finish,
    read_label,
    read_text,
    require_columns,
)

QUESTIONS = ("problem", "question", "prompt")
GENERATIONS = ("generations", "responses", "completions", "rollouts")
LABELS = ("correctness_math_verify", "correctness_llama", "correctness", "is_correct", "labels", "rewards", "scores")


def read_rollouts(row: Mapping[str, Any], place: str, context: ReadContext) -> list[ForeignRow]:
    """Read a question with its generations.

    The question is bare: what else the model was told is not in such files. Of the other columns those that hold one
    value are kept in the question's meta.

    Raises:
        DataError: a column is missing or holds something else, or two lists differ in length.
    """
    columns = context.columns
    asks = _choose(row, columns.question_column, QUESTIONS, place)
    message = read_text(row[asks], f"the question in column {asks!r}", place)
    name = _choose(row, columns.responses_column, GENERATIONS, place)
    texts = _read_list(row, name, place) or []
    labels = _read_labels(row, columns.label_column, len(texts), place)
    finishes = _read_list(row, "finish_reasons", place, len(texts)) or [None] * len(texts)
    records = _read_list(row, RECORD, place, len(texts)) or []
    responses = [
        ForeignResponse(read_completion(text, f"{place}, generation {i}"), label, read_finish(finish))
        for i, (text, label, finish) in enumerate(zip(texts, labels, finishes, strict=True))
    ]
    used = {asks, name, RECORD, columns.label_column, columns.answer_column, *ANSWER_COLUMNS}
    rest = {key: value for key, value in row.items() if key not in used}
    meta = {key: value for key, value in rest.items() if not isinstance(value, list | dict | None)}
    asked = Asked(message, find_answer(row, columns, place), is_bare=True, meta=meta)
    return [build_row(place, context, asked, responses, records)]


def write_rollouts(path: Path, responses: Sequence[ExportedResponse], *, records: bool = True) -> None:
    """Write a row a question, with OpenR1-Math-220k's columns; its `uuid` is our question id.

    Args:
        path: A .jsonl or .parquet file.
        responses: What to write; those to one question need not stand together.
        records: Add the column `raml`, a list along the generations.
    """
    groups: dict[str, list[ExportedResponse]] = {}
    for response in responses:
        groups.setdefault(response.question.id, []).append(response)
    rows = []
    for group in groups.values():
        question, trajectories = group[0].question, [response.trajectory for response in group]
        row: dict[str, Any] = {
            "problem": question.prompt,
            "answer": question.answer,
            "source": question.source,
            "uuid": question.id,
            "generations": [write_response(trajectory) for trajectory in trajectories],
            "correctness_math_verify": [trajectory.correct for trajectory in trajectories],
            "finish_reasons": [trajectory.finish for trajectory in trajectories],
            "correctness_count": sum(trajectory.correct is True for trajectory in trajectories),
        }
        if records:
            row[RECORD] = [encode_record(question, trajectory) for trajectory in trajectories]
        rows.append(row)
    texts, truths = pa.list_(pa.string()), pa.list_(pa.bool_())
    types = {"source": pa.string(), "correctness_math_verify": truths, "finish_reasons": texts}
    write_rows(path, rows, types=types)


def _choose(row: Mapping[str, Any], asked: str | None, usual: Sequence[str], place: str) -> str:
    """Choose the column that was asked for, or the first usual one.

    Raises:
        DataError: the row has none of them.
    """
    found = asked or next((name for name in usual if name in row), usual[0])
    require_columns(row, [found], place)
    return found


def _read_list(row: Mapping[str, Any], name: str, place: str, n: int | None = None) -> list[Any] | None:
    """Read a list, which goes along another one of n; None where the column is missing or null.

    Raises:
        DataError: it is no list, or of another length.
    """
    value = row.get(name)
    if value is None:
        return None
    if not isinstance(value, list):
        raise DataError(f"{place}: column {name!r} holds no list.")
    if n is not None and len(value) != n:
        raise DataError(f"{place}: column {name!r} has {len(value)} entries for {n} generations.")
    return value


def _read_labels(row: Mapping[str, Any], asked: str | None, n: int, place: str) -> list[float | None]:
    """Read the first verdict on each generation, column by column."""
    if asked is not None:
        require_columns(row, [asked], place)
    found = [_read_list(row, name, place, n) for name in ((asked,) if asked else LABELS) if name in row]
    lists = [list(map(read_label, values)) for values in found if values is not None]
    return [next((labels[i] for labels in lists if labels[i] is not None), None) for i in range(n)]
