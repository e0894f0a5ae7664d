"""`raml compress`: how much reasoning an answer needs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from raml.cli.compress_exits import verify_exits
from raml.cli.compress_options import Choice, CompressOptions, Estimation, check_options
from raml.cli.compress_stages import make_attempts
from raml.cli.compress_summaries import make_summaries
from raml.cli.compress_task import Task, choose_pairs
from raml.cli.engines import EngineOptions
from raml.cli.help_groups import ENGINE, LOADING, STATISTICS
from raml.cli.options import LoadOptions, parse_bytes
from raml.cli.plan import PlanFlag
from raml.cli.stage import print_table, say
from raml.cli.units import read_units
from raml.errors import DataError, RunError
from raml.records import Frontier, Question, SamplingSettings, Trajectory
from raml.store import Run, StageClock, lock_run, write_atomically

NAME = "compress"
"""Of the files that it writes."""
METHODS: tuple[Choice, ...] = ("cut", "wait", "summary", "early-exit", "prune", "no-thinking")


def compress(
    run: Path,
    method: Annotated[tuple[Choice, ...], Parameter(negative="", show_choices=False)] = (),
    *,
    model: str | None = None,
    limit: int | None = None,
    memory: str | None = None,
    allow_code_execution: bool = False,
    plan_only: PlanFlag = False,
    settings: Annotated[CompressOptions | None, Parameter(name="*")] = None,
    estimation: Annotated[Estimation | None, Parameter(name="*", group=STATISTICS)] = None,
    options: Annotated[LoadOptions | None, Parameter(name="*", group=LOADING)] = None,
    engine: Annotated[EngineOptions | None, Parameter(name="*", group=ENGINE)] = None,
) -> None:
    """Answer after less reasoning: accuracy against tokens.

    Example: `raml compress runs/tiny cut early-exit prune`

    Each METHOD shortens the reasoning before a model answers, or makes it longer. Everything that the run holds goes
    into compress.json, .md and a figure, whichever METHODs are named. Killed at any moment and run again, it makes only
    what is missing.

    Parameters
    ----------
    run
        A run folder with thinking trajectories (see `raml sample` and `raml import`).
    method
        One or more of these; without any, tables and figure are made of what is there:

        - cut: reasoning cut off at a budget
        - wait: made longer by a word where it would end
        - summary: a summary in its place
        - early-exit: stopped where the answer has settled (needs `raml trace RUN --readout`)
        - prune: sentences that contribute least left out, beside as many tokens left out by chance
        - no-thinking: the run's trajectories of `raml sample --mode nothink`
        - all: all of these
    model
        The model that answers; by default the one that wrote the trajectory.
    limit
        Take only the first so many thinking trajectories, in tables and figure too.
    memory
        How much memory may be used beside the model's weights, such as 800MB; by default most of what is free.
    allow_code_execution
        Run what the model writes where checking an answer needs that: tasks of Reasoning Gym.
    plan_only
        Say what it will take, in tokens, memory and time, and do nothing.
    """
    settings, estimation = settings or CompressOptions(), estimation or Estimation()
    check_options(settings, estimation, limit)
    n_bytes = None if memory is None else parse_bytes(memory)
    folder, questions, everything = read_units(run, None)
    trajectories = _take_first(everything, limit)
    asked = _choose_methods(folder, trajectories, method, settings)
    config = {"methods": method, "model": model, "limit": limit, "settings": settings, "estimation": estimation}
    config |= {"engine": engine or EngineOptions(), "allow_code_execution": allow_code_execution}
    clock = StageClock(folder, "compress", config)
    by_id = {question.id: question for question in questions}
    task = Task(
        folder,
        [(trajectory, by_id[trajectory.question_id]) for trajectory in trajectories if trajectory.mode == "think"],
        asked,
        settings,
        estimation.seed,
        memory=n_bytes,
        allow_code=allow_code_execution,
        model=model,
        load=options,
    )
    if plan_only:
        from raml.cli.plan_compress import show_compress_plan

        show_compress_plan(
            task,
            lambda scratch: _write(scratch, questions, trajectories, estimation),
            partial(
                compress,
                method=tuple(asked),
                model=model,
                limit=limit,
                memory=memory,
                allow_code_execution=allow_code_execution,
                settings=settings,
                estimation=estimation,
                options=options,
                engine=engine,
            ),
        )
        return
    with lock_run(run):
        _work(task, engine or EngineOptions())
        frontiers, files = _write(folder, questions, trajectories, estimation)
        rules = [choice.rule for frontier in frontiers for choice in frontier.choices if choice.rule is not None]
        verified: list[str] = []
        if settings.verify:
            verified, content = verify_exits(task, rules)
            files.append(folder.path / f"{NAME}-verified.json")
            write_atomically(files[-1], content)
        rows = {folder.attempts_path: len(folder.read_attempts()), folder.summaries_path: len(folder.read_summaries())}
        clock.finish(
            inputs=(folder.questions_path, folder.trajectories_path),
            outputs={**{path: n for path, n in rows.items() if path.is_file()}, **dict.fromkeys(files)},
            n_units=len(task.work.wanted),
            n_new=task.work.n_new,
            n_errors=len(task.work.errors),
            seed=estimation.seed,
            model=task.work.models[0] if len(task.work.models) == 1 else None,
        )
    _report(task, frontiers, [*verified, *(f"Wrote {path}" for path in files)])


def _take_first(trajectories: Sequence[Trajectory], limit: int | None) -> list[Trajectory]:
    """The first so many thinking trajectories, and those of their questions that don't think."""
    if limit is None:
        return list(trajectories)
    thinking = [trajectory for trajectory in trajectories if trajectory.mode == "think"][:limit]
    ids, asked = {trajectory.id for trajectory in thinking}, {trajectory.question_id for trajectory in thinking}
    return [t for t in trajectories if t.id in ids or (t.mode == "nothink" and t.question_id in asked)]


def _choose_methods(
    folder: Run, trajectories: Sequence[Trajectory], methods: Sequence[Choice], settings: CompressOptions
) -> list[Choice]:
    """Find out which methods can be used.

    Raises:
        DataError: an option belongs to a method that was not named.
        RunError: a method that was named needs what is not there, or there is nothing to make a table of.
    """
    asked = list(METHODS if "all" in methods else dict.fromkeys(methods))
    if settings.verify and "early-exit" not in asked:
        raise DataError("--verify needs the METHOD early-exit.")
    if "wait" in asked and 0 in settings.budget:
        raise DataError("--budget is 0; with the METHOD wait it must be at least 1.")
    thinking = [trajectory for trajectory in trajectories if trajectory.mode == "think"]
    if not thinking:
        raise RunError(f"{folder.path} has no thinking trajectories; there is nothing to shorten.")
    lacking: dict[Choice, str] = {}
    if not folder.read_readouts():
        lacking["early-exit"] = f"early-exit needs readouts. Make them with `raml trace {folder.path} --readout`."
    if len(thinking) == len(trajectories):
        command = _write_command(folder, thinking)
        lacking["no-thinking"] = f"The run has no trajectories without thinking. Draw some with `{command}`."
    for name, reason in lacking.items():
        if name in methods:
            raise RunError(reason)
        if name in asked:
            asked.remove(name)
            say(f"Note: {reason}")
    if not asked and "no-thinking" in lacking and not folder.read_attempts():
        raise DataError(
            f"Nothing in {folder.path} has been shortened yet. Name a METHOD: `raml compress {folder.path} cut`, say."
        )
    return asked


def _write_command(folder: Run, thinking: Sequence[Trajectory]) -> str:
    """The command that draws trajectories without thinking as the others were drawn."""
    first = thinking[0]
    n = max(trajectory.repeat for trajectory in thinking) + 1
    default, own = SamplingSettings(), first.sampling or SamplingSettings()
    names = ("temperature", "top_p", "top_k", "min_p", "max_new_tokens", "seed")
    flags = [
        f"--{name.replace('_', '-')} {getattr(own, name)}"
        for name in names
        if getattr(own, name) != getattr(default, name)
    ]
    return " ".join([f"raml sample {first.model.name} {folder.path} --n {n} --mode nothink", *flags])


def _work(task: Task, engine: EngineOptions) -> None:
    """Make what is missing.

    Raises:
        RamlError: nothing that was asked for could be made, and nothing was there; the first reason.
    """
    if not set(task.methods) - {"no-thinking"}:
        return
    task.pairs = choose_pairs(task.pairs, task.work.errors)
    summaries = make_summaries(task, engine) if "summary" in task.methods else {}
    make_attempts(task, summaries)
    there = {attempt.id for attempt in task.folder.order_attempts()}
    if task.work.errors and not task.work.wanted & there:
        raise task.work.errors[0][1]


def _write(
    folder: Run, questions: Sequence[Question], trajectories: Sequence[Trajectory], estimation: Estimation
) -> tuple[list[Frontier], list[Path]]:
    """Make tables and figures of everything that the run holds, for each model."""
    from raml.efficiency.frontier import build_frontiers
    from raml.efficiency.table import write_json, write_markdown
    from raml.figures import save_figure
    from raml.figures.frontier import plot_frontier

    frontiers = build_frontiers(
        questions,
        trajectories,
        folder.read_attempts(),
        level=estimation.level,
        n_resamples=estimation.n_resamples,
        seed=estimation.seed,
        tolerance=estimation.tolerance,
    )
    files = [folder.path / f"{NAME}.json", folder.path / f"{NAME}.md"]
    for path, text in zip(files, (write_json(frontiers), write_markdown(frontiers)), strict=True):
        write_atomically(path, text.encode())
    for i, frontier in enumerate(frontiers):
        chosen = [choice.rule for choice in frontier.choices if choice.rule is not None]
        figure = plot_frontier(frontier.points, n=frontier.n, chosen=chosen)
        files += save_figure(figure, folder.figures_path / (NAME if i == 0 else f"{NAME}-{i + 1}"))
    return frontiers, files


def _report(task: Task, frontiers: Sequence[Frontier], lines: Sequence[str]) -> None:
    from raml.efficiency.table import name_frontier

    work = task.work
    work.report_errors()
    if work.wanted:
        n_there = len(work.wanted & {attempt.id for attempt in task.folder.read_attempts()}) - work.n_new
        say(f"Wrote {work.n_new} attempts ({n_there} were there) to {task.folder.attempts_path}")
    for frontier in frontiers:
        if len(frontiers) > 1:
            say(name_frontier(frontier))
        _print(frontier)
    for line in lines:
        say(line)
    say(f"Next: raml report {task.folder.path}")


def _print(frontier: Frontier) -> None:
    from raml.efficiency.table import describe_frontier, list_controls, list_differences, list_points, list_sentences

    for headings, rows in (list_points(frontier), list_differences(frontier), list_controls(frontier)):
        print_table(headings, rows)
    for line in describe_frontier(frontier):
        say(f"Note: {line}")
    for sentence in list_sentences(frontier):
        say(sentence)
