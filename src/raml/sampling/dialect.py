"""What an OpenAI-compatible server is asked, and what its answer says.

Servers agree on a few fields only. Those beyond them decide the numbers: without its own fields, `transformers serve`
keeps its 50 likeliest tokens and vLLM takes what the model's generation configuration says. So a server is asked in
one of three ways, and each states every setting.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from transformers import PreTrainedTokenizerBase

from raml.errors import DataError
from raml.models import LoadedTokenizer
from raml.prompts import (
    THINK_CLOSE,
    THINK_OPEN,
    continue_prompt,
    decode_text,
    encode_text,
    has_thinking_switch,
    render_prompt,
    write_message,
)
from raml.records import Finish, SamplingSettings
from raml.sampling.plan import SampleUnit, derive_seed

Api = Literal["completions", "chat"]
CHARACTERS_PER_TOKEN = 128
"""An answer with more characters for each token that was asked for is not even split."""
RESPLIT_SHARE, RESPLIT_TOKENS = 1 / 8, 16
"""How much longer a text may be here than was asked for: the tokenizer splits a text in its own way, which need not be
how the model wrote it, and the marks around reasoning that the server took out are put back."""
LOGPROB_ROUNDING = 1e-3
"""A log-probability that is no further above 0 is 0, rounded in low precision; records take none above it."""


@dataclass(frozen=True)
class Dialect:
    """How a server wants to be asked."""

    prompt: Literal["ids", "text", "messages"]
    """As this package's token ids, as text that the server splits, or as messages for its own chat template."""
    fields: Literal["extended", "generation_config", "plain"]
    """With the fields of vLLM, SGLang and llama.cpp; with those of `transformers serve`; with OpenAI's alone."""


DIALECTS: dict[Api, tuple[Dialect, ...]] = {
    "completions": (
        Dialect("ids", "extended"),
        Dialect("text", "extended"),
        Dialect("text", "generation_config"),
        Dialect("ids", "plain"),
        Dialect("text", "plain"),
    ),
    "chat": (
        Dialect("messages", "extended"),
        Dialect("messages", "generation_config"),
        Dialect("messages", "plain"),
    ),
}
"""In the order in which they are tried, the most exact first."""


@dataclass(frozen=True)
class Reply:
    """What a server wrote."""

    text: str
    token_ids: tuple[int, ...] | None
    """As the server split it, end mark included; None where it does not say."""
    logprobs: tuple[float, ...] | None
    """One a token, in nats; None where it does not say."""
    finish: Finish
    n_prompt: int | None
    """Tokens that the server counts in the prompt."""


def needs_more_fields(settings: SamplingSettings) -> bool:
    """Whether the settings can't be said in OpenAI's own fields."""
    return settings.temperature > 0 and (settings.top_k > 0 or settings.min_p > 0)


def write_request(
    dialect: Dialect,
    loaded: LoadedTokenizer,
    unit: SampleUnit,
    settings: SamplingSettings,
    *,
    with_logprobs: bool = False,
) -> dict[str, Any]:
    """Write the fields of a request for one response, without the model's name."""
    fields: dict[str, Any] = {
        "max_tokens": settings.max_new_tokens,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "seed": derive_seed(settings, unit),
    }
    if dialect.prompt == "ids":
        fields["prompt"] = list(unit.prompt_ids)
    elif dialect.prompt == "text":
        rendered = render_prompt(loaded.tokenizer, unit.question, unit.prompt)
        fields["prompt"] = _choose_text(loaded.tokenizer, rendered, unit.prompt_ids)
    else:
        fields["messages"] = [{"role": "user", "content": write_message(unit.question, unit.prompt)}]
        if has_thinking_switch(loaded.tokenizer):
            fields["chat_template_kwargs"] = {"enable_thinking": unit.prompt.mode == "think"}
    if dialect.fields == "extended":
        fields |= _list_extended(settings, loaded.stop_ids)
        if with_logprobs:
            fields["logprobs"] = True if dialect.prompt == "messages" else 1
    elif dialect.fields == "generation_config":
        fields["generation_config"] = json.dumps(_list_generation_config(settings, loaded.stop_ids))
    return fields


def read_reply(content: bytes) -> Reply:
    """Read the body of a server's answer.

    Raises:
        DataError: it is no completion, or ended for another reason than an end mark or the length asked for.
    """
    try:
        body = msgspec.json.decode(content, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"its answer is no completion: {error}") from error
    if not body.choices:
        raise DataError("its answer is empty: it has no choices")
    choice = body.choices[0]
    finish = choice.finish_reason
    if finish != "stop" and finish != "length":
        why = f"for the reason {finish!r:.60}, not with an end mark or at the length asked for"
        raise DataError(f"its answer ended {why}")
    if choice.message is not None:
        text = _join_reasoning(choice.message, finish)
    elif choice.text is not None:
        text = choice.text
    else:
        raise DataError("its answer is empty: it has no text")
    return Reply(
        text=text,
        token_ids=None if choice.token_ids is None else tuple(choice.token_ids),
        logprobs=_list_logprobs(choice.logprobs),
        finish=finish,
        n_prompt=None if body.usage is None else body.usage.prompt_tokens,
    )


def split_reply(
    reply: Reply, loaded: LoadedTokenizer, unit: SampleUnit, settings: SamplingSettings
) -> tuple[tuple[int, ...], tuple[float, ...] | None]:
    """Find the response's token ids, without end mark, and their log-probabilities where the server gave both.

    Raises:
        DataError: it is not what was asked for: it is longer, or its ids are not the tokenizer's.
    """
    stops, ids, asked = loaded.stop_ids, reply.token_ids, settings.max_new_tokens
    assert asked is not None, "settings come from resolve_sampling"
    if ids is not None:
        if not all(0 <= token < len(loaded.tokenizer) for token in ids):
            raise DataError(f"its token ids are not those of {loaded.identity.name}; give the model that it serves")
        length = next((i for i, token in enumerate(ids) if token in stops), len(ids))
        _check_length(length, asked, asked, loaded, unit)
        sound = reply.logprobs is not None and len(reply.logprobs) == len(ids)
        return ids[:length], reply.logprobs[:length] if sound and reply.logprobs is not None else None
    if len(reply.text) > CHARACTERS_PER_TOKEN * asked:
        raise DataError(f"its answer has {len(reply.text):,} characters, where {asked:,} tokens were asked for")
    text = reply.text
    for mark in sorted((decode_text(loaded.tokenizer, [token]) for token in stops), key=len, reverse=True):
        text = text.removesuffix(mark)
    rendered = render_prompt(loaded.tokenizer, unit.question, unit.prompt)
    found = encode_text(loaded.tokenizer, continue_prompt(rendered, text))
    _check_length(len(found), asked, asked + int(asked * RESPLIT_SHARE) + RESPLIT_TOKENS, loaded, unit)
    return found, None


def _check_length(length: int, asked: int, limit: int, loaded: LoadedTokenizer, unit: SampleUnit) -> None:
    """Refuse a response that is longer than the limit, or that the model's context doesn't hold after the prompt.

    Raises:
        DataError: it is.
    """
    room = limit if loaded.context_len is None else loaded.context_len - len(unit.prompt_ids)
    if length > min(limit, room):
        raise DataError(f"its answer has {length:,} tokens, where {asked:,} were asked for")


class _Message(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _TokenLogprob(msgspec.Struct):
    logprob: float | None = None


class _Logprobs(msgspec.Struct):
    token_logprobs: list[float | None] | None = None
    """Of completions."""
    content: list[_TokenLogprob] | None = None
    """Of chat completions."""


class _Choice(msgspec.Struct):
    text: str | None = None
    message: _Message | None = None
    finish_reason: str | None = None
    token_ids: list[int] | None = None
    logprobs: _Logprobs | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None


class _Body(msgspec.Struct):
    choices: list[_Choice]
    usage: _Usage | None = None


def _list_extended(settings: SamplingSettings, stops: Sequence[int]) -> dict[str, Any]:
    """Fields of vLLM, SGLang and llama.cpp; each ignores those that only another one knows."""
    return {
        "top_k": settings.top_k or -1,  # which means all tokens to all three
        "min_p": settings.min_p,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "repetition_penalty": 1.0,
        "repeat_penalty": 1.0,  # llama.cpp's name for it
        "stop_token_ids": list(stops),
        "skip_special_tokens": False,
        "spaces_between_special_tokens": False,
        "return_token_ids": True,
    }


def _list_generation_config(settings: SamplingSettings, stops: Sequence[int]) -> dict[str, Any]:
    """Fields of transformers' GenerationConfig; what is left out there comes from the served model's own."""
    config: dict[str, Any] = {
        "do_sample": settings.temperature > 0,
        "max_new_tokens": settings.max_new_tokens,
        "eos_token_id": list(stops),
        "pad_token_id": stops[0],
        "num_beams": 1,
        "repetition_penalty": 1.0,
        "no_repeat_ngram_size": 0,
    }
    if settings.temperature > 0:
        config |= {"temperature": settings.temperature, "top_p": settings.top_p, "top_k": settings.top_k}
        config |= {"min_p": settings.min_p, "typical_p": 1.0}
    return config


def _choose_text(tokenizer: PreTrainedTokenizerBase, rendered: str, prompt_ids: tuple[int, ...]) -> str:
    """Choose the text that a server turns into the prompt's ids: without beginning mark where it adds one itself."""
    bare = rendered.removeprefix(str(tokenizer.bos_token)) if tokenizer.bos_token else rendered
    return next((text for text in (rendered, bare) if tuple(tokenizer(text)["input_ids"]) == prompt_ids), rendered)


def _join_reasoning(message: _Message, finish: Finish) -> str:
    """Put reasoning that a server took out of the response back where it stood."""
    content = message.content or ""
    reasoning = message.reasoning_content or message.reasoning
    if not reasoning:
        return content
    text = f"{THINK_OPEN}{'' if reasoning.startswith(chr(10)) else chr(10)}{reasoning}"
    if finish == "length" and not content:
        return text  # cut off while it was thinking
    text += f"{'' if reasoning.endswith(chr(10)) else chr(10)}{THINK_CLOSE}"
    return text + (content if content.startswith("\n") else f"\n\n{content}")


def _list_logprobs(logprobs: _Logprobs | None) -> tuple[float, ...] | None:
    """List log-probabilities; None unless every token has one that can be true."""
    if logprobs is None:
        return None
    values = logprobs.token_logprobs
    if values is None and logprobs.content is not None:
        values = [token.logprob for token in logprobs.content]
    known = [value for value in values or () if value is not None and -math.inf < value <= LOGPROB_ROUNDING]
    return tuple(min(value, 0.0) for value in known) if values and len(known) == len(values) else None
