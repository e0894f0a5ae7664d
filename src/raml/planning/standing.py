"""What is there when a plan is made, the model loaded and the run read; and what a stage's end takes."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from raml.models import LoadedModel
from raml.planning.memory import count_weight_bytes
from raml.planning.process import forget_peak, measure_start, measure_time, read_peak, read_resident
from raml.planning.record import MANIFEST, Duration, Part
from raml.records import Adaptation, Alignment, Readout, Resampling, Trace, Update
from raml.store import Journal, Run, StageClock

MOST_CLOSED = 64
"""Records of each kind with which a stage's end is rehearsed; more are reckoned from these."""


@dataclass(frozen=True)
class Standing:
    """What this process has done so far is what the stage will do too; so it is measured and not estimated."""

    start: Duration
    """From the start of the process."""
    loading: int
    """Bytes of main memory at the most until now."""
    program: int
    """Bytes of main memory now, without the model's weights: libraries, and the records of the run."""
    weights: int
    """Bytes of the model's weights."""
    is_on_host: bool
    """Whether the weights are in main memory."""

    def list_host(self, *parts: Part) -> tuple[Part, ...]:
        """What is in main memory when the parts are there too."""
        weights = (Part("weights", self.weights),) if self.is_on_host else ()
        return Part("program and records", self.program), *weights, *(parts if self.is_on_host else ())

    def list_device(self, *parts: Part) -> tuple[Part, ...]:
        """What is in an accelerator's memory when the parts are there too."""
        return () if self.is_on_host else (Part("weights", self.weights), *parts)


def take_standing(loaded: LoadedModel) -> Standing:
    """Measure what there is. Weights that are only mapped are read from the disk first, as a first pass would."""
    with torch.no_grad():
        for parameter in loaded.model.parameters():
            parameter.sum()
    is_on_host = loaded.model.device.type == "cpu"
    weights = count_weight_bytes(loaded.model)
    program = read_resident() - (weights if is_on_host else 0)
    return Standing(measure_start(), read_peak(), program, weights, is_on_host)


@dataclass(frozen=True)
class Closing:
    """What a stage's end takes: tables that are written, figures that are drawn."""

    duration: Duration
    n_memory_bytes: int
    """Main memory at its most, beyond what there was before."""
    n_disk_bytes: int
    """Written, beside the manifest."""

    def __add__(self, other: Closing) -> Closing:
        """One after the other."""
        return Closing(
            self.duration + other.duration,
            max(self.n_memory_bytes, other.n_memory_bytes),
            self.n_disk_bytes + other.n_disk_bytes,
        )

    def scale(self, factor: float) -> Closing:
        """The same for so many times as much."""
        duration = Duration(factor * self.duration.wall_s, factor * self.duration.cpu_s)
        return Closing(duration, round(factor * self.n_memory_bytes), round(factor * self.n_disk_bytes))


STORES = {
    Trace: ("traces_journal_path", Run.close_traces),
    Readout: ("readouts_journal_path", Run.close_readouts),
    Update: ("updates_journal_path", Run.close_updates),
    Alignment: ("alignments_journal_path", Run.close_alignments),
    Adaptation: ("adaptations_journal_path", Run.close_adaptations),
    Resampling: ("resamplings_journal_path", Run.close_resamplings),
}
"""Where records go first, and what puts them into their table, by their type."""


def store_records(folder: Run, records: Sequence[Any]) -> None:
    """Store records of one type as a stage does: in the journal, then in the table."""
    if records:
        journal_name, close = STORES[type(records[0])]
        with Journal(getattr(folder, journal_name)) as journal:
            journal.append(records)
        close(folder)


def rehearse_closing(close: Callable[[Run], object] = lambda folder: None) -> Closing:
    """Let a stage end in a temporary folder, its line in the manifest included, and measure that."""

    def end(folder: Run) -> None:
        clock = StageClock(folder, "plan", {})
        with contextlib.redirect_stdout(io.StringIO()):
            close(folder)
        clock.finish(inputs=(), outputs={}, n_units=0, n_new=0)

    with tempfile.TemporaryDirectory(prefix="raml-plan-") as name:
        before = read_resident()
        forget_peak()
        duration = measure_time(lambda: end(Run(Path(name))))
        files = [path for path in Path(name).rglob("*") if path.is_file() and path.name != MANIFEST]
        return Closing(duration, max(0, read_peak() - before), sum(path.stat().st_size for path in files))
