"""Which prefixes of a trajectory are looked at, and whether a model can read them."""

from __future__ import annotations

from typing import Literal

from raml.errors import DataError, ModelError
from raml.models import LoadedModel
from raml.prompts import decode_tokens, find_sentence_ends
from raml.records import Trajectory


def find_span_len(trajectory: Trajectory, span: Literal["reasoning", "all"]) -> int:
    """Count the leading tokens that are followed: up to the final answer statement, or through it."""
    return trajectory.reasoning_len if span == "reasoning" else len(trajectory.token_ids)


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
