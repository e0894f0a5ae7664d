"""What stages share that make a few records for each trajectory: models, progress, journal, errors, resume."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from raml.cli.options import LoadOptions, check_limit
from raml.cli.stage import say, show_progress
from raml.cli.writers import open_scorers
from raml.errors import DataError, RamlError, RunError
from raml.records import Adaptation, Alignment, ModelIdentity, Question, Resampling, Trajectory, Update
from raml.scale import Workers
from raml.store import Journal, Run

if TYPE_CHECKING:
    from raml.models import LoadedModel

Made = Update | Alignment | Adaptation | Resampling
M = TypeVar("M", bound=Made)
Unit = tuple[str, Callable[[], Made]]
"""A record's id, and what makes it."""
Plan = Callable[["LoadedModel", Trajectory], Iterable[Unit]]
"""Lists the records to make for a trajectory; may raise a RamlError that concerns it alone."""


@dataclass
class Work:
    """What a stage has done."""

    wanted: set[str] = field(default_factory=set)
    """Ids of the records that its settings ask for."""
    models: list[ModelIdentity] = field(default_factory=list)
    n_new: int = 0
    """Records that this command made."""
    errors: list[tuple[str, RamlError]] = field(default_factory=list)
    """Trajectory and what is wrong with it."""

    def report_errors(self) -> None:
        """Say what was left out and why, five lines at most."""
        for trajectory_id, error in self.errors[:5]:
            say(f"Left out: {error}" if trajectory_id in str(error) else f"Left out {trajectory_id}: {error}")
        if len(self.errors) > 5:
            say(f"and {len(self.errors) - 5} more left out")


def group_by_model(records: Sequence[M]) -> list[list[M]]:
    """Part records by the weights that they are about, in the order in which these first come."""
    groups: dict[str, list[M]] = {}
    for record in records:
        groups.setdefault(record.model.key(), []).append(record)
    return list(groups.values())


def read_units(run: Path, limit: int | None) -> tuple[Run, list[Question], list[Trajectory]]:
    """Open a run and read its questions and trajectories, the first so many.

    Raises:
        DataError: the limit is below 1.
        RunError: there is no run, or nothing in it yet.
    """
    check_limit(limit)
    folder = Run(run)
    questions, trajectories = folder.read_questions(), folder.read_trajectories()[:limit]
    if not trajectories:
        raise RunError(f"{run} has no trajectories. Make some with `raml sample MODEL {run}` or `raml import`.")
    known = {question.id for question in questions}
    for trajectory in trajectories:
        if trajectory.question_id not in known:
            raise DataError(f"Trajectory {trajectory.id} answers question {trajectory.question_id}, which is not here.")
    return folder, questions, trajectories


def make_units(
    trajectories: Sequence[Trajectory],
    plan: Plan,
    *,
    label: str,
    journal_path: Path,
    there: Collection[str],
    model: str | None,
    options: LoadOptions | None,
    workers: Workers | None = None,
) -> Work:
    """Make the records that are missing.

    In this process they are made one after the other, each in the journal before the next begins; several workers take
    a trajectory each, and its records are put into the journal together.

    Args:
        trajectories: What records are made for, by the models that wrote them or by the one named.
        plan: What to make for each; picklable if there are several workers.
        label: Of the progress bar.
        journal_path: Where records go.
        there: Ids of records that need not be made again.
        model: The model for all trajectories; by default each one's writer.
        options: How models are loaded.
        workers: Who works; by default this process.

    Raises:
        RamlError: nothing that was asked for could be made, and nothing was there; the first reason.
    """
    work, known = Work(), frozenset(there)
    for pool, identity, own in open_scorers(model, trajectories, options, work.errors, workers):
        work.models.append(identity)
        with show_progress(label, len(own)) as bar, Journal(journal_path) as journal:
            for step in pool.map(partial(_make_missing, plan, known), own):
                if step.key is not None:
                    work.wanted.add(step.key)
                if step.record is not None:
                    journal.append([step.record])
                    work.n_new += 1
                if step.error is not None:
                    work.errors.append((step.trajectory_id, step.error))
                if step.is_last:
                    bar.advance()
    rank = {trajectory.id: i for i, trajectory in enumerate(trajectories)}
    work.errors.sort(key=lambda one: rank[one[0]])  # workers finish in any order
    if work.errors and not work.n_new and not work.wanted & known:
        raise work.errors[0][1]
    return work


@dataclass(frozen=True)
class _Step:
    """What a worker tells about a trajectory."""

    trajectory_id: str
    key: str | None = None
    """Of a record that is asked for."""
    record: Made | None = None
    error: RamlError | None = None
    is_last: bool = False


def _make_missing(plan: Plan, known: Collection[str], loaded: LoadedModel, trajectory: Trajectory) -> Iterator[_Step]:
    """Make a trajectory's records that are not known."""
    error: RamlError | None = None
    try:
        for key, make in plan(loaded, trajectory):
            yield _Step(trajectory.id, key)
            if key not in known:
                yield _Step(trajectory.id, key, make())
    except RunError:
        raise  # concerns all
    except RamlError as found:
        error = found
    yield _Step(trajectory.id, error=error, is_last=True)
