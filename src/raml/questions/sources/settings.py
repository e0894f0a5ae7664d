"""What one can choose about a source of questions, and what a row of it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

Language = Literal["en", "cn", "both"]
Row = Mapping[str, Any]
"""A row of a file: its columns by name."""


@dataclass(frozen=True)
class SourceSettings:
    """Where the rows of a named source come from, and which of them are taken."""

    files: tuple[Path, ...] = ()
    """Local files with the same rows; empty: from the Hugging Face Hub."""
    revision: str | None = None
    """Branch, tag or commit on the Hub; None: the one in the catalogue."""
    limit: int | None = None
    """Take only the first so many questions."""
    seed: int = 0
    """gpqa-diamond: order of the options. reasoning-gym: which questions are made."""
    language: Language = "both"
    """livemathbench-hard: which files are fetched."""
    release: str = "v6"
    """livecodebench: "release_v1" to "release_v6" hold all problems up to then, "v1" to "v6" what each one added."""
    since: date | None = None
    """livecodebench: no contest before this day."""
    until: date | None = None
    """livecodebench: no contest after this day."""
    task_options: Mapping[str, Any] = field(default_factory=dict)
    """reasoning-gym: settings of the task's generator."""
