"""`raml faithfulness`: does the probe find the sentences that matter when a trajectory is written again?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from raml.cli.help_groups import LOADING, WORKERS
from raml.cli.options import LoadOptions, WorkerOptions, choose_workers, parse_bytes
from raml.cli.plan import PlanFlag, say_for_one
from raml.cli.stage import print_table, say
from raml.cli.units import Unit, group_by_model, make_units, read_units
from raml.errors import DataError
from raml.records import (
    InfluenceSettings,
    Question,
    Resampling,
    ResamplingSettings,
    SamplingSettings,
    TraceSettings,
    Trajectory,
)
from raml.store import Run, StageClock, lock_run, write_atomically

if TYPE_CHECKING:
    from raml.influence.faithfulness import FaithfulnessSummary
    from raml.models import LoadedModel

NAME = "faithfulness"
"""Of the files that it writes."""


def faithfulness(
    run: Path,
    *,
    n_trajectories: int = 16,
    n: int = ResamplingSettings.n,
    max_borders: int = ResamplingSettings.max_borders,
    only: Literal["all", "right", "wrong"] = "all",
    temperature: float | None = None,
    bridge: str = TraceSettings.bridge,
    epsilon: float = InfluenceSettings.epsilon,
    seed: int = 0,
    model: str | None = None,
    batch_size: int = 64,
    memory: str | None = None,
    allow_code_execution: bool = False,
    plan_only: PlanFlag = False,
    options: Annotated[LoadOptions | None, Parameter(name="*", group=LOADING)] = None,
    workers: Annotated[WorkerOptions | None, Parameter(name="*", group=WORKERS)] = None,
) -> None:
    """Write on from the middle, and compare that with the probe.

    Example: `raml faithfulness runs/tiny --n-trajectories 64 --n 20`

    Trajectories are written again from the ends of their sentences. resamplings.parquet, faithfulness.json, .md and a
    figure are written. This is the expensive check of a cheap measure: it writes trajectories × sentences × n
    responses. Killed at any moment and run again, it goes on with the trajectory that it was at.

    Parameters
    ----------
    run
        A run folder with trajectories (see `raml sample` and `raml import`).
    n_trajectories
        Thinking trajectories to take, evenly from right and wrong ones, at most two of a question.
    n
        Continuations from each border between two sentences.
    max_borders
        Most borders of a trajectory, evenly spread.
    only
        Take right or wrong trajectories alone.
    temperature
        Of the continuations; by default each is sampled as its trajectory was.
    bridge
        Text between prefix and answer, where the probe reads L̂.
    epsilon
        Added to L̂ before its logarithm is taken, in nats.
    seed
        Chooses the trajectories and, with id, border and repeat, a continuation's random numbers.
    model
        The model that writes on; by default each trajectory's own writer.
    batch_size
        Continuations that are written at the same time.
    memory
        How much memory the probe may use beside the model's weights, such as 800MB; by default most of what is free.
    allow_code_execution
        Run what the model wrote, where checking an answer needs that (see `raml help code-execution`).
    plan_only
        Say what it will take, in tokens, memory and time, and do nothing.
    """
    _check_ranges(n_trajectories, n, max_borders, batch_size, seed, temperature, epsilon)
    hands = choose_workers(workers, options)
    n_bytes = None if memory is None else parse_bytes(memory)
    folder, questions, everything = read_units(run, None)
    trajectories = _choose(everything, n_trajectories, only, seed)
    settings = ResamplingSettings(n, max_borders, trace=TraceSettings(bridge=bridge, every="sentence"))
    config = {"n_trajectories": n_trajectories, "only": only, "temperature": temperature, "epsilon": epsilon}
    clock = StageClock(folder, NAME, config | {"model": model, "settings": settings})
    plan = _Plan(questions, settings, temperature, seed, batch_size, n_bytes, allow_code_execution)
    if plan_only:
        say_for_one(hands)
        from raml.cli.plan_units import Asked, show_resampling_plan

        asked = Asked(folder, questions, trajectories, model, options, n_bytes, partial(_rewrite, epsilon, seed))
        show_resampling_plan(asked, plan, settings, batch_size)
        return
    _announce(trajectories, settings)
    if not allow_code_execution:
        _warn_of_code(trajectories, questions)
    with lock_run(run):
        there = {record.id for record in folder.read_resamplings()}
        work = make_units(
            trajectories,
            plan.list_units,
            label="writing on",
            journal_path=folder.resamplings_journal_path,
            there=there,
            model=model,
            options=options,
            workers=hands,
        )
        records = folder.close_resamplings()
        made = [record for record in records if record.id in work.wanted]
        summaries, files = _write(folder, trajectories, made, epsilon, seed)
        clock.finish(
            inputs=(folder.questions_path, folder.trajectories_path),
            outputs={folder.resamplings_path: len(records), **dict.fromkeys(files)},
            n_units=len(work.wanted),
            n_new=work.n_new,
            n_errors=len(work.errors),
            seed=seed,
            model=work.models[0] if len(work.models) == 1 else None,
        )
    work.report_errors()
    say(f"Wrote {work.n_new} resamplings ({len(made) - work.n_new} were there) to {folder.resamplings_path}")
    n_written = sum(sum(map(sum, record.n_written)) for record in made if record.id not in there)
    if n_written:
        say(f"The model wrote {n_written:,} tokens.")
    for summary in summaries:
        _print(summary)
    for path in files:
        say(f"Wrote {path}")
    say(f"Next: raml report {folder.path}")


def _check_ranges(
    n_trajectories: int,
    n: int,
    max_borders: int,
    batch_size: int,
    seed: int,
    temperature: float | None,
    epsilon: float,
) -> None:
    """Refuse settings that make no sense, before anything is read.

    Raises:
        DataError: one is out of its range.
    """
    least = {
        "--n-trajectories": (n_trajectories, 1),
        "--n": (n, 2),
        "--max-borders": (max_borders, 4),
        "--batch-size": (batch_size, 1),
        "--seed": (seed, 0),
    }
    for name, (value, low) in least.items():
        if value < low:
            raise DataError(f"{name} is {value}; it must be at least {low}.")
    if temperature is not None and not 0 <= temperature < float("inf"):
        raise DataError(f"--temperature is {temperature}; it must be at least 0.")
    if not 0 < epsilon < float("inf"):
        raise DataError(f"--epsilon is {epsilon}; it must be a positive number of nats, such as 0.01.")


def _choose(
    trajectories: Sequence[Trajectory], n: int, only: Literal["all", "right", "wrong"], seed: int
) -> list[Trajectory]:
    """Draw the subsample, in the run's order, and say what is not in it.

    Raises:
        DataError: no trajectory can be written again.
    """
    from raml.influence.subsample import choose_trajectories

    drawn = choose_trajectories(trajectories, n, only=only, seed=seed)
    left_out = ", ".join(f"{count} {reason}" for reason, count in drawn.left_out.items())
    if not drawn.chosen:
        raise DataError(f"None of {len(trajectories)} trajectories can be written again: {left_out}.")
    say(
        f"{len(drawn.chosen)} of {drawn.n_eligible} trajectories are written again"
        + (f"; not considered: {left_out}" if left_out else "")
    )
    ids = {trajectory.id for trajectory in drawn.chosen}
    return [trajectory for trajectory in trajectories if trajectory.id in ids]


def _announce(trajectories: Sequence[Trajectory], settings: ResamplingSettings) -> None:
    """Say how much will be written, if continuations become as long as what they replace."""
    from raml.probes.resampling import choose_borders

    borders = [choose_borders(trajectory, settings.max_borders) for trajectory in trajectories]
    n_borders = sum(map(len, borders))
    n_tokens = settings.n * sum(
        len(t.token_ids) - border for t, own in zip(trajectories, borders, strict=True) for border in own
    )
    say(
        f"{len(trajectories)} trajectories × {n_borders / len(trajectories):.3g} borders × {settings.n} continuations: "
        f"{n_borders * settings.n:,} responses, about {n_tokens:,} tokens, less what is there already"
    )


def _warn_of_code(trajectories: Sequence[Trajectory], questions: Sequence[Question]) -> None:
    """Say beforehand which continuations can't be checked: they would have to be written again."""
    kinds = {question.id: question.kind for question in questions}
    n = sum(kinds[trajectory.question_id] == "reasoning-gym" for trajectory in trajectories)
    if n:
        say(f"Continuations of {n} stay undecided, and are written again once --allow-code-execution is given")


class _Plan:
    """What to write again for each trajectory."""

    def __init__(
        self,
        questions: Sequence[Question],
        settings: ResamplingSettings,
        temperature: float | None,
        seed: int,
        batch_size: int,
        memory: int | None,
        allow_code: bool,
    ) -> None:
        self.questions: Mapping[str, Question] = {question.id: question for question in questions}
        self.settings, self.temperature, self.seed = settings, temperature, seed
        self.batch_size, self.memory, self.allow_code = batch_size, memory, allow_code

    def list_units(self, loaded: LoadedModel, trajectory: Trajectory) -> Iterator[Unit]:
        """One record for the trajectory; continuations are sampled as it was, where nothing else was asked for."""
        from raml.probes.resampling import key_resampling, resample_trajectory

        question = self.questions[trajectory.question_id]
        sampling = replace(trajectory.sampling or SamplingSettings(), seed=self.seed)
        if self.temperature is not None:
            sampling = replace(sampling, temperature=self.temperature)
        settings = replace(self.settings, sampling=sampling)

        def make() -> Resampling:
            return resample_trajectory(
                loaded,
                trajectory,
                question,
                settings,
                batch_size=self.batch_size,
                memory=self.memory,
                allow_code=self.allow_code,
            )

        yield key_resampling(loaded, trajectory, question, settings, allow_code=self.allow_code), make


def _rewrite(
    epsilon: float, seed: int, folder: Run, trajectories: Sequence[Trajectory], resamplings: Sequence[Resampling]
) -> object:
    return _write(folder, trajectories, resamplings, epsilon, seed)


def _write(
    folder: Run, trajectories: Sequence[Trajectory], resamplings: Sequence[Resampling], epsilon: float, seed: int
) -> tuple[list[FaithfulnessSummary], list[Path]]:
    """Summarise each model's resamplings and draw them."""
    from raml.cli.faithfulness_figure import draw_faithfulness
    from raml.figures import save_figure
    from raml.influence.faithfulness import summarize_faithfulness
    from raml.influence.faithfulness_table import write_json, write_markdown

    models = group_by_model(resamplings)
    summaries = [summarize_faithfulness(trajectories, own, epsilon=epsilon, seed=seed) for own in models]
    files = [folder.path / f"{NAME}.json", folder.path / f"{NAME}.md"]
    for path, text in zip(files, (write_json(summaries), write_markdown(summaries)), strict=True):
        write_atomically(path, text.encode())
    for i, (own, summary) in enumerate(zip(models, summaries, strict=True)):
        figure = draw_faithfulness(trajectories, own, summary)
        files += save_figure(figure, folder.figures_path / (NAME if len(models) == 1 else f"{NAME}-{i + 1}"))
    return summaries, files


def _print(summary: FaithfulnessSummary) -> None:
    from raml.influence.faithfulness_table import (
        describe_summary,
        judge_faithfulness,
        list_agreements,
        list_leads,
        list_reliabilities,
    )

    for headings, rows in (list_agreements(summary), list_leads(summary), list_reliabilities(summary)):
        print_table(headings, rows, ("trajectories", "resampling", "against", "probe", "minus"))
    for line in describe_summary(summary):
        say(f"Note: {line}")
    say(judge_faithfulness(summary))
