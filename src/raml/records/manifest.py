"""How the records of a run came about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from raml.records.base import SCHEMA_VERSION
from raml.records.trajectories import ModelIdentity


@dataclass(frozen=True)
class FileEntry:
    """A file that a stage read or wrote."""

    path: str
    """Relative to the run folder where it lies inside."""
    sha256: str
    rows: int | None = None


@dataclass(frozen=True)
class StageManifest:
    """How one stage's records came about."""

    stage: str
    command: tuple[str, ...]
    """The command line, or the stage's name when it was called from Python."""
    config: dict[str, Any]
    """All settings, defaults filled in."""
    seed: int | None
    model: ModelIdentity | None
    git_commit: str | None
    """Commit of the source tree that ran; None for an installed package."""
    versions: dict[str, str]
    inputs: tuple[FileEntry, ...]
    outputs: tuple[FileEntry, ...]
    n_units: int
    n_new: int
    """Units done by this command; the others were there already."""
    n_errors: int
    wall_s: float
    """Seconds of this command."""


@dataclass(frozen=True)
class Manifest:
    """What a run folder holds and how it came about; written last by each stage."""

    stages: tuple[StageManifest, ...]
    """In the order in which they finished; an execution that changed no file of an earlier one is not listed again."""
    schema_version: int = SCHEMA_VERSION

    def find_last(self, stage: str) -> StageManifest | None:
        """The latest execution of a stage that did something; None if there was none."""
        return next((done for done in reversed(self.stages) if done.stage == stage), None)
