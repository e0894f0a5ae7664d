"""Rows of LiveCodeBench: a programming problem with public and hidden tests."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import msgspec

from raml.answers.code import decode_private_tests
from raml.errors import DataError
from raml.inputs import MALFORMED
from raml.questions.sources.columns import Columns, find_column, read_notes, read_text
from raml.questions.sources.settings import Row, SourceSettings
from raml.records import CodeTests, Question, hash_key

PROGRAM_WORDING = "{problem}\n\nThe Python program reads standard input and prints the result to standard output."
FUNCTION_WORDING = (
    "{problem}\n\nComplete this Python code without changing any name in it:\n\n```python\n{starter}\n```"
)
PROBLEM, STARTER, DATE, METADATA = ("question_content",), ("starter_code",), ("contest_date",), ("metadata",)
PUBLIC_TESTS, HIDDEN_TESTS = ("public_test_cases",), ("private_test_cases",)
COLUMNS: Columns = (DATE, PROBLEM, STARTER, METADATA, PUBLIC_TESTS, HIDDEN_TESTS)
N_BY_UPDATE = {"v1": 400, "v2": 111, "v3": 101, "v4": 101, "v5": 167, "v6": 175}
"""Problems that each update added; the card counts 400, 511, 612, 713 and 880 up to release_v5, 1,055 are known for
release_v6."""
RELEASES = (*N_BY_UPDATE, *(f"release_{update}" for update in N_BY_UPDATE))


def list_updates(release: str) -> list[str]:
    """List the updates that make up a release: "v3" is one, "release_v3" all three up to then.

    Raises:
        DataError: there is no such release.
    """
    if release not in RELEASES:
        raise DataError(f"There is no release {release!r} of LiveCodeBench; choose one of {', '.join(RELEASES)}.")
    updates = list(N_BY_UPDATE)
    last = updates.index(release.removeprefix("release_"))
    return updates[: last + 1] if release.startswith("release_") else [updates[last]]


def name_file(update: str) -> str:
    """Name the file of an update: test.jsonl, then test2.jsonl to test6.jsonl."""
    return "test.jsonl" if update == "v1" else f"test{update.removeprefix('v')}.jsonl"


def make_livecodebench(row: Row, place: str, source: str, settings: SourceSettings) -> Question | None:
    """Make a question with its tests of a row; None for a contest out of the time window, whose tests stay packed.

    As in the benchmark's own evaluation, a problem asks for a function if its metadata name one, else for a program,
    and public and hidden tests count alike. One without any tests is kept: responses to it stay undecided.

    Raises:
        DataError: the row lacks a column, or one is malformed.
    """
    held = _read_date(row, place)
    if (settings.since and held < settings.since) or (settings.until and held > settings.until):
        return None
    problem = read_text(row, *PROBLEM, place=place)
    starter = find_column(row, STARTER, place)
    function = _decode(row, METADATA, dict, place).get("func_name")
    tests = [*_decode(row, PUBLIC_TESTS, list, place), *_read_hidden_tests(row, place)]
    has_starter = isinstance(starter, str) and bool(starter.strip())
    prompt = (
        FUNCTION_WORDING.format(problem=problem, starter=str(starter).rstrip())
        if has_starter
        else PROGRAM_WORDING.format(problem=problem)
    )
    notes = read_notes(row, "question_title", "question_id", "contest_id", "platform", "difficulty")
    return Question(
        hash_key(prompt, ""),
        prompt,
        answer="",
        domain=str(notes["difficulty"]) if "difficulty" in notes else None,
        source=source,
        meta={**notes, "contest_date": held.isoformat()},
        kind="code",
        tests=CodeTests(
            tuple(_read_side(test, "input", place) for test in tests),
            tuple(_read_side(test, "output", place) for test in tests),
            function if isinstance(function, str) and function else None,
        ),
    )


def _read_date(row: Row, place: str) -> date:
    """Read the day of the contest, from text as in the files or from a time as in parquet."""
    value = find_column(row, DATE, place)
    if isinstance(value, datetime):
        return value.date()
    try:
        return datetime.fromisoformat(str(value)).date()
    except ValueError as error:
        raise DataError(f"{place}: contest_date {str(value)[:40]!r} is no date such as 2025-01-31.") from error


def _read_hidden_tests(row: Row, place: str) -> list[dict[str, Any]]:
    if find_column(row, HIDDEN_TESTS, place) in (None, ""):
        return []
    text = read_text(row, *HIDDEN_TESTS, place=place)
    try:
        return decode_private_tests(text)
    except DataError as error:
        raise DataError(f"{place}: {error}") from error


def _decode(row: Row, names: tuple[str, ...], kind: type, place: str) -> Any:  # noqa: ANN401
    """Decode a column that holds JSON as text."""
    try:
        return msgspec.json.decode(read_text(row, *names, place=place), type=kind)
    except MALFORMED as error:
        raise DataError(f"{place}: column {names[0]!r} is no JSON {kind.__name__}: {error}") from error


def _read_side(test: Any, side: str, place: str) -> str:  # noqa: ANN401
    value = test.get(side) if isinstance(test, dict) else None
    if not isinstance(value, str):
        raise DataError(f"{place}: a test has no {side} as text.")
    return value
