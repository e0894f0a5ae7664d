"""What `raml trace` will take."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from raml.errors import RamlError
from raml.models import LoadedModel
from raml.planning.assembly import Work, assemble
from raml.planning.load import Load, add_up, read_text
from raml.planning.memory import count_pass_bytes
from raml.planning.record import Part, Plan
from raml.planning.rehearsal import Piece, shorten
from raml.planning.standing import MOST_CLOSED, Closing, rehearse_closing, store_records, take_standing
from raml.probes import key_readout, key_trace, split_targets, stream_probes
from raml.probes.task import Task, choose_scorer, plan_task
from raml.records import Question, Readout, ReadoutSettings, Trace, TraceSettings, Trajectory
from raml.scoring import Job, choose_chunk_tokens, plan_batches
from raml.scoring.engine import find_shared_beginnings
from raml.store import Journal, Run

ROWS_OF_PIECES = (64, 256, 1024, 4096, 16384)
"""Tokens that the rehearsal's pieces read, about."""
Draw = Callable[[Run, Sequence[Trace]], object]
"""Draws traces in a run's folder, as the command does at its end."""


def plan_trace(
    loaded: LoadedModel,
    trajectories: Sequence[Trajectory],
    questions: Mapping[str, Question],
    settings: TraceSettings,
    *,
    readout: ReadoutSettings | None = None,
    done: Collection[str] = (),
    lens_there: Sequence[int] = (),
    memory: int | None = None,
    draw: Draw | None = None,
) -> Plan:
    """Plan the traces, and readouts, that are missing.

    The arguments are those of `raml.probes.stream_probes`; `lens_there` are the tokens that such readouts of the run
    have after each prefix.

    How many tokens the model writes in a readout is not known beforehand; it is expected to write as many after each
    prefix as in the rehearsal.

    Raises:
        DataError: nothing that is asked for can be made.
        ModelError: the memory is too small.
    """
    standing = take_standing(loaded)
    tasks = list_tasks(loaded, trajectories, questions, settings, readout, done)
    batches = batch_tasks(loaded, tasks, memory)
    loads = [load_batch(loaded, [task.job for task in batch], memory) for batch in batches]
    n_prefixes = sum(len(task.job.prefix_lens) for task in tasks)
    written = _Written()
    if not tasks:
        written.count(lens_there)
    every = list_tasks(loaded, trajectories, questions, settings, readout) if done else tasks
    work = Work(
        stage="trace",
        n_units=sum(len(task.targets) + (task.readout is not None) for task in tasks),
        unit="traces" if readout is None else "traces and readouts",
        loads=loads,
        parts=max((_list_parts(loaded, batch, memory) for batch in batches), key=_add_up, default=()),
        tokens_read=sum(round(load.rows) for load in loads),
        most_written=0 if readout is None else n_prefixes * readout.max_new_tokens,
    )
    plan = assemble(
        loaded,
        standing,
        work,
        _list_pieces(loaded, tasks, questions, settings, readout, memory, written),
        lambda: _close(loaded, every, written, draw),
        add=lambda: written.expect(n_prefixes, len(batches)),
    )
    return plan if readout is None else replace(plan, tokens_written=round(written.per_prefix * n_prefixes))


def list_tasks(
    loaded: LoadedModel,
    trajectories: Sequence[Trajectory],
    questions: Mapping[str, Question],
    settings: TraceSettings,
    readout: ReadoutSettings | None,
    done: Collection[str] = (),
) -> list[Task]:
    """Plan what is missing for each trajectory; what can't be made of one is left out, as the stage will."""
    tasks = []
    for trajectory in trajectories:
        question = questions[trajectory.question_id]
        possible = []
        for target in split_targets(settings):
            with contextlib.suppress(RamlError):
                plan_task(loaded, trajectory, question.answer, [target], None, kind=question.kind)
                possible.append(target)
        keys = {key_trace(loaded.identity, trajectory, question.answer, target) for target in possible}
        if readout is not None:
            keys.add(key_readout(loaded, trajectory, question.answer, readout))
        with contextlib.suppress(RamlError):
            if (possible or readout is not None) and not keys <= set(done):
                tasks.append(plan_task(loaded, trajectory, question.answer, possible, readout, kind=question.kind))
    return tasks


def batch_tasks(loaded: LoadedModel, tasks: Sequence[Task], memory: int | None) -> list[list[Task]]:
    """Tasks that run together."""
    if choose_scorer(loaded) == "definition":
        return [[task] for task in tasks]
    longest = max((task.readout.max_new_tokens for task in tasks if task.readout is not None), default=0)
    jobs = [task.job for task in tasks]
    return [
        [tasks[i] for i in batch] for batch in plan_batches(loaded.model, jobs, memory=memory, max_new_tokens=longest)
    ]


def load_batch(loaded: LoadedModel, jobs: Sequence[Job], memory: int | None = None) -> Load:
    """How much a model does for jobs that run together, without what it writes."""
    if choose_scorer(loaded) == "definition":
        return add_up([_load_by_definition(job) for job in jobs])
    chunk = choose_chunk_tokens(loaded.model, jobs, memory=memory)
    shared = find_shared_beginnings([job.prompt_ids + job.stem_ids for job in jobs])
    stems = add_up([read_text(job.n_stored - n, n, calls=0) for job, (_, n) in zip(jobs, shared, strict=True)])
    branches = add_up([_load_branches(job) for job in jobs])
    calls = -(-stems.rows // chunk) + -(-branches.rows // chunk)
    return stems + branches + Load(calls)


def _load_branches(job: Job) -> Load:
    """Bridge and answers after every prefix; each token attends to the prefix and to its own branch."""
    n, size = len(job.prefix_lens), len(job.branch.ids)
    own = sum(depth + 1 for depth in job.branch.depths)
    return Load(0, n * size, size * (n * len(job.prompt_ids) + sum(job.prefix_lens)) + n * own)


def _load_by_definition(job: Job) -> Load:
    lens = [len(job.prompt_ids) + n + len(job.bridge_ids) for n in job.prefix_lens]
    return add_up([read_text(n + len(answer)) for answer in job.answers for n in lens])


class _Written:
    """What the model wrote in the rehearsal, or before where nothing is left to be rehearsed."""

    def __init__(self) -> None:
        self.n_tokens = self.n_prefixes = self.most = 0

    def note(self, readouts: Sequence[Readout]) -> Load:
        """Count what was written; all branches together take as many passes as the longest answer has tokens."""
        lens = [len(ids) for readout in readouts for ids in readout.token_ids]
        self.count(lens)
        return Load(max(lens, default=1) - 1, sum(lens) - len(lens))

    def count(self, lens: Sequence[int]) -> None:
        """Count tokens written after some prefixes."""
        self.n_tokens, self.n_prefixes = self.n_tokens + sum(lens), self.n_prefixes + len(lens)
        self.most = max([self.most, *lens])

    @property
    def per_prefix(self) -> float:
        """Tokens after each prefix, on average."""
        return self.n_tokens / self.n_prefixes if self.n_prefixes else 0.0

    def expect(self, n_prefixes: int, n_batches: int) -> Load:
        """What is to be expected of other prefixes; the last token of each is not read."""
        if not self.n_prefixes:
            return Load()
        return Load(n_batches * (self.most - 1), n_prefixes * (self.per_prefix - 1))


def _list_pieces(
    loaded: LoadedModel,
    tasks: Sequence[Task],
    questions: Mapping[str, Question],
    settings: TraceSettings,
    readout: ReadoutSettings | None,
    memory: int | None,
    written: _Written,
) -> Iterator[Piece]:
    """Shortened trajectories, more and more of them; the last ones are long and read at few prefixes."""
    if not tasks:
        return
    longest = max(tasks, key=lambda task: task.job.n_stored)
    for n_rows in ROWS_OF_PIECES:
        yield _make_piece(loaded, _take(tasks, n_rows), questions, settings, readout, memory, written)
        sparse = replace(settings, every=max(1, len(longest.trajectory.token_ids) // 4))
        length = min(n_rows, len(longest.trajectory.token_ids))
        about = [shorten(longest.trajectory, length)]
        same = None if readout is None else replace(readout, every=sparse.every)
        yield _make_piece(loaded, about, questions, sparse, same, memory, written)


def _take(tasks: Sequence[Task], n_rows: int) -> list[Trajectory]:
    """Trajectories, the last one shortened, of which about so many tokens are read."""
    taken: list[Trajectory] = []
    left = n_rows
    for task in tasks:
        job = task.job
        per_token = (job.n_read - len(job.prompt_ids)) / max(1, len(job.stem_ids))
        n = round((left - len(job.prompt_ids)) / max(1.0, per_token))
        if n < 8 and taken:
            break
        taken.append(shorten(task.trajectory, max(8, n)))
        left -= round(len(job.prompt_ids) + per_token * len(taken[-1].token_ids))
    return taken


def _make_piece(
    loaded: LoadedModel,
    trajectories: Sequence[Trajectory],
    questions: Mapping[str, Question],
    settings: TraceSettings,
    readout: ReadoutSettings | None,
    memory: int | None,
    written: _Written,
) -> Piece:
    tasks = list_tasks(loaded, trajectories, questions, settings, readout)
    load = add_up([load_batch(loaded, [t.job for t in b], memory) for b in batch_tasks(loaded, tasks, memory)])

    def run() -> Load:
        done = load
        with tempfile.TemporaryDirectory(prefix="raml-plan-") as name, Journal(Path(name) / "journal") as journal:
            stream = stream_probes(loaded, trajectories, questions, settings, readout=readout, memory=memory)
            for outcomes in stream:
                for outcome in outcomes:
                    if outcome.traces:
                        journal.append(outcome.traces)
                readouts = [outcome.readout for outcome in outcomes if outcome.readout is not None]
                if readouts:
                    journal.append(readouts)
                    done = done + written.note(readouts)
        return done

    return Piece(load, run)


def _list_parts(loaded: LoadedModel, batch: Sequence[Task], memory: int | None) -> tuple[Part, ...]:
    if choose_scorer(loaded) == "definition":
        longest = max(batch, key=lambda task: task.job.n_stored).job
        job = Job(longest.prompt_ids, longest.trajectory_ids, longest.bridge_ids, longest.answers[:1], (0,))
        return count_pass_bytes(loaded.model, [job], memory=memory)
    most = max((task.readout.max_new_tokens for task in batch if task.readout is not None), default=0)
    return count_pass_bytes(loaded.model, [task.job for task in batch], memory=memory, max_new_tokens=most)


def _add_up(parts: Sequence[Part]) -> int:
    return sum(part.n_bytes for part in parts)


def _close(loaded: LoadedModel, tasks: Sequence[Task], written: _Written, draw: Draw | None) -> Closing:
    """Let records of the size that will be there be stored and drawn, those that are there already included."""
    some = tasks[:MOST_CLOSED]
    rng = np.random.default_rng(0)
    traces = [
        Trace(
            id=key_trace(loaded.identity, task.trajectory, task.gold, settings),
            trajectory_id=task.trajectory.id,
            model=loaded.identity,
            settings=settings,
            scorer="one-pass",
            bridge_ids=task.job.bridge_ids,
            answer_ids=answer,
            prefix_lens=np.array(task.job.prefix_lens, dtype=np.int32),
            nll=rng.random((len(task.job.prefix_lens), len(answer)), dtype=np.float32),
        )
        for task in some
        for settings, answer in zip(task.targets, task.job.answers, strict=True)
    ]
    readouts = [
        _make_readout(loaded, task, task.readout, round(written.per_prefix))
        for task in some
        if task.readout is not None
    ]

    def store(folder: Run) -> None:
        store_records(folder, traces)
        store_records(folder, readouts)

    stored = rehearse_closing(store).scale(len(tasks) / max(1, len(some)))
    return stored if draw is None or not traces else stored + rehearse_closing(lambda folder: draw(folder, traces))


def _make_readout(loaded: LoadedModel, task: Task, settings: ReadoutSettings, n_written: int) -> Readout:
    """A readout of the size that will come, with made-up numbers."""
    n, rng = len(task.job.prefix_lens), np.random.default_rng(0)
    ids = task.job.bridge_ids if not task.job.answers else task.job.answers[0]
    return Readout(
        id=key_readout(loaded, task.trajectory, task.gold, settings),
        trajectory_id=task.trajectory.id,
        model=loaded.identity,
        settings=settings,
        scorer="one-pass",
        bridge_ids=task.job.bridge_ids,
        prefix_lens=np.array(task.job.prefix_lens, dtype=np.int32),
        token_ids=((ids * (n_written // len(ids) + 1))[:n_written],) * n,
        answers=(task.gold,) * n,
        correct=(True,) * n,
        mean_logprob=rng.random(n, dtype=np.float32),
        margin=rng.random(n, dtype=np.float32),
    )
