"""From loads, parts and a rehearsal to a plan; the same for every stage that runs a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch

from raml.models import LoadedModel
from raml.planning.load import Load, add_up
from raml.planning.record import Duration, Part, Plan
from raml.planning.rehearsal import BUDGET_S, Piece, rehearse
from raml.planning.standing import Closing, Standing
from raml.scoring.kernels import FREE_MEMORY_KEPT
from raml.scoring.memory import find_free_memory


@dataclass(frozen=True)
class Work:
    """What a stage will do with one model."""

    stage: str
    n_units: int
    unit: str
    loads: Sequence[Load]
    parts: Sequence[Part]
    """Memory beside the weights at its most."""
    tokens_read: int | None
    tokens_written: int | None = 0
    most_written: int = 0
    notes: tuple[str, ...] = ()


def assemble(
    loaded: LoadedModel,
    standing: Standing,
    work: Work,
    pieces: Iterable[Piece],
    close: Callable[[], Closing],
    *,
    once: Duration = Duration(0, 0),  # noqa: B008  # frozen
    add: Callable[[], Load] = Load,
) -> Plan:
    """Rehearse, and put a plan together.

    Where what the stage needs is more than what is free, nothing is rehearsed, and the plan has no seconds.

    Args:
        loaded: The model.
        standing: From before the rehearsal.
        work: What is to be done.
        pieces: Of the rehearsal.
        close: Rehearses the stage's end.
        once: What is done once for all units, where it was measured by itself.
        add: Work that is known only after the rehearsal.
    """
    notes, duration = work.notes, None
    closing = Closing(Duration(0, 0), 0, 0)
    if fits(loaded, work.parts):
        duration = _rehearse(work, pieces, add) if work.n_units or work.loads else Duration(0, 0)
        closing = close()
        if duration is not None:
            duration = duration + once + closing.duration
    else:
        notes = (*notes, "It needs more memory than is free, so no piece of it was tried, and its time is not known.")
    parts = choose_fullest(work.parts, closing)
    return Plan(
        stage=work.stage,
        model=loaded.identity.name,
        n_units=work.n_units,
        unit=work.unit,
        tokens_read=work.tokens_read,
        tokens_written=work.tokens_written,
        most_written=work.most_written,
        host=standing.list_host(*parts),
        loading=standing.loading,
        device=standing.list_device(*work.parts),
        n_disk_bytes=closing.n_disk_bytes,
        start=standing.start,
        work=duration,
        notes=notes,
    )


def fits(loaded: LoadedModel, parts: Sequence[Part]) -> bool:
    """Whether there is as much memory as some parts need, where that can be known."""
    free = find_free_memory(loaded.model)
    return free is None or sum(part.n_bytes for part in parts) <= free


def _rehearse(work: Work, pieces: Iterable[Piece], add: Callable[[], Load]) -> Duration | None:
    """What the work takes, by its pieces; unknown where none of them could be run."""
    total = add_up(work.loads)
    rehearsal = rehearse(pieces, total, BUDGET_S * torch.get_num_threads())
    return None if rehearsal is None else rehearsal.costs.predict(total + add()) + rehearsal.once


def choose_fullest(parts: Sequence[Part], closing: Closing) -> tuple[Part, ...]:
    """What is in memory beside program and weights when it is most: during the work, or at its end.

    At the end the C library still has some of what the work gave back (`raml.scoring.kernels.keep_freed_memory`).
    """
    kept = min(FREE_MEMORY_KEPT, sum(part.n_bytes for part in parts))
    end = Part("kept from the work", kept), Part("results", closing.n_memory_bytes)
    return max(tuple(parts), end, key=lambda some: sum(part.n_bytes for part in some))
