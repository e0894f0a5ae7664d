"""`raml sample`: draw trajectories from a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from raml.cli.options import LoadOptions, load
from raml.cli.stage import StageClock, say, show_progress
from raml.errors import DataError
from raml.records import PromptSettings, SamplingSettings, Trajectory
from raml.store import Journal, Run, lock_run


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
        "tiny", "tiny-base", a Hub name, a folder or a .gguf file.
    run
        A run folder with questions (see `raml questions`).
    n
        Trajectories per question.
    limit
        Take only the first so many questions.
    batch_size
        Trajectories made at the same time. It changes the speed, and the log-probabilities in their last digits.
    """
    from raml.sampling import plan_samples, resolve_sampling, stream_trajectories

    prompt = prompt or PromptSettings()
    if limit is not None and limit < 1:
        raise DataError(f"--limit is {limit}; it must be at least 1.")
    folder = Run(run)
    found = folder.read_questions()[:limit]
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


def _report(folder: Run, made: list[Trajectory], n_new: int) -> None:
    n_right = sum(t.correct is True for t in made)
    n_undecided = sum(t.correct is None for t in made)
    n_cut = sum(t.finish == "length" for t in made)
    say(f"Wrote {n_new} trajectories ({len(made) - n_new} were there) to {folder.trajectories_path}")
    say(f"{n_right} of {len(made)} right, {n_undecided} undecided, {n_cut} cut off at --max-new-tokens")
    for error in sorted({f"Question {t.question_id}: {t.error}" for t in made if t.error})[:5]:
        say(error)
    say(f"Next: raml trace {folder.path}")
