"""`raml trace`: the answer's loss after every prefix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from raml.cli.help_groups import LOADING, PROBE, READOUT, WORKERS
from raml.cli.options import LoadOptions, WorkerOptions, check_limit, choose_workers, parse_bytes
from raml.cli.plan import PlanFlag, say_for_one
from raml.cli.stage import say, show_progress
from raml.cli.trace_summary import summarize_readouts, summarize_traces
from raml.cli.writers import open_scorers
from raml.errors import DataError, RamlError, RunError
from raml.records import ModelIdentity, Question, Readout, ReadoutSettings, Trace, TraceSettings, Trajectory
from raml.scale import Pool
from raml.store import Journal, Run, StageClock, lock_run

if TYPE_CHECKING:
    from raml.models import LoadedModel
    from raml.probes import Outcome
    from raml.probes.task import Task
    from raml.records import Scorer

MAX_PANELS = 12
"""Questions in the figure."""


def trace(
    run: Path,
    *,
    model: str | None = None,
    limit: int | None = None,
    alpha: float = 0.01,
    readout: Annotated[bool, Parameter(group=READOUT)] = False,
    readout_tokens: Annotated[int, Parameter(group=READOUT)] = ReadoutSettings.max_new_tokens,
    readout_stop: Annotated[tuple[str, ...], Parameter(group=READOUT, negative="")] = (),
    memory: str | None = None,
    plan_only: PlanFlag = False,
    settings: Annotated[TraceSettings | None, Parameter(name="*", group=PROBE)] = None,
    options: Annotated[LoadOptions | None, Parameter(name="*", group=LOADING)] = None,
    workers: Annotated[WorkerOptions | None, Parameter(name="*", group=WORKERS)] = None,
) -> None:
    """Score the answer after every prefix and draw the curves.

    Example: `raml trace runs/tiny --alpha 0.1 --readout`

    The score L̂ is the answer's loss in nats per token, with that much of the trajectory before it. Killed at any moment
    and run again, it scores only what is missing.

    Parameters
    ----------
    run
        A run folder with trajectories (see `raml sample` and `raml import`).
    model
        The model that scores all trajectories; by default each is scored by the model that wrote it.
    limit
        Take only the first so many trajectories.
    alpha
        Smoothing of the figure's thick lines; 0.01 is the paper's, for trajectories of thousands of tokens.
    readout
        Let the model state its own answer after every prefix, by greedy decoding, and grade it.
    readout_tokens
        Longest answer that it may write there, in tokens.
    readout_stop
        Text that ends its answer, taken as it stands; may be given several times. By default the brace that the bridge
        left open, or the end of the line.
    memory
        How much memory may be used beside the model's weights, such as 800MB; by default most of what is free.
    plan_only
        Say what it will take, in tokens, memory and time, and do nothing.
    """
    settings = settings or TraceSettings()
    _check_ranges(settings, limit, alpha)
    asked = _choose_readout(settings, readout, readout_tokens, readout_stop)
    work = _Work(settings, asked, None if memory is None else parse_bytes(memory))
    hands = choose_workers(workers, options)
    folder = Run(run)
    questions = folder.read_questions()
    trajectories = folder.read_trajectories()[:limit]
    if not trajectories:
        raise RunError(f"{run} has no trajectories. Make some with `raml sample MODEL {run}` or `raml import`.")
    if plan_only:
        say_for_one(hands)
        from raml.cli.plan_units import Asked, show_trace_plan

        every = Asked(folder, questions, trajectories, model, options, work.memory, partial(_redraw, questions, alpha))
        show_trace_plan(every, work.settings, work.readout)
        return
    config = {"model": model, "limit": limit, "alpha": alpha, "settings": settings, "readout": asked}
    clock = StageClock(folder, "trace", config)
    with lock_run(run):
        for pool, identity, own in open_scorers(model, trajectories, options, work.errors, hands):
            work.models.append(identity)
            _trace_with(pool, folder, questions, own, work)
        work.sort_errors(trajectories)
        if not any(record.id in work.wanted for record in (*folder.read_traces(), *folder.read_readouts())):
            raise work.errors[0][1]
        all_traces = folder.close_traces()
        traces = [t for t in all_traces if t.id in work.wanted]
        files = _draw(folder, questions, trajectories, traces, alpha)
        outputs: dict[Path, int | None] = {folder.traces_path: len(all_traces), **dict.fromkeys(files)}
        readouts = []
        if asked is not None:
            all_readouts = folder.close_readouts()
            readouts = [r for r in all_readouts if r.id in work.wanted]
            outputs[folder.readouts_path] = len(all_readouts)
        clock.finish(
            inputs=(folder.questions_path, folder.trajectories_path),
            outputs=outputs,
            n_units=len(trajectories),
            n_new=work.n_new,
            n_errors=len(work.errors),
            model=work.models[0] if len(work.models) == 1 else None,
        )
    _report(folder, trajectories, traces, readouts, work, files)


def _check_ranges(settings: TraceSettings, limit: int | None, alpha: float) -> None:
    """Refuse settings that make no sense, before anything is read.

    Raises:
        DataError: one is out of its range.
    """
    if not 0 < alpha <= 1:
        raise DataError(f"--alpha is {alpha}; it must be above 0 and at most 1.")
    check_limit(limit)
    if isinstance(settings.every, int) and settings.every < 1:
        raise DataError(f"--every is {settings.every}; it must be at least 1, or sentence.")


def _choose_readout(
    settings: TraceSettings, wanted: bool, tokens: int, stop: tuple[str, ...]
) -> ReadoutSettings | None:
    """Settings of the readouts, where they are wanted.

    Raises:
        DataError: an option of theirs is out of its range, or given without them.
    """
    if not wanted:
        if stop or tokens != ReadoutSettings.max_new_tokens:
            raise DataError("--readout-tokens and --readout-stop need --readout.")
        return None
    if tokens < 1:
        raise DataError(f"--readout-tokens is {tokens}; it must be at least 1.")
    if "" in stop:
        raise DataError("--readout-stop is empty; an empty text would end every answer before it begins.")
    return ReadoutSettings(settings.bridge, settings.span, settings.every, tokens, stop)


@dataclass
class _Work:
    """What is asked, and what has been done so far."""

    settings: TraceSettings
    readout: ReadoutSettings | None
    memory: int | None
    wanted: set[str] = field(default_factory=set)
    """Ids of the traces and readouts that these settings ask for."""
    models: list[ModelIdentity] = field(default_factory=list)
    n_new: int = 0
    """Trajectories of which this command made a record."""
    n_new_traces: int = 0
    n_new_readouts: int = 0
    n_read: int = 0
    """Tokens that the model read."""
    n_read_by_definition: int = 0
    """Tokens that one prompt per prefix would have taken."""
    errors: list[tuple[str, RamlError]] = field(default_factory=list)
    """Trajectory and what is wrong with it."""

    def sort_errors(self, trajectories: Sequence[Trajectory]) -> None:
        """Put errors in the trajectories' order; workers finish in any."""
        rank = {trajectory.id: i for i, trajectory in enumerate(trajectories)}
        self.errors.sort(key=lambda one: rank[one[0]])

    def count(self, outcomes: Sequence[Outcome]) -> None:
        """Add up what became of some trajectories."""
        for outcome in outcomes:
            self.n_new += bool(outcome.traces or outcome.readout)
            self.n_new_traces += len(outcome.traces)
            self.n_new_readouts += outcome.readout is not None
            self.errors += [(outcome.trajectory.id, error) for error in outcome.errors]
            self.n_read += outcome.n_read
            self.n_read_by_definition += outcome.n_read_by_definition


def _trace_with(
    pool: Pool[LoadedModel],
    folder: Run,
    questions: Sequence[Question],
    trajectories: Sequence[Trajectory],
    work: _Work,
) -> None:
    """Trace with one model what has not been traced yet."""
    from raml.probes import plan_probes

    by_id = {question.id: question for question in questions}
    about = {"trajectories": trajectories, "questions": by_id, "settings": work.settings}
    plan = pool.ask(partial(plan_probes, **about, readout=work.readout, memory=work.memory))
    if plan.obstacle is not None:
        name = work.models[-1].name
        say(f"Note: one-pass scoring can't serve {name}: {plan.obstacle}. Each prefix is scored by itself.")
    work.wanted |= frozenset().union(*plan.keys.values())
    there = {record.id for record in (*folder.read_traces(), *folder.read_readouts())}
    n_done = sum(keys <= there for keys in plan.keys.values())
    work.count(plan.list_refused(there))
    with (
        show_progress("tracing", len(trajectories), n_done) as bar,
        Journal(folder.traces_journal_path) as traces,
        Journal(folder.readouts_journal_path) as readouts,
    ):
        bar.advance(len(plan.refused))
        for made in pool.map(partial(_run, plan.scorer, work.memory), plan.list_left(there)):
            outcomes = plan.finish(made, there)
            new = [trace for outcome in outcomes for trace in outcome.traces]
            new_readouts = [outcome.readout for outcome in outcomes if outcome.readout is not None]
            if new:
                traces.append(new)
            if new_readouts:
                readouts.append(new_readouts)
            work.count(outcomes)
            n_finished = sum(not plan.keys[outcome.trajectory.id] <= there for outcome in outcomes)
            bar.advance(n_finished, note=f"{work.n_read:,} tokens read")


def _run(scorer: Scorer, memory: int | None, loaded: LoadedModel, batch: Sequence[Task]) -> tuple[list[Outcome]]:
    """Run a batch in a worker; it comes back as a whole."""
    from raml.probes import run_batch

    return (run_batch(loaded, batch, scorer, memory),)


def _report(
    folder: Run,
    trajectories: Sequence[Trajectory],
    traces: Sequence[Trace],
    readouts: Sequence[Readout],
    work: _Work,
    files: Iterable[Path],
) -> None:
    for trajectory_id, error in work.errors[:5]:
        say(f"Left out: {error}" if trajectory_id in str(error) else f"Left out {trajectory_id}: {error}")
    if len(work.errors) > 5:
        say(f"and {len(work.errors) - 5} more left out")
    say(f"Wrote {work.n_new_traces} traces ({len(traces) - work.n_new_traces} were there) to {folder.traces_path}")
    if readouts:
        n_before = len(readouts) - work.n_new_readouts
        say(f"Wrote {work.n_new_readouts} readouts ({n_before} were there) to {folder.readouts_path}")
    if work.n_read:
        say(
            f"The model read {work.n_read:,} tokens; one prompt per prefix would have been "
            f"{work.n_read_by_definition:,}."
        )
    summarize_traces(trajectories, traces)
    summarize_readouts(trajectories, readouts)
    for path in files:
        say(f"Figure: {path}")
    say(f"Next: raml report {folder.path}")


def _redraw(
    questions: Sequence[Question],
    alpha: float,
    folder: Run,
    trajectories: Sequence[Trajectory],
    traces: Sequence[Trace],
) -> list[Path]:
    return _draw(folder, questions, trajectories, traces, alpha)


def _draw(
    folder: Run,
    questions: Sequence[Question],
    trajectories: Sequence[Trajectory],
    traces: Sequence[Trace],
    alpha: float,
) -> list[Path]:
    """Draw the curves, a figure for each answer that was scored."""
    from raml.figures import plot_traces, save_figure

    n_shown = len({trajectory.question_id for trajectory in trajectories})
    if n_shown > MAX_PANELS:
        say(f"The figure shows the first {MAX_PANELS} of {n_shown} questions.")
    files: list[Path] = []
    for target, name in (("gold", "traces"), ("own", "traces-own-answer")):
        drawn = [trace for trace in traces if trace.settings.target == target]
        if drawn:
            figure = plot_traces(questions, trajectories, drawn, alpha=alpha, max_questions=MAX_PANELS)
            files += save_figure(figure, folder.figures_path / name)
    return files
