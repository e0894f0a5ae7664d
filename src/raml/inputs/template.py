"""Bounds for chat templates, which are programs that come with a model.

transformers renders them in Jinja's sandbox: no attribute leads to Python, a range has 100,000 numbers at most. What is
left are loops in loops, powers and long texts, which take as much time and memory as they like.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any

from jinja2 import Environment, TemplateSyntaxError

from raml.errors import DataError

SECONDS, ROOM = 10.0, 2 << 30
"""What a template may take: time, looked at between its lines, and memory in bytes."""
COMPILED = "<template>"
"""File name of the Python code that Jinja makes."""


class _TookTooLong(Exception):
    """A template's time is over."""


@contextlib.contextmanager
def bound_template(source: str) -> Iterator[None]:
    """Bound what a chat template takes while it is rendered in the block.

    Raises:
        DataError: it computes powers, runs longer than SECONDS, or wants more memory than ROOM.
    """
    if _has_power(source):
        raise DataError("it computes a power (**), which may take for ever; no prompt needs that")
    deadline, before = time.monotonic() + SECONDS, sys.gettrace()

    def trace(frame: FrameType, event: str, argument: Any) -> Any:  # noqa: ANN401 - as sys.settrace wants it
        if frame.f_code.co_filename != COMPILED:
            return None
        if time.monotonic() > deadline:
            raise _TookTooLong
        return trace

    sys.settrace(trace)
    try:
        with _bound_memory(ROOM):
            yield
    except _TookTooLong as error:
        raise DataError(f"it runs for more than {SECONDS:g} s") from error
    except MemoryError as error:
        raise DataError(f"it wants more than {ROOM / 2**30:g} GB of memory") from error
    finally:
        sys.settrace(before)


@lru_cache(maxsize=8)
def _has_power(source: str) -> bool:
    """Whether a template has the operator `**` elsewhere than before named arguments."""
    try:
        tokens = [token for token in Environment().lex(source) if token[1] != "whitespace"]
    except TemplateSyntaxError:
        return False  # whoever renders it says so
    return any(
        value == "**" and kind == "operator" and tokens[i - 1][2] not in ("(", ",")
        for i, (_, kind, value) in enumerate(tokens)
    )


@contextlib.contextmanager
def _bound_memory(room: int) -> Iterator[None]:
    """Let the process have so many more bytes of addresses, where the system can hold it to that."""
    try:
        import resource

        n_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (ImportError, OSError):
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = n_pages * resource.getpagesize() + room
    if (soft != resource.RLIM_INFINITY and soft < limit) or (hard != resource.RLIM_INFINITY and hard < limit):
        yield  # there is a tighter one
        return
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
