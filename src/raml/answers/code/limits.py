"""How much a program may use, and how its run came out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MAX_DETAIL_CHARS = 300
MAX_STRETCH = 5
"""How much longer than `Limits.wall_s` a program may take at most that has waited for a CPU."""


@dataclass(frozen=True)
class Limits:
    """What a program may use in each of its tests."""

    cpu_s: int = 6
    """Seconds of computing, whole ones."""
    wall_s: float = 12.0
    """Seconds from start to end, those not counted in which it was ready to compute but other processes did."""
    memory_bytes: int = 4 << 30
    """Address space of the process."""
    output_bytes: int = 8 << 20
    """What it may print, and how long a returned value may be as JSON."""
    file_bytes: int = 16 << 20
    """Size of one file that it writes."""
    disk_bytes: int = 64 << 20
    """Size of all files that it writes; not limited where there are no namespaces."""
    n_threads: int = 64
    """Threads, and processes where they can't be forbidden."""


@dataclass(frozen=True)
class CodeResult:
    """How the run of a program came out."""

    verdict: Literal["right", "wrong", "timed out", "undecided"]
    """"undecided": not the program's fault; the machine could not run it, or the question's tests can't be used."""
    detail: str | None
    """What went wrong, in a line; None if right."""


def write_detail(text: str) -> str:
    """Make one line of any text: characters that don't print are written as escapes, and long text is cut."""
    cut = text if len(text) <= MAX_DETAIL_CHARS else text[: MAX_DETAIL_CHARS - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)
