"""The work of `raml compress`: attempts of each method, in chunks that do not depend on what is done already."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from raml.cli.compress_exits import simulate_exits
from raml.cli.compress_task import Failure, Pair, Task
from raml.cli.stage import show_progress
from raml.cli.writers import load_scorers
from raml.errors import RamlError
from raml.records import Attempt, Question, Trajectory
from raml.store import Journal

if TYPE_CHECKING:
    from raml.models import LoadedModel

CHUNK = 8
"""Trajectories that are worked on together; what a kill loses at most."""


@dataclass(frozen=True)
class _Step:
    """A method with its settings."""

    label: str
    list_keys: Callable[[LoadedModel, Trajectory, Question], list[str]]
    run: Callable[[LoadedModel, Sequence[Pair]], tuple[list[Attempt], list[Failure]]]


def make_attempts(task: Task, summaries: Mapping[str, Sequence[Trajectory]]) -> None:
    """Make the attempts that are missing, each chunk in attempts.jsonl before the next begins."""
    if task.allow_code:
        _forget_unchecked(task)
    done = {attempt.id for attempt in task.folder.read_attempts()}
    with Journal(task.folder.attempts_path) as journal:
        if "early-exit" in task.methods:
            _keep(task, simulate_exits(task), done, journal)
        if set(task.methods) <= {"early-exit", "no-thinking"}:
            return
        by_id = {trajectory.id: question for trajectory, question in task.pairs}
        trajectories = [trajectory for trajectory, _ in task.pairs]
        for loaded, own in load_scorers(task.model, trajectories, task.load, task.work.errors):
            task.work.models.append(loaded.identity)
            pairs = [(trajectory, by_id[trajectory.id]) for trajectory in own]
            for step in list_steps(task, own, summaries):
                _run_step(task, step, loaded, pairs, done, journal)


def _forget_unchecked(task: Task) -> None:
    """Drop attempts that could not be checked as long as nothing might be run; now they can."""
    from raml.answers import NEEDS_CODE

    ids = {question.id for _, question in task.pairs if question.kind in NEEDS_CODE}
    attempts = task.folder.read_attempts()
    kept = [a for a in attempts if a.correct is not None or a.question_id not in ids]
    if len(kept) < len(attempts):
        task.folder.write_attempts(kept)


def list_steps(
    task: Task, trajectories: Sequence[Trajectory], summaries: Mapping[str, Sequence[Trajectory]]
) -> Iterator[_Step]:
    """The methods that need the model, with their settings."""
    from raml.efficiency import cut, pruning, waiting
    from raml.efficiency import summaries as summing

    options, readout = task.options, task.readout
    common = {"memory": task.memory, "allow_code": task.allow_code}
    if "cut" in task.methods:
        asked = cut.CutSettings(options.budget or cut.choose_budgets(trajectories), readout)
        run = partial(cut.cut_trajectories, settings=asked, **common)
        yield _Step("cutting", partial(cut.key_cut, settings=asked), run)
    if "wait" in task.methods:
        budgets = options.budget or waiting.choose_longer_budgets(trajectories)
        asked = waiting.WaitSettings(budgets, options.word, options.max_waits, readout)
        run = partial(waiting.wait, settings=asked, **common)
        yield _Step("waiting", partial(waiting.key_wait, settings=asked), run)
    if "summary" in task.methods:
        of_summary = summing.SummarySettings(readout)

        def list_keys(loaded: LoadedModel, trajectory: Trajectory, question: Question) -> list[str]:
            return summing.key_summaries(loaded, (trajectory, question), summaries.get(trajectory.id, ()), of_summary)

        run = partial(summing.answer_from_summaries, summaries=summaries, settings=of_summary, **common)
        yield _Step("answering", list_keys, run)
    if "prune" in task.methods:
        for target in ("own", "gold"):
            if options.target in (target, "both"):
                asked = pruning.PruneSettings(options.share, target, options.draws, task.seed, readout)
                run = partial(pruning.prune_trajectories, settings=asked, **common)
                yield _Step(f"pruning ({target})", partial(pruning.key_prune, settings=asked), run)


def _run_step(
    task: Task, step: _Step, loaded: LoadedModel, pairs: Sequence[Pair], done: set[str], journal: Journal
) -> None:
    """Work through all trajectories, chunk by chunk. Chunks are the same whatever is done already."""
    with show_progress(step.label, len(pairs)) as bar:
        for start in range(0, len(pairs), CHUNK):
            chunk, keys = pairs[start : start + CHUNK], {}
            for trajectory, question in chunk:
                try:
                    keys[trajectory.id] = set(step.list_keys(loaded, trajectory, question))
                except RamlError as error:
                    task.work.errors.append((trajectory.id, error))
            able = [pair for pair in chunk if keys.get(pair[0].id)]
            task.work.wanted |= set().union(*keys.values())
            missing = [pair for pair in able if not keys[pair[0].id] <= done]
            if missing:
                attempts, failures = _run_chunk(step, loaded, able, missing)
                task.work.errors += failures
                _keep(task, attempts, done, journal)
            bar.advance(len(chunk))


def _run_chunk(
    step: _Step, loaded: LoadedModel, chunk: Sequence[Pair], missing: Sequence[Pair]
) -> tuple[list[Attempt], list[Failure]]:
    """Make what is missing in the company that it would have had in the first place, to the same bits."""
    if len(missing) < len(chunk):
        attempts, failures = step.run(loaded, missing)
        if not attempts:  # they failed before, too; the others need not be made again
            return attempts, failures
    return step.run(loaded, chunk)


def _keep(task: Task, attempts: Sequence[Attempt], done: set[str], journal: Journal) -> None:
    """Write those attempts that are not there yet."""
    new = [attempt for attempt in attempts if attempt.id not in done]
    if new:
        journal.append(new)
    done |= {attempt.id for attempt in new}
    task.work.n_new += len(new)
