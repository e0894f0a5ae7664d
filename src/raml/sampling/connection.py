"""Connect to an OpenAI-compatible server: the model's name there, and how it wants to be asked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from raml.errors import DataError, ModelError
from raml.models import LoadedTokenizer
from raml.prompts import has_thinking_switch
from raml.records import PromptSettings, Question, SamplingSettings
from raml.sampling.client import (
    ServerOptions,
    check_options,
    check_package,
    choose_method,
    explain_error,
    open_client,
    open_loop,
    shorten_reason,
    split_fields,
)
from raml.sampling.dialect import DIALECTS, Dialect, Reply, needs_more_fields, read_reply, write_request
from raml.sampling.plan import SERVER, SampleUnit, plan_samples

if TYPE_CHECKING:
    import openai

CONNECT_TRIES = 3


@dataclass(frozen=True)
class Server:
    """A server that has been asked how it wants to be asked."""

    options: ServerOptions
    name: str
    """The model's name there."""
    dialect: Dialect
    gives_ids: bool
    """Whether it tells the token ids that it wrote."""
    keeps_logprobs: bool
    """Whether its log-probabilities are those at temperature 1."""
    note: str | None
    """What the user should know about its answers."""

    def key(self) -> tuple[str, ...]:
        """What decides a response besides weights, prompt and settings; a part of each unit's id."""
        return (SERVER, self.options.api, self.name, self.dialect.prompt)


def connect_server(
    loaded: LoadedTokenizer,
    questions: Sequence[Question],
    options: ServerOptions,
    *,
    prompt: PromptSettings,
    settings: SamplingSettings,
) -> Server:
    """Find the model's name on a server and how the server wants to be asked, by letting it write one token.

    Raises:
        DataError: an option is out of range, or the URL holds a password.
        MissingExtra: the package `openai` is not installed.
        ModelError: the server can't be reached, does not know the model, or can't do what the settings say.
    """
    check_options(options)
    if options.api == "chat" and prompt.mode == "nothink" and not has_thinking_switch(loaded.tokenizer):
        raise DataError(
            f"The chat template of {loaded.identity.name} has no switch for --mode nothink, and with --api chat no "
            "words can be put in the model's mouth. Use --api completions."
        )
    check_package()
    short = replace(options, n_tries=min(CONNECT_TRIES, options.n_tries))
    planned = plan_samples(loaded, questions, 1, prompt=prompt, settings=settings)
    probe = min(planned, key=lambda unit: len(unit.prompt_ids))
    with open_loop() as loop:
        found = asyncio.run_coroutine_threadsafe(_ask_first(loaded, probe, settings, short), loop).result()
    name, owner, dialect, reply = found
    note = None
    if reply.n_prompt is not None and reply.n_prompt != len(probe.prompt_ids):
        note = (
            f"Note: the server counts {reply.n_prompt} tokens in a prompt that has {len(probe.prompt_ids)} here. Its "
            "model reads another prompt than the records say: it has another tokenizer or chat template, or adds a "
            "second beginning mark."
        )
    unfiltered = settings.temperature == 1 and settings.top_p == 1 and not needs_more_fields(settings)
    return Server(
        options=options,
        name=name,
        dialect=dialect,
        gives_ids=reply.token_ids is not None,
        keeps_logprobs=reply.token_ids is not None and (owner == "vllm" or unfiltered),
        note=note,
    )


class _Model(msgspec.Struct):
    id: str
    owned_by: str | None = None


class _Models(msgspec.Struct):
    data: list[_Model]


async def _ask_first(
    loaded: LoadedTokenizer, probe: SampleUnit, settings: SamplingSettings, options: ServerOptions
) -> tuple[str, str | None, Dialect, Reply]:
    """Find the model's name, the program that runs it, the way to ask and the first answer."""
    async with open_client(options) as client:
        name, owner = await _find_model(client, options)
        return name, owner, *await _find_dialect(client, loaded, probe, settings, options, name)


async def _find_model(client: openai.AsyncOpenAI, options: ServerOptions) -> tuple[str, str | None]:
    """Find the model's name on the server, and which program runs it, where the list of models says so."""
    import openai

    if options.served_name is not None:  # then the list is of interest, but not needed
        client = client.with_options(max_retries=0)
    listed: dict[str, str | None] = {}
    reason = None
    try:
        content = (await client.models.with_raw_response.list()).http_response.content
        listed = {model.id: model.owned_by for model in msgspec.json.decode(content, type=_Models).data}
    except openai.APIStatusError as error:
        reason = explain_error(error, options).reason
    except openai.APIError as error:
        if options.served_name is None:
            raise ModelError(f"{options.url}: {explain_error(error, options).reason}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        reason = "its answer is no list of models"
    if options.served_name is not None:
        return options.served_name, listed.get(options.served_name)
    if len(listed) != 1:
        names = shorten_reason(", ".join(sorted(listed)[:10]))
        found = f"lists {len(listed)} models ({names})" if listed else "lists no model"
        found = found if reason is None else f"does not list its models: {reason}"
        raise ModelError(f"{options.url} {found}. Say by --served-name which one to ask.")
    return next(iter(listed.items()))


async def _find_dialect(
    client: openai.AsyncOpenAI,
    loaded: LoadedTokenizer,
    probe: SampleUnit,
    settings: SamplingSettings,
    options: ServerOptions,
    name: str,
) -> tuple[Dialect, Reply]:
    """Ask for one token in each way until the server answers."""
    import openai

    reasons: list[str] = []
    for dialect in DIALECTS[options.api]:
        fields = write_request(dialect, loaded, probe, replace(settings, max_new_tokens=1))
        try:
            raw = await choose_method(client, options.api)(**split_fields(fields, name))
            reply = read_reply(raw.http_response.content)
        except openai.APIError as error:
            fault = explain_error(error, options)
            if fault.kind != "refused":
                raise ModelError(f"{options.url}: {fault.reason}.") from None  # it may repeat the key
            reasons.append(fault.reason)
            continue
        except DataError as error:
            raise ModelError(f"{options.url}: {error}. Is it the address of an OpenAI-compatible server?") from error
        if dialect.fields == "plain" and needs_more_fields(settings):
            raise ModelError(
                f"{options.url} takes neither top_k nor min_p ({reasons[0]}). Sample with --top-k 0 --min-p 0, or "
                "another server."
            )
        return dialect, reply
    raise ModelError(f"{options.url} can't be asked for {name!r}: {reasons[-1]}.")
