"""Write a trajectory again from the borders of its sentences, and see which answers come out.

The importance of a sentence by resampling is that of Bogdan, Macar, Nanda and Conmy 2025 ("Thought Anchors",
arXiv 2506.19143): what changes in the final answers when the model writes on from right after the sentence instead of
from right before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from raml.answers import NEEDS_CODE, Grade, grade_response
from raml.errors import DataError
from raml.models import LoadedModel
from raml.probes.task import choose_scorer, make_traces, plan_task, run_tasks
from raml.prompts import decode_text, split_sentences
from raml.records import (
    PromptSettings,
    Question,
    Resampling,
    ResamplingSettings,
    SamplingSettings,
    Trace,
    Trajectory,
    hash_key,
)
from raml.sampling import BATCH_SIZE, SampleUnit, check_settings, resolve_sampling, stream_trajectories


def resample_trajectory(
    loaded: LoadedModel,
    trajectory: Trajectory,
    question: Question,
    settings: ResamplingSettings | None = None,
    *,
    batch_size: int = BATCH_SIZE,
    memory: int | None = None,
    allow_code: bool = False,
) -> Resampling:
    """Let a model write on from each border between the sentences of a trajectory, several times.

    A continuation ends where the trajectory itself would have had to: prefix and continuation together have at most
    the tokens that its sampling allowed. The answer is taken from both together, and checked. Each continuation has
    random numbers of its own, fixed by (seed, trajectory id, number of tokens before it, repeat), so neither the batch
    size nor the other borders matter (but see `raml.sampling.ReproducibleDraw` on rounding).

    Args:
        loaded: The model that writes on, usually the one that wrote the trajectory.
        trajectory: Its ids are used as they are; they are never tokenised again.
        question: What it answers.
        settings: Without, and where they leave max_new_tokens open, continuations are sampled as the trajectory was.
        batch_size: Most continuations that are written at the same time.
        memory: Bytes that L̂ may use beside the model's weights; by default most of what is free.
        allow_code: As in `raml.answers.grade_response`.

    Raises:
        DataError: the reasoning has no sentence, nothing may follow its end, the question asks for a program, or a
            setting is out of range.
        ModelError: the trajectory exceeds the model's context, its ids are not this model's, or memory is short.
        NumericsError: the loss of an answer is NaN or infinite at a border.
    """
    settings = resolve_resampling(loaded, trajectory, settings)
    borders = choose_borders(trajectory, settings.max_borders)
    limit = _find_limit(settings)
    traces = _trace_borders(loaded, trajectory, question, settings, borders, memory)
    if borders[-1] >= limit:
        raise DataError(
            f"Trajectory {trajectory.id} reasons for {borders[-1]} tokens, and a response may have {limit}; nothing "
            "can follow its end. Leave it out, or allow more tokens."
        )
    own = next((trace for trace in traces if trace.settings.target == "own"), None)
    made: dict[int, list[tuple[Grade, int]]] = {border: [] for border in borders}
    for border, grade, n in _write_on(loaded, trajectory, question, settings, borders, batch_size, allow_code):
        made[border].append((grade, n))
    return Resampling(
        id=key_resampling(loaded, trajectory, question, settings, allow_code=allow_code),
        trajectory_id=trajectory.id,
        model=loaded.identity,
        settings=settings,
        prefix_lens=np.array(borders, dtype=np.int32),
        loss=traces[0].mean_nll.astype(np.float32),
        own_loss=np.full(len(borders), np.nan, np.float32) if own is None else own.mean_nll.astype(np.float32),
        answers=tuple(tuple(grade.answer for grade, _ in row) for row in made.values()),
        correct=tuple(tuple(grade.correct for grade, _ in row) for row in made.values()),
        n_written=tuple(tuple(n for _, n in row) for row in made.values()),
    )


def resolve_resampling(
    loaded: LoadedModel, trajectory: Trajectory, settings: ResamplingSettings | None = None
) -> ResamplingSettings:
    """Fill in what depends on the trajectory: how it was sampled, and how many tokens its response may have.

    Where nobody knows that, as of imported text, it is what `raml.sampling.resolve_sampling` says, or the response's
    own length if that is more. Never more than the model's context holds.

    Raises:
        DataError: there are fewer than two borders, or n or a setting of the sampling is out of range.
    """
    settings = settings or ResamplingSettings(sampling=trajectory.sampling or SamplingSettings())
    if settings.max_borders < 2:
        raise DataError(f"max_borders is {settings.max_borders}; it must be at least 2.")
    limit = settings.sampling.max_new_tokens
    if limit is None and trajectory.sampling is not None:
        limit = trajectory.sampling.max_new_tokens
    if limit is None:
        limit = max(resolve_sampling(loaded, SamplingSettings()).max_new_tokens or 0, len(trajectory.token_ids))
    check_settings(settings.n, replace(settings.sampling, max_new_tokens=limit))
    if loaded.context_len is not None:
        limit = min(limit, loaded.context_len - len(trajectory.prompt_ids))
    return replace(settings, sampling=replace(settings.sampling, max_new_tokens=limit))


def key_resampling(
    loaded: LoadedModel,
    trajectory: Trajectory,
    question: Question,
    settings: ResamplingSettings | None,
    *,
    allow_code: bool = False,
) -> str:
    """The id that a resampling will have: a hash of settings, model, end marks, trajectory, own and gold answer.

    Where checking an answer runs what the model wrote, it also says whether that was allowed.
    """
    resolved = resolve_resampling(loaded, trajectory, settings)
    return hash_key(
        "resampling",
        loaded.identity.key(),
        resolved,
        loaded.stop_ids,
        trajectory.id,
        trajectory.answer,
        question.kind,
        question.gold_key(),
        allow_code and question.kind in NEEDS_CODE,
    )


def choose_borders(trajectory: Trajectory, max_borders: int) -> list[int]:
    """List the borders of a trajectory's sentences as numbers of tokens before them, evenly spread over all.

    The first lies before the first sentence, after an opening `<think>`, the last at the end of the reasoning.

    Raises:
        DataError: there is no sentence.
    """
    spans = split_sentences(trajectory)
    if not spans:
        raise DataError(f"Trajectory {trajectory.id} has no sentence of reasoning to be written again.")
    borders = [spans[0][0], *(stop for _, stop in spans)]
    chosen = np.linspace(0, len(borders) - 1, min(max_borders, len(borders))).round().astype(int)
    return [borders[i] for i in chosen]


def _trace_borders(
    loaded: LoadedModel,
    trajectory: Trajectory,
    question: Question,
    settings: ResamplingSettings,
    borders: Sequence[int],
    memory: int | None,
) -> list[Trace]:
    """L̂ of the gold answer and, if it gave one, of the trajectory's own at the borders, in one pass."""
    targets = [replace(settings.trace, target="gold", span="reasoning")]
    if trajectory.answer is not None:
        targets.append(replace(targets[0], target="own"))
    task = plan_task(loaded, trajectory, question.answer, targets, None, kind=question.kind)
    task = replace(task, job=replace(task.job, prefix_lens=tuple(borders)))
    scorer = choose_scorer(loaded)
    return make_traces(loaded, task, run_tasks(loaded, [task], scorer=scorer, memory=memory)[0], scorer)


def _write_on(
    loaded: LoadedModel,
    trajectory: Trajectory,
    question: Question,
    settings: ResamplingSettings,
    borders: Sequence[int],
    batch_size: int,
    allow_code: bool,
) -> Iterator[tuple[int, Grade, int]]:
    """Write and grade the continuations; yields border, grade and number of tokens, a border's repeats in order."""
    limit, n = _find_limit(settings), settings.n
    for group in _group_borders(loaded, trajectory, borders, settings, batch_size):
        places = [(border, repeat) for border in group for repeat in range(n)]
        units = [_plan_unit(trajectory, question, *place) for place in places]
        sampling = replace(settings.sampling, max_new_tokens=limit - group[0])
        batches = stream_trajectories(loaded, units, settings=sampling, batch_size=batch_size)
        made = {response.id: response for batch in batches for response in batch}
        for (border, _), unit in zip(places, units, strict=True):
            response = made[unit.id]
            written = response.token_ids[: limit - border]
            # Its probabilities became NaN; had they done so after its end, no other batch would have seen that.
            if response.finish is None and len(response.token_ids) < limit - border:
                grade = Grade(None, correct=None, verdict="undecided", error=response.error)
            else:
                text = decode_text(loaded.tokenizer, (*trajectory.token_ids[:border], *written))
                grade = grade_response(text, question, allow_code=allow_code)
            yield border, grade, len(written)


def _group_borders(
    loaded: LoadedModel, trajectory: Trajectory, borders: Sequence[int], settings: ResamplingSettings, batch_size: int
) -> list[list[int]]:
    """Join neighbouring borders whose continuations fit one batch and, were all as long as any, the model's context."""
    groups: list[list[int]] = []
    for border in borders:
        first = groups[-1][0] if groups else border
        longest = len(trajectory.prompt_ids) + border + _find_limit(settings) - first
        fits = loaded.context_len is None or longest <= loaded.context_len
        if groups and fits and (len(groups[-1]) + 1) * settings.n <= batch_size:
            groups[-1].append(border)
        else:
            groups.append([border])
    return groups


def _plan_unit(trajectory: Trajectory, question: Question, border: int, repeat: int) -> SampleUnit:
    """One continuation: the prompt goes on up to the border, and the question's name makes the random numbers.

    Nothing is taken out of a continuation by itself: the question asks for a program, which is not run.
    """
    return SampleUnit(
        id=f"{border} {repeat}",
        question=Question(f"{trajectory.id} {border}", "", question.answer, kind="code"),
        repeat=repeat,
        prompt=trajectory.prompt or PromptSettings(mode=trajectory.mode),
        prompt_ids=(*trajectory.prompt_ids, *trajectory.token_ids[:border]),
    )


def _find_limit(settings: ResamplingSettings) -> int:
    """Most tokens of a response, prefix included."""
    assert settings.sampling.max_new_tokens is not None, "settings come from resolve_resampling"
    return settings.sampling.max_new_tokens
