"""Which reader goes with which format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raml.errors import DataError
from raml.interchange.inspect_log import read_inspect, stream_samples
from raml.interchange.openai_chat import read_openai_chat
from raml.interchange.rollouts import read_rollouts
from raml.interchange.rows import ForeignRow, ReadContext
from raml.interchange.trl import read_trl, read_trl_completions, read_trl_preference
from raml.interchange.verifiers import read_verifiers
from raml.interchange.verl import read_verl, read_verl_rollouts
from raml.questions import read_rows


@dataclass(frozen=True)
class Reader:
    """How a format's files are read."""

    read_row: Callable[[Any, str, ReadContext], list[ForeignRow]]
    stream: Callable[[Path], Iterator[tuple[str, dict[str, Any]]]] = read_rows
    has_copies: bool = False
    """Whether the same response may stand in several rows without having been given several times."""


READERS = {
    "trl": Reader(read_trl),
    "trl-preference": Reader(read_trl_preference, has_copies=True),
    "trl-completions": Reader(read_trl_completions),
    "verl": Reader(read_verl),
    "verl-rollouts": Reader(read_verl_rollouts),
    "openai-chat": Reader(read_openai_chat),
    "inspect": Reader(read_inspect, stream_samples),
    "verifiers": Reader(read_verifiers),
    "rollouts": Reader(read_rollouts),
}


def stream_foreign(
    format: str,  # what everybody calls it
    path: Path,
    context: ReadContext,
    on_unusable: Callable[[DataError], None] | None = None,
) -> Iterator[ForeignRow]:
    """Read another tool's file row by row.

    Args:
        format: One of `READERS`.
        path: The file.
        context: What a reader has to know besides.
        on_unusable: Is told of a row that can't be used, which is then left out; without, the first one is an error.

    Raises:
        DataError: the file is no such file or has no rows, or a row can't be used.
        MissingExtra: a package that reads it is not installed.
    """
    reader = READERS[format]
    is_empty = True
    for place, row in reader.stream(path):
        is_empty = False
        try:
            found = reader.read_row(row, place, context)
        except DataError as error:
            if on_unusable is None:
                raise
            on_unusable(error)
            continue
        yield from found
    if is_empty:
        raise DataError(f"{path} has no rows.")
