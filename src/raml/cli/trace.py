"""`raml trace`: the answer's loss after every prefix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from raml.cli.options import LoadOptions, load
from raml.cli.stage import StageClock, say, show_progress
from raml.errors import DataError, ModelError, RamlError, RunError
from raml.records import Trace, TraceSettings, Trajectory
from raml.store import Journal, Run


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
        The model that scores; by default the one that wrote the trajectories.
    limit
        Take only the first so many trajectories.
    alpha
        Smoothing of the figure's thick lines; 0.01 is the paper's, for trajectories of thousands of tokens.
    """
    from raml.figures import plot_traces, save_figure
    from raml.probes import key_trace, stream_traces
    from raml.scoring import find_obstacle

    settings = settings or TraceSettings()
    if not 0 < alpha <= 1:
        raise DataError(f"--alpha is {alpha}; it must be above 0 and at most 1.")
    if limit is not None and limit < 1:
        raise DataError(f"--limit is {limit}; it must be at least 1.")
    folder = Run(run)
    questions = {question.id: question for question in folder.read_questions()}
    trajectories = folder.read_trajectories()[:limit]
    if not trajectories:
        raise RunError(f"{run} has no trajectories. Make some with `raml sample MODEL {run}` or `raml import`.")
    loaded = load(model or _find_writer(run, trajectories), options)
    config = {"model": loaded.identity.name, "limit": limit, "alpha": alpha, "settings": settings}
    clock = StageClock(folder, "trace", config, loaded.identity)
    if obstacle := find_obstacle(loaded.model):
        say(f"Note: one-pass scoring can't serve {loaded.identity.name}: {obstacle}. Each prefix is scored by itself.")
    keys = {trajectory.id: key_trace(loaded.identity, trajectory, settings) for trajectory in trajectories}
    done = {t.id for t in folder.read_traces()} & set(keys.values())
    missing = [trajectory for trajectory in trajectories if keys[trajectory.id] not in done]
    errors: list[RamlError] = []
    with (
        show_progress("tracing", len(trajectories), len(done)) as (progress, task),
        Journal(folder.traces_journal_path) as journal,
    ):
        for trajectory, result in stream_traces(loaded, missing, questions, settings):
            if isinstance(result, Trace):
                journal.append([result])
            else:
                errors.append(result)
            progress.advance(task)
            progress.update(task, note=f"{len(trajectory.token_ids)} tokens")
    folder.close_traces()
    wanted = set(keys.values())
    traces = [t for t in folder.read_traces() if t.id in wanted]
    outputs: dict[Path, int | None] = {folder.traces_path: len(folder.read_traces())}
    if traces:
        figure = plot_traces(list(questions.values()), trajectories, traces, alpha=alpha)
        outputs |= dict.fromkeys(save_figure(figure, folder.figures_path / "traces"), None)
    clock.finish(
        inputs=(folder.questions_path, folder.trajectories_path),
        outputs=outputs,
        n_units=len(trajectories),
        n_new=len(missing) - len(errors),
        n_errors=len(errors),
    )
    for error in errors[:5]:
        say(f"Left out: {error}")
    if len(errors) > 5:
        say(f"and {len(errors) - 5} more left out")
    say(f"Wrote {len(missing) - len(errors)} traces ({len(done)} were there) to {folder.traces_path}")
    _summarise(trajectories, traces)
    for path in outputs:
        if path.parent == folder.figures_path:
            say(f"Figure: {path}")
    say(f"Next: raml report {run}")


def _summarise(trajectories: Sequence[Trajectory], traces: Sequence[Trace]) -> None:
    """Print how the loss moved along right and wrong trajectories."""
    correct = {trajectory.id: trajectory.correct for trajectory in trajectories}
    for label, wanted in (("right", True), ("wrong", False)):
        curves = [t.mean_nll for t in traces if correct[t.trajectory_id] is wanted]
        if curves:
            start, end = (sum(float(c[i]) for c in curves) / len(curves) for i in (0, -1))
            n_lower = sum(bool(c[-1] < c[0]) for c in curves)
            say(f"{label}: L̂ {start:.3f} → {end:.3f} nats on average; lower at the end in {n_lower} of {len(curves)}")


def _find_writer(run: Path, trajectories: Sequence[Trajectory]) -> str:
    """Name of the one model that wrote the trajectories.

    Raises:
        ModelError: several did.
    """
    names = sorted({trajectory.model.name for trajectory in trajectories})
    if len(names) > 1:
        raise ModelError(f"{run} holds trajectories of several models ({', '.join(names)}). Choose one with --model.")
    return names[0]
