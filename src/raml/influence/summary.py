"""Which groups of steps move L̂: a row a group, over right, wrong and all trajectories of one model."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from statistics import median

import numpy as np
from numpy.typing import NDArray

from raml.errors import DataError
from raml.influence.effects import compare_matched, make_effects
from raml.influence.groups import Group, has_every_token, list_groups, list_sentences
from raml.influence.tokens import check_trace, measure_relative
from raml.influence.units import Measured, UnitMaker, Units, number_strata
from raml.records import Correctness, Influence, InfluenceRow, InfluenceSummary, LargestStep, Trace, Trajectory
from raml.stats import adjust_holm

SIZE, DIRECTION, RELATIVE = "|Δ log(L̂+ε)|", "Δ log(L̂+ε)", "|ΔL̂|/L̂"


def summarize_influences(
    trajectories: Sequence[Trajectory],
    traces: Sequence[Trace],
    influences: Sequence[Influence],
    *,
    withheld: Collection[str] = (),
    level: float = 0.95,
    n_resamples: int = 9999,
    seed: int = 0,
) -> InfluenceSummary:
    """Compare each group of steps, words and sentences with matched others; docs/influence.md says how.

    Args:
        trajectories: Those of one mode; what has no influence here is not looked at.
        traces: Those that the influences are of are taken.
        influences: Of one model, one kind of trace and one set of words, one a trajectory.
        withheld: Questions of whose trajectories no text may be shown in public.
        level: Of the intervals.
        n_resamples: Draws of each interval and each test.
        seed: Of these draws.

    Raises:
        DataError: there is nothing to summarise, the influences differ in writer, model, mode or settings, a
            trajectory has two, or an option is out of range.
    """
    if n_resamples < 1:
        raise DataError(f"--n-resamples is {n_resamples}; it must be at least 1.")
    measured = _join(trajectories, traces, influences)
    first = measured[0]
    right, wrong = (np.array([own.trajectory.correct is is_right for own in measured]) for is_right in (True, False))
    selections: dict[Correctness, NDArray[np.bool_]] = {"all": np.ones(len(measured), dtype=bool)}
    if right.any() and wrong.any():
        selections |= {"right": right, "wrong": wrong}
    options = {"level": level, "n_resamples": n_resamples, "seed": seed}
    sorter, rows = _Sorter(selections), []
    for group in list_groups(measured):
        rows += [_make_row(group, outcome, sorter, first.influence.settings.epsilon, options) for outcome in selections]
    maker = UnitMaker(measured)
    sentences = [span for span, _, _ in list_sentences(measured)]
    return InfluenceSummary(
        model=first.trace.model.name,
        writer=first.trajectory.model.name,
        settings=first.influence.settings,
        trace=first.trace.settings,
        mode=first.trajectory.mode,
        n_trajectories=len(measured),
        n_right=int(right.sum()),
        n_wrong=int(wrong.sum()),
        n_questions=len({own.trajectory.question_id for own in measured}),
        n_steps=sum(len(own.influence.change) for own in measured),
        every_token=has_every_token(measured),
        n_sentences=len(sentences),
        n_sentences_unknown=sum(not maker.has_ends(span) for span in sentences),
        largest=_find_largest(measured, withheld),
        level=level,
        n_resamples=n_resamples,
        rows=_adjust(rows),
    )


def _join(
    trajectories: Sequence[Trajectory], traces: Sequence[Trace], influences: Sequence[Influence]
) -> list[Measured]:
    """Put each influence beside its trace and trajectory, in the order of the trajectories."""
    by_trace = {trace.id: trace for trace in traces}
    by_trajectory: dict[str, Influence] = {}
    for own in influences:
        if by_trajectory.setdefault(own.trajectory_id, own) is not own:
            raise DataError(f"Trajectory {own.trajectory_id} has two influences; give the one that is meant.")
    measured = [
        Measured(trajectory, by_trace[own.trace_id], own)
        for trajectory in trajectories
        if (own := by_trajectory.get(trajectory.id)) is not None and own.trace_id in by_trace
    ]
    if not measured:
        raise DataError("There is nothing to summarise: none of these trajectories has an influence with its trace.")
    kinds = {
        (m.trajectory.model.key(), m.trace.model.key(), m.trace.settings, m.influence.settings, m.trajectory.mode)
        for m in measured
    }
    if len(kinds) > 1:
        raise DataError(
            "The influences differ in writer, model, mode, trace settings or words; summarise those of one kind."
        )
    for own in measured:
        check_trace(own.trajectory, own.trace)
    return measured


class _Sorter:
    """Strata of the units of some trajectories, kept as long as groups of the same units follow one another."""

    def __init__(self, selections: Mapping[Correctness, NDArray[np.bool_]]) -> None:
        self.selections = selections
        self._units: Units | None = None
        self._strata: dict[tuple[Correctness, int], NDArray[np.int64]] = {}

    def choose(self, units: Units, outcome: Correctness) -> NDArray[np.bool_]:
        """Which units are of these trajectories [U]."""
        return self.selections[outcome][units.owner]

    def number(self, group: Group, outcome: Correctness) -> NDArray[np.int64]:
        """Strata of the units that `choose` takes."""
        if group.units is not self._units:
            self._units, self._strata = group.units, {}
        if (outcome, group.n_stretches) not in self._strata:
            units = group.units.select(self.choose(group.units, outcome))
            self._strata[outcome, group.n_stretches] = number_strata(
                units, group.n_stretches, across=group.family == "sentence"
            )
        return self._strata[outcome, group.n_stretches]


def _make_row(
    group: Group, outcome: Correctness, sorter: _Sorter, epsilon: float, options: dict[str, float]
) -> InfluenceRow:
    """Describe a group's units of some trajectories, and compare them with their controls."""
    chosen, strata = sorter.choose(group.units, outcome), sorter.number(group, outcome)
    units, is_member = group.units.select(chosen), group.is_member[chosen]
    direction = np.log((units.after + epsilon) / (units.before + epsilon))
    relative = measure_relative(units.before, units.after)
    known = np.isfinite(relative)
    draws = {"n_resamples": int(options["n_resamples"]), "seed": int(options["seed"])}
    compare = partial(compare_matched, hangs_together=group.family == "position", **draws)
    robust = compare(np.stack([np.abs(direction), direction], axis=1), is_member, strata, units.question)
    paper = compare(relative[known, None], is_member[known], strata[known], units.question[known])
    effects = make_effects([SIZE, DIRECTION], robust, level=options["level"], **draws)
    effects |= make_effects([RELATIVE], paper, level=options["level"], **draws)
    own_relative = relative[is_member & known].tolist()
    n_units = int(is_member.sum())
    return InfluenceRow(
        family=group.family,
        group=group.name,
        outcome=outcome,
        n_units=n_units,
        n_trajectories=len(np.unique(units.owner[is_member])),
        n_questions=len(np.unique(units.question[is_member])),
        n_mixed=int((group.is_mixed[chosen] & is_member).sum()),
        n_unmatched=0 if group.family == "all" else n_units - robust.n_units,
        mean_relative=math.fsum(own_relative) / len(own_relative) if own_relative else None,
        median_relative=median(own_relative) if own_relative else None,
        n_undefined=n_units - len(own_relative),
        mean_size=float(np.abs(direction[is_member]).mean()) if n_units else None,
        mean_direction=float(direction[is_member].mean()) if n_units else None,
        size=effects.get(SIZE),
        direction=effects.get(DIRECTION),
        relative=effects.get(RELATIVE),
    )


def _adjust(rows: Sequence[InfluenceRow]) -> tuple[InfluenceRow, ...]:
    """Adjust the p-values of each measure for all rows of the table."""
    done = list(rows)
    for name in ("size", "direction", "relative"):
        there = [(i, effect) for i, row in enumerate(done) if (effect := getattr(row, name)) is not None]
        for (i, effect), p_holm in zip(there, adjust_holm([effect.p for _, effect in there]), strict=True):
            done[i] = replace(done[i], **{name: replace(effect, p_holm=p_holm)})
    return tuple(done)


def _find_largest(measured: Sequence[Measured], withheld: Collection[str]) -> LargestStep | None:
    """The step with the largest finite |ΔL̂|/L̂."""
    found: tuple[float, Measured, int] | None = None
    for own in measured:
        relative = own.influence.relative.astype(float)
        if np.isfinite(relative).any():
            step = int(np.where(np.isfinite(relative), relative, -1).argmax())
            if found is None or relative[step] > found[0]:
                found = float(relative[step]), own, step
    if found is None:
        return None
    value, own, step = found
    start, stop = own.trace.prefix_lens[step : step + 2].tolist()
    loss, log_change = own.trace.mean_nll, float(own.influence.log_change[step])
    text = None if own.trajectory.question_id in withheld else own.read(start, stop)
    return LargestStep(own.trajectory.id, text, float(loss[step]), float(loss[step + 1]), value, log_change)
