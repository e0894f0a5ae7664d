"""`raml curves`: what curves and readouts say about modes, wrong trajectories, and when thinking may stop."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from raml.cli.help_groups import CURVES
from raml.cli.options import check_limit
from raml.cli.plan import PlanFlag, show_tables_plan
from raml.cli.stage import print_table, say
from raml.cli.units import read_units
from raml.curves.groups import CurveSettings, check_settings
from raml.errors import RunError
from raml.records import Question, Trajectory
from raml.store import Run, StageClock, lock_run, write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from raml.curves.groups import CurveSet
    from raml.curves.summary import CurveSummary

NAME = "curves"
"""Of the files that it writes."""
N_QUESTIONS = 8
"""Panels of single questions in a figure."""
N_EXAMPLES = 6
"""Wrong trajectories in a figure."""


def curves(
    run: Path,
    *,
    limit: int | None = None,
    plan_only: PlanFlag = False,
    settings: Annotated[CurveSettings | None, Parameter(name="*", group=CURVES)] = None,
) -> None:
    """Compare modes and outcomes, and find when thinking may stop.

    Example: `raml curves runs/tiny`

    It analyses traces and readouts: thinking beside no-thinking, right beside wrong trajectories, whether the curve
    tells them apart without the gold answer, and where the model's own answer settles. Needs what `raml trace RUN
    --target both --readout` makes, of trajectories with thinking and, to compare modes, without (`raml sample MODEL RUN
    --mode nothink`); says what is missing, and does what can be done. No model is loaded. curves.json, .md and figures
    are written.

    Parameters
    ----------
    run
        A run folder with traces or readouts.
    limit
        Take only the first so many trajectories.
    plan_only
        Say what it will take, in memory and time, and do nothing.
    """
    settings = settings or CurveSettings()
    check_settings(settings)
    check_limit(limit)
    if plan_only:
        show_tables_plan(NAME, [run], partial(curves, settings=settings, limit=limit), limit=limit)
        return
    folder, questions, trajectories = read_units(run, limit)
    from raml.curves import summarize_curves, write_json, write_markdown

    clock = StageClock(folder, NAME, {"limit": limit, "settings": settings})
    with lock_run(run):
        sets = _read_sets(folder, trajectories)
        summaries = [summarize_curves(own, settings, run=str(run)) for own in sets]
        files = [folder.path / f"{NAME}.json", folder.path / f"{NAME}.md"]
        for path, text in zip(files, (write_json(summaries), write_markdown(summaries)), strict=True):
            write_atomically(path, text.encode())
        for i, (own, summary) in enumerate(zip(sets, summaries, strict=True)):
            files += _draw(folder, questions, own, summary, "" if len(sets) == 1 else f"-{i + 1}")
        inputs = folder.questions_path, folder.trajectories_path, folder.traces_path, folder.readouts_path
        clock.finish(
            inputs=tuple(path for path in inputs if path.is_file()),
            outputs=dict.fromkeys(files),
            n_units=len(sets),
            n_new=len(sets),
            seed=settings.seed,
        )
    for summary in summaries:
        _print(summary, named=len(summaries) > 1)
    for path in files:
        say(f"Wrote {path}")
    say(f"Next: raml report {folder.path}")


def _read_sets(folder: Run, trajectories: Sequence[Trajectory]) -> list[CurveSet]:
    """Read the traces and readouts of some trajectories, sorted by what belongs together.

    Raises:
        RunError: there are none.
    """
    from raml.curves import group_curves

    traces, readouts = folder.read_traces(), folder.read_readouts()
    ids = {trajectory.id for trajectory in trajectories}
    if not any(record.trajectory_id in ids for record in (*traces, *readouts)):
        command = f"raml trace {folder.path} --target both --readout"
        raise RunError(f"{folder.path} has no traces or readouts. Make some with `{command}`.")
    return group_curves(trajectories, traces, readouts)


def _draw(folder: Run, questions: Sequence[Question], own: CurveSet, summary: CurveSummary, suffix: str) -> list[Path]:
    """Draw what there is."""
    from raml.figures import save_figure

    return [
        path
        for name, figure in _plot(questions, own, summary).items()
        for path in save_figure(figure, folder.figures_path / f"{NAME}-{name}{suffix}")
    ]


def _plot(questions: Sequence[Question], own: CurveSet, summary: CurveSummary) -> dict[str, Figure]:
    """Figures by name."""
    from raml.curves import panels
    from raml.curves.groups import MODE_NAMES
    from raml.figures.curves import plot_mode_curves, plot_question_curves, plot_wrong_curves
    from raml.figures.curves_readout import plot_readouts, plot_recognition

    figures: dict[str, Figure] = {}
    if summary.modes is not None:
        figures["modes"] = plot_mode_curves(*panels.collect_modes(own))
        figures["questions"] = plot_question_curves(panels.collect_questions(questions, own, N_QUESTIONS))
    if wrong := panels.collect_wrong(own):
        examples = panels.collect_wrong_examples(questions, own, summary.settings, N_EXAMPLES)
        figures["wrong"] = plot_wrong_curves(wrong, examples)
    if read := panels.collect_readouts(own):
        figures["readout"] = plot_readouts(read)
    scores = {
        MODE_NAMES[made.mode]: [
            (row.score, row.pooled and row.pooled.estimate, row.within and row.within.estimate) for row in made.rows
        ]
        for made in summary.recognition
    }
    if any(pooled or within for rows in scores.values() for _, pooled, within in rows):
        figures["recognition"] = plot_recognition(scores)
    return figures


def _print(summary: CurveSummary, *, named: bool) -> None:
    from raml.curves import describe_tables, list_tables, name_summary, write_sentences

    if named:
        say(name_summary(summary))
    for headings, rows in list_tables(summary):
        print_table(headings, rows)
    for line in describe_tables(summary):
        say(f"Note: {line}")
    for line in write_sentences(summary):
        say(line)
