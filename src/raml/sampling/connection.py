"""Connect to an OpenAI-compatible server: the model's name there, how it wants to be asked, what its errors mean."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import msgspec

from raml.errors import DataError, MissingExtra, ModelError
from raml.models import LoadedTokenizer
from raml.prompts import has_thinking_switch
from raml.records import PromptSettings, Question, SamplingSettings
from raml.sampling.dialect import DIALECTS, Api, Dialect, Reply, needs_more_fields, read_reply, write_request
from raml.sampling.plan import SampleUnit, plan_samples

if TYPE_CHECKING:
    import openai

KEYS = ("RAML_API_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold the server's key; the first one set is taken."""
CONNECT_TIMEOUT_S = 10.0
CONNECT_TRIES = 3


@dataclass(frozen=True)
class ServerOptions:
    """Where a server is and how it is asked."""

    url: str
    """Such as http://localhost:8000/v1; without user name, password or query."""
    served_name: str | None = None
    """The server's name for the model; None: the only one it lists."""
    api: Api = "completions"
    """"completions" sends this package's prompt; "chat" sends messages, for the server's own chat template."""
    concurrency: int = 16
    """Requests under way at the same time."""
    request_timeout_s: float = 600.0
    """Seconds that one request may take."""
    n_tries: int = 6
    """Tries for each request; the waits between them double from half a second to eight, or are what the server asks
    for."""


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
        return ("server", self.options.api, self.name, self.dialect.prompt)


@dataclass(frozen=True)
class Fault:
    """Why a request brought no response."""

    reason: str
    kind: Literal["refused", "failed", "lost"]
    """This request was refused, others may not be; it failed after all its tries; or no request can succeed."""


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
    _check_options(options)
    if options.api == "chat" and prompt.mode == "nothink" and not has_thinking_switch(loaded.tokenizer):
        raise DataError(
            f"The chat template of {loaded.identity.name} has no switch for --mode nothink, and with --api chat no "
            "words can be put in the model's mouth. Use --api completions."
        )
    openai = _import_openai()
    short = replace(options, n_tries=min(CONNECT_TRIES, options.n_tries))
    with openai.OpenAI(**list_client_options(short)) as client:
        name, owner = _find_model(client, short)
        planned = plan_samples(loaded, questions, 1, prompt=prompt, settings=settings)
        probe = min(planned, key=lambda unit: len(unit.prompt_ids))
        dialect, reply = _find_dialect(client, loaded, probe, settings, short, name)
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


def _find_model(client: openai.OpenAI, options: ServerOptions) -> tuple[str, str | None]:
    """Find the model's name on the server, and which program runs it, where the list of models says so."""
    import openai

    if options.served_name is not None:  # then the list is of interest, but not needed
        client = client.with_options(max_retries=0)
    listed: dict[str, str | None] = {}
    reason = None
    try:
        content = client.models.with_raw_response.list().http_response.content
        listed = {model.id: model.owned_by for model in msgspec.json.decode(content, type=_Models).data}
    except openai.APIStatusError as error:
        reason = explain_error(error, options).reason
    except openai.APIError as error:
        if options.served_name is None:
            raise ModelError(f"{options.url}: {explain_error(error, options).reason}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        reason = "its answer is no list of models"
    if options.served_name is not None:
        return options.served_name, listed.get(options.served_name)
    if len(listed) != 1:
        found = f"lists {len(listed)} models ({', '.join(sorted(listed)[:10])})" if listed else "lists no model"
        found = found if reason is None else f"does not list its models: {reason}"
        raise ModelError(f"{options.url} {found}. Say by --served-name which one to ask.")
    return next(iter(listed.items()))


def _find_dialect(
    client: openai.OpenAI,
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
            raw = choose_method(client, options.api)(**split_fields(fields, name))
            reply = read_reply(raw.http_response.content)
        except openai.APIError as error:
            fault = explain_error(error, options)
            if fault.kind != "refused":
                raise ModelError(f"{options.url}: {fault.reason}.") from error
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


def explain_error(error: openai.APIError, options: ServerOptions) -> Fault:
    """Say what went wrong with a request, without the key, and what that means for the others."""
    import openai

    tries = f"{options.n_tries} tries" if options.n_tries > 1 else "1 try"
    if isinstance(error, openai.APITimeoutError):
        return Fault(f"no answer within {options.request_timeout_s:g} s in {tries} (--request-timeout-s)", "failed")
    if not isinstance(error, openai.APIStatusError):
        return Fault(f"no connection in {tries}: {_shorten(error.__cause__ or error)}", "lost")
    code, reason = error.status_code, _shorten(_find_reason(error))
    if code in (401, 403):
        return Fault(f"it refuses the key ({code}: {reason}); put the right one in {KEYS[0]}", "lost")
    if code in (404, 405):
        return Fault(f"it knows no such page or model ({code}: {reason}); is the URL right, or --api chat?", "lost")
    if code in (408, 409, 429) or code >= 500:
        return Fault(f"it failed in {tries} ({code}: {reason})", "failed")
    return Fault(f"it refuses this request ({code}: {reason})", "refused")


def _find_reason(error: openai.APIStatusError) -> object:
    """The server's own words in an error's body."""
    body: Any = error.body
    if isinstance(body, dict):
        return body.get("message") or body.get("detail") or body
    return body or error.response.text or error.message


def _shorten(reason: object) -> str:
    """Cut what a server or library says to a line, with the key taken out."""
    text, key = " ".join(str(reason).split()), _read_key()
    return (text.replace(key, "[key]") if len(key) > 4 else text)[:200].rstrip(".") or type(reason).__name__


def choose_method(client: openai.OpenAI | openai.AsyncOpenAI, api: Api) -> Callable[..., Any]:
    """The client's method that posts a request and gives the answer as it stands."""
    route = client.chat.completions if api == "chat" else client.completions
    return route.with_raw_response.create


def split_fields(fields: dict[str, Any], name: str) -> dict[str, Any]:
    """Arguments of the client's method: what it insists on by name, the rest as it stands."""
    named = {key: fields[key] for key in ("prompt", "messages") if key in fields}
    return {"model": name, **named, "extra_body": {k: v for k, v in fields.items() if k not in named}}


def list_client_options(options: ServerOptions) -> dict[str, Any]:
    """Arguments of the package's clients, which do the retries: connections, time-outs, 408, 409, 429 and 5xx."""
    import openai

    return {
        "base_url": options.url,
        "api_key": _read_key(),
        "timeout": openai.Timeout(options.request_timeout_s, connect=min(CONNECT_TIMEOUT_S, options.request_timeout_s)),
        "max_retries": options.n_tries - 1,
    }


def _read_key() -> str:
    return next((os.environ[name] for name in KEYS if os.environ.get(name)), "none")


def _check_options(options: ServerOptions) -> None:
    """Refuse options out of range, and a URL that would put a secret into the records."""
    try:
        parts = urlsplit(options.url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        sound, parts = False, urlsplit("")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise DataError(
            "The server's URL holds a user name, password or query, which would end up in the records. Give it "
            f"without, and the key in the environment variable {KEYS[0]}."
        )
    if not sound:
        raise DataError(f"{options.url!r} is no address of a server; write it like http://localhost:8000/v1.")
    for name, value in (("--concurrency", options.concurrency), ("--tries", options.n_tries)):
        if value < 1:
            raise DataError(f"{name} is {value}; it must be at least 1.")
    if not 0 < options.request_timeout_s < float("inf"):
        raise DataError(f"--request-timeout-s is {options.request_timeout_s}; it must be above 0.")


def _import_openai() -> Any:  # noqa: ANN401 - a module
    try:
        import openai
    except ImportError as error:
        raise MissingExtra("Asking a server needs the package openai: pip install 'raml[server]'.") from error
    return openai
