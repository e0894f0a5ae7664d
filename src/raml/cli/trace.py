"""`raml trace`: the answer's loss after every prefix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from raml.cli.options import LoadOptions, load
from raml.cli.stage import StageClock, say, show_progress
from raml.errors import DataError, ModelError, RamlError, RunError
from raml.records import ModelIdentity, Question, Trace, TraceSettings, Trajectory
from raml.store import Journal, Run, lock_run

if TYPE_CHECKING:
    from raml.models import LoadedModel

MAX_PANELS = 12
"""Questions in the figure."""


def trace(
    run: Path,
    *,
    model: str | None = None,
    limit: int | None = None,
    alpha: float = 0.01,
    settings: Annotated[TraceSettings | None, Parameter(name="*")] = None,
    options: Annotated[LoadOptions | None, Parameter(name="*")] = None,
) -> None:
    """Score an answer after every prefix of each trajectory, and draw the curves.

    Example: `raml trace runs/tiny --alpha 0.1`

    Killed at any moment and run again, it scores only what is missing.

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
    """
    settings = settings or TraceSettings()
    if not 0 < alpha <= 1:
        raise DataError(f"--alpha is {alpha}; it must be above 0 and at most 1.")
    if limit is not None and limit < 1:
        raise DataError(f"--limit is {limit}; it must be at least 1.")
    if isinstance(settings.every, int) and settings.every < 1:
        raise DataError(f"--every is {settings.every}; it must be at least 1, or sentence.")
    folder = Run(run)
    questions = folder.read_questions()
    trajectories = folder.read_trajectories()[:limit]
    if not trajectories:
        raise RunError(f"{run} has no trajectories. Make some with `raml sample MODEL {run}` or `raml import`.")
    config = {"model": model, "limit": limit, "alpha": alpha, "settings": settings}
    clock = StageClock(folder, "trace", config)
    work = _Work()
    with lock_run(run):
        for name, own, as_written in _list_scorers(model, trajectories, options):
            try:
                loaded = load(name, as_written)
                if model is None:
                    _check_weights(loaded, own)
            except ModelError as error:  # the other writers go on
                work.errors += [(trajectory.id, error) for trajectory in own]
                continue
            _trace_with(loaded, folder, questions, own, settings, work)
        if not any(t.id in work.wanted for t in folder.read_traces()):
            raise work.errors[0][1]
        folder.close_traces()
        all_traces = folder.read_traces()
        traces = [t for t in all_traces if t.id in work.wanted]
        files = _draw(folder, questions, trajectories, traces, alpha)
        outputs: dict[Path, int | None] = {folder.traces_path: len(all_traces), **dict.fromkeys(files)}
        clock.finish(
            inputs=(folder.questions_path, folder.trajectories_path),
            outputs=outputs,
            n_units=len(trajectories),
            n_new=work.n_new,
            n_errors=len(work.errors),
            model=work.models[0] if len(work.models) == 1 else None,
        )
    _report(folder, trajectories, traces, work, outputs)


@dataclass
class _Work:
    """What has been done so far."""

    wanted: set[str] = field(default_factory=set)
    """Ids of the traces that these settings ask for."""
    models: list[ModelIdentity] = field(default_factory=list)
    n_new: int = 0
    errors: list[tuple[str, RamlError]] = field(default_factory=list)
    """Trajectory and what is wrong with it."""


def _trace_with(
    loaded: LoadedModel,
    folder: Run,
    questions: Sequence[Question],
    trajectories: Sequence[Trajectory],
    settings: TraceSettings,
    work: _Work,
) -> None:
    """Trace with one model what has not been traced yet."""
    from raml.probes import key_trace, stream_traces
    from raml.scoring import find_obstacle

    work.models.append(loaded.identity)
    if obstacle := find_obstacle(loaded.model):
        say(f"Note: one-pass scoring can't serve {loaded.identity.name}: {obstacle}. Each prefix is scored by itself.")
    gold = {question.id: question.answer for question in questions}
    keys = {t.id: key_trace(loaded.identity, t, gold.get(t.question_id, ""), settings) for t in trajectories}
    done = {t.id for t in folder.read_traces()} & set(keys.values())
    missing = [trajectory for trajectory in trajectories if keys[trajectory.id] not in done]
    work.wanted |= set(keys.values())
    with (
        show_progress("tracing", len(trajectories), len(done)) as bar,
        Journal(folder.traces_journal_path) as journal,
    ):
        for trajectory, result in stream_traces(loaded, missing, {q.id: q for q in questions}, settings):
            if isinstance(result, Trace):
                journal.append([result])
                work.n_new += 1
            else:
                work.errors.append((trajectory.id, result))
            bar.advance(note=f"{len(trajectory.token_ids)} tokens")


def _draw(
    folder: Run,
    questions: Sequence[Question],
    trajectories: Sequence[Trajectory],
    traces: Sequence[Trace],
    alpha: float,
) -> tuple[Path, ...]:
    from raml.figures import plot_traces, save_figure

    name = "traces" if traces[0].settings.target == "gold" else "traces-own-answer"
    n_shown = len({trajectory.question_id for trajectory in trajectories})
    if n_shown > MAX_PANELS:
        say(f"The figure shows the first {MAX_PANELS} of {n_shown} questions.")
    figure = plot_traces(questions, trajectories, traces, alpha=alpha, max_questions=MAX_PANELS)
    return save_figure(figure, folder.figures_path / name)


def _list_scorers(
    model: str | None, trajectories: Sequence[Trajectory], options: LoadOptions | None
) -> Iterator[tuple[str, Sequence[Trajectory], LoadOptions]]:
    """List the models that score, each with the trajectories that are its to score and how to load it.

    Without a model named, these are the writers, with the revision and arithmetic they had unless the options differ.
    """
    options = options or LoadOptions()
    if model is not None:
        yield model, trajectories, options
        return
    writers = dict.fromkeys((t.model.name, t.model.revision, t.model.dtype) for t in trajectories)
    for name, revision, dtype in writers:
        own = [t for t in trajectories if (t.model.name, t.model.revision, t.model.dtype) == (name, revision, dtype)]
        as_written = replace(
            options,
            dtype=dtype if options.dtype == "auto" else options.dtype,
            revision=revision if options.revision is None else options.revision,
        )
        yield name, own, as_written


def _check_weights(loaded: LoadedModel, trajectories: Sequence[Trajectory]) -> None:
    """Refuse a model of the right name whose weights are not those that wrote the trajectories.

    Raises:
        ModelError: the hashes differ.
    """
    for trajectory in trajectories:
        written, now = trajectory.model, loaded.identity
        if (written.weights_sha256, written.config_sha256) != (now.weights_sha256, now.config_sha256):
            raise ModelError(
                f"Trajectory {trajectory.id} was written by {now.name} with other weights or another configuration "
                f"than it has now. Bring those back, or score with these by --model {now.name}."
            )


def _report(
    folder: Run,
    trajectories: Sequence[Trajectory],
    traces: Sequence[Trace],
    work: _Work,
    outputs: Iterable[Path],
) -> None:
    for trajectory_id, error in work.errors[:5]:
        say(f"Left out {trajectory_id}: {error}")
    if len(work.errors) > 5:
        say(f"and {len(work.errors) - 5} more left out")
    n_before = len(trajectories) - work.n_new - len(work.errors)
    say(f"Wrote {work.n_new} traces ({n_before} were there) to {folder.traces_path}")
    _summarise(trajectories, traces)
    for path in outputs:
        if path.parent == folder.figures_path:
            say(f"Figure: {path}")
    say(f"Next: raml report {folder.path}")


def _summarise(trajectories: Sequence[Trajectory], traces: Sequence[Trace]) -> None:
    """Print how the loss moved along right and wrong trajectories."""
    correct = {trajectory.id: trajectory.correct for trajectory in trajectories}
    for label, wanted in (("right", True), ("wrong", False)):
        curves = [t.mean_nll for t in traces if correct[t.trajectory_id] is wanted]
        if curves:
            start, end = (sum(float(c[i]) for c in curves) / len(curves) for i in (0, -1))
            n_lower = sum(bool(c[-1] < c[0]) for c in curves)
            say(f"{label}: L̂ {start:.3f} → {end:.3f} nats on average; lower at the end in {n_lower} of {len(curves)}")
