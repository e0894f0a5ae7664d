"""Which curves belong together: those of one writer's trajectories, read by one model in one way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from raml.errors import DataError
from raml.records import Mode, ModelIdentity, Readout, Trace, TraceSettings, Trajectory

R = TypeVar("R", Trace, Readout)
MODES: tuple[Mode, ...] = ("think", "nothink")
MODE_NAMES: dict[Mode, str] = {"think": "thinking", "nothink": "no-thinking"}


@dataclass(frozen=True)
class CurveSettings:
    """How curves are measured, and how sure one can be."""

    share: float = 0.9
    """Part of its largest fall that a curve has to reach to count as descended; half of it is looked at as well."""
    margin: float = 0.1
    """Nats by which L̂ must differ: between start and lowest point to count as a fall, between the ends of both modes,
    and between gold and own answer where they part."""
    level: float = 0.95
    """Coverage of the intervals."""
    n_resamples: int = 9999
    """Of bootstrap and permutation test."""
    seed: int = 0
    """Of both, and of the split of the questions into halves."""


def check_settings(settings: CurveSettings) -> None:
    """Refuse settings that make no sense, before anything is read.

    Raises:
        DataError: one is out of its range.
    """
    if not 0 < settings.share <= 1:
        raise DataError(f"--share is {settings.share}; it must be above 0 and at most 1, such as 0.9.")
    if not 0 <= settings.margin < float("inf"):
        raise DataError(f"--margin is {settings.margin}; it must be a number of nats, at least 0.")
    if not 0 < settings.level < 1:
        raise DataError(f"--level is {settings.level}; it must lie between 0 and 1, such as 0.95.")
    if settings.n_resamples < 99:
        raise DataError(f"--n-resamples is {settings.n_resamples}; it must be at least 99.")
    if settings.seed < 0:
        raise DataError(f"--seed is {settings.seed}; it must be at least 0.")


@dataclass
class CurveSet:
    """What one model read off the trajectories of one writer, after one bridge, at the same kind of prefixes."""

    model: ModelIdentity
    """The model that scored and answered."""
    writer: ModelIdentity
    settings: TraceSettings
    """Bridge, span and prefixes; the target says nothing here."""
    trajectories: list[Trajectory]
    """All of the writer's, also those that nothing was read off."""
    gold: dict[str, Trace] = field(default_factory=dict)
    """Traces of the gold answer by trajectory id."""
    own: dict[str, Trace] = field(default_factory=dict)
    """Traces of the trajectory's own answer."""
    readouts: dict[str, Readout] = field(default_factory=dict)
    n_broken: int = 0
    """Traces left out because L̂ is NaN or infinite somewhere."""
    n_doubled: int = 0
    """Records left out because a trajectory has two of a kind, and nothing says which one is meant."""

    def list_mode(self, mode: Mode) -> list[Trajectory]:
        """The trajectories of one mode."""
        return [trajectory for trajectory in self.trajectories if trajectory.mode == mode]


def group_curves(
    trajectories: Sequence[Trajectory], traces: Sequence[Trace], readouts: Sequence[Readout]
) -> list[CurveSet]:
    """Sort records by writer, reading model, bridge, span and prefixes, in the order in which these first come.

    A trajectory that has two records of one kind in a set, because its answer changed after the first or the readouts
    differ in how long an answer may be, has none of that kind there; such records are counted. So are traces in which
    L̂ is NaN or infinite somewhere, which are left out as wholes.

    Raises:
        DataError: there is no record of these trajectories.
    """
    by_id = {trajectory.id: trajectory for trajectory in trajectories}
    sets: dict[tuple[object, ...], CurveSet] = {}
    kinds: dict[tuple[object, ...], dict[str, list[Trace | Readout]]] = {}
    for record in (*traces, *readouts):
        trajectory = by_id.get(record.trajectory_id)
        if trajectory is None:
            continue
        asked = record.settings
        settings = TraceSettings(asked.bridge, "both", asked.span, asked.every)
        key = (trajectory.model.key(), record.model.key(), settings)
        if key not in sets:
            own = [t for t in trajectories if t.model.key() == trajectory.model.key()]
            sets[key] = CurveSet(record.model, trajectory.model, settings, own)
        kind = record.settings.target if isinstance(record, Trace) else "readout"
        kinds.setdefault(key, {}).setdefault(kind, []).append(record)
    if not sets:
        raise DataError("There is nothing to analyse: none of these trajectories has a trace or a readout.")
    for key, made in sets.items():
        of_kind = kinds[key]
        made.gold, n_gold = _index([r for r in of_kind.get("gold", ()) if isinstance(r, Trace)])
        made.own, n_own = _index([r for r in of_kind.get("own", ()) if isinstance(r, Trace)])
        made.readouts, n_readouts = _index([r for r in of_kind.get("readout", ()) if isinstance(r, Readout)])
        made.n_doubled = n_gold + n_own + n_readouts
        for kind in (made.gold, made.own):
            for trajectory_id in [i for i, trace in kind.items() if not np.isfinite(trace.mean_nll).all()]:
                del kind[trajectory_id]
                made.n_broken += 1
    return list(sets.values())


def _index(records: Sequence[R]) -> tuple[dict[str, R], int]:
    """Records by trajectory, without those that are not alone, which are counted."""
    counts: dict[str, int] = {}
    for record in records:
        counts[record.trajectory_id] = counts.get(record.trajectory_id, 0) + 1
    alone = {record.trajectory_id: record for record in records if counts[record.trajectory_id] == 1}
    return alone, len(records) - len(alone)
