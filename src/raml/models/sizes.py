"""Whether a configuration describes the weights that are there: what it asks for besides would be allocated."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForCausalLM

from raml.errors import ModelError
from raml.inputs import check_plain
from raml.models.gguf_header import measure_gguf
from raml.models.tokenizer import first_line, locate_files

SPARE = 2
"""A configuration may ask for so many times the weights that the files hold: those that are missing are told by name
once the others are loaded."""
SMALL = 10_000_000
"""Weights that may be asked for in any case."""


def check_sizes(name: str, source: Path, files: Sequence[Path], trust_remote_code: bool) -> None:
    """Refuse a configuration that describes far more weights than the files hold, before any is allocated.

    Raises:
        ModelError: it does, or a file's header is damaged.
    """
    n_there = sum(measure_gguf(name, file) if file.suffix == ".gguf" else _measure(name, file) for file in files)
    try:
        located = locate_files(source, trust_remote_code)
        config = AutoConfig.from_pretrained(**located)
        if getattr(config, "quantization_config", None) is not None:
            return  # several weights share an element
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of weights without elements and the like
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code)
    except Exception as error:
        raise ModelError(f"{name} can't be loaded: {first_line(error)}") from error
    n_asked = sum(part.numel() for part in (*model.parameters(), *model.buffers()))
    if n_asked > max(SPARE * n_there, SMALL):
        raise ModelError(f"{name}: its configuration describes {n_asked:,} weights, and its files hold {n_there:,}.")


def _measure(name: str, file: Path) -> int:
    """Count the weights of a safetensors file from its header, which the library checks."""
    try:
        check_plain(file)
        with safe_open(file, framework="numpy") as content:
            return sum(math.prod(content.get_slice(key).get_shape()) for key in content.keys())  # noqa: SIM118
    except OSError as error:
        raise ModelError(f"{name}: {file.name} can't be read: {error.strerror or error}.") from error
    except SafetensorError as error:
        raise ModelError(
            f"{name}: {file.name} is no readable safetensors file, and can't be loaded: {error}"
        ) from error
