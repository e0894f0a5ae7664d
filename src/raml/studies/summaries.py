"""What a stage wrote as JSON, as the summary that it was."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from raml.errors import RunError

S = TypeVar("S")


def read_summary(path: Path, kind: type[S]) -> S:
    """Read a stage's JSON file that is about one model; intervals without ends, null there, reach to infinity again.

    Raises:
        RunError: it can't be read, holds another kind of summary, or those of several models.
    """
    try:
        plain = msgspec.json.decode(path.read_bytes(), type=list[dict[str, Any]])
        if len(plain) != 1:
            raise RunError(f"{path} holds summaries of {len(plain)} models; a study reads one.")
        return msgspec.convert(_open_intervals(plain[0]), kind)
    except OSError as error:
        raise RunError(f"{path} can't be read: {error.strerror}.") from error
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise RunError(f"{path} is no such summary: {error}.") from error


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
