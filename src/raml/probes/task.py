"""From a trajectory to what the engine runs, and from what comes out to records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from raml.answers import find_answer_end, grade_answer
from raml.errors import DataError, ModelError, NumericsError
from raml.models import LoadedModel
from raml.probes.spans import check_fit, choose_prefix_lens, find_span_len
from raml.prompts import encode_answer, encode_text
from raml.records import (
    Kind,
    ModelIdentity,
    Question,
    Readout,
    ReadoutSettings,
    Scorer,
    Trace,
    TraceSettings,
    Trajectory,
    hash_key,
)
from raml.scoring import (
    Job,
    Scores,
    Writing,
    answer_nll_by_definition,
    find_obstacle,
    score_in_one_pass,
    write_by_definition,
)


@dataclass(frozen=True)
class Task:
    """What is asked about one trajectory."""

    trajectory: Trajectory
    gold: str
    job: Job
    targets: tuple[TraceSettings, ...]
    """Settings of the traces to make, one for each answer of the job."""
    readout: ReadoutSettings | None
    """Settings of the readout to make, if any."""
    kind: Kind = "math"
    """How the model's own answers are checked."""


def key_trace(model: ModelIdentity, trajectory: Trajectory, gold: str, settings: TraceSettings) -> str:
    """The id that a trajectory's trace will have: a hash of settings, model, trajectory and the answer to score."""
    return hash_key("trace", model.key(), settings, trajectory.id, _choose_answer(trajectory, gold, settings))


def key_readout(loaded: LoadedModel, trajectory: Trajectory, gold: str, settings: ReadoutSettings) -> str:
    """The id that a readout will have: a hash of settings, model, end marks, trajectory and gold answer."""
    return hash_key("readout", loaded.identity.key(), settings, loaded.stop_ids, trajectory.id, gold)


def split_targets(settings: TraceSettings) -> tuple[TraceSettings, ...]:
    """The settings of each trace that is asked for: one, or two where the target is both answers."""
    if settings.target == "both":
        return replace(settings, target="gold"), replace(settings, target="own")
    return (settings,)


def plan_task(
    loaded: LoadedModel,
    trajectory: Trajectory,
    gold: str,
    settings: Sequence[TraceSettings],
    readout: ReadoutSettings | None,
    *,
    kind: Kind = "math",
) -> Task:
    """Turn questions about a trajectory into token ids.

    Args:
        loaded: The model that reads.
        trajectory: Its ids are used as they are; they are never tokenised again.
        gold: The question's answer.
        settings: Of the traces to make; they differ in nothing but the target.
        readout: Of the readout to make; bridge, span and every agree with the traces'.
        kind: How the question's answers are checked.

    Raises:
        DataError: the trajectory's own answer is to be scored and it has none, a bridge or answer is empty, or the
            answer is a program.
        ModelError: prompt, trajectory, bridge and answer exceed the model's context, or the ids are not this model's.
    """
    if kind == "code":
        raise DataError(f"Question {trajectory.question_id} asks for a program; there is no answer text to score.")
    common = settings[0] if settings else readout
    assert common is not None, "nothing is asked"
    place = (common.bridge, common.span, common.every)
    if readout is not None and (readout.bridge, readout.span, readout.every) != place:
        raise DataError("Traces and readouts from one pass need the same bridge, span and prefixes.")
    bridge_ids = encode_text(loaded.tokenizer, common.bridge)
    if not bridge_ids:
        raise DataError("The bridge has no tokens; scoring needs at least one.")
    answers = []
    for asked in settings:
        answer = _choose_answer(trajectory, gold, asked)
        if answer is None:
            raise DataError(f"Trajectory {trajectory.id} gave no answer of its own to score.")
        answers.append(encode_answer(loaded.tokenizer, common.bridge, answer))
    span_len = find_span_len(trajectory, common.span)
    longest = max([len(answer) for answer in answers] + ([readout.max_new_tokens] if readout else []))
    check_fit(loaded, trajectory, span_len + len(bridge_ids) + longest)
    prefix_lens = tuple(choose_prefix_lens(trajectory, span_len, common.every))
    job = Job(trajectory.prompt_ids, trajectory.token_ids, bridge_ids, tuple(answers), prefix_lens)
    return Task(trajectory, gold, job, tuple(settings), readout, kind)


def run_tasks(
    loaded: LoadedModel,
    tasks: Sequence[Task],
    *,
    scorer: Scorer | None = None,
    memory: int | None = None,
) -> list[Scores]:
    """Compute what some tasks ask for, in one pass where the engine can serve the model.

    The tasks agree in their readout settings. For `memory` see `raml.scoring.score_in_one_pass`.

    Raises:
        ModelError: the memory does not suffice.
    """
    writing = make_writing(loaded, tasks[0].readout) if tasks[0].readout else None
    jobs = [task.job for task in tasks]
    return run_jobs(loaded, jobs, scorer=scorer or choose_scorer(loaded), writing=writing, memory=memory)


def run_jobs(
    loaded: LoadedModel,
    jobs: Sequence[Job],
    *,
    scorer: Scorer,
    writing: Writing | None = None,
    memory: int | None = None,
) -> list[Scores]:
    """Run jobs in one pass, or each by the definition.

    For `writing` and `memory` see `raml.scoring.score_in_one_pass`.

    Raises:
        ModelError: the memory does not suffice.
    """
    if scorer == "definition":
        return [_run_by_definition(loaded, job, writing) for job in jobs]
    try:
        return score_in_one_pass(loaded.model, jobs, writing=writing, memory=memory)
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        n_stored = sum(job.n_stored for job in jobs)
        raise ModelError(f"Out of memory at {n_stored} tokens; try a smaller --memory.") from error


def choose_scorer(loaded: LoadedModel) -> Scorer:
    """The engine wherever it can serve the model."""
    return "definition" if find_obstacle(loaded.model) else "one-pass"


def make_traces(loaded: LoadedModel, task: Task, scores: Scores, scorer: Scorer) -> list[Trace]:
    """Write what was computed for a task as traces, one for each of its targets.

    Raises:
        NumericsError: the loss is NaN or infinite somewhere.
    """
    traces = []
    for settings, answer_ids, nll in zip(task.targets, task.job.answers, scores.nll, strict=True):
        values = nll.float().cpu()
        _check_finite(task, values)
        traces.append(
            Trace(
                id=key_trace(loaded.identity, task.trajectory, task.gold, settings),
                trajectory_id=task.trajectory.id,
                model=loaded.identity,
                settings=settings,
                scorer=scorer,
                bridge_ids=task.job.bridge_ids,
                answer_ids=answer_ids,
                prefix_lens=torch.tensor(task.job.prefix_lens, dtype=torch.int32).numpy(),
                nll=values.numpy(),
            )
        )
    return traces


def make_readout(loaded: LoadedModel, task: Task, scores: Scores, scorer: Scorer) -> Readout | None:
    """Write the model's own answers as a readout, graded; None if the task asked for none.

    Raises:
        NumericsError: a log-probability is NaN or infinite somewhere.
    """
    if task.readout is None or scores.written is None:
        return None
    mean_logprob = torch.tensor([sum(w.logprobs) / len(w.logprobs) for w in scores.written])
    _check_finite(task, mean_logprob[:, None])
    answers = tuple(
        read_answer(loaded, task.readout, written.ids) if written.stopped else None for written in scores.written
    )
    question = Question(task.trajectory.question_id, "", task.gold, kind=task.kind)
    grades = {answer: grade_answer(answer, question).correct for answer in dict.fromkeys(answers)}
    return Readout(
        id=key_readout(loaded, task.trajectory, task.gold, task.readout),
        trajectory_id=task.trajectory.id,
        model=loaded.identity,
        settings=task.readout,
        scorer=scorer,
        bridge_ids=task.job.bridge_ids,
        prefix_lens=torch.tensor(task.job.prefix_lens, dtype=torch.int32).numpy(),
        token_ids=tuple(tuple(written.ids) for written in scores.written),
        answers=answers,
        correct=tuple(grades[answer] for answer in answers),
        mean_logprob=mean_logprob.numpy(),
        margin=torch.tensor([min(written.leads) for written in scores.written]).numpy(),
    )


def make_writing(loaded: LoadedModel, settings: ReadoutSettings) -> Writing:
    """Say when an answer of the model's own ends: with its stop text, its brace or line, or an end mark.

    Raises:
        DataError: the longest answer has no tokens, or a stop text is empty.
    """
    if settings.max_new_tokens < 1:
        raise DataError(f"An answer of {settings.max_new_tokens} tokens can't be read; max_new_tokens is at least 1.")
    if "" in settings.stop:
        raise DataError("An empty stop text would end every answer before it begins.")
    marks = frozenset(loaded.stop_ids)

    def is_done(ids: Sequence[int]) -> bool:
        return ids[-1] in marks or find_answer_end(_decode(loaded, ids), settings.bridge, settings.stop) is not None

    return Writing(is_done, settings.max_new_tokens)


def read_answer(loaded: LoadedModel, settings: ReadoutSettings, ids: Sequence[int]) -> str | None:
    """The answer in a continuation that came to an end; None if it is empty."""
    marks = loaded.stop_ids
    text = _decode(loaded, ids[:-1] if ids[-1] in marks else ids)
    return text[: find_answer_end(text, settings.bridge, settings.stop)].strip() or None


def _decode(loaded: LoadedModel, ids: Sequence[int]) -> str:
    text = loaded.tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
    assert isinstance(text, str)
    return text


def _run_by_definition(loaded: LoadedModel, job: Job, writing: Writing | None) -> Scores:
    def send(ids: Sequence[int]) -> Tensor:
        return torch.tensor(ids, dtype=torch.long, device=loaded.device)

    prompt, trajectory, bridge = (send(ids) for ids in (job.prompt_ids, job.trajectory_ids, job.bridge_ids))
    lens = send(job.prefix_lens)
    nll = tuple(
        answer_nll_by_definition(loaded.model, prompt, trajectory, bridge, send(answer), lens) for answer in job.answers
    )
    written = None
    if writing is not None:
        ids = (job.prompt_ids, job.trajectory_ids, job.bridge_ids, job.prefix_lens)
        written = tuple(write_by_definition(loaded.model, *ids, writing))
    return Scores(nll, written)


def _check_finite(task: Task, values: Tensor) -> None:
    """Refuse a loss [prefix, …] that is NaN or infinite.

    Raises:
        NumericsError: it is; the message has the first prefix where.
    """
    bad = (~values.isfinite()).any(dim=1)
    if bad.any():
        prefix = task.job.prefix_lens[int(bad.nonzero()[0, 0])]
        raise NumericsError(f"Trajectory {task.trajectory.id}: the loss after prefix {prefix} is NaN or infinite.")


def _choose_answer(trajectory: Trajectory, gold: str, settings: TraceSettings) -> str | None:
    return gold if settings.target == "gold" else trajectory.answer
