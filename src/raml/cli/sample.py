"""`raml sample`: draw trajectories from a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from raml.cli.options import LoadOptions, load
from raml.cli.stage import say, show_progress
from raml.errors import DataError
from raml.records import PromptSettings, Question, SamplingSettings, Trajectory
from raml.store import Journal, Run, StageClock, lock_run


def sample(
    model: str,
    run: Path,
    *,
    n: int = 4,
    limit: int | None = None,
    batch_size: int = 32,
    prompt: Annotated[PromptSettings | None, Parameter(name="*")] = None,
    sampling: Annotated[SamplingSettings | None, Parameter(name="*")] = None,
    options: Annotated[LoadOptions | None, Parameter(name="*")] = None,
) -> None:
    """Sample n trajectories per question and grade them.

    Example: `raml sample tiny runs/tiny --n 4 --temperature 1 --max-new-tokens 400`

    Killed at any moment and run again, it makes only what is missing. Other settings add trajectories to the run.

    Parameters
    ----------
    model
        "tiny", "tiny-base", "tiny-grpo", a Hub name, a folder or a .gguf file. "oracle" writes n distinct right
        trajectories for questions of the embedded world, without a model; of the sampling options it needs the seed.
    run
        A run folder with questions (see `raml questions`).
    n
        Trajectories per question.
    limit
        Take only the first so many questions.
    batch_size
        Trajectories made at the same time. It changes the speed, and the log-probabilities in their last digits.
    """
    from raml.sampling import ORACLE, plan_samples, resolve_sampling, stream_trajectories

    prompt = prompt or PromptSettings()
    if limit is not None and limit < 1:
        raise DataError(f"--limit is {limit}; it must be at least 1.")
    folder = Run(run)
    found = folder.read_questions()[:limit]
    if model == ORACLE:
        seed = (sampling or SamplingSettings()).seed
        _write_oracle(folder, found, n, limit, prompt, seed)
        return
    loaded = load(model, options)
    sampling = resolve_sampling(loaded, sampling)
    config = {"model": model, "n": n, "limit": limit, "batch_size": batch_size, "prompt": prompt, "sampling": sampling}
    clock = StageClock(folder, "sample", config)
    units = plan_samples(loaded, found, n, prompt=prompt, settings=sampling)
    ids = {unit.id for unit in units}
    with lock_run(run):
        done = {t.id for t in folder.read_trajectories()} & ids
        with show_progress("sampling", len(units), len(done)) as bar, Journal(folder.trajectories_path) as journal:
            batches = stream_trajectories(
                loaded, units, prompt=prompt, settings=sampling, batch_size=batch_size, done=done, on_step=bar.step
            )
            for batch in batches:
                journal.append(batch)
                bar.advance(len(batch))
        folder.order_trajectories()
        trajectories = folder.read_trajectories()
        made = [t for t in trajectories if t.id in ids]
        clock.finish(
            inputs=(folder.questions_path,),
            outputs={folder.trajectories_path: len(trajectories)},
            n_units=len(units),
            n_new=len(units) - len(done),
            n_errors=sum(t.correct is None for t in made),
            seed=sampling.seed,
            model=loaded.identity,
        )
    _report(folder, made, len(units) - len(done))


def _write_oracle(
    folder: Run, questions: list[Question], n: int, limit: int | None, prompt: PromptSettings, seed: int
) -> None:
    """Let the tiny world's oracle answer: trajectories to learn from."""
    from raml.sampling import ORACLE, ask_oracle

    loaded = load("tiny", None)
    if n < 1:
        raise DataError(f"--n is {n}; it must be at least 1.")
    config = {"model": ORACLE, "n": n, "limit": limit, "prompt": prompt, "seed": seed}
    clock = StageClock(folder, "sample", config)
    with lock_run(folder.path):
        done = {t.id for t in folder.read_trajectories()}
        made, n_new, errors = [], 0, []
        with show_progress("writing", len(questions)) as bar, Journal(folder.trajectories_path) as journal:
            for question in questions:
                bar.advance()
                try:
                    written = ask_oracle(loaded, question, n, seed=seed, prompt=prompt)
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


def _report(folder: Run, made: list[Trajectory], n_new: int) -> None:
    n_right = sum(t.correct is True for t in made)
    n_undecided = sum(t.correct is None for t in made)
    n_cut = sum(t.finish == "length" for t in made)
    say(f"Wrote {n_new} trajectories ({len(made) - n_new} were there) to {folder.trajectories_path}")
    say(f"{n_right} of {len(made)} right, {n_undecided} undecided, {n_cut} cut off at --max-new-tokens")
    for error in sorted({f"Question {t.question_id}: {t.error}" for t in made if t.error})[:5]:
        say(error)
    say(f"Next: raml trace {folder.path}")
