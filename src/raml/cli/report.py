"""`raml report`: the page."""

from __future__ import annotations

from pathlib import Path

from raml.cli.stage import say
from raml.errors import DataError, RunError
from raml.records import Trace
from raml.report import build_report
from raml.store import Run, write_atomically


def report(run: Path, *, out: Path | None = None, title: str | None = None, limit: int | None = None) -> None:
    """Make one self-contained HTML page of a run.

    Example: `raml report runs/tiny`

    Parameters
    ----------
    run
        A run folder with trajectories, traced or not.
    out
        The page's file; by default report.html in the run folder.
    title
        The page's title.
    limit
        Show only the first so many questions.
    """
    if limit is not None and limit < 1:
        raise DataError(f"--limit is {limit}; it must be at least 1.")
    folder = Run(run)
    questions = folder.read_questions()[:limit]
    shown = {question.id for question in questions}
    trajectories = [t for t in folder.read_trajectories() if t.question_id in shown]
    if not trajectories:
        raise RunError(f"{run} has no trajectories to show. Make some with `raml sample MODEL {run}`.")
    ids = {trajectory.id for trajectory in trajectories}
    traces, n_left_out = choose_traces([t for t in folder.read_traces() if t.trajectory_id in ids])
    page = build_report(questions, trajectories, traces, folder.read_manifest(), title=title or f"raml: {run.name}")
    path = out or folder.report_path
    write_atomically(path, page.encode())
    if n_left_out:
        say(f"The page shows one kind of trace; {n_left_out} with other settings or another model are left out.")
    say(f"Report: {path.resolve()}")


def choose_traces(traces: list[Trace]) -> tuple[list[Trace], int]:
    """Keep the traces of the settings and model that most have, of the gold answer where that is a tie.

    Returns:
        Those traces, and how many others there are.
    """
    groups: dict[tuple[object, ...], list[Trace]] = {}
    for trace in traces:
        groups.setdefault((trace.settings, trace.model.key()), []).append(trace)
    if not groups:
        return [], 0
    best = max(groups.values(), key=lambda group: (len(group), group[0].settings.target == "gold"))
    return best, len(traces) - len(best)
