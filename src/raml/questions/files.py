"""Read questions from JSONL, CSV, parquet or JSON files."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator, Mapping
from datetime import date, time
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from raml.errors import DataError
from raml.inputs import MALFORMED, check_plain, open_plain, read_plain
from raml.records import Question, hash_key
from raml.store import check_schema, find_misfit, restore_record

PROMPT_FIELDS = ("prompt", "question", "problem")
"""Field names under which data sets keep the question's text."""
FILE_KINDS: tuple[str, ...] = (".jsonl", ".csv", ".parquet", ".json")
"""Names of files with rows end so."""
DROPPED = "bytes_left_out"
"""Name in a question's meta of the number of values that are bytes and were left out, if there were any."""
RECORD_FIELDS = frozenset({"v", "id", "prompt", "answer", "source", "meta"})
"""Fields by which a line of a run's questions.jsonl is known; a later version's has more."""
BATCH = 64
"""Rows of a parquet file that are in memory together."""
FIELD_CHARACTERS = 2**31 - 1
"""Most characters of a CSV field: what every platform allows, since a field may be a whole chain of thought."""


def read_question_file(path: Path) -> list[Question]:
    """Read questions from a .jsonl, .csv, .parquet or .json file.

    Each row needs `prompt` (or `question`, `problem`) and `answer`; `id` and `domain` are optional, and further
    fields go to `meta`, as `keep_plain` leaves them. Without an id the question gets a hash of prompt and answer. A
    line of another run's questions.jsonl gives the question that it holds, its kind and tests included.

    Raises:
        DataError: the file is missing, empty, malformed, or repeats an id; the message has the line (or row) number.
        RunError: a line is a question's record that a newer version wrote.
    """
    questions: list[Question] = []
    places: dict[str, str] = {}
    for place, row in read_rows(path):
        is_own = path.suffix.lower() == ".jsonl" and is_record(row)
        question = _restore(row, place) if is_own else make_question(row, source=path.name, place=place)
        if question.id in places:
            raise DataError(f"{place}: question id {question.id!r} was used at {places[question.id]}. Ids must differ.")
        places[question.id] = place
        questions.append(question)
    if not questions:
        raise DataError(f"{path} has no questions. It needs one row with 'prompt' and 'answer' for each.")
    return questions


def make_question(row: Mapping[str, Any], *, source: str, place: str) -> Question:
    """Turn a row of a file into a question.

    Raises:
        DataError: prompt or answer is missing or empty; the message begins with the place.
    """
    fields = dict(row)
    name = next((name for name in PROMPT_FIELDS if name in fields), None)
    if name is None:
        raise DataError(f"{place} has no field 'prompt' (or 'question', 'problem').")
    prompt = _take_text(fields, name, place)
    answer = _take_text(fields, "answer", place)
    given = fields.pop("id", None)
    if not isinstance(given, str | int | None) or isinstance(given, bool):
        raise DataError(f"{place}: field 'id' is neither text nor a whole number.")
    domain = fields.pop("domain", None)
    meta, n_dropped = keep_plain(fields, place)
    if n_dropped:
        meta[DROPPED] = n_dropped
    return Question(
        id=hash_key(prompt, answer) if given in (None, "") else str(given),
        prompt=prompt,
        answer=answer,
        domain=None if domain in (None, "") else str(domain),
        source=source,
        meta=meta,
    )


def is_record(row: Mapping[str, Any]) -> bool:
    """Whether a row of a .jsonl file is a question's record, as a run has it."""
    return row.keys() >= RECORD_FIELDS and type(row["v"]) is int


def _restore(row: Mapping[str, Any], place: str) -> Question:
    """Read a row that is a question's record.

    Raises:
        DataError: it is none; the message begins with the place.
        RunError: a newer version wrote it.
    """
    check_schema(place, row["v"])
    try:
        question = restore_record(row, Question)
        if not question.answer.strip() and question.tests is None and question.kind in ("math", "choice"):
            raise ValueError("its answer is empty")
    except ValueError as error:
        raise DataError(f"{place} is no Question record: {error}.") from error
    return question


def keep_plain(fields: Mapping[str, Any], place: str) -> tuple[dict[str, Any], int]:
    """Turn fields into what a record can hold, at any depth.

    Numbers, texts and truths stay; dates and times become text such as 2025-01-31, other things (decimal numbers,
    durations) the text that they print as. Bytes, say of pictures, are left out.

    Returns:
        The fields, and the number of bytes values that were left out.

    Raises:
        DataError: a field nests too deep; the message begins with the place.
    """
    dropped: list[bytes] = []

    def turn(value: object) -> object:
        if value is None or isinstance(value, str | int | float):
            return value
        if isinstance(value, Mapping):
            return {str(name): turn(item) for name, item in value.items() if keep(item)}
        if isinstance(value, list | tuple):
            return [turn(item) for item in value if keep(item)]
        return value.isoformat() if isinstance(value, date | time) else str(value)

    def keep(value: object) -> bool:
        if isinstance(value, bytes):
            dropped.append(value)
        return not isinstance(value, bytes)

    try:
        return {name: turn(value) for name, value in fields.items() if keep(value)}, len(dropped)
    except RecursionError as error:
        raise DataError(f"{place}: a field nests lists and objects too deep to be kept.") from error


def read_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read a .jsonl, .csv, .parquet or .json file row by row, each with its place for messages ("FILE line 3").

    A .json file is one list. Where its rows are lists themselves, their items get their numbers as names: "0", "1" and
    so on, as in tables that the `datasets` library makes of them.

    Raises:
        DataError: the file is missing, of another kind, or malformed.
    """
    readers = dict(zip(FILE_KINDS, (_read_jsonl, _read_csv, _read_parquet, _read_json), strict=True))
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path} is no .jsonl, .csv or .parquet file, and no .json list.")
    try:
        yield from reader(path)
    except FileNotFoundError as error:
        raise DataError(f"There is no file {path}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}.") from error
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}.") from error


def _read_jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with io.TextIOWrapper(open_plain(path), encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            place = f"{path} line {number}"
            try:
                row = msgspec.json.decode(line, type=dict[str, Any])
            except MALFORMED as error:
                raise DataError(f"{place} is no JSON object: {error}") from error
            if is_record(row) and (misfit := find_misfit(line.encode())):
                raise DataError(
                    f"{place}: the checksum does not fit ({misfit}), so the line is damaged. If it was edited on "
                    "purpose, take the field crc out of it."
                )
            yield place, row


def _read_csv(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    csv.field_size_limit(FIELD_CHARACTERS)  # of the whole process
    with io.TextIOWrapper(open_plain(path), encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, strict=True)
        try:
            for row in rows:
                if None in row or None in row.values():
                    raise DataError(f"{path} line {rows.line_num} has not as many fields as the header.")
                yield f"{path} line {rows.line_num}", dict(row)
        except csv.Error as error:
            raise DataError(f"{path} line {rows.line_num} is malformed: {error}") from error


def _read_parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    check_plain(path)
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=BATCH):
                try:
                    rows = batch.to_pylist()
                except (OverflowError, ValueError) as error:  # a time that Python has no value for
                    place = f"{path} rows {number + 1} to {number + batch.num_rows}"
                    raise DataError(f"{place}: a value can't be read: {error}") from error
                for row in rows:
                    number += 1
                    yield f"{path} row {number}", row
    except pa.ArrowException as error:
        raise DataError(f"{path} is no parquet file: {error}") from error


def _read_json(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        rows = msgspec.json.decode(read_plain(path).removeprefix(codecs.BOM_UTF8), type=list[Any])
    except MALFORMED as error:
        raise DataError(f"{path} is no JSON list of rows: {error}") from error
    for number, row in enumerate(rows, start=1):
        place = f"{path} row {number}"
        if isinstance(row, list):
            yield place, {str(i): item for i, item in enumerate(row)}
        elif isinstance(row, dict):
            yield place, row
        else:
            raise DataError(f"{place} is neither a JSON object nor a list.")


def _take_text(fields: dict[str, Any], name: str, place: str) -> str:
    """Remove a field that must hold text, or a number written as text; blanks around it don't count."""
    value = fields.pop(name, None)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        what = "is empty" if isinstance(value, str) else "is missing" if value is None else "is no text"
        raise DataError(f"{place}: field {name!r} {what}.")
    return value.strip()
