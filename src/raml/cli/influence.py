"""`raml influence`: which tokens, words and sentences move an answer's loss."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from raml.cli.help_groups import STATISTICS
from raml.cli.options import check_limit
from raml.cli.plan import PlanFlag, show_tables_plan
from raml.cli.stage import print_table, say, show_progress
from raml.cli.units import read_units
from raml.errors import DataError, RamlError, RunError
from raml.inputs import read_plain_text
from raml.records import Influence, InfluenceSettings, InfluenceSummary, Mode, Trace, Trajectory
from raml.store import Journal, Run, StageClock, lock_run, write_atomically

NAME = "influence"
"""Of the files that it writes."""


def influence(
    run: Path,
    *,
    target: Literal["gold", "own"] = "gold",
    mode: Mode = "think",
    word: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    word_file: Path | None = None,
    epsilon: float = InfluenceSettings.epsilon,
    limit: int | None = None,
    plan_only: PlanFlag = False,
    level: Annotated[float, Parameter(group=STATISTICS)] = 0.95,
    n_resamples: Annotated[int, Parameter(group=STATISTICS)] = 9999,
    seed: Annotated[int, Parameter(group=STATISTICS)] = 0,
) -> None:
    """Measure which tokens and sentences move the answer.

    Example: `raml influence runs/tiny --word wait --word "hold on"`

    Words, parts, places and sentences are compared with matched controls. influence.json, .md and figures are written.
    It needs traces (see `raml trace`) and no model. Traces of several models or settings are analysed apart.

    Parameters
    ----------
    run
        A run folder with traces.
    target
        Whose loss: the gold answer's, or that of the answer that the trajectory itself ends with.
    mode
        Trajectories of this mode alone.
    word
        A word to look at; may be given several times. By default those of the paper. Case does not count.
    word_file
        A text file with more such words, one a line.
    epsilon
        Added to L̂ before its logarithm is taken, in nats: changes far below it count as none.
    limit
        Take only the first so many trajectories.
    plan_only
        Say what it will take, in memory and time, and do nothing.
    level
        Coverage of the intervals.
    n_resamples
        Draws of each interval and each test.
    seed
        Of these draws.
    """
    from raml.influence.tokens import check_settings

    if not 0 < level < 1:
        raise DataError(f"--level is {level:g}; it must lie between 0 and 1, such as 0.95.")
    if n_resamples < 1:
        raise DataError(f"--n-resamples is {n_resamples}; it must be at least 1.")
    if seed < 0:
        raise DataError(f"--seed is {seed}; it must be at least 0.")
    words = (*word, *_read_words(word_file)) or InfluenceSettings().words
    settings = check_settings(InfluenceSettings(words, epsilon))
    check_limit(limit)
    if plan_only:
        again = partial(
            influence,
            limit=limit,
            target=target,
            mode=mode,
            word=words,
            epsilon=epsilon,
            level=level,
            n_resamples=n_resamples,
            seed=seed,
        )
        show_tables_plan(NAME, [run], again, limit=limit)
        return
    folder, questions, everyone = read_units(run, limit)
    trajectories = [trajectory for trajectory in everyone if trajectory.mode == mode]
    traces, n_doubled = _choose_traces(folder, trajectories, target, mode)
    withheld = {question.id for question in questions if question.redacted}
    draws = {"level": level, "n_resamples": n_resamples, "seed": seed}
    clock = StageClock(folder, NAME, {"target": target, "mode": mode, "limit": limit, "settings": settings, **draws})
    with lock_run(run):
        wanted, n_new, errors = _measure(folder, trajectories, traces, settings)
        everything = folder.close_influences()
        influences = [record for record in everything if record.id in wanted]
        stem = f"{NAME}{'-own-answer' * (target == 'own')}{'-nothink' * (mode == 'nothink')}"
        summaries, files = _write(folder, stem, trajectories, traces, influences, withheld, draws)
        clock.finish(
            inputs=(folder.trajectories_path, folder.traces_path),
            outputs={folder.influences_path: len(everything), **dict.fromkeys(files)},
            n_units=len(wanted),
            n_new=n_new,
            n_errors=len(errors),
            seed=seed,
            model=traces[0].model if len(summaries) == 1 else None,
        )
    _report_left_out(everyone, trajectories, traces, target, mode, errors)
    if n_doubled:
        say(f"Left out: {n_doubled} traces of trajectories that have two of one kind, which differ in the answer.")
    say(f"Wrote {n_new} influences ({len(influences) - n_new} were there) to {folder.influences_path}")
    for summary in summaries:
        _print(summary, stem, is_named=len(summaries) > 1)
    for path in files:
        say(f"Wrote {path}")
    say(f"Next: raml compress {folder.path} prune, or raml report {folder.path}")


def _read_words(path: Path | None) -> list[str]:
    """Read a list of words, one a line; empty lines are none.

    Raises:
        DataError: the file can't be read as text, or holds no word.
    """
    if path is None:
        return []
    try:
        lines = read_plain_text(path).splitlines()
    except OSError as error:
        raise DataError(f"--word-file {path} can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"--word-file {path} is no UTF-8 text: {error}.") from error
    words = [line for line in lines if line.strip()]
    if not words:
        raise DataError(f"--word-file {path} holds no word; write one a line.")
    return words


def _choose_traces(folder: Run, trajectories: Sequence[Trajectory], target: str, mode: Mode) -> tuple[list[Trace], int]:
    """The traces of one answer along these trajectories, in their order.

    Where a trajectory has two of one model and kind, since its answer changed after the first, nothing says which one
    is meant; such traces are left out and counted.

    Raises:
        RunError: there is none; the message says how to make some.
    """
    rank = {trajectory.id: i for i, trajectory in enumerate(trajectories)}
    traces = [t for t in folder.read_traces() if t.trajectory_id in rank and t.settings.target == target]
    if not trajectories:
        raise RunError(
            f"{folder.path} has no trajectories of mode {mode} among those to look at; choose the other --mode, or a "
            "larger --limit if there is one."
        )
    if not traces:
        flag = "" if target == "gold" else f" --target {target}"
        raise RunError(
            f"{folder.path} has no traces of the {target} answer along trajectories of mode {mode}. "
            f"Make them with `raml trace {folder.path}{flag}`."
        )
    kinds = [(trace.trajectory_id, trace.model.key(), trace.settings) for trace in traces]
    counts = Counter(kinds)
    alone = [trace for trace, kind in zip(traces, kinds, strict=True) if counts[kind] == 1]
    if not alone:
        raise RunError(
            f"Each trajectory has several traces of the {target} answer in {folder.path}, of answers that differ. "
            f"Remove {folder.traces_path} and trace again."
        )
    return sorted(alone, key=lambda trace: (rank[trace.trajectory_id], trace.id)), len(traces) - len(alone)


def _measure(
    folder: Run, trajectories: Sequence[Trajectory], traces: Sequence[Trace], settings: InfluenceSettings
) -> tuple[set[str], int, list[tuple[str, RamlError]]]:
    """Measure what is missing; ids of all that is wanted, how many are new, and what is wrong with the others.

    Raises:
        RamlError: nothing could be measured, and nothing was there; the first reason.
    """
    from raml.influence.tokens import key_influence, measure_influence

    by_id = {trajectory.id: trajectory for trajectory in trajectories}
    there = {record.id for record in folder.read_influences()}
    wanted: set[str] = set()
    errors: list[tuple[str, RamlError]] = []
    n_new = 0
    with show_progress("measuring", len(traces)) as bar, Journal(folder.influences_journal_path) as journal:
        for trace in traces:
            key = key_influence(trace, settings)
            try:
                if key not in there:
                    journal.append([measure_influence(by_id[trace.trajectory_id], trace, settings)])
                    n_new += 1
                wanted.add(key)
            except RunError:
                raise  # a full disk concerns all
            except RamlError as error:
                errors.append((trace.trajectory_id, error))
            bar.advance()
    if not wanted:
        raise errors[0][1]
    return wanted, n_new, errors


def _write(
    folder: Run,
    stem: str,
    trajectories: Sequence[Trajectory],
    traces: Sequence[Trace],
    influences: Sequence[Influence],
    withheld: Collection[str],
    draws: dict[str, float],
) -> tuple[list[InfluenceSummary], list[Path]]:
    """Summarise each writer, model and kind of trace, and draw them."""
    from raml.influence.summary import summarize_influences
    from raml.influence.table import write_json, write_markdown

    kinds: dict[tuple[object, ...], list[Influence]] = {}
    by_trace = {trace.id: trace for trace in traces}
    writers = {trajectory.id: trajectory.model.key() for trajectory in trajectories}
    for record in influences:
        kind = writers[record.trajectory_id], record.model.key(), by_trace[record.trace_id].settings
        kinds.setdefault(kind, []).append(record)
    level, n_resamples, seed = draws["level"], int(draws["n_resamples"]), int(draws["seed"])
    summaries = [
        summarize_influences(
            trajectories, traces, own, withheld=withheld, level=level, n_resamples=n_resamples, seed=seed
        )
        for own in kinds.values()
    ]
    files = [folder.path / f"{stem}.json", folder.path / f"{stem}.md"]
    for path, text in zip(files, (write_json(summaries), write_markdown(summaries)), strict=True):
        write_atomically(path, text.encode())
    for i, summary in enumerate(summaries):
        files += _draw(folder, summary, stem, "" if len(summaries) == 1 else f"-{i + 1}")
    return summaries, files


def _draw(folder: Run, summary: InfluenceSummary, stem: str, suffix: str) -> list[Path]:
    from raml.figures import save_figure
    from raml.figures.influence import plot_influence, plot_influence_groups
    from raml.influence.bars import list_bars
    from raml.influence.table import FAMILIES

    panels = {title: list_bars(summary, (family,)) for family, title in FAMILIES.items() if family != "word"}
    panels = {title: bars for title, bars in panels.items() if any(bar.n for bar in bars)}
    figures = {f"{stem}-groups": plot_influence_groups(panels, level=summary.level)}
    if summary.every_token:
        figures = {stem: plot_influence(list_bars(summary, ("all", "word")), level=summary.level)} | figures
    return [
        path
        for name, figure in figures.items()
        for path in save_figure(figure, folder.figures_path / f"{name}{suffix}")
    ]


def _report_left_out(
    everyone: Sequence[Trajectory],
    trajectories: Sequence[Trajectory],
    traces: Sequence[Trace],
    target: str,
    mode: Mode,
    errors: Sequence[tuple[str, RamlError]],
) -> None:
    """Say what was not looked at and why."""
    for other, n in Counter(trajectory.mode for trajectory in everyone if trajectory.mode != mode).items():
        say(f"Left out: {n} trajectories of mode {other}; look at them with --mode {other}.")
    traced = {trace.trajectory_id for trace in traces}
    if n_untraced := sum(trajectory.id not in traced for trajectory in trajectories):
        say(f"Left out: {n_untraced} trajectories without a trace of the {target} answer.")
    for _, error in errors[:5]:
        say(f"Left out: {error}")
    if len(errors) > 5:
        say(f"and {len(errors) - 5} more left out")


def _print(summary: InfluenceSummary, stem: str, *, is_named: bool) -> None:
    from raml.influence.table import FAMILIES, describe_table, judge_words, list_rows, name_summary

    if is_named:
        say(name_summary(summary))
    for family in FAMILIES:
        print_table(*list_rows(summary, family, is_short=True))
    for line in describe_table(summary):
        say(f"Note: {line}")
    if any(row.outcome == "right" for row in summary.rows):
        say(f"Note: right and wrong trajectories by themselves, and effects on |ΔL̂|/L̂, are in {stem}.md.")
    say(judge_words(summary))
