"""`raml update`: trajectories as changes of the weights, and one of them as a LoRA adapter."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from raml.cli.help_groups import LOADING, PREFIXES, WORKERS
from raml.cli.options import LoadOptions, WorkerOptions, choose_workers, load, parse_bytes
from raml.cli.plan import PlanFlag, say_for_one
from raml.cli.stage import say
from raml.cli.units import Unit, group_by_model, make_units, read_units
from raml.cli.update_summary import describe_certificate, summarize_updates
from raml.cli.writers import check_weights, list_scorers
from raml.errors import DataError, RamlError
from raml.records import Question, Trajectory, Update, UpdateSettings
from raml.store import Run, StageClock, lock_run

if TYPE_CHECKING:
    from raml.models import LoadedModel
    from raml.scoring import Job


def update(
    run: Path,
    *,
    model: str | None = None,
    limit: int | None = None,
    adapter: Path | None = None,
    trajectory: str | None = None,
    memory: str | None = None,
    plan_only: PlanFlag = False,
    settings: Annotated[UpdateSettings | None, Parameter(name="*", group=PREFIXES)] = None,
    options: Annotated[LoadOptions | None, Parameter(name="*", group=LOADING)] = None,
    workers: Annotated[WorkerOptions | None, Parameter(name="*", group=WORKERS)] = None,
) -> None:
    """Compile each trajectory into changes of the weights.

    Example: `raml update runs/tiny --adapter adapters/first`

    The model with the change and without the trajectory answers as the model answers with it, exactly but for rounding;
    a certificate says how exactly. The changes after more and more of a trajectory are its path. Killed at any moment
    and run again, it makes only what is missing.

    Parameters
    ----------
    run
        A run folder with trajectories (see `raml sample` and `raml import`).
    model
        The model that is changed; by default each trajectory's own writer.
    limit
        Take only the first so many trajectories.
    adapter
        Write one trajectory's change as a PEFT LoRA adapter into this folder.
    trajectory
        Take only this trajectory (its id, or how the id begins). For an adapter, the default is the first right one.
    memory
        How much memory may be used beside the model's weights, such as 800MB; by default most of what is free.
    plan_only
        Say what it will take, in tokens, memory and time, and do nothing.
    """
    settings = settings or UpdateSettings()
    _check_ranges(settings)
    hands = choose_workers(workers, options)
    n_bytes = None if memory is None else parse_bytes(memory)
    folder, questions, trajectories = read_units(run, limit)
    chosen = trajectories if trajectory is None else [choose_trajectory(trajectories, trajectory)]
    compiled = choose_for_adapter(chosen) if adapter is not None else None
    if adapter is not None:
        from raml.updates import check_adapter_folder

        check_adapter_folder(adapter)
    if plan_only:
        say_for_one(hands)
        from raml.cli.plan_units import Asked, show_update_plan

        asked = Asked(folder, questions, chosen, model, options, n_bytes, _draw)
        show_update_plan(asked, partial(_Plan, questions, folder.read_trajectories(), memory=n_bytes), settings)
        return
    config = {"model": model, "limit": limit, "trajectory": trajectory, "adapter": adapter, "settings": settings}
    clock = StageClock(folder, "update", config)
    with lock_run(run):
        plan = _Plan(questions, folder.read_trajectories(), settings, n_bytes)
        work = make_units(
            chosen,
            plan.list_units,
            label="updating",
            journal_path=folder.updates_journal_path,
            there=[record.id for record in folder.read_updates()],
            model=model,
            options=options,
            workers=hands,
        )
        everything = folder.close_updates()
        updates = [record for record in everything if record.id in work.wanted]
        files = _draw(folder, chosen, updates)
        outputs: dict[Path, int | None] = {folder.updates_path: len(everything), **dict.fromkeys(files)}
        if adapter is not None and compiled is not None:
            written = _write_adapter(adapter, compiled, plan, model, options)
            outputs |= dict.fromkeys(written)
        clock.finish(
            inputs=(folder.questions_path, folder.trajectories_path),
            outputs=outputs,
            n_units=len(chosen),
            n_new=work.n_new,
            n_errors=len(work.errors),
            model=work.models[0] if len(work.models) == 1 else None,
        )
    work.report_errors()
    say(f"Wrote {work.n_new} updates ({len(updates) - work.n_new} were there) to {folder.updates_path}")
    summarize_updates(chosen, updates)
    for path in files:
        say(f"Figure: {path}")
    if adapter is not None and compiled is not None:
        say(f"Adapter: {adapter} stands for trajectory {compiled.id} of question {compiled.question_id}")
    say(f"Next: raml align {folder.path}")


def choose_trajectory(trajectories: Sequence[Trajectory], wanted: str) -> Trajectory:
    """The one trajectory whose id begins so.

    Raises:
        DataError: there is none, or more than one.
    """
    found = [one for one in trajectories if one.id.startswith(wanted)] if wanted else []
    found = [one for one in found if one.id == wanted] or found
    if len(found) != 1:
        these = f"{len(found)} trajectories have ids that begin" if found else "No trajectory has an id that begins"
        raise DataError(f"{these} with {wanted!r} among these {len(trajectories)}; trajectories.jsonl lists all.")
    return found[0]


def choose_for_adapter(trajectories: Sequence[Trajectory]) -> Trajectory:
    """The first right trajectory, or the only one there is.

    Raises:
        DataError: there is no right one among several.
    """
    if len(trajectories) == 1:
        return trajectories[0]
    right = [one for one in trajectories if one.correct]
    if not right:
        raise DataError("No trajectory is right; choose one for the adapter by --trajectory.")
    return right[0]


def _check_ranges(settings: UpdateSettings) -> None:
    """Refuse settings that make no sense, before anything is read.

    Raises:
        DataError: one is out of its range.
    """
    for name, low in (("n_prefixes", 2), ("n_others", 0)):
        if getattr(settings, name) < low:
            flag = name.replace("_", "-")
            raise DataError(f"--{flag} is {getattr(settings, name)}; it must be at least {low}.")


class _Plan:
    """What to make for each trajectory."""

    def __init__(
        self,
        questions: Sequence[Question],
        trajectories: Sequence[Trajectory],
        settings: UpdateSettings,
        memory: int | None,
    ) -> None:
        self.questions = {question.id: question for question in questions}
        self.trajectories, self.settings, self.memory = trajectories, settings, memory
        self._bare: dict[tuple[str, str, str], dict[str, Job]] = {}

    def list_units(self, loaded: LoadedModel, trajectory: Trajectory) -> Iterator[Unit]:
        """One record: the whole path."""
        from raml.updates import choose_others, compile_trajectory, key_update

        question, settings = self.questions[trajectory.question_id], self.settings
        jobs = self._list_bare(loaded, trajectory)
        near = choose_others([*jobs], question.id, settings.n_others) if question.id in jobs else []
        others = {other: jobs[other] for other in near}
        key = key_update(loaded.identity, trajectory, question.answer, settings, others)
        make = partial(compile_trajectory, loaded, trajectory, question, settings, others=others, memory=self.memory)
        yield key, lambda: make()[0]

    def _list_bare(self, loaded: LoadedModel, trajectory: Trajectory) -> dict[str, Job]:
        """All questions as this trajectory's writer was asked them in its mode, but those that can't be asked here."""
        from raml.probes import check_fit
        from raml.updates import plan_bare

        key = loaded.identity.key(), trajectory.model.key(), trajectory.mode
        if key not in self._bare:
            jobs = self._bare.setdefault(key, {})
            for other in self.trajectories:
                if (other.model.key(), other.mode) != key[1:] or other.question_id in jobs:
                    continue
                with contextlib.suppress(RamlError):
                    question = self.questions[other.question_id]
                    for name, job in plan_bare(loaded, [question], [other], self.settings.bridge).items():
                        check_fit(loaded, other, len(job.bridge_ids) + len(job.answers[0]))
                        jobs[name] = job
        return self._bare[key]


def _write_adapter(
    adapter: Path, trajectory: Trajectory, plan: _Plan, model: str | None, options: LoadOptions | None
) -> tuple[Path, ...]:
    """Compile a whole trajectory once more and keep the factors."""
    from dataclasses import replace

    from raml.updates import compile_trajectory, take_point, write_adapter

    name, own, as_written = next(iter(list_scorers(model, [trajectory], options)))
    loaded = load(name, as_written)
    if model is None:
        check_weights(loaded.identity, own)
    question, settings = plan.questions[trajectory.question_id], replace(plan.settings, n_prefixes=2)
    record, path = compile_trajectory(loaded, trajectory, question, settings, memory=plan.memory)
    return write_adapter(adapter, loaded, take_point(path), describe_certificate(record, question))


def _draw(folder: Run, trajectories: Sequence[Trajectory], updates: Sequence[Update]) -> list[Path]:
    """Draw the paths, a figure for each model."""
    from raml.figures import plot_updates, save_figure

    files: list[Path] = []
    for number, own in enumerate(group_by_model(updates)):
        name = "updates" if number == 0 else f"updates-{number + 1}"
        files += save_figure(plot_updates(trajectories, own), folder.figures_path / name)
    return files
