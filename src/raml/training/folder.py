"""The folder that a training run writes: its plan, its checkpoints, its metrics and, at the end, the model.

OUT/training.json             the plan: technique, settings, model and data; written first
OUT/checkpoints/checkpoint-N  what TRL needs to go on from update N; complete once it holds a plan.json
OUT/metrics.jsonl             one line of metrics an update
OUT/…                         the model, as Hugging Face tools expect it
OUT/manifest.json             how it came about; written last
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from raml.errors import RunError
from raml.inputs import MALFORMED, read_plain
from raml.store import Run, write_atomically, writing
from raml.training.settings import OuterLoopSettings

MARK = "plan.json"
PICKLED_ARGUMENTS = "training_args.bin"
"""Written by transformers beside every model; a pickle that nothing here reads, so it is removed."""


@dataclass(frozen=True)
class Plan:
    """What decides a run's weights; two runs of the same plan end with the same model."""

    technique: str
    settings: dict[str, Any]
    """All settings that change a weight, defaults filled in."""
    model: str
    """`ModelIdentity.key()` of the model that is trained."""
    data: str
    """Fingerprint of what it reads."""
    n_processes: int
    """Over which batches and random numbers are divided."""

    def list_differences(self, other: Mapping[str, Any]) -> list[str]:
        """Say in words where another plan, as it was written, differs from this one."""
        mine, theirs = dict(_flatten(asdict(self))), dict(_flatten(other))
        return [
            f"{name.removeprefix('settings.')} was {theirs.get(name)!r}, now {mine.get(name)!r}"
            for name in sorted(mine.keys() | theirs.keys())
            if mine.get(name) != theirs.get(name)
        ]


FULL = ("No space left on device", "iostream error", "inline_container", "PytorchStreamWriter")
"""In what torch, safetensors and tokenizers say when they could not write a file to its end."""


def is_about_space(error: BaseException) -> bool:
    """Whether another library's error says that a file could not be written to its end."""
    return any(sign in str(error) for sign in FULL)


@contextlib.contextmanager
def saving(path: Path) -> Iterator[None]:
    """Turn what a full disk makes of other libraries' writing into a RunError that says what to do.

    Raises:
        RunError: something could not be written.
    """
    with writing(path):
        try:
            yield
        except Exception as error:  # each library has a class of its own for it, or none
            if not is_about_space(error):
                raise
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error


def make_plan(technique: str, settings: OuterLoopSettings, model: str, data: str, n_processes: int = 1) -> Plan:
    """Write down what decides a run's weights."""
    plain = msgspec.to_builtins(settings, enc_hook=str)
    return Plan(technique, _leave_out(plain, settings.HARMLESS | settings.TRACED), model, data, n_processes)


def _leave_out(plain: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {
        key: _leave_out(value, names) if isinstance(value, Mapping) else value
        for key, value in plain.items()
        if key not in names
    }


class TrainingFolder:
    """A folder for one training run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run = Run(path)
        self.plan_path = path / "training.json"
        self.checkpoints_path = path / "checkpoints"
        self.metrics_path = path / "metrics.jsonl"
        self.figure_path = path / "training.png"
        self.state_path = path / "trainer_state.json"

    def check_free(self) -> None:
        """Refuse a folder that holds something else.

        Raises:
            RunError: it does; the message names a file of it.
        """
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path} is a file; --out must be a folder.")
        found = [path.name for path in self.path.iterdir()] if self.path.is_dir() else []
        others = sorted(name for name in found if name != ".lock" and not name.endswith(".partial"))
        if others and self.plan_path.name not in others:
            raise RunError(
                f"{self.path} holds something that is no training run (such as {others[0]}). Choose another folder."
            )

    def begin(self, plan: Plan) -> Path | None:
        """Take the folder for a plan, and find the checkpoint to go on from; None to begin.

        Raises:
            RunError: another plan's checkpoints or model are here; the message has the differences.
        """
        self.check_free()
        checkpoints = self._list_checkpoints()
        if self.plan_path.is_file() and (checkpoints or self.is_finished()):
            differences = plan.list_differences(self._read_plan(self.plan_path))
            if differences:
                raise RunError(
                    f"{self.path} holds a run with other settings: {'; '.join(differences)}. "
                    "Choose another folder, or give the same settings to go on."
                )
        for torn in self._list_checkpoints(complete=False):
            shutil.rmtree(torn)
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.plan_path, msgspec.json.format(msgspec.json.encode(plan), indent=2) + b"\n")
        return checkpoints[-1] if checkpoints else None

    def is_finished(self) -> bool:
        """Whether the run that is here has come to its end, and its files are what they were then."""
        done = self.run.read_manifest().stages
        return bool(done) and all(
            (self.path / entry.path).is_file() and self.run.describe_file(self.path / entry.path).sha256 == entry.sha256
            for entry in done[-1].outputs
        )

    def mark_checkpoint(self, step: int, keep: int) -> None:
        """Call a checkpoint complete, then remove those before the newest `keep`."""
        checkpoint = self.checkpoints_path / f"checkpoint-{step}"
        (checkpoint / PICKLED_ARGUMENTS).unlink(missing_ok=True)
        write_atomically(checkpoint / MARK, self.plan_path.read_bytes())
        for old in self._list_checkpoints()[:-keep]:
            (old / MARK).unlink()  # first, so that a half-removed one is no checkpoint
            shutil.rmtree(old)

    def read_metrics(self) -> list[dict[str, Any]]:
        """Read the lines of metrics.

        Raises:
            RunError: they can't be read, or one is no JSON.
        """
        if not self.metrics_path.is_file():
            return []
        try:
            return [msgspec.json.decode(line) for line in read_plain(self.metrics_path).splitlines()]
        except (OSError, *MALFORMED) as error:
            raise RunError(f"{self.metrics_path} holds a line that is no JSON: {error}") from error

    def write_metrics(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replace all lines of metrics."""
        write_atomically(self.metrics_path, b"".join(msgspec.json.encode(row) + b"\n" for row in rows))

    def append_metrics(self, row: Mapping[str, Any]) -> None:
        """Add a line of metrics; what a kill tears off is written again from the checkpoint."""
        with self.metrics_path.open("ab") as file:
            file.write(msgspec.json.encode(row) + b"\n")

    def _list_checkpoints(self, *, complete: bool = True) -> list[Path]:
        """List complete checkpoints, or the torn ones, oldest first."""
        found = [path for path in self.checkpoints_path.glob("checkpoint-*") if (path / MARK).is_file() == complete]
        return sorted(found, key=lambda path: int(path.name.rpartition("-")[2]))

    def _read_plan(self, path: Path) -> dict[str, Any]:
        try:
            return msgspec.json.decode(read_plain(path), type=dict[str, Any])
        except (OSError, *MALFORMED) as error:
            raise RunError(f"{path} is no plan of a training run: {error}") from error


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", list(value) if isinstance(value, tuple) else value
