"""A model's answer after something that stands where its reasoning stood, and the record of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raml.answers import Grade, grade_answer
from raml.errors import DataError, ModelError, RamlError
from raml.models import LoadedModel
from raml.probes.task import choose_scorer, make_writing, read_answer, run_jobs
from raml.prompts import encode_answer, encode_text
from raml.records import Attempt, Method, Question, ReadoutSettings, Trajectory, hash_key
from raml.scoring import Job, Scores, Writing, Written, plan_batches

BROKEN_DOWN = "The model's probabilities after the bridge are NaN or infinite."
Pair = tuple[Trajectory, Question]
Failure = tuple[str, RamlError]
"""A trajectory's id, and why there is nothing of it."""


@dataclass(frozen=True)
class Context:
    """What a model has before it when it is asked for its answer."""

    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    """What stands between prompt and bridge; it may be empty."""
    question: Question
    """Decides how the answer is checked."""
    target: str | None = None
    """An answer to be scored there as well."""


@dataclass(frozen=True)
class Answered:
    """What a model answered in a context."""

    grade: Grade
    """Undecided, with the reason, where the model's probabilities are NaN or infinite."""
    n_written: int
    """Tokens of the answer, the one that ended it included."""
    confidence: float
    """Geometric mean of the probabilities of these tokens."""
    loss: float | None
    """L̂ of the target in nats; None where none was asked for."""


def answer_contexts(
    loaded: LoadedModel,
    contexts: Sequence[Context],
    settings: ReadoutSettings | None = None,
    *,
    memory: int | None = None,
    allow_code: bool = False,
) -> list[Answered]:
    """Let the model answer after each context ⊕ bridge, greedily; small contexts run together.

    Args:
        loaded: The model that answers.
        contexts: Their ids are used as they are; equal prompts among them are read once.
        settings: Bridge, longest answer and what ends it; span and every mean nothing here.
        memory: Bytes that may be used beside the model's weights; by default most of what is free.
        allow_code: As in `raml.answers.grade_response`.

    Raises:
        DataError: a question asks for a program, bridge, prompt or target is empty, or no answer may be written.
        ModelError: a context with bridge and longest answer exceeds the model's context window, or the memory does not
            suffice.
    """
    settings = settings or ReadoutSettings()
    writing = make_writing(loaded, settings)
    jobs = [plan_job(loaded, context, settings, writing.max_new_tokens) for context in contexts]
    answered = []
    for context, scores in zip(contexts, run_in_batches(loaded, jobs, writing=writing, memory=memory), strict=True):
        assert scores.written is not None
        loss = _mean_losses(scores)[0] if context.target is not None else None
        answered.append(check_written(loaded, scores.written[0], context.question, settings, loss, allow_code))
    return answered


def score_contexts(
    loaded: LoadedModel,
    contexts: Sequence[Context],
    settings: ReadoutSettings | None = None,
    *,
    memory: int | None = None,
) -> list[float]:
    """L̂ of each context's target after context ⊕ bridge, in nats; NaN or infinite where the model's numbers are.

    Raises:
        DataError: a context has no target; otherwise as `answer_contexts`.
        ModelError: as `answer_contexts`.
    """
    if any(context.target is None for context in contexts):
        raise DataError("A context without a target has no loss; name the answer to score.")
    jobs = [plan_job(loaded, context, settings or ReadoutSettings()) for context in contexts]
    return [_mean_losses(scores)[0] for scores in run_in_batches(loaded, jobs, memory=memory)]


def plan_job(loaded: LoadedModel, context: Context, settings: ReadoutSettings, max_new_tokens: int = 0) -> Job:
    """Turn a context into token ids for the engine, with one prefix: all of it.

    Raises:
        DataError: the question asks for a program, or bridge, prompt or target is empty.
        ModelError: context, bridge and the target, or `max_new_tokens` of an answer, exceed the context window.
    """
    question, window = context.question, loaded.context_len
    if question.kind == "code":
        raise DataError(f"Question {question.id} asks for a program; no bridge leads to one.")
    bridge_ids = encode_text(loaded.tokenizer, settings.bridge)
    target = context.target
    answers = () if target is None else (encode_answer(loaded.tokenizer, settings.bridge, target),)
    longest = max([max_new_tokens, *map(len, answers)])
    length = len(context.prompt_ids) + len(context.token_ids) + len(bridge_ids) + longest
    if window is not None and length > window:
        raise ModelError(
            f"Question {question.id}: prompt, what follows it, bridge and answer take {length} tokens; "
            f"{loaded.identity.name} accepts {window}. Shorten them or choose another model."
        )
    return Job(context.prompt_ids, context.token_ids, bridge_ids, answers, (len(context.token_ids),))


def run_in_batches(
    loaded: LoadedModel, jobs: Sequence[Job], *, writing: Writing | None = None, memory: int | None = None
) -> list[Scores]:
    """Run jobs by the engine, small ones together, or one by one by the definition; results in the jobs' order.

    Raises:
        ModelError: the memory does not suffice.
    """
    scorer = choose_scorer(loaded)
    longest = 0 if writing is None else writing.max_new_tokens
    batches = [[i] for i in range(len(jobs))]
    if scorer == "one-pass":
        batches = plan_batches(loaded.model, jobs, memory=memory, max_new_tokens=longest)
    results: dict[int, Scores] = {}
    for batch in batches:
        scores = run_jobs(loaded, [jobs[i] for i in batch], scorer=scorer, writing=writing, memory=memory)
        results.update(zip(batch, scores, strict=True))
    return [results[i] for i in range(len(jobs))]


def check_written(
    loaded: LoadedModel,
    written: Written,
    question: Question,
    settings: ReadoutSettings,
    loss: float | None = None,
    allow_code: bool = False,
) -> Answered:
    """Take the answer out of a greedy continuation and check it; one that was cut off gave none."""
    mean_logprob = sum(written.logprobs) / len(written.logprobs)
    if math.isfinite(mean_logprob):
        answer = read_answer(loaded, settings, written.ids) if written.stopped else None
        grade = grade_answer(answer, question, allow_code=allow_code)
    else:
        grade = Grade(None, correct=None, verdict="undecided", error=BROKEN_DOWN)
    return Answered(grade, len(written.ids), math.exp(mean_logprob), loss)


def key_attempt(
    method: Method,
    settings: object,
    loaded: LoadedModel,
    trajectory: Trajectory,
    gold: str,
    *,
    level: float,
    draw: int = 0,
) -> str:
    """The id that an attempt will have: a hash of what decides it.

    Args:
        method: The attempt's.
        settings: Whatever is JSON-able and decides the answer besides the level; not the levels beside it.
        loaded: The model that answers; its end marks count, its name and device don't.
        trajectory: What is shortened.
        gold: The question's `gold_key()`.
        level: The attempt's.
        draw: The attempt's.
    """
    model = (loaded.identity.key(), loaded.stop_ids)
    return hash_key("attempt", method, settings, *model, trajectory.id, gold, float(level), draw)


def describe_readout(settings: ReadoutSettings) -> tuple[object, ...]:
    """What decides an answer among a readout's settings, as a part of a unit's key."""
    return settings.bridge, settings.max_new_tokens, settings.stop


def make_attempt(
    loaded: LoadedModel,
    pair: Pair,
    grade: Grade,
    *,
    key: str,
    method: Method,
    level: float,
    n_thinking: int,
    n_generated: int,
    variant: str = "",
    draw: int = 0,
    kept: Sequence[tuple[int, int]] = (),
    text: str | None = None,
    loss: float | None = None,
    leaked: bool = False,
) -> Attempt:
    """Write an answer as a record; for the fields see `raml.records.Attempt`."""
    trajectory, question = pair
    return Attempt(
        id=key,
        trajectory_id=trajectory.id,
        question_id=question.id,
        model=loaded.identity,
        method=method,
        variant=variant,
        level=float(level),
        draw=draw,
        n_thinking=n_thinking,
        n_generated=n_generated,
        answer=grade.answer,
        correct=grade.correct,
        verdict=grade.verdict,
        kept=tuple(kept),
        text=text,
        loss=loss,
        leaked=leaked,
        error=grade.error if grade.correct is None else None,
        gold=question.gold_key(),
    )


def grade_own(trajectory: Trajectory) -> Grade:
    """What the trajectory's own answer is worth, as its record says."""
    return Grade(trajectory.answer, trajectory.correct, trajectory.find_verdict(), trajectory.error)


def run_apart(
    run: Callable[[Sequence[Pair]], list[Attempt]], pairs: Sequence[Pair]
) -> tuple[list[Attempt], list[Failure]]:
    """Run trajectories together and, where that fails, one at a time: a bad one never stops the others."""
    try:
        return run(pairs), []
    except RamlError as error:
        if len(pairs) == 1:
            return [], [(pairs[0][0].id, error)]
    attempts: list[Attempt] = []
    failures: list[Failure] = []
    for pair in pairs:
        made, failed = run_apart(run, [pair])
        attempts += made
        failures += failed
    return attempts, failures


def _mean_losses(scores: Scores) -> list[float]:
    """Mean over the scored answer's tokens, in nats [prefix]."""
    return scores.nll[0].double().mean(dim=1).tolist()
