"""`raml report`: the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from raml.cli.options import check_limit
from raml.cli.plan import PlanFlag, show_tables_plan
from raml.cli.report_views import describe_views, list_missing
from raml.cli.stage import say
from raml.errors import RunError
from raml.records import Readout, Trace, TraceSettings, Trajectory
from raml.report import build_report
from raml.store import Run, write_atomically


def report(
    run: Path,
    *,
    out: Path | None = None,
    title: str | None = None,
    limit: int | None = None,
    plan_only: PlanFlag = False,
) -> None:
    """Make one self-contained HTML page of a run.

    Example: `raml report runs/tiny`

    Parameters
    ----------
    run
        A run folder with trajectories, traced or not. Where the model's own answers were read (`raml trace --readout`),
        the page shows them along the curves. What other commands found in the run gets tabs of its own.
    out
        The page's file; by default report.html in the run folder.
    title
        The page's title.
    limit
        Show trajectories of only the first so many questions; the other tabs are of the whole run.
    plan_only
        Say what it will take for the whole run, in memory and time, and do nothing.
    """
    check_limit(limit)
    if plan_only:
        show_tables_plan("report", [run], report)
        return
    folder = Run(run)
    questions = folder.read_questions()[:limit]
    shown = {question.id for question in questions}
    everything = folder.read_trajectories()
    trajectories = [t for t in everything if t.question_id in shown]
    if not trajectories:
        raise RunError(f"{run} has no trajectories to show. Make some with `raml sample MODEL {run}`.")
    ids = {trajectory.id for trajectory in trajectories}
    all_traces = folder.read_traces()
    available = [trace for trace in all_traces if trace.trajectory_id in ids]
    traces = choose_traces(trajectories, available)
    available_readouts = [readout for readout in folder.read_readouts() if readout.trajectory_id in ids]
    readouts = choose_readouts(traces, available_readouts)
    views = describe_views(folder, everything, choose_traces(everything, all_traces))
    page = build_report(
        questions,
        trajectories,
        traces,
        folder.read_manifest(),
        readouts=readouts,
        views=views,
        title=title or f"raml: {run.name}",
    )
    path = out or folder.report_path
    write_atomically(path, page.encode())
    if len(traces) < len(available):
        say(f"The page shows one trace a trajectory; {len(available) - len(traces)} others are left out.")
    if len(readouts) < len(available_readouts):
        n_left_out = len(available_readouts) - len(readouts)
        say(f"The page shows one readout a trace, by the same model; {n_left_out} others are left out.")
    if len(readouts) < len(traces):
        say(
            f"Of {len(traces)} curves, {len(traces) - len(readouts)} are without the model's own answers along them. "
            f"`raml trace {run} --readout` reads those."
        )
    if missing := list_missing(folder):
        say(f"Not in the page, as it was not measured: {', '.join(missing)}.")
    say(f"Report: {path.resolve()}")


def choose_traces(trajectories: Sequence[Trajectory], traces: Sequence[Trace]) -> list[Trace]:
    """Choose at most one trace a trajectory, all of the settings that most trajectories have.

    Where settings tie, the gold answer's come first, then the finest; where several models scored a trajectory, its
    writer does.
    """
    by_settings: dict[TraceSettings, list[Trace]] = {}
    for trace in traces:
        by_settings.setdefault(trace.settings, []).append(trace)
    if not by_settings:
        return []

    def rank(settings: TraceSettings) -> tuple[int, bool, int]:
        group = by_settings[settings]
        n_prefixes = sum(len(trace.prefix_lens) for trace in group)
        return len({trace.trajectory_id for trace in group}), settings.target == "gold", n_prefixes

    writers = {trajectory.id: trajectory.model.key() for trajectory in trajectories}
    chosen: dict[str, Trace] = {}
    for trace in by_settings[max(by_settings, key=rank)]:
        if trace.trajectory_id not in chosen or trace.model.key() == writers[trace.trajectory_id]:
            chosen[trace.trajectory_id] = trace
    return list(chosen.values())


def choose_readouts(traces: Sequence[Trace], readouts: Sequence[Readout]) -> list[Readout]:
    """Choose at most one readout a trajectory: of those by the model that made its trace, the one that fits it best.

    Best fits one at the trace's own prefixes, among these one after its bridge; of equals, the one listed last.
    """
    shown = {trace.trajectory_id: trace for trace in traces}

    def rank(readout: Readout) -> tuple[bool, bool]:
        trace = shown[readout.trajectory_id]
        has_same_places = readout.prefix_lens.tolist() == trace.prefix_lens.tolist()
        return has_same_places, readout.bridge_ids == trace.bridge_ids

    chosen: dict[str, Readout] = {}
    for readout in readouts:
        identity = readout.trajectory_id
        if identity not in shown or readout.model.key() != shown[identity].model.key():
            continue
        if identity not in chosen or rank(readout) >= rank(chosen[identity]):
            chosen[identity] = readout
    return list(chosen.values())
