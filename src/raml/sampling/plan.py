"""Which responses are to be made, the id and seed of each, and how a response becomes a record, whatever draws it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from raml.answers import Grade, grade_response
from raml.errors import DataError, ModelError
from raml.models import LoadedModel, LoadedTokenizer
from raml.prompts import build_prompt, decode_tokens, find_reasoning_len, resolve_prompt
from raml.records import (
    Engine,
    Finish,
    ModelIdentity,
    PromptSettings,
    Question,
    SamplingSettings,
    Trajectory,
    hash_key,
)

MAX_NEW_TOKENS = 2048
MOST_REPEATS = 100_000
"""Responses to one question; each has an entry in memory before the first is made."""
SERVER: Engine = "server"


@dataclass(frozen=True)
class SampleUnit:
    """One response to make: a unit of work."""

    id: str
    question: Question
    repeat: int
    prompt: PromptSettings
    """With the question's instruction filled in."""
    prompt_ids: tuple[int, ...]


def resolve_sampling(loaded: LoadedModel | LoadedTokenizer, settings: SamplingSettings | None) -> SamplingSettings:
    """Fill in what depends on the model: how many tokens a response may have."""
    settings = settings or SamplingSettings()
    if settings.max_new_tokens is not None:
        return settings
    context = loaded.context_len
    return replace(settings, max_new_tokens=MAX_NEW_TOKENS if context is None else min(MAX_NEW_TOKENS, context // 2))


def plan_samples(
    loaded: LoadedModel | LoadedTokenizer,
    questions: Sequence[Question],
    n: int,
    *,
    prompt: PromptSettings,
    settings: SamplingSettings,
    engine: tuple[str, ...] = (),
) -> list[SampleUnit]:
    """List the responses to make, n per question, each with the id its trajectory will have.

    The settings are those of `resolve_sampling`. The id hashes all that decides the response and its grade: settings,
    weights, the prompt's ids (question, instruction, chat template), end marks, gold answer and repeat index; and what
    `engine` says about who draws the tokens, which is nothing for this package's own engine. Of a server's model,
    nobody here can see the weights: its name, revision and configuration stand for them.

    Raises:
        DataError: n or a setting is out of range.
        ModelError: a prompt and max_new_tokens do not fit the model's context together.
    """
    check_settings(n, settings)
    units, stops = [], loaded.stop_ids
    for question in questions:
        own = resolve_prompt(question, prompt)
        ids = build_prompt(loaded.tokenizer, question, own)
        _check_length(loaded, question.id, ids, settings)
        model = (*engine, _key_model(loaded.identity, engine))
        parts = ("sample", *model, own, settings, ids, stops, question.id, question.gold_key())
        units += [SampleUnit(hash_key(*parts, repeat), question, repeat, own, ids) for repeat in range(n)]
    return units


def _key_model(identity: ModelIdentity, engine: tuple[str, ...]) -> str:
    """Hash whose response it is. A server's must stay the same when the weights come to this machine, to be traced."""
    if engine[:1] == (SERVER,):
        return hash_key(identity.name, identity.revision, identity.config_sha256, identity.dtype)
    return identity.key()


def derive_seed(settings: SamplingSettings, unit: SampleUnit) -> int:
    """Derive a response's own seed, of 31 bits, for engines that draw their random numbers themselves."""
    digest = hashlib.sha256(f"{settings.seed}\0{unit.question.id}\0{unit.repeat}".encode()).digest()
    return int.from_bytes(digest[:4], "little") >> 1


def make_trajectory(
    loaded: LoadedModel | LoadedTokenizer,
    unit: SampleUnit,
    token_ids: Sequence[int],
    *,
    settings: SamplingSettings,
    engine: Engine,
    finish: Finish | None,
    logprobs: tuple[float, ...] | None,
    allow_code: bool = False,
    fault: str | None = None,
) -> Trajectory:
    """Decode and grade a response.

    Args:
        loaded: Whose tokenizer decodes, and who the record says wrote it.
        unit: What was asked.
        token_ids: The response, without end mark.
        settings: As in the plan.
        engine: What drew the tokens.
        finish: How it ended.
        logprobs: In nats, one a token, at temperature 1.
        allow_code: As in `raml.answers.grade_response`.
        fault: Why the response is broken off; it is then not graded.
    """
    text, ends = decode_tokens(loaded.tokenizer, token_ids)
    if fault is not None:
        grade = Grade(None, correct=None, verdict="undecided", error=fault)
    else:
        grade = grade_response(text, unit.question, allow_code=allow_code)
    return Trajectory(
        id=unit.id,
        question_id=unit.question.id,
        repeat=unit.repeat,
        model=loaded.identity,
        mode=unit.prompt.mode,
        prompt_ids=unit.prompt_ids,
        token_ids=tuple(token_ids),
        reasoning_len=find_reasoning_len(text, ends),
        text=text,
        token_ends=ends,
        logprobs=logprobs,
        finish=finish,
        answer=grade.answer,
        correct=grade.correct,
        verdict=grade.verdict,
        prompt=unit.prompt,
        sampling=settings,
        engine=engine,
        error=grade.error,
    )


def check_settings(n: int, settings: SamplingSettings) -> None:
    """Refuse what no sampler can follow.

    Raises:
        DataError: n or a setting is out of range, or max_new_tokens is still open (`resolve_sampling` fills it in).
    """
    ranges = {
        "n": (n, 1, MOST_REPEATS),
        "temperature": (settings.temperature, 0, None),
        "top_p": (settings.top_p, 0, 1),
        "top_k": (settings.top_k, 0, None),
        "min_p": (settings.min_p, 0, 1),
        "max_new_tokens": (settings.max_new_tokens, 1, None),
    }
    for name, (value, low, high) in ranges.items():
        if value is None or not value >= low or (high is not None and value > high) or value == float("inf"):
            limits = f"at least {low}" if high is None else f"between {low} and {high:,}"
            raise DataError(f"{name} is {value}; it must be {limits}.")


def _check_length(
    loaded: LoadedModel | LoadedTokenizer, question_id: str, ids: tuple[int, ...], settings: SamplingSettings
) -> None:
    context = loaded.context_len
    if context is None or settings.max_new_tokens is None or len(ids) + settings.max_new_tokens <= context:
        return
    raise ModelError(
        f"Question {question_id} has a prompt of {len(ids)} tokens; with --max-new-tokens {settings.max_new_tokens} "
        f"that exceeds the {context} tokens of {loaded.identity.name}. "
        f"Use --max-new-tokens {max(1, context - len(ids))} or less, or another model."
    )
