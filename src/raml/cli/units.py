"""What stages share that make a few records for each trajectory: models, progress, journal, errors, resume."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from raml.cli.options import LoadOptions
from raml.cli.stage import say, show_progress
from raml.cli.writers import load_scorers
from raml.errors import DataError, RamlError, RunError
from raml.records import Adaptation, Alignment, ModelIdentity, Question, Resampling, Trajectory, Update
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
    if limit is not None and limit < 1:
        raise DataError(f"--limit is {limit}; it must be at least 1.")
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
) -> Work:
    """Make the records that are missing, one after the other, each in the journal before the next begins.

    Args:
        trajectories: What records are made for, by the models that wrote them or by the one named.
        plan: What to make for each.
        label: Of the progress bar.
        journal_path: Where records go.
        there: Ids of records that need not be made again.
        model: The model for all trajectories; by default each one's writer.
        options: How models are loaded.

    Raises:
        RamlError: nothing that was asked for could be made, and nothing was there; the first reason.
    """
    work, known = Work(), frozenset(there)
    for loaded, own in load_scorers(model, trajectories, options, work.errors):
        work.models.append(loaded.identity)
        with show_progress(label, len(own)) as bar, Journal(journal_path) as journal:
            for trajectory in own:
                try:
                    for key, make in plan(loaded, trajectory):
                        work.wanted.add(key)
                        if key not in known:
                            journal.append([make()])
                            work.n_new += 1
                except RunError:
                    raise  # a full disk concerns all
                except RamlError as error:
                    work.errors.append((trajectory.id, error))
                bar.advance()
    if work.errors and not work.n_new and not work.wanted & known:
        raise work.errors[0][1]
    return work
