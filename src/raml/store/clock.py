"""What the manifest says about a stage, collected while it runs."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path

import msgspec

from raml.records import ModelIdentity, StageManifest
from raml.store.provenance import find_git_commit, list_versions
from raml.store.run import Run

COMMAND: ContextVar[tuple[str, ...]] = ContextVar("COMMAND")
"""The command line that is being run; unset where functions are called."""


def hide_secrets(words: Sequence[str]) -> tuple[str, ...]:
    """Take user names, passwords and queries out of the addresses in a command line: what is recorded holds none."""
    return tuple(re.sub(r"(://[^\s?#]*)[?#]\S*", r"\1", re.sub(r"\S*:\S*@", "[hidden]@", word)) for word in words)


class StageClock:
    """Collects what the manifest says about a stage while it runs."""

    def __init__(self, run: Run, stage: str, config: Mapping[str, object]) -> None:
        self.run, self.stage, self.config = run, stage, config
        self.command = COMMAND.get((stage,))
        self.started = time.monotonic()

    def finish(
        self,
        *,
        inputs: tuple[Path, ...],
        outputs: dict[Path, int | None],
        n_units: int,
        n_new: int,
        n_errors: int = 0,
        seed: int | None = None,
        model: ModelIdentity | None = None,
    ) -> None:
        """Write the stage into the run's manifest; the last thing a stage does."""
        stage = StageManifest(
            stage=self.stage,
            command=self.command,
            config=msgspec.to_builtins(dict(self.config), enc_hook=str),
            seed=seed,
            model=model,
            git_commit=find_git_commit(),
            versions=list_versions(),
            inputs=(),
            outputs=(),
            n_units=n_units,
            n_new=n_new,
            n_errors=n_errors,
            wall_s=round(time.monotonic() - self.started, 3),
        )
        self.run.record_stage(stage, inputs, outputs)
