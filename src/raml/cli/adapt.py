"""`raml adapt`: gradient steps on trajectories as text, beside the trajectories in the context."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, default_name_transform
from rich.console import Console
from rich.table import Table

from raml.cli.help_groups import LOADING, STEPS, WORKERS
from raml.cli.options import LoadOptions, WorkerOptions, choose_workers
from raml.cli.plan import PlanFlag, say_for_one
from raml.cli.stage import console, say
from raml.cli.units import Unit, Work, group_by_model, make_units, read_units
from raml.records import Adaptation, AdaptSettings, Estimate, Question, Trace, Trajectory
from raml.stats import average_questions, compute_paired_p_value, estimate_mean
from raml.store import Run, StageClock, lock_run

if TYPE_CHECKING:
    from raml.models import LoadedModel


def _name_flag(field_name: str) -> str:
    """`--steps` rather than `--n-steps`."""
    return default_name_transform(field_name).removeprefix("n-")


def adapt(
    run: Path,
    *,
    model: str | None = None,
    limit: int | None = None,
    plan_only: PlanFlag = False,
    settings: Annotated[AdaptSettings | None, Parameter(name="*", name_transform=_name_flag, group=STEPS)] = None,
    options: Annotated[LoadOptions | None, Parameter(name="*", group=LOADING)] = None,
    workers: Annotated[WorkerOptions | None, Parameter(name="*", group=WORKERS)] = None,
) -> None:
    """Take real gradient steps on trajectories, for comparison.

    Example: `raml adapt runs/tiny --steps 8 --optimizer adam`

    The explicit inner loop beside the implicit one, the trajectory in the context: after each step on the trajectory as
    text, the answer is scored without it. Steps are taken on copies in 32 or
    64 bits: SGD needs memory for three times the model, Adam for five times. Whether a rate is too high shows in the
    text's own loss, which must fall. Killed at any moment and run again, it computes only what is missing.

    Parameters
    ----------
    run
        A run folder with trajectories (see `raml sample` and `raml import`). If they are traced too (see `raml trace`),
        the figure shows the whole way in the context, else its ends.
    model
        The model that learns and answers; by default each trajectory gets the model that wrote it.
    limit
        Take only the first so many trajectories.
    plan_only
        Say what it will take, in tokens, memory and time, and do nothing.
    """
    from raml.updates.explicit import check_settings

    settings = settings or AdaptSettings()
    check_settings(settings)
    folder, questions, trajectories = read_units(run, limit)
    hands = choose_workers(workers, options)
    if plan_only:
        say_for_one(hands)
        from raml.cli.plan_units import Asked, show_adaptation_plan

        asked = Asked(folder, questions, trajectories, model, options, None, partial(_draw, traces=()))
        show_adaptation_plan(asked, partial(_plan, asked.by_id), settings)
        return
    clock = StageClock(folder, "adapt", {"model": model, "limit": limit, "settings": settings})
    with lock_run(run):
        by_id = {question.id: question for question in questions}
        work = make_units(
            trajectories,
            partial(_plan, by_id, settings),
            label="adapting",
            journal_path=folder.adaptations_journal_path,
            there=[adaptation.id for adaptation in folder.read_adaptations()],
            model=model,
            options=options,
            workers=hands,
        )
        all_adaptations = folder.close_adaptations()
        adaptations = [a for a in all_adaptations if a.id in work.wanted]
        traces = folder.read_traces()
        files = _draw(folder, trajectories, adaptations, traces)
        clock.finish(
            inputs=(folder.questions_path, folder.trajectories_path),
            outputs={folder.adaptations_path: len(all_adaptations), **dict.fromkeys(files)},
            n_units=len(trajectories),
            n_new=work.n_new,
            n_errors=len(work.errors),
            model=work.models[0] if len(work.models) == 1 else None,
        )
    _report(folder, trajectories, adaptations, work, files)
    say(f"Next: raml {'report' if traces else 'trace'} {folder.path}")


def _plan(
    questions: Mapping[str, Question], settings: AdaptSettings, loaded: LoadedModel, trajectory: Trajectory
) -> Iterator[Unit]:
    """One record: the whole walk."""
    from raml.updates.explicit import adapt_to_trajectory, choose_rate, key_adaptation

    question, settings = questions[trajectory.question_id], choose_rate(loaded, settings)
    make = partial(adapt_to_trajectory, loaded, trajectory, question.answer, settings, kind=question.kind)
    yield key_adaptation(loaded.identity, trajectory, question.answer, settings), make


def _draw(
    folder: Run, trajectories: Sequence[Trajectory], adaptations: Sequence[Adaptation], traces: Sequence[Trace]
) -> list[Path]:
    """Draw both inner loops, a figure for each model."""
    from raml.figures import plot_adaptation, save_figure

    files: list[Path] = []
    for number, own in enumerate(group_by_model(adaptations)):
        name = "adaptation" if number == 0 else f"adaptation-{number + 1}"
        read_by_it = [trace for trace in traces if trace.model.key() == own[0].model.key()]
        files += save_figure(plot_adaptation(trajectories, own, read_by_it), folder.figures_path / name)
    return files


def _report(
    folder: Run,
    trajectories: Sequence[Trajectory],
    adaptations: Sequence[Adaptation],
    work: Work,
    files: Sequence[Path],
) -> None:
    work.report_errors()
    n_before = len(adaptations) - work.n_new
    say(f"Wrote {work.n_new} adaptations ({n_before} were there) to {folder.adaptations_path}")
    models = group_by_model(adaptations)
    for own in models:
        if len(models) > 1:
            say(own[0].model.name)
        _print_table(trajectories, own)
    for path in files:
        say(f"Figure: {path}")


def _print_table(trajectories: Sequence[Trajectory], adaptations: Sequence[Adaptation]) -> None:
    """Print what became of one model's losses, and of the text's own, which the steps descend."""
    screen = console if console.is_terminal else Console(width=1000, highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = _list_columns(trajectories, adaptations)
    for column in columns:
        table.add_column(column[0], no_wrap=True)
    for row in list(zip(*columns, strict=True))[1:]:
        table.add_row(*row)
    screen.print(table)
    say("L̂ in nats per answer token, means over questions; 95 % intervals; p: paired sign-flip test")
    ends = [fmean(float(a.text_loss[i]) for a in adaptations) for i in (0, -1)]
    say(f"The trajectories' own loss, which the steps descend: {ends[0]:.3f} → {ends[1]:.3f} nats per token")
    if n_higher := sum(bool(a.text_loss[-1] > a.text_loss[0]) for a in adaptations):
        rate = adaptations[0].settings.rate
        say(f"Note: it rose on {n_higher} of {len(adaptations)}; --rate {rate:g} is too high for them.")


def _list_columns(trajectories: Sequence[Trajectory], adaptations: Sequence[Adaptation]) -> list[list[str]]:
    """The summary's columns: what is measured, then right and wrong trajectories."""
    by_id = {trajectory.id: trajectory for trajectory in trajectories}
    n_steps = adaptations[0].settings.n_steps
    after = f"after {n_steps} step{'s' if n_steps > 1 else ''}"
    columns = [["", "before", after, "in the context", f"change {after}", "  p", "change in the context", "  p"]]
    for label, wanted in (("right", True), ("wrong", False), ("undecided", None)):
        own = [a for a in adaptations if by_id[a.trajectory_id].correct is wanted]
        if not own:
            continue
        ids = [by_id[a.trajectory_id].question_id for a in own]
        states = average_questions(ids, [(float(a.loss[0]), float(a.loss[-1]), a.in_context_loss) for a in own])
        changes = states[:, 1:] - states[:, :1]
        cells = [f"{label} ({len(states)} question{'s' if len(states) > 1 else ''})"]
        cells += [_write(estimate_mean("L̂", column.tolist())) for column in states.T]
        for column in changes.T:
            p = compute_paired_p_value(column.tolist())
            cells += [_write(estimate_mean("change", column.tolist()), "+"), "< 0.001" if p < 0.001 else f"{p:.3f}"]
        columns.append(cells)
    return columns


def _write(estimate: Estimate, sign: str = "") -> str:
    if estimate.method == "none":
        return f"{estimate.value:{sign}.3f} [−∞, ∞]"
    return f"{estimate.value:{sign}.3f} [{estimate.low:{sign}.3f}, {estimate.high:{sign}.3f}]"
