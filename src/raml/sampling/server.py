"""Sample responses from an OpenAI-compatible server: vLLM, SGLang, llama.cpp, `transformers serve` and others.

The prompt is this package's own wherever the server allows it, the random numbers are the server's. Each response is
handed on as soon as it is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
from collections.abc import Callable, Collection, Iterator, Sequence

from raml.errors import DataError, ModelError
from raml.models import LoadedTokenizer
from raml.records import SamplingSettings, Trajectory
from raml.sampling.client import Fault, choose_method, explain_error, open_client, open_loop, split_fields
from raml.sampling.connection import Server
from raml.sampling.dialect import Reply, read_reply, split_reply, write_request
from raml.sampling.plan import SERVER, SampleUnit, make_trajectory

FAILURES_IN_A_ROW = 3
"""After so many responses that failed for good without one that came, the server is given up."""
Outcome = tuple[SampleUnit, Reply | Fault]


def stream_from_server(
    server: Server,
    loaded: LoadedTokenizer,
    units: Sequence[SampleUnit],
    *,
    settings: SamplingSettings,
    done: Collection[str] = (),
    allow_code: bool = False,
    on_fault: Callable[[SampleUnit, str], None] | None = None,
) -> Iterator[Trajectory]:
    """Let a server make the planned responses; each is yielded as it comes, in no particular order.

    Args:
        server: From `connect_server`.
        loaded: The tokenizer that the plan was made with.
        units: From `plan_samples`, with the same settings and the server's key as its engine.
        settings: As in the plan.
        done: Ids of units to leave out.
        allow_code: As in `raml.answers.grade_response`.
        on_fault: Told of each response that the server did not give, and why; the others go on.

    Raises:
        ModelError: the server is gone, refuses the key, or fails again and again.
    """
    missing = [unit for unit in units if unit.id not in done]
    n_made, n_failed = 0, 0
    with _ask_in_background(server, loaded, missing, settings) as outcomes:
        for unit, outcome in outcomes:
            if isinstance(outcome, Reply):
                try:
                    trajectory = _read_response(server, loaded, unit, outcome, settings, allow_code)
                except DataError as error:
                    outcome = Fault(str(error), "failed")
                else:
                    n_made, n_failed = n_made + 1, 0
                    yield trajectory
                    continue
            n_failed = n_failed + 1 if outcome.kind == "failed" else 0
            if outcome.kind == "lost" or n_failed == FAILURES_IN_A_ROW:
                raise ModelError(
                    f"{server.options.url}: {outcome.reason}. The {n_made} responses that came are kept; run the same "
                    "command again to go on."
                )
            if on_fault is not None:
                on_fault(unit, outcome.reason)


def _read_response(
    server: Server,
    loaded: LoadedTokenizer,
    unit: SampleUnit,
    reply: Reply,
    settings: SamplingSettings,
    allow_code: bool,
) -> Trajectory:
    token_ids, logprobs = split_reply(reply, loaded, unit, settings)
    return make_trajectory(
        loaded,
        unit,
        token_ids,
        settings=settings,
        engine=SERVER,
        finish=reply.finish,
        logprobs=logprobs if server.keeps_logprobs else None,
        allow_code=allow_code,
    )


@contextlib.contextmanager
def _ask_in_background(
    server: Server, loaded: LoadedTokenizer, units: Sequence[SampleUnit], settings: SamplingSettings
) -> Iterator[Iterator[Outcome]]:
    """Keep requests under way in a thread while answers are graded and written; leaving the block ends them."""
    answers: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()

    async def begin() -> asyncio.Task[None]:
        task = asyncio.create_task(_ask_all(server, loaded, units, settings, answers))
        task.add_done_callback(lambda _: answers.put(None))
        return task

    with open_loop() as loop:
        work = asyncio.run_coroutine_threadsafe(begin(), loop).result()

        def take() -> Iterator[Outcome]:
            while (answer := answers.get()) is not None:
                yield answer
            work.result()  # raises what went wrong in the thread

        yield take()


async def _ask_all(
    server: Server,
    loaded: LoadedTokenizer,
    units: Sequence[SampleUnit],
    settings: SamplingSettings,
    answers: queue.SimpleQueue[Outcome | None],
) -> None:
    import openai

    pending = iter(units)
    async with open_client(server.options) as client:

        async def ask_in_turn() -> None:
            for unit in pending:
                fields = write_request(server.dialect, loaded, unit, settings, with_logprobs=server.keeps_logprobs)
                try:
                    raw = await choose_method(client, server.options.api)(**split_fields(fields, server.name))
                    outcome = read_reply(raw.http_response.content)
                except openai.APIError as error:
                    outcome = explain_error(error, server.options)
                except DataError as error:
                    outcome = Fault(str(error), "failed")
                answers.put((unit, outcome))

        async with asyncio.TaskGroup() as group:
            for _ in range(server.options.concurrency):
                group.create_task(ask_in_turn())
