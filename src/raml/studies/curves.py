"""Curves of the probed run, as the studies of Figs. 3, 5 and 16 read them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from raml.curves import group_curves
from raml.curves.groups import CurveSet
from raml.errors import RunError
from raml.records import Estimate, Question, Trace, Trajectory
from raml.stats import average_questions, estimate_mean
from raml.store import Run
from raml.studies.ingredients import PROBE


def read_probe(home: Path) -> tuple[list[Question], CurveSet]:
    """Read the probed run's questions and curves.

    Raises:
        RunError: it has no trajectories or traces, or several models'.
    """
    run = Run(home / PROBE)
    sets = group_curves(run.read_trajectories(), run.read_traces(), run.read_readouts())
    if len(sets) != 1:
        raise RunError(f"{run.path} holds curves of {len(sets)} kinds; a study reads one.")
    return run.read_questions(), sets[0]


def estimate_change(name: str, trajectories: Sequence[Trajectory], traces: dict[str, Trace]) -> Estimate | None:
    """Estimate by how many nats L̂ is higher at the end of trajectories than at their start, over questions."""
    changes = _average_changes(trajectories, traces)
    return estimate_mean(name, list(changes.values())) if changes else None


def compare_changes(
    name: str, ours: Sequence[Trajectory], theirs: Sequence[Trajectory], traces: dict[str, Trace]
) -> Estimate | None:
    """Estimate by how much the change of L̂ along some trajectories exceeds that along others of the same question.

    None if no question has both.
    """
    left, right = _average_changes(ours, traces), _average_changes(theirs, traces)
    differences = [left[question] - right[question] for question in left if question in right]
    return estimate_mean(name, differences) if differences else None


def describe_missing(trajectories: Sequence[Trajectory], traces: dict[str, Trace]) -> list[str]:
    """Say how many trajectories have no curve, if any."""
    n_missing = sum(trajectory.id not in traces for trajectory in trajectories)
    return [f"{n_missing} of {len(trajectories)} trajectories have no curve and are left out."] if n_missing else []


def correlate_with_place(trace: Trace) -> float:
    """Spearman's correlation of L̂ with the place in the trajectory, from −1 to 1; NaN for a curve that never moves."""
    if np.ptp(trace.mean_nll) == 0:
        return float("nan")
    return float(spearmanr(trace.prefix_lens, trace.mean_nll).statistic)  # pyright: ignore[reportAttributeAccessIssue]


def _average_changes(trajectories: Sequence[Trajectory], traces: dict[str, Trace]) -> dict[str, float]:
    """Mean change of L̂ by question."""
    own = [trajectory for trajectory in trajectories if trajectory.id in traces]
    ids = [trajectory.question_id for trajectory in own]
    changes = [float(traces[t.id].mean_nll[-1] - traces[t.id].mean_nll[0]) for t in own]
    return dict(zip(dict.fromkeys(ids), average_questions(ids, changes).tolist(), strict=True)) if own else {}
