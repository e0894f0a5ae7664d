"""The client of an OpenAI-compatible server: how requests are sent, with which key, and what their errors mean."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from raml.errors import DataError, MissingExtra
from raml.sampling.dialect import Api

if TYPE_CHECKING:
    import openai

KEYS = ("RAML_API_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold the server's key; the first one set is taken."""
CONNECT_TIMEOUT_S = 10.0


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
    """Seconds that one try of a request may take, from its first byte to the last one of the answer."""
    n_tries: int = 6
    """Tries for each request; the waits between them double from half a second to eight, or are what the server asks
    for."""


@dataclass(frozen=True)
class Fault:
    """Why a request brought no response."""

    reason: str
    kind: Literal["refused", "failed", "lost"]
    """This request was refused, others may not be; it failed after all its tries; or no request can succeed."""


def explain_error(error: openai.APIError, options: ServerOptions) -> Fault:
    """Say what went wrong with a request, without the key, and what that means for the others."""
    import openai

    tries = f"{options.n_tries} tries" if options.n_tries > 1 else "1 try"
    if isinstance(error, openai.APITimeoutError):
        return Fault(f"no answer within {options.request_timeout_s:g} s in {tries} (--request-timeout-s)", "failed")
    if not isinstance(error, openai.APIStatusError):
        return Fault(f"no connection in {tries}: {shorten_reason(error.__cause__ or error)}", "lost")
    code, reason = error.status_code, shorten_reason(_find_reason(error))
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


def shorten_reason(reason: object) -> str:
    """Cut what a server or library says to a line, with the key taken out."""
    text, key = str(reason), _read_key()
    text = text.replace(key, "[key]") if len(key) > 4 else text
    return " ".join(text.split())[:200].rstrip(".") or type(reason).__name__


def choose_method(client: openai.AsyncOpenAI, api: Api) -> Callable[..., Any]:
    """The client's method that posts a request and gives the answer as it stands."""
    route = client.chat.completions if api == "chat" else client.completions
    return route.with_raw_response.create


def split_fields(fields: dict[str, Any], name: str) -> dict[str, Any]:
    """Arguments of the client's method: what it insists on by name, the rest as it stands."""
    named = {key: fields[key] for key in ("prompt", "messages") if key in fields}
    return {"model": name, **named, "extra_body": {k: v for k, v in fields.items() if k not in named}}


def open_client(options: ServerOptions) -> openai.AsyncOpenAI:
    """Make the package's client, which does the retries: connections, time-outs, 408, 409, 429 and 5xx."""
    import openai

    limit = options.request_timeout_s
    http: Any = sys.modules[openai.DefaultAsyncHttpxClient.__mro__[1].__module__]  # httpx or, in newer ones, httpx2

    class Client(openai.DefaultAsyncHttpxClient):
        """Limits a try as a whole: the package's own limit starts anew with each byte that comes."""

        async def send(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - the package's own
            try:
                async with asyncio.timeout(limit):
                    return await super().send(*arguments, **named)
            except TimeoutError:
                raise http.ReadTimeout(f"longer than {limit:g} s") from None

    return openai.AsyncOpenAI(
        base_url=options.url,
        api_key=_read_key(),
        timeout=openai.Timeout(limit, connect=min(CONNECT_TIMEOUT_S, limit)),
        max_retries=options.n_tries - 1,
        http_client=Client(),
    )


@contextlib.contextmanager
def open_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Run an event loop in a thread, beside any that the caller has; leaving the block ends its tasks."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="requests", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(_cancel_tasks(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _cancel_tasks() -> None:
    """End all tasks of the loop but this one."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _read_key() -> str:
    """Read the key, without the line break that files and shells leave at its end.

    Raises:
        DataError: a request can't hold it.
    """
    given = {name: os.environ.get(name, "").strip() for name in KEYS}
    name = next((name for name, key in given.items() if key), None)
    if name is None:
        return "none"
    if not (given[name].isascii() and given[name].isprintable()):
        raise DataError(
            f"The key in {name} has a character that no request can hold: a line break, say, or a letter beyond ASCII. "
            "Set it anew."
        )
    return given[name]


def check_options(options: ServerOptions) -> None:
    """Refuse options out of range, a URL that would put a secret into the records, and a key that can't be sent."""
    check_address(options.url)
    for name, value in (("--concurrency", options.concurrency), ("--tries", options.n_tries)):
        if value < 1:
            raise DataError(f"{name} is {value}; it must be at least 1.")
    if not 0 < options.request_timeout_s < float("inf"):
        raise DataError(f"--request-timeout-s is {options.request_timeout_s}; it must be above 0.")
    _read_key()


def check_address(url: str) -> None:
    """Refuse a server's URL that is none, or that would put a secret into the records, which is then not repeated.

    Raises:
        DataError: it is or would.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        host.encode("idna")  # a part between dots has 1 to 63 characters
        sound = parts.scheme in ("http", "https") and bool(host) and (parts.port is None or parts.port > 0)
        sound = sound and url.isascii() and url.isprintable()
    except ValueError:
        sound = False
    if any(mark in url for mark in "@?#"):  # whatever else is wrong with it
        raise DataError(
            "The server's URL holds a user name, password or query, which would end up in the records. Give it "
            f"without, and the key in the environment variable {KEYS[0]}."
        )
    if not sound:
        raise DataError(f"{url!r} is no address of a server; write it like http://localhost:8000/v1.")


def check_package() -> None:
    """Refuse to begin without the package that sends requests."""
    try:
        import openai  # noqa: F401
    except ImportError as error:
        raise MissingExtra("Asking a server needs the package openai: pip install 'raml[server]'.") from error
