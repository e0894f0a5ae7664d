"""Sample responses to questions with transformers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
import torch
from transformers import LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from raml.errors import DataError, ModelError
from raml.models import LoadedModel
from raml.records import PromptSettings, Question, SamplingSettings, Trajectory
from raml.sampling.draw import ReproducibleDraw, draw_uniforms
from raml.sampling.plan import SampleUnit, make_trajectory, plan_samples, resolve_sampling

BATCH_SIZE = 32


def sample_trajectories(
    loaded: LoadedModel,
    questions: Sequence[Question],
    *,
    n: int = 1,
    prompt: PromptSettings | None = None,
    settings: SamplingSettings | None = None,
    batch_size: int = BATCH_SIZE,
    allow_code: bool = False,
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
    batches = stream_trajectories(loaded, units, settings=settings, batch_size=batch_size, allow_code=allow_code)
    return sorted((trajectory for batch in batches for trajectory in batch), key=lambda t: rank[t.id])


def stream_trajectories(
    loaded: LoadedModel,
    units: Sequence[SampleUnit],
    *,
    settings: SamplingSettings,
    batch_size: int = BATCH_SIZE,
    done: Collection[str] = (),
    allow_code: bool = False,
    on_step: Callable[[int], None] | None = None,
) -> Iterator[list[Trajectory]]:
    """Make the planned responses batch by batch, as `sample_trajectories` does.

    Batches hold prompts of similar length and are cut from the whole plan, whatever is done already; so a command that
    was killed and is run again computes a missing response in the batch it would have had, to the same bits.

    Args:
        loaded: The model.
        units: From `plan_samples`, with the same settings.
        settings: As in the plan.
        batch_size: Responses made at the same time.
        done: Ids of units to leave out of what is returned.
        allow_code: As in `raml.answers.grade_response`.
        on_step: Called at every token step with the number of responses in the batch.
    """
    for batch in cut_batches(units, batch_size, done):
        made = sample_batch(loaded, batch, settings=settings, allow_code=allow_code, on_step=on_step)
        yield [trajectory for trajectory in made if trajectory.id not in done]


def cut_batches(
    units: Sequence[SampleUnit], batch_size: int = BATCH_SIZE, done: Collection[str] = ()
) -> list[list[SampleUnit]]:
    """Cut the whole plan into batches of prompts of similar length; those of which all is done are left out."""
    if batch_size < 1:
        raise DataError(f"Batch size {batch_size} is no positive number.")
    order = sorted(range(len(units)), key=lambda i: (len(units[i].prompt_ids), i))
    batches = [[units[i] for i in order[start : start + batch_size]] for start in range(0, len(order), batch_size)]
    return [batch for batch in batches if not all(unit.id in done for unit in batch)]


def sample_batch(
    loaded: LoadedModel,
    units: Sequence[SampleUnit],
    *,
    settings: SamplingSettings,
    allow_code: bool = False,
    on_step: Callable[[int], None] | None = None,
) -> list[Trajectory]:
    """Make the responses of one batch; arguments and errors are those of `stream_trajectories`."""
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
        _make_trajectory(loaded, unit, ids, row, stops, settings, allow_code)
        for unit, ids, row in zip(units, responses, logprobs, strict=True)
    ]


def _make_trajectory(
    loaded: LoadedModel,
    unit: SampleUnit,
    ids: list[int],
    logprobs: np.ndarray,
    stops: list[int],
    settings: SamplingSettings,
    allow_code: bool,
) -> Trajectory:
    """Cut a response at its end mark, or where its numbers broke down."""
    length = next((i for i, token in enumerate(ids) if token in stops), len(ids))
    n_sound = int(np.isfinite(logprobs[: length + 1]).cumprod().sum())
    broken = n_sound < min(length + 1, len(ids))
    length = min(length, n_sound)
    return make_trajectory(
        loaded,
        unit,
        ids[:length],
        settings=settings,
        engine="transformers",
        finish=None if broken else "stop" if length < len(ids) else "length",
        logprobs=tuple(float(str(value)) for value in logprobs[:length]),  # the shortest text that float32 reads back
        allow_code=allow_code,
        fault=f"The model's probabilities after token {length} are NaN or infinite." if broken else None,
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
