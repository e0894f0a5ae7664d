"""Sample responses to questions with transformers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from transformers import LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from raml.errors import DataError, ModelError
from raml.models import LoadedModel
from raml.prompts import build_prompt, decode_tokens, find_reasoning_len
from raml.records import PromptSettings, Question, SamplingSettings, Trajectory, hash_key
from raml.sampling.draw import ReproducibleDraw, draw_uniforms
from raml.sampling.grade import grade_response

BATCH_SIZE = 32
MAX_NEW_TOKENS = 2048


@dataclass(frozen=True)
class SampleUnit:
    """One response to make: a unit of work."""

    id: str
    question: Question
    repeat: int
    prompt_ids: tuple[int, ...]


def resolve_sampling(loaded: LoadedModel, settings: SamplingSettings | None) -> SamplingSettings:
    """Fill in what depends on the model: how many tokens a response may have."""
    settings = settings or SamplingSettings()
    if settings.max_new_tokens is not None:
        return settings
    context = loaded.context_len
    return replace(settings, max_new_tokens=MAX_NEW_TOKENS if context is None else min(MAX_NEW_TOKENS, context // 2))


def plan_samples(
    loaded: LoadedModel,
    questions: Sequence[Question],
    n: int,
    *,
    prompt: PromptSettings,
    settings: SamplingSettings,
) -> list[SampleUnit]:
    """List the responses to make, n per question, each with the id its trajectory will have.

    The settings are those of `resolve_sampling`. The id hashes all that decides the response and its grade: settings,
    weights, the prompt's ids (question, instruction, chat template), end marks, gold answer and repeat index.

    Raises:
        DataError: n or a setting is out of range.
        ModelError: a prompt and max_new_tokens do not fit the model's context together.
    """
    _check_settings(n, settings)
    units, stops = [], loaded.stop_ids
    for question in questions:
        ids = build_prompt(loaded.tokenizer, question.prompt, prompt)
        _check_length(loaded, question.id, ids, settings)
        parts = ("sample", loaded.identity.key(), prompt, settings, ids, stops, question.id, question.answer)
        units += [SampleUnit(hash_key(*parts, repeat), question, repeat, ids) for repeat in range(n)]
    return units


def sample_trajectories(
    loaded: LoadedModel,
    questions: Sequence[Question],
    *,
    n: int = 1,
    prompt: PromptSettings | None = None,
    settings: SamplingSettings | None = None,
    batch_size: int = BATCH_SIZE,
) -> list[Trajectory]:
    """Sample n graded responses to each question, in question order.

    Each response has random numbers of its own, fixed by (settings.seed, question id, repeat), so the batch size and
    the other questions do not matter (but see `ReproducibleDraw` on rounding).

    Raises:
        DataError: n or a setting is out of range.
        ModelError: a prompt and max_new_tokens do not fit the model's context together.
    """
    prompt, settings = prompt or PromptSettings(), resolve_sampling(loaded, settings)
    units = plan_samples(loaded, questions, n, prompt=prompt, settings=settings)
    rank = {unit.id: i for i, unit in enumerate(units)}
    batches = stream_trajectories(loaded, units, prompt=prompt, settings=settings, batch_size=batch_size)
    return sorted((trajectory for batch in batches for trajectory in batch), key=lambda t: rank[t.id])


def stream_trajectories(
    loaded: LoadedModel,
    units: Sequence[SampleUnit],
    *,
    prompt: PromptSettings,
    settings: SamplingSettings,
    batch_size: int = BATCH_SIZE,
    done: Collection[str] = (),
    on_step: Callable[[int], None] | None = None,
) -> Iterator[list[Trajectory]]:
    """Make the planned responses batch by batch, as `sample_trajectories` does.

    Batches hold prompts of similar length and are cut from the whole plan, whatever is done already; so a command that
    was killed and is run again computes a missing response in the batch it would have had, to the same bits.

    Args:
        loaded: The model.
        units: From `plan_samples`, with the same prompt and settings.
        prompt: As in the plan.
        settings: As in the plan.
        batch_size: Responses made at the same time.
        done: Ids of units to leave out of what is returned.
        on_step: Called at every token step with the number of responses in the batch.
    """
    if batch_size < 1:
        raise DataError(f"Batch size {batch_size} is no positive number.")
    order = sorted(range(len(units)), key=lambda i: (len(units[i].prompt_ids), i))
    for start in range(0, len(order), batch_size):
        batch = [units[i] for i in order[start : start + batch_size]]
        if all(unit.id in done for unit in batch):
            continue
        made = _sample_batch(loaded, batch, prompt, settings, on_step)
        yield [trajectory for trajectory in made if trajectory.id not in done]


def _sample_batch(
    loaded: LoadedModel,
    units: Sequence[SampleUnit],
    prompt: PromptSettings,
    settings: SamplingSettings,
    on_step: Callable[[int], None] | None,
) -> list[Trajectory]:
    stops = loaded.stop_ids
    assert settings.max_new_tokens is not None, "settings come from resolve_sampling"
    numbers = [draw_uniforms(settings.seed, u.question.id, u.repeat, settings.max_new_tokens) for u in units]
    draw = ReproducibleDraw(settings, np.stack(numbers))
    input_ids, attention_mask = _pad_left([unit.prompt_ids for unit in units], stops[0], loaded.device)
    criteria = StoppingCriteriaList() if on_step is None else StoppingCriteriaList([_StepCallback(on_step)])
    try:
        with torch.inference_mode():
            output = loaded.model.generate(  # type: ignore[operator]
                inputs=input_ids,
                attention_mask=attention_mask,
                logits_processor=LogitsProcessorList([draw]),
                stopping_criteria=criteria,
                do_sample=False,
                max_new_tokens=settings.max_new_tokens,
                eos_token_id=stops,
                pad_token_id=stops[0],
            )
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"Out of memory with {len(units)} responses at a time; try a smaller --batch-size or --max-new-tokens."
        ) from error
    assert isinstance(output, torch.Tensor)
    responses = output[:, input_ids.shape[1] :].tolist()
    logprobs = torch.stack(draw.logprobs, dim=1).cpu().numpy()
    return [
        _make_trajectory(loaded, unit, ids, row, stops, prompt, settings)
        for unit, ids, row in zip(units, responses, logprobs, strict=True)
    ]


def _make_trajectory(
    loaded: LoadedModel,
    unit: SampleUnit,
    ids: list[int],
    logprobs: np.ndarray,
    stops: list[int],
    prompt: PromptSettings,
    settings: SamplingSettings,
) -> Trajectory:
    """Cut a response at its end mark, or where its numbers broke down; decode and grade it."""
    length = next((i for i, token in enumerate(ids) if token in stops), len(ids))
    n_sound = int(np.isfinite(logprobs[: length + 1]).cumprod().sum())
    broken = n_sound < min(length + 1, len(ids))
    length = min(length, n_sound)
    text, ends = decode_tokens(loaded.tokenizer, ids[:length])
    if broken:
        answer, correct, error = None, None, f"The model's probabilities after token {length} are NaN or infinite."
    else:
        answer, correct, error = grade_response(text, unit.question.answer)
    return Trajectory(
        id=unit.id,
        question_id=unit.question.id,
        repeat=unit.repeat,
        model=loaded.identity,
        mode=prompt.mode,
        prompt_ids=unit.prompt_ids,
        token_ids=tuple(ids[:length]),
        reasoning_len=find_reasoning_len(text, ends),
        text=text,
        token_ends=ends,
        logprobs=tuple(float(str(value)) for value in logprobs[:length]),  # the shortest text that float32 reads back
        finish=None if broken else "stop" if length < len(ids) else "length",
        answer=answer,
        correct=correct,
        prompt=prompt,
        sampling=settings,
        error=error,
    )


class _StepCallback(StoppingCriteria):
    """Never stops anything; tells how the batch is getting on."""

    def __init__(self, on_step: Callable[[int], None]) -> None:
        self.on_step = on_step

    def __call__(self, input_ids: torch.Tensor, scores: object, **kwargs: object) -> torch.Tensor:  # type: ignore[override]
        self.on_step(len(input_ids))
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


def _pad_left(rows: Sequence[tuple[int, ...]], pad_id: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Stack rows of ids, short ones filled up on the left; ids and mask [row, token]."""
    width = max(map(len, rows))
    ids = torch.tensor([[pad_id] * (width - len(row)) + list(row) for row in rows], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
    return ids, mask


def _check_settings(n: int, settings: SamplingSettings) -> None:
    ranges = {
        "n": (n, 1, None),
        "temperature": (settings.temperature, 0, None),
        "top_p": (settings.top_p, 0, 1),
        "top_k": (settings.top_k, 0, None),
        "min_p": (settings.min_p, 0, 1),
        "max_new_tokens": (settings.max_new_tokens, 1, None),
    }
    for name, (value, low, high) in ranges.items():
        if value is None or not value >= low or (high is not None and value > high) or value == float("inf"):
            limits = f"at least {low}" if high is None else f"between {low} and {high}"
            raise DataError(f"{name} is {value}; it must be {limits}.")


def _check_length(loaded: LoadedModel, question_id: str, ids: tuple[int, ...], settings: SamplingSettings) -> None:
    context = loaded.context_len
    if context is None or settings.max_new_tokens is None or len(ids) + settings.max_new_tokens <= context:
        return
    raise ModelError(
        f"Question {question_id} has a prompt of {len(ids)} tokens; with --max-new-tokens {settings.max_new_tokens} "
        f"that exceeds the {context} tokens of {loaded.identity.name}. "
        f"Use --max-new-tokens {max(1, context - len(ids))} or less, or another model."
    )
