"""Our own records inside other tools' files: written whole, and read with the distrust that any file deserves."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from raml.errors import DataError
from raml.records import SCHEMA_VERSION, Question, Trajectory
from raml.store import check_schema, restore_record


def encode_record(question: Question, trajectory: Trajectory | None = None) -> str:
    """Write a question, and a trajectory of it, as one line of JSON text."""
    content = {"v": SCHEMA_VERSION, "question": question, "trajectory": trajectory}
    return msgspec.json.encode(content).decode()


def decode_record(value: object, place: str) -> tuple[Question, Trajectory | None]:
    """Read what `encode_record` wrote.

    Raises:
        DataError: it is no such record, or its lengths, ids or numbers don't fit each other.
        RunError: a newer version wrote it.
    """
    if not isinstance(value, str):
        raise DataError(f"{place}: the record of raml is no text.")
    try:
        plain = msgspec.json.decode(value, type=dict[str, Any])
        check_schema(place, plain.get("v"))
        question = restore_record(plain["question"], Question)
        found = plain.get("trajectory")
        if found is None:
            return question, None
        trajectory = restore_record(found, Trajectory)
        _check_trajectory(trajectory, question)
    except (msgspec.DecodeError, UnicodeError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise DataError(f"{place}: the record of raml can't be read: {error}") from error
    return question, trajectory


def _check_trajectory(trajectory: Trajectory, question: Question) -> None:
    """Refuse what contradicts itself.

    Raises:
        ValueError: it does.
    """
    if trajectory.question_id != question.id:
        raise ValueError(f"it answers question {trajectory.question_id!r}, not {question.id!r}")
    if not all(math.isfinite(p) and p <= 1e-3 for p in trajectory.logprobs or ()):
        raise ValueError("logprobs are not numbers of 0 or less")
