"""Plans of the stages that make a few records for each trajectory, one after the other."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from raml.errors import RamlError
from raml.models import LoadedModel
from raml.planning.assembly import Work, assemble
from raml.planning.load import Load, add_up
from raml.planning.record import Part, Plan
from raml.planning.rehearsal import Piece, shorten
from raml.planning.standing import MOST_CLOSED, rehearse_closing, store_records, take_standing
from raml.records import Adaptation, Alignment, Resampling, Trajectory, Update
from raml.records.checks import AXES
from raml.store import Run
from raml.updates.probe import space_prefixes

Record = Update | Alignment | Adaptation | Resampling
Unit = tuple[str, Callable[[], Record]]
"""A record's id, and what makes it."""
ListUnits = Callable[[LoadedModel, Trajectory], Iterable[Unit]]
MOST_UNITS = 2
"""Records of a trajectory that are rehearsed: the first may take more than the others."""
SIZES = ((8, 16, 1), (None, 64, 2), (None, 16, 4), (None, 64, 8), (None, 256, 8), (None, 256, 32))
"""Tokens of the prompt that stay, or all; tokens of the rehearsed trajectory; and how many times what costs by the
number of prefixes or steps. The first two differ in all three: a slow model runs no more, and what is reckoned from a
small difference is uncertain."""


@dataclass(frozen=True)
class Rehearsed:
    """How a stage is rehearsed with smaller settings."""

    list_units: ListUnits
    count: Callable[[LoadedModel, Trajectory, int], Load]
    """Load of a trajectory's unit, by its place in the list."""


def plan_units(
    stage: str,
    loaded: LoadedModel,
    trajectories: Sequence[Trajectory],
    whole: Rehearsed,
    shrink: Callable[[int], Rehearsed],
    *,
    read: Callable[[], Sequence[Record]],
    parts: Callable[[LoadedModel, Trajectory], Sequence[Part]],
    unit: str,
    close: Callable[[Run, Sequence[Trajectory], Sequence[Any]], object],
    pieces: Iterable[Piece] | None = None,
    n_written: Callable[[LoadedModel, Trajectory], tuple[int, int]] | None = None,
    make_records: Callable[[Sequence[Trajectory]], Sequence[Record]] | None = None,
    n_prefixes: int | None = None,
) -> Plan:
    """Plan the records that are missing.

    Args:
        stage: The command's name.
        loaded: The model.
        trajectories: What records are made for.
        whole: The stage as it was asked for.
        shrink: The stage with settings that make it so many times one prefix, step or the like.
        read: Reads the records that are there.
        parts: Memory of a trajectory's units beside the weights.
        unit: What records are called.
        close: Writes and draws records in a run's folder.
        pieces: Of the rehearsal, where they are not shortened units.
        n_written: Tokens that a trajectory's units are expected to generate, and that they generate at most.
        make_records: Makes records of the size that will be there, where the pieces make none.
        n_prefixes: Of a record, where the pieces' have fewer.
    """
    known = frozenset(record.id for record in read())
    standing = take_standing(loaded)
    loads: list[Load] = []
    most: tuple[Part, ...] = ()
    n_expected = n_most = 0
    for trajectory in trajectories:
        try:
            missing = [i for i, (key, _) in enumerate(whole.list_units(loaded, trajectory)) if key not in known]
            loads += [whole.count(loaded, trajectory, i) for i in missing]
            own = tuple(parts(loaded, trajectory)) if missing else ()
            new = n_written(loaded, trajectory) if n_written is not None and missing else (0, 0)
        except RamlError:
            continue  # the stage will leave it out too
        n_expected, n_most = n_expected + new[0], n_most + new[1]
        most = max(most, own, key=lambda some: sum(part.n_bytes for part in some))
    made: list[Record] = []
    n_read = round(add_up(loads).rows)
    work = Work(stage, len(loads), unit, loads, most, n_read, n_expected, n_most)

    def end(folder: Run) -> None:
        some = trajectories[:MOST_CLOSED]
        # What was made last, as if there were such records of all; or, where nothing is to be made, what is there.
        records = [replace(r, id=f"{t.id}-{i}", trajectory_id=t.id) for t in some for i, r in enumerate(made)]
        if make_records is not None:
            records = make_records(some)
        elif not records:
            wanted = {trajectory.id for trajectory in some}
            records = [record for record in read() if record.trajectory_id in wanted]
        store_records(folder, records if n_prefixes is None else _widen(records, some, n_prefixes))
        close(folder, some, records)

    chosen = _list_pieces(loaded, trajectories, shrink, made) if pieces is None else pieces
    return assemble(loaded, standing, work, chosen, lambda: rehearse_closing(end))


def _widen(records: Sequence[Record], trajectories: Sequence[Trajectory], n_prefixes: int) -> list[Record]:
    """The same records with as many prefixes as they will have, and numbers that nobody looks at."""
    rng, lens = np.random.default_rng(0), {t.id: space_prefixes(t.reasoning_len, n_prefixes) for t in trajectories}
    wide = []
    for record in records:
        own, changes = lens[record.trajectory_id], {}
        for name, axes in AXES[type(record)].items():
            array = getattr(record, name)
            if "P" in axes and isinstance(array, np.ndarray):
                shape = tuple(len(own) if axis == "P" else n for axis, n in zip(axes, array.shape, strict=True))
                changes[name] = rng.random(shape).astype(array.dtype)
        changes["prefix_lens"] = np.array(own, np.int32)
        wide.append(replace(record, **changes))
    return wide


def _list_pieces(
    loaded: LoadedModel,
    trajectories: Sequence[Trajectory],
    shrink: Callable[[int], Rehearsed],
    made: list[Record],
) -> Iterator[Piece]:
    """The longest trajectory, cut shorter, with few prefixes or steps and then more; each record by itself."""
    longest = max(trajectories, key=lambda trajectory: trajectory.reasoning_len, default=None)
    if longest is None:
        return
    for n_prompt, n_tokens, factor in SIZES:
        trajectory = shorten(longest, n_tokens)
        trajectory = replace(trajectory, prompt_ids=trajectory.prompt_ids[:n_prompt])
        try:
            small = shrink(factor)
            n_units = len(list(itertools.islice(small.list_units(loaded, trajectory), MOST_UNITS)))
            load = add_up([small.count(loaded, trajectory, i) for i in range(n_units)])
        except RamlError:
            continue
        yield Piece(load, partial(_run, loaded, trajectory, shrink, factor, load, made))


def _run(
    loaded: LoadedModel,
    trajectory: Trajectory,
    shrink: Callable[[int], Rehearsed],
    factor: int,
    load: Load,
    made: list[Record],
) -> Load:
    """Make a trajectory's first records anew: nothing is kept from one time to the next."""
    units = itertools.islice(shrink(factor).list_units(loaded, trajectory), MOST_UNITS)
    made[:] = [make() for _, make in units]
    return load
