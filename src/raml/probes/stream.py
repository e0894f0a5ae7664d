"""Probe many trajectories, small ones together."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from raml.errors import DataError, RamlError
from raml.models import LoadedModel
from raml.probes.task import (
    Task,
    choose_scorer,
    key_readout,
    key_trace,
    make_readout,
    make_traces,
    plan_task,
    run_tasks,
    split_targets,
)
from raml.records import Question, Readout, ReadoutSettings, Scorer, Trace, TraceSettings, Trajectory
from raml.scoring import Scores, find_obstacle, plan_batches


@dataclass
class Outcome:
    """What became of one trajectory."""

    trajectory: Trajectory
    traces: list[Trace] = field(default_factory=list)
    readout: Readout | None = None
    errors: list[RamlError] = field(default_factory=list)
    """Why something that was asked for is missing."""
    n_read: int = 0
    """Tokens that went through the model."""
    n_read_by_definition: int = 0
    """Tokens that one prompt per prefix takes for the same."""


@dataclass
class ProbePlan:
    """What is to be done about many trajectories, in batches that any worker can run by itself."""

    scorer: Scorer
    obstacle: str | None
    """Why the model can't be served in one pass, if so."""
    batches: list[list[Task]]
    keys: dict[str, frozenset[str]]
    """Ids of the records that are asked for, by trajectory."""
    refused: list[Outcome]
    """Trajectories of which nothing can be asked."""
    task_keys: dict[str, frozenset[str]] = field(default_factory=dict)
    """Ids of the records that will be made, by trajectory."""
    errors: dict[str, list[RamlError]] = field(default_factory=dict)
    """Why something can't be asked, by trajectory."""

    def list_left(self, done: Collection[str]) -> list[list[Task]]:
        """The batches of which something is missing."""
        known = frozenset(done)
        return [batch for batch in self.batches if not all(self.task_keys[t.trajectory.id] <= known for t in batch)]

    def list_refused(self, done: Collection[str]) -> list[Outcome]:
        """What can't be asked, also of trajectories whose batch is there already: told each time, however often run."""
        left = {task.trajectory.id for batch in self.list_left(done) for task in batch}
        there = [task.trajectory for batch in self.batches for task in batch if task.trajectory.id not in left]
        return [*self.refused, *(Outcome(t, errors=list(self.errors[t.id])) for t in there if self.errors[t.id])]

    def finish(self, outcomes: list[Outcome], done: Collection[str]) -> list[Outcome]:
        """Add what was wrong beforehand to a batch's outcomes, and take away the records that are there."""
        for outcome in outcomes:
            outcome.errors[:0] = self.errors[outcome.trajectory.id]
            outcome.traces = [trace for trace in outcome.traces if trace.id not in done]
            if outcome.readout is not None and outcome.readout.id in done:
                outcome.readout = None
        return outcomes


def stream_probes(
    loaded: LoadedModel,
    trajectories: Sequence[Trajectory],
    questions: Mapping[str, Question],
    settings: TraceSettings | None = None,
    *,
    readout: ReadoutSettings | None = None,
    done: Collection[str] = (),
    memory: int | None = None,
) -> Iterator[list[Outcome]]:
    """Trace trajectories batch by batch, and read out the model's own answers on the way if asked to.

    Trajectories of one question share the prompt's keys and values, and small models run many trajectories at a time.
    Batches are cut from the whole list, whatever is done already; so a command that was killed and is run again
    computes what is missing in the batch it would have had, to the same bits (on the same machine, and unless so little
    memory is free that fewer rows run at a time). An error that concerns one trajectory is noted on its outcome, and
    the others go on.

    Args:
        loaded: The model that scores.
        trajectories: What to score.
        questions: Their questions by id.
        settings: Of the traces.
        readout: Of the readouts; None for none. Bridge, span and every are as in `settings`.
        done: Ids of traces and readouts to leave out of what is returned.
        memory: Bytes that may be used beside the model's weights; by default most of what is free.

    Raises:
        DataError: a trajectory's question is not among the questions; checked for all before the first is scored.
    """
    plan = plan_probes(loaded, trajectories, questions, settings, readout=readout, memory=memory)
    if refused := plan.list_refused(done):
        yield refused
    for batch in plan.list_left(done):
        yield plan.finish(run_batch(loaded, batch, plan.scorer, memory), frozenset(done))


def plan_probes(
    loaded: LoadedModel,
    trajectories: Sequence[Trajectory],
    questions: Mapping[str, Question],
    settings: TraceSettings | None = None,
    *,
    readout: ReadoutSettings | None = None,
    memory: int | None = None,
) -> ProbePlan:
    """Plan what `stream_probes` does; arguments and errors are its."""
    settings = settings or TraceSettings()
    for trajectory in trajectories:
        if trajectory.question_id not in questions:
            raise DataError(f"Trajectory {trajectory.id} answers question {trajectory.question_id}, which is not here.")
    tasks: list[Task] = []
    errors: dict[str, list[RamlError]] = {}
    keys: dict[str, frozenset[str]] = {}
    for trajectory in trajectories:
        question = questions[trajectory.question_id]
        keys[trajectory.id] = _list_keys(loaded, trajectory, question.answer, split_targets(settings), readout)
        task, errors[trajectory.id] = _plan(loaded, trajectory, question, settings, readout)
        if task is not None:
            tasks.append(task)
    scorer = choose_scorer(loaded)
    task_keys = {t.trajectory.id: _list_keys(loaded, t.trajectory, t.gold, t.targets, t.readout) for t in tasks}
    return ProbePlan(
        scorer,
        find_obstacle(loaded.model),
        list(_plan_batches(loaded, tasks, scorer, memory)),
        keys,
        [Outcome(t, errors=errors[t.id]) for t in trajectories if t.id not in task_keys],
        task_keys,
        errors,
    )


def _plan(
    loaded: LoadedModel,
    trajectory: Trajectory,
    question: Question,
    settings: TraceSettings,
    readout: ReadoutSettings | None,
) -> tuple[Task | None, list[RamlError]]:
    """Plan what can be asked of a trajectory, and say what can't."""
    targets = split_targets(settings)
    plan = partial(plan_task, loaded, trajectory, question.answer, kind=question.kind)
    try:
        return plan(targets, readout), []
    except RamlError as error:
        if len(targets) == 1 and readout is None:
            return None, [error]
    possible, errors = [], []
    for target in targets:
        try:
            plan([target], None)
            possible.append(target)
        except RamlError as error:
            errors.append(error)
    if readout is not None:
        try:
            plan([], readout)
        except RamlError as error:
            errors.append(error)
            readout = None
    if not possible and readout is None:
        return None, errors[:1]
    try:
        return plan(possible, readout), errors
    except RamlError as error:
        return None, [*errors, error]


def _plan_batches(
    loaded: LoadedModel, tasks: Sequence[Task], scorer: Scorer, memory: int | None
) -> Iterator[list[Task]]:
    """Cut the tasks into batches; those that ask for a readout and those that can't have one stay apart."""
    for wants_readout in (True, False):
        group = [task for task in tasks if (task.readout is not None) == wants_readout]
        if scorer == "definition":
            yield from ([task] for task in group)
            continue
        longest = max((task.readout.max_new_tokens for task in group if task.readout is not None), default=0)
        jobs = [task.job for task in group]
        for batch in plan_batches(loaded.model, jobs, memory=memory, max_new_tokens=longest):
            yield [group[i] for i in batch]


def _list_keys(
    loaded: LoadedModel,
    trajectory: Trajectory,
    gold: str,
    targets: Sequence[TraceSettings],
    readout: ReadoutSettings | None,
) -> frozenset[str]:
    """Ids of the records that are made of a trajectory."""
    keys = {key_trace(loaded.identity, trajectory, gold, settings) for settings in targets}
    if readout is not None:
        keys.add(key_readout(loaded, trajectory, gold, readout))
    return frozenset(keys)


def run_batch(loaded: LoadedModel, tasks: Sequence[Task], scorer: Scorer, memory: int | None = None) -> list[Outcome]:
    """Run one batch of a plan. An error that concerns it is noted on each outcome."""
    outcomes = [Outcome(task.trajectory) for task in tasks]
    try:
        scores = run_tasks(loaded, tasks, scorer=scorer, memory=memory)
    except RamlError as error:
        for outcome in outcomes:
            outcome.errors.append(type(error)(f"Trajectory {outcome.trajectory.id}: {error}"))
        return outcomes
    for outcome, task, result in zip(outcomes, tasks, scores, strict=True):
        try:
            outcome.traces = make_traces(loaded, task, result, scorer)
            outcome.readout = make_readout(loaded, task, result, scorer)
            outcome.n_read_by_definition = _count_by_definition(task, result)
            outcome.n_read = outcome.n_read_by_definition
            if scorer == "one-pass":
                outcome.n_read = task.job.n_read + _count_written(result)
        except RamlError as error:
            outcome.errors.append(error)
    return outcomes


def _count_written(scores: Scores) -> int:
    """Tokens of continuations that went through the model; the last of each did not."""
    return sum(len(written.ids) - 1 for written in scores.written or ())


def _count_by_definition(task: Task, scores: Scores) -> int:
    """Tokens that one prompt per prefix and answer takes, and one `generate()` with a cache per prefix."""
    job = task.job
    before = sum(len(job.prompt_ids) + n + len(job.bridge_ids) for n in job.prefix_lens)
    scored = sum(before + len(job.prefix_lens) * len(answer) for answer in job.answers)
    return scored + (before + _count_written(scores) if scores.written is not None else 0)
