"""`raml sample`: draw trajectories from a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from cyclopts import Parameter

from raml.cli.engines import EngineOptions, Sampler, Work, open_sampler
from raml.cli.help_groups import ENGINE, LOADING, PROMPT, SAMPLING, WORKERS
from raml.cli.options import LoadOptions, WorkerOptions, check_limit, choose_workers, load
from raml.cli.plan import PlanFlag, say_for_one, show_sample_plan
from raml.cli.stage import list_unclear, say, show_progress
from raml.errors import DataError, ModelError
from raml.records import PromptSettings, Question, SamplingSettings, Trajectory, Verdict
from raml.store import Journal, Run, StageClock, lock_run

if TYPE_CHECKING:
    from raml.sampling import SampleUnit

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


def sample(
    model: str,
    run: Path,
    *,
    n: int = 4,
    limit: int | None = None,
    batch_size: int | None = None,
    allow_code_execution: bool = False,
    style: Literal["verbose", "terse"] | None = None,
    plan_only: PlanFlag = False,
    prompt: Annotated[PromptSettings | None, Parameter(name="*", group=PROMPT)] = None,
    sampling: Annotated[SamplingSettings | None, Parameter(name="*", group=SAMPLING)] = None,
    options: Annotated[LoadOptions | None, Parameter(name="*", group=LOADING)] = None,
    engine: Annotated[EngineOptions | None, Parameter(name="*", group=ENGINE)] = None,
    workers: Annotated[WorkerOptions | None, Parameter(name="*", group=WORKERS)] = None,
) -> None:
    """Sample n trajectories per question and grade them.

    Example: `raml sample tiny runs/tiny --n 4 --temperature 1 --max-new-tokens 400`

    Killed at any moment and run again, it makes only what is missing. Other settings add trajectories to the run.

    Parameters
    ----------
    model
        A Hub name, a folder, a .gguf file, or one that comes along: tiny, tiny-base, tiny-grpo. oracle writes n
        distinct right trajectories for questions of the embedded world, without a model.
    run
        A run folder with questions (see `raml questions`).
    n
        Trajectories per question.
    limit
        Take only the first so many questions.
    batch_size
        Trajectories made at the same time, by default 32. It changes the speed, and the log-probabilities in their
        last digits. With vLLM: those between two writes to disk, by default 256.
    allow_code_execution
        Run what the model writes where checking an answer needs that: programs, and tasks of Reasoning Gym.
    style
        For the oracle: verbose states each step and what remains, terse only what remains. verbose unless told
        otherwise.
    plan_only
        Say what it will take, in tokens, memory and time, and do nothing.
    """
    from raml.sampling import ORACLE

    prompt = prompt or PromptSettings()
    check_limit(limit)
    folder = Run(run)
    found = folder.read_questions()[:limit]
    if model == ORACLE:
        seed = (sampling or SamplingSettings()).seed
        _write_oracle(folder, found, n, limit, prompt, seed, style or "verbose")
        return
    if style is not None:
        raise DataError(f"--style is for the oracle; {model} has no use for it.")
    _announce_code(found, allow_code_execution)
    work = Work(model, found, n, prompt, sampling, batch_size, allow_code_execution)
    hands = choose_workers(workers, options)
    if plan_only:
        say_for_one(hands)
        show_sample_plan(folder, work, options, engine or EngineOptions())
        return
    sampler = open_sampler(work, options, engine or EngineOptions(), hands)
    config = {"model": model, "n": n, "limit": limit, "prompt": prompt, "sampling": sampler.sampling}
    config |= {"allow_code_execution": allow_code_execution, **sampler.config}
    if sampler.note is not None:
        say(sampler.note)
    try:
        _run_sampler(folder, sampler, StageClock(folder, "sample", config))
    finally:
        sampler.close()


def _run_sampler(folder: Run, sampler: Sampler, clock: StageClock) -> None:
    """Make what is missing, keep each response as it comes, and report."""
    ids = {unit.id for unit in sampler.units}
    faults: list[str] = []
    with lock_run(folder.path):
        done = {t.id for t in folder.read_trajectories()} & ids
        with (
            show_progress("sampling", len(sampler.units), len(done)) as bar,
            Journal(folder.trajectories_path) as journal,
        ):

            def note_fault(unit: SampleUnit, reason: str) -> None:
                faults.append(f"Question {unit.question.id}, repeat {unit.repeat}: {reason}")
                bar.advance()

            for batch in sampler.start(done, bar, note_fault):
                journal.append(batch)
                bar.advance(len(batch))
        n_new = len(ids) - len(done) - len(faults)
        if faults and not n_new and not done:
            raise ModelError(f"None of {len(ids)} responses came. {faults[0]}.")
        folder.order_trajectories()
        trajectories = folder.read_trajectories()
        made = [t for t in trajectories if t.id in ids]
        clock.finish(
            inputs=(folder.questions_path,),
            outputs={folder.trajectories_path: len(trajectories)},
            n_units=len(ids),
            n_new=n_new,
            n_errors=sum(t.correct is None for t in made) + len(faults),
            seed=sampler.sampling.seed,
            model=sampler.identity,
        )
    _report(folder, made, n_new, faults)


def _announce_code(questions: Sequence[Question], allowed: bool) -> None:
    """Say whether and how what the model writes will be run, where checking its answers needs that."""
    from raml.answers import NEEDS_CODE, find_isolation

    n_code = sum(question.kind in NEEDS_CODE for question in questions)
    if n_code and allowed:
        say(f"What the model writes is run to check it, {n_code} questions. {find_isolation()}")
    elif n_code:
        say(
            f"{n_code} questions are checked by running what the model writes; without --allow-code-execution their "
            "responses stay undecided."
        )


def _write_oracle(
    folder: Run,
    questions: list[Question],
    n: int,
    limit: int | None,
    prompt: PromptSettings,
    seed: int,
    style: Literal["verbose", "terse"],
) -> None:
    """Let the tiny world's oracle answer: trajectories to learn from."""
    from raml.sampling import ORACLE, ask_oracle

    loaded = load("tiny", None)
    if n < 1:
        raise DataError(f"--n is {n}; it must be at least 1.")
    config = {"model": ORACLE, "n": n, "limit": limit, "prompt": prompt, "seed": seed, "style": style}
    clock = StageClock(folder, "sample", config)
    with lock_run(folder.path):
        done = {t.id for t in folder.read_trajectories()}
        made, n_new, errors = [], 0, []
        with show_progress("writing", len(questions)) as bar, Journal(folder.trajectories_path) as journal:
            for question in questions:
                bar.advance()
                try:
                    written = ask_oracle(loaded, question, n, seed=seed, style=style, prompt=prompt)
                except DataError as error:  # the other questions go on
                    errors.append(error)
                    continue
                new = [trajectory for trajectory in written if trajectory.id not in done]
                journal.append(new)
                made += written
                n_new += len(new)
        if not made:
            raise errors[0]
        folder.order_trajectories()
        clock.finish(
            inputs=(folder.questions_path,),
            outputs={folder.trajectories_path: len(done) + n_new},
            n_units=len(made),
            n_new=n_new,
            n_errors=len(errors),
            seed=seed,
            model=loaded.identity,
        )
    _report(folder, made, n_new)
    for error in errors[:5]:
        say(str(error))


def _report(folder: Run, made: list[Trajectory], n_new: int, faults: Sequence[str] = ()) -> None:
    say(f"Wrote {n_new} trajectories ({len(made) - n_new} were there) to {folder.trajectories_path}")
    if faults:
        say(f"{len(faults)} responses did not come; run the same command again to ask for them once more")
        for fault in faults[:5]:
            say(fault)
    verdicts = Counter(trajectory.find_verdict() for trajectory in made)
    n_cut = sum(t.finish == "length" for t in made)
    counts = ", ".join(f"{verdicts[verdict]} {verdict}" for verdict in VERDICTS)
    say(f"Of {len(made)}: {counts}; {n_cut} cut off at --max-new-tokens")
    for line in list_unclear(folder.read_questions(), made):
        say(line)
    say(f"Next: raml trace {folder.path}")
