"""L̂ along a trajectory: the loss of an answer after every prefix (arXiv 2505.19815, Algorithm 3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import torch

from raml.errors import DataError, ModelError, NumericsError, RamlError
from raml.models import LoadedModel
from raml.prompts import decode_tokens, encode_answer, encode_text, find_sentence_ends
from raml.records import ModelIdentity, Question, Scorer, Trace, TraceSettings, Trajectory, hash_key
from raml.scoring import answer_nll_by_definition, answer_nll_in_one_pass, find_obstacle


def key_trace(model: ModelIdentity, trajectory: Trajectory, gold: str, settings: TraceSettings) -> str:
    """The id that a trajectory's trace will have: a hash of settings, model, trajectory and the answer to score."""
    return hash_key("trace", model.key(), settings, trajectory.id, _choose_answer(trajectory, gold, settings))


def trace_trajectory(
    loaded: LoadedModel,
    trajectory: Trajectory,
    gold: str,
    settings: TraceSettings | None = None,
    *,
    scorer: Scorer | None = None,
) -> Trace:
    """Score an answer after every prefix of a trajectory, from none of it (0) to the whole span.

    Args:
        loaded: The model that scores, usually the one that wrote the trajectory.
        trajectory: Its ids are used as they are; they are never tokenised again.
        gold: The question's answer; used unless settings.target is "own".
        settings: Bridge, target and span.
        scorer: "one-pass" or "definition"; by default the engine wherever it can serve the model.

    Raises:
        DataError: the target is the trajectory's own answer and it has none, or the bridge is empty.
        ModelError: prompt, trajectory, bridge and answer exceed the model's context, or the ids are not this model's.
        NumericsError: the loss is NaN or infinite somewhere.
    """
    settings = settings or TraceSettings()
    answer = _choose_answer(trajectory, gold, settings)
    if answer is None:
        raise DataError(f"Trajectory {trajectory.id} gave no answer of its own to score.")
    bridge_ids = encode_text(loaded.tokenizer, settings.bridge)
    answer_ids = encode_answer(loaded.tokenizer, settings.bridge, answer)
    span_len = trajectory.reasoning_len if settings.span == "reasoning" else len(trajectory.token_ids)
    check_fit(loaded, trajectory, span_len + len(bridge_ids) + len(answer_ids))
    if scorer is None:
        scorer = "definition" if find_obstacle(loaded.model) else "one-pass"
    score = answer_nll_in_one_pass if scorer == "one-pass" else answer_nll_by_definition
    prefix_lens = torch.tensor(choose_prefix_lens(trajectory, span_len, settings.every))
    parts = (trajectory.prompt_ids, trajectory.token_ids, bridge_ids, answer_ids)
    prompt, tokens, bridge, scored = (torch.tensor(part, dtype=torch.long, device=loaded.device) for part in parts)
    try:
        nll = score(loaded.model, prompt, tokens, bridge, scored, prefix_lens.to(loaded.device))
    except torch.OutOfMemoryError as error:
        raise ModelError(f"Trajectory {trajectory.id}: out of memory at {len(tokens)} tokens.") from error
    if not nll.isfinite().all():
        bad = int(prefix_lens[(~nll.isfinite()).any(dim=1).nonzero()[0, 0]])
        raise NumericsError(f"Trajectory {trajectory.id}: the loss after prefix {bad} is NaN or infinite.")
    return Trace(
        id=key_trace(loaded.identity, trajectory, gold, settings),
        trajectory_id=trajectory.id,
        model=loaded.identity,
        settings=settings,
        scorer=scorer,
        bridge_ids=bridge_ids,
        answer_ids=answer_ids,
        prefix_lens=prefix_lens.int().numpy(),
        nll=nll.float().cpu().numpy(),
    )


def stream_traces(
    loaded: LoadedModel,
    trajectories: Sequence[Trajectory],
    questions: Mapping[str, Question],
    settings: TraceSettings | None = None,
) -> Iterator[tuple[Trajectory, Trace | RamlError]]:
    """Trace trajectories one after the other; an error that concerns one of them is returned in its place.

    Raises:
        DataError: a trajectory's question is not among the questions; checked for all before the first is scored.
    """
    for trajectory in trajectories:
        if trajectory.question_id not in questions:
            raise DataError(f"Trajectory {trajectory.id} answers question {trajectory.question_id}, which is not here.")
    for trajectory in trajectories:
        try:
            yield trajectory, trace_trajectory(loaded, trajectory, questions[trajectory.question_id].answer, settings)
        except RamlError as error:
            yield trajectory, error


def choose_prefix_lens(trajectory: Trajectory, span_len: int, every: int | Literal["sentence"]) -> list[int]:
    """List the prefixes to score, ascending: 0, the span's length, and in between every so many tokens or sentences.

    Raises:
        DataError: `every` is not positive.
    """
    if every == "sentence":
        between = find_sentence_ends(trajectory.text, trajectory.token_ends)
    elif every < 1:
        raise DataError(f"Scoring every {every} tokens makes no sense; every must be at least 1.")
    else:
        between = range(0, span_len, every)
    return sorted({0, span_len, *(length for length in between if length < span_len)})


def _choose_answer(trajectory: Trajectory, gold: str, settings: TraceSettings) -> str | None:
    return gold if settings.target == "gold" else trajectory.answer


def check_fit(loaded: LoadedModel, trajectory: Trajectory, n_after_prompt: int, *, place: str | None = None) -> None:
    """Refuse a trajectory that the model can't read.

    Args:
        loaded: The model.
        trajectory: Its prompt and ids are looked at.
        n_after_prompt: How many tokens follow the prompt, bridge and answer included.
        place: What the message calls the trajectory; by default its id.

    Raises:
        ModelError: it is longer than the model's context, or the model's tokenizer reads its ids as another text.
    """
    name, context = loaded.identity.name, loaded.context_len
    place = place or f"Trajectory {trajectory.id}"
    length = len(trajectory.prompt_ids) + n_after_prompt
    if context is not None and length > context:
        raise ModelError(
            f"{place}: the trajectory needs {length} tokens with its prompt; {name} accepts {context}. "
            "Shorten it or choose another model."
        )
    vocabulary = loaded.model.config.get_text_config().vocab_size
    largest = max((*trajectory.prompt_ids, *trajectory.token_ids), default=0)
    if largest >= vocabulary or not _reads_as(loaded, trajectory):
        raise ModelError(f"{place}: its token ids mean something else to {name}; another tokenizer made them.")


def _reads_as(loaded: LoadedModel, trajectory: Trajectory) -> bool:
    """Whether the model's tokenizer reads the trajectory's ids as its text."""
    whole = loaded.tokenizer.decode(list(trajectory.token_ids), clean_up_tokenization_spaces=False)
    return whole == trajectory.text or decode_tokens(loaded.tokenizer, trajectory.token_ids)[0] == trajectory.text
