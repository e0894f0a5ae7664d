"""Options that several commands share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from raml.errors import DataError
from raml.scale import Workers

if TYPE_CHECKING:
    from raml.models import LoadedModel


@dataclass(frozen=True)
class LoadOptions:
    """How a model is loaded."""

    dtype: str = "auto"
    """float32, bfloat16, float16, or auto: float32 on a CPU, elsewhere what the weights are stored in."""
    device: str = "auto"
    """Such as cpu or cuda:1; auto takes an accelerator where there is one, all spreads the layers over several."""
    revision: str | None = None
    """Branch, tag or commit, for Hub names."""
    chat_template: Path | None = None
    """A Jinja file, or a packaged one such as paper/chatml, that replaces the tokenizer's chat template."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model."""
    threads: int | None = None
    """CPU threads for the arithmetic; by default all cores, and one for small models, which gain nothing from more."""


@dataclass(frozen=True)
class WorkerOptions:
    """Who shares the work."""

    workers: int | None = None
    """Processes that share the work, each with the model; by default one, on a cluster one for each GPU or core."""
    ray: str | None = None
    """Work on a Ray cluster: its address, such as 10.0.0.1:6379, or auto for the one that this machine belongs to."""


def choose_workers(options: WorkerOptions | None, load: LoadOptions | None = None) -> Workers:
    """Who works: this process, several, or a cluster's, whose workers take as many cores as the model has threads.

    Raises:
        DataError: fewer than one worker is asked for, or layers over all devices in each of several.
    """
    from raml.errors import DataError

    options, load = options or WorkerOptions(), load or LoadOptions()
    if options.workers is not None and options.workers < 1:
        raise DataError(f"--workers is {options.workers}; it must be at least 1.")
    if load.device == "all" and (options.ray is not None or (options.workers or 1) > 1):
        raise DataError("--device all spreads one model over all devices; it does not go with --workers or --ray.")
    return Workers(options.workers, options.ray, load.threads)


def check_limit(limit: int | None) -> None:
    """Refuse a limit that leaves nothing.

    Raises:
        DataError: it is below 1.
    """
    if limit is not None and limit < 1:
        raise DataError(f"--limit is {limit}; it must be at least 1.")


def parse_bytes(text: str) -> int:
    """Read a size such as 800MB, 1.5GB or 2GiB; MB and GB are powers of 1024 here, as memory is sold.

    Raises:
        DataError: it is no such size.
    """
    from raml.errors import DataError

    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?\s*", text, re.IGNORECASE)
    size = float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " ") if match else 0
    if size < 1:
        raise DataError(f"{text!r} is no size in bytes; write it like 800MB or 1.5GB.")
    return int(size)


def load(name: str, options: LoadOptions | None) -> LoadedModel:
    """Load a model as the options say; torch is imported here, so that help texts come without it."""
    from raml.models import load_model, set_threads

    options = options or LoadOptions()
    loaded = load_model(
        name,
        dtype=options.dtype,
        device=options.device,
        revision=options.revision,
        chat_template=options.chat_template,
        trust_remote_code=options.trust_remote_code,
    )
    set_threads(options.threads, loaded.model)
    return loaded
