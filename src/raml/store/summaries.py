"""What a stage wrote as JSON about each model, as the summaries that they were."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from raml.errors import RunError
from raml.inputs import MALFORMED, read_plain
from raml.store.checksums import advise_check

S = TypeVar("S")


def read_summaries(path: Path, kind: type[S]) -> list[S]:
    """Read a stage's JSON file; intervals without ends, null there, reach to infinity again.

    Raises:
        RunError: it can't be read, or holds another kind of summary.
    """
    try:
        plain = msgspec.json.decode(read_plain(path), type=list[dict[str, Any]])
        return msgspec.convert(_open_intervals(plain), list[kind])
    except OSError as error:
        raise RunError(f"{path} can't be read: {error.strerror}.") from error
    except MALFORMED as error:
        raise RunError(f"{path} is no such summary: {error}. {advise_check(path)}") from error


def read_summary(path: Path, kind: type[S]) -> S:
    """Read a stage's JSON file that is about one model.

    Raises:
        RunError: as `read_summaries`, or it holds those of several models.
    """
    summaries = read_summaries(path, kind)
    if len(summaries) != 1:
        raise RunError(f"{path} holds summaries of {len(summaries)} models; a study reads one.")
    return summaries[0]


def _open_intervals(plain: Any) -> Any:  # noqa: ANN401
    if isinstance(plain, list):
        return [_open_intervals(one) for one in plain]
    if not isinstance(plain, dict):
        return plain
    opened = {key: _open_intervals(value) for key, value in plain.items()}
    if opened.keys() >= {"low", "high", "level", "method"}:
        ends = {"low": -math.inf, "high": math.inf}
        opened |= {key: end for key, end in ends.items() if opened[key] is None}
    return opened
