"""What draws trajectories for `raml sample`: transformers or vLLM in this process, or a server."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from raml.cli.options import LoadOptions, load
from raml.cli.stage import ProgressBar
from raml.errors import DataError
from raml.records import ModelIdentity, PromptSettings, Question, SamplingSettings, Trajectory
from raml.scale import Workers, open_pool

if TYPE_CHECKING:
    from raml.models import LoadedModel, LoadedTokenizer
    from raml.sampling import SampleUnit

OnFault = Callable[["SampleUnit", str], None]
Start = Callable[[Collection[str], ProgressBar, OnFault], Iterator[list[Trajectory]]]


@dataclass(frozen=True)
class EngineOptions:
    """What draws the tokens."""

    engine: str = "transformers"
    """transformers, vllm, or the URL of an OpenAI-compatible server, such as http://localhost:8000/v1."""
    served_name: str | None = None
    """What a server calls the model; by default the only one it lists."""
    api: Literal["completions", "chat"] = "completions"
    """What a server is sent: the prompt as it is here, or a message for the server's own chat template."""
    concurrency: int = 16
    """Requests to a server at the same time."""
    request_timeout_s: float = 600.0
    """Seconds that a request may take."""
    tries: int = 6
    """Tries for each request, with longer and longer waits between them."""
    tensor_parallel: int | None = None
    """GPUs over which vLLM spreads each layer; by default one, with --device all every one."""


@dataclass(frozen=True)
class Work:
    """What is asked of a model."""

    model: str
    questions: Sequence[Question]
    n: int
    prompt: PromptSettings
    sampling: SamplingSettings | None
    batch_size: int | None
    allow_code: bool


@dataclass(frozen=True)
class Sampler:
    """An engine that has been found fit for the work, and what it will do."""

    identity: ModelIdentity
    sampling: SamplingSettings
    units: Sequence[SampleUnit]
    config: dict[str, object]
    """What the manifest says about the engine."""
    note: str | None
    start: Start
    """Given the ids that are done, a bar, and whom to tell of a response that failed: make the others."""
    close: Callable[[], None] = lambda: None
    """End what was started for it."""


def open_sampler(
    work: Work, options: LoadOptions | None, engine: EngineOptions, workers: Workers | None = None
) -> Sampler:
    """Load what the engine needs and plan the work.

    Raises:
        DataError: an option is out of range or belongs to another engine; several workers are for transformers alone.
        MissingExtra: the engine's package is not installed.
        ModelError: the model or the server can't do it.
    """
    check_engine(engine, work.batch_size)
    if engine.engine != "transformers" and workers not in (None, Workers(threads=(options or LoadOptions()).threads)):
        raise DataError("--workers and --ray share the work of transformers; vLLM and servers share it themselves.")
    if engine.engine == "vllm":
        return _open_vllm(work, options or LoadOptions(), engine)
    if engine.engine == "transformers":
        return _open_transformers(work, options, workers)
    return _open_server(work, options or LoadOptions(), engine)


def check_engine(engine: EngineOptions, batch_size: int | None) -> None:
    """Refuse an engine that there is not, and options that it has not.

    Raises:
        DataError: it is or has such a one.
    """
    is_url = "://" in engine.engine or "@" in engine.engine  # a wrong one is refused later, and not repeated
    if not is_url and engine.engine not in ("transformers", "vllm"):
        raise DataError(f"--engine {engine.engine!r} is none of transformers, vllm, http://HOST:PORT/v1.")
    default = EngineOptions()
    for_servers = {
        "--served-name": engine.served_name != default.served_name,
        "--api": engine.api != default.api,
        "--concurrency": engine.concurrency != default.concurrency,
        "--request-timeout-s": engine.request_timeout_s != default.request_timeout_s,
        "--tries": engine.tries != default.tries,
    }
    if not is_url and any(for_servers.values()):
        raise DataError(f"{next(name for name, given in for_servers.items() if given)} needs --engine URL.")
    if engine.engine != "vllm" and engine.tensor_parallel is not None:
        raise DataError("--tensor-parallel needs --engine vllm.")
    if is_url and batch_size is not None:
        raise DataError("--batch-size is not for servers; --concurrency is.")


def _open_transformers(work: Work, options: LoadOptions | None, workers: Workers | None) -> Sampler:
    from raml.sampling import BATCH_SIZE, cut_batches

    pool = open_pool(partial(load, work.model, options), workers)
    try:
        identity, sampling, units = pool.ask(partial(_plan, work))
    except BaseException:
        pool.close()
        raise
    batch_size = BATCH_SIZE if work.batch_size is None else work.batch_size

    def start(done: Collection[str], bar: ProgressBar, on_fault: OnFault) -> Iterator[list[Trajectory]]:
        draw = partial(_draw, sampling, work.allow_code, bar.step if pool.is_here else None)
        for made in pool.map(draw, cut_batches(units, batch_size, done)):
            yield [trajectory for trajectory in made if trajectory.id not in done]

    config: dict[str, object] = {"engine": "transformers", "batch_size": batch_size}
    return Sampler(identity, sampling, units, config, None, start, pool.close)


def _plan(work: Work, loaded: LoadedModel) -> tuple[ModelIdentity, SamplingSettings, list[SampleUnit]]:
    """List what is to be made; a worker does it, as it has the model."""
    from raml.sampling import plan_samples, resolve_sampling

    sampling = resolve_sampling(loaded, work.sampling)
    units = plan_samples(loaded, work.questions, work.n, prompt=work.prompt, settings=sampling)
    return loaded.identity, sampling, units


def _draw(
    sampling: SamplingSettings,
    allow_code: bool,
    on_step: Callable[[int], None] | None,
    loaded: LoadedModel,
    batch: Sequence[SampleUnit],
) -> tuple[list[Trajectory]]:
    """Make a batch in a worker; it comes back as a whole."""
    from raml.sampling import sample_batch

    return (sample_batch(loaded, batch, settings=sampling, allow_code=allow_code, on_step=on_step),)


def _open_vllm(work: Work, options: LoadOptions, engine: EngineOptions) -> Sampler:
    from raml.sampling import VLLM, VLLM_BATCH, check_vllm, fix_dtype, plan_samples, resolve_sampling, stream_from_vllm

    tensor_parallel = check_vllm(options.device, engine.tensor_parallel)
    loaded = fix_dtype(_load_tokenizer(work.model, options, fetch_weights=True))
    sampling = resolve_sampling(loaded, work.sampling)
    units = plan_samples(loaded, work.questions, work.n, prompt=work.prompt, settings=sampling, engine=VLLM)
    batch_size = VLLM_BATCH if work.batch_size is None else work.batch_size

    def start(done: Collection[str], bar: ProgressBar, on_fault: OnFault) -> Iterator[list[Trajectory]]:
        return stream_from_vllm(
            loaded,
            units,
            settings=sampling,
            tensor_parallel=tensor_parallel,
            batch_size=batch_size,
            done=done,
            allow_code=work.allow_code,
            trust_remote_code=options.trust_remote_code,
            on_fault=on_fault,
        )

    config: dict[str, object] = {"engine": "vllm", "batch_size": batch_size, "tensor_parallel": tensor_parallel}
    return Sampler(loaded.identity, sampling, units, config, None, start)


def _open_server(work: Work, options: LoadOptions, engine: EngineOptions) -> Sampler:
    from raml.sampling import ServerOptions, connect_server, plan_samples, resolve_sampling, stream_from_server

    asked = ServerOptions(
        url=engine.engine.rstrip("/"),
        served_name=engine.served_name,
        api=engine.api,
        concurrency=engine.concurrency,
        request_timeout_s=engine.request_timeout_s,
        n_tries=engine.tries,
    )
    loaded = _load_tokenizer(work.model, options, fetch_weights=False)
    sampling = resolve_sampling(loaded, work.sampling)
    server = connect_server(loaded, work.questions, asked, prompt=work.prompt, settings=sampling)
    units = plan_samples(loaded, work.questions, work.n, prompt=work.prompt, settings=sampling, engine=server.key())

    def start(done: Collection[str], bar: ProgressBar, on_fault: OnFault) -> Iterator[list[Trajectory]]:
        stream = stream_from_server(
            server, loaded, units, settings=sampling, done=done, allow_code=work.allow_code, on_fault=on_fault
        )
        return ([trajectory] for trajectory in stream)

    config: dict[str, object] = {"engine": "server", "server": asked, "served_name": server.name}
    config |= {"asked_with": server.dialect, "gives_token_ids": server.gives_ids}
    return Sampler(loaded.identity, sampling, units, config, server.note, start)


def _load_tokenizer(name: str, options: LoadOptions, *, fetch_weights: bool) -> LoadedTokenizer:
    from raml.models import load_tokenizer

    return load_tokenizer(
        name,
        dtype=options.dtype,
        revision=options.revision,
        chat_template=options.chat_template,
        trust_remote_code=options.trust_remote_code,
        fetch_weights=fetch_weights,
    )
