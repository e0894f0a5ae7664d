"""Summaries of trajectories for `raml compress`, written by whatever `raml sample` can draw from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from raml.cli.compress_task import Pair, Task
from raml.cli.engines import EngineOptions, Sampler, Work, open_sampler
from raml.cli.options import LoadOptions
from raml.cli.stage import say, show_progress
from raml.cli.writers import check_weights, list_scorers
from raml.errors import ModelError
from raml.records import Mode, PromptSettings, Question, SamplingSettings, Trajectory
from raml.store import Journal

if TYPE_CHECKING:
    from raml.sampling import SampleUnit


def make_summaries(task: Task, engine: EngineOptions) -> Mapping[str, Sequence[Trajectory]]:
    """Let the summariser write what is missing; all summaries that are asked for, by trajectory id.

    What can't be summarised is among the work's errors.
    """
    wanted: set[str] = set()
    n_new = 0
    for name, own, load in _list_summarizers(task):
        requests, prompt = _choose_requests(task, name, own, load, engine)
        if requests:
            sampling = _choose_sampling(task)
            sampler = open_sampler(Work(name, requests, task.options.runs, prompt, sampling, None, False), load, engine)
            if sampler.note is not None:
                say(sampler.note)
            n_new += _run_sampler(task, sampler)
            wanted |= {unit.id for unit in sampler.units}
    everything = task.folder.order_summaries() if wanted else []
    summaries: dict[str, list[Trajectory]] = {}
    for summary in everything:
        if summary.id in wanted:
            summaries.setdefault(summary.question_id, []).append(summary)
    n_there = sum(map(len, summaries.values())) - n_new
    say(f"Wrote {n_new} summaries ({n_there} were there) to {task.folder.summaries_path}")
    return summaries


def _list_summarizers(task: Task) -> Iterator[tuple[str, list[Pair], LoadOptions]]:
    """The models that summarise, each with what is its to summarise and how it is loaded."""
    by_id = {trajectory.id: question for trajectory, question in task.pairs}
    trajectories = [trajectory for trajectory, _ in task.pairs]
    for name, own, load in list_scorers(task.options.summarizer, trajectories, task.load):
        yield name, [(trajectory, by_id[trajectory.id]) for trajectory in own], load


def _choose_sampling(task: Task) -> SamplingSettings:
    options = task.options
    return SamplingSettings(
        temperature=options.summary_temperature, max_new_tokens=options.summary_tokens, seed=task.seed
    )


def _choose_requests(
    task: Task, name: str, pairs: Sequence[Pair], load: LoadOptions, engine: EngineOptions
) -> tuple[list[Question], PromptSettings]:
    """Write the requests that the summariser may be sent and can read, and how to ask: without thinking, if it can.

    A model whose template has no such mode is asked as usual; the paper's delimiter sentence would end its summary.
    """
    from raml.efficiency.summaries import make_requests, split_requests
    from raml.models import load_tokenizer
    from raml.prompts import has_thinking_switch

    loaded = load_tokenizer(
        name,
        dtype=load.dtype,
        revision=load.revision,
        chat_template=load.chat_template,
        trust_remote_code=load.trust_remote_code,
    )
    mode: Mode = "nothink" if has_thinking_switch(loaded.tokenizer) else "think"
    prompt = PromptSettings(instruction="", mode=mode)
    if task.options.summarizer is None and loaded.identity.weights_sha256 is not None:
        try:
            check_weights(loaded.identity, [trajectory for trajectory, _ in pairs])
        except ModelError:
            return [], prompt  # said where the same model is to answer
    requests, failures = split_requests(
        loaded, make_requests(pairs), prompt, _choose_sampling(task), engine=engine.engine
    )
    task.work.errors += failures
    return requests, prompt


def _run_sampler(task: Task, sampler: Sampler) -> int:
    """Make what is missing, keep each summary as it comes, and count the new ones."""
    ids = {unit.id for unit in sampler.units}
    done = {summary.id for summary in task.folder.read_summaries()} & ids
    n_new = 0
    with (
        show_progress("summarising", len(ids), len(done)) as bar,
        Journal(task.folder.summaries_path) as journal,
    ):

        def note_fault(unit: SampleUnit, reason: str) -> None:
            place = f"Trajectory {unit.question.id}, summary {unit.repeat}"
            task.work.errors.append((unit.question.id, ModelError(f"{place}: {reason}")))
            bar.advance()

        for batch in sampler.start(done, bar, note_fault):
            journal.append(batch)
            n_new += len(batch)
            bar.advance(len(batch))
    return n_new
