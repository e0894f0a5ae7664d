"""Load a causal language model by name, folder or GGUF file, with its tokenizer and identity.

Weights are read as safetensors or GGUF, never unpickled. Code that comes with a model is not run unless asked for.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging as transformers_logging

from raml.errors import DataError, ModelError
from raml.inputs import read_plain
from raml.models.files import check_configurations, find_source, find_weight_files, hash_config, hash_weights
from raml.models.sizes import check_sizes
from raml.models.tokenizer import (
    find_context_len,
    find_revision,
    first_line,
    list_stop_ids,
    locate_files,
    read_tokenizer,
)
from raml.records import ModelIdentity
from raml.scale import choose_accelerator

SMALL_MODEL = 10_000_000
"""Parameters below which threads wait for each other longer than they work; on a busy machine twenty times longer."""


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to run, its tokenizer, and what identifies it on records."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    identity: ModelIdentity

    @property
    def device(self) -> torch.device:
        """Where token ids must be put."""
        return self.model.device

    @property
    def context_len(self) -> int | None:
        """Most tokens that prompt and response may have together; None where the architecture sets no limit."""
        return find_context_len(self.model.config)

    @property
    def stop_ids(self) -> list[int]:
        """Tokens that end a response: the generation configuration's, else the tokenizer's.

        Raises:
            ModelError: the model names none.
        """
        return list_stop_ids(self.identity.name, self.model.generation_config, self.tokenizer, self.model.config)


def load_model(
    name: str,
    *,
    dtype: str = "auto",
    device: str = "auto",
    revision: str | None = None,
    chat_template: Path | None = None,
    trust_remote_code: bool = False,
) -> LoadedModel:
    """Load a model for inference.

    Args:
        name: "tiny", "tiny-base", "tiny-grpo", a Hugging Face Hub name, a folder, or a .gguf file.
        dtype: "float32", "bfloat16", "float16", or "auto": float32 on a CPU, elsewhere what the weights are stored in.
        device: Such as "cpu" or "cuda:1"; "auto" takes an accelerator where there is one, "all" spreads the layers over
            all accelerators, for models that one does not hold.
        revision: Branch, tag or commit, for Hub names.
        chat_template: A Jinja file that replaces the tokenizer's chat template, or the name of one in `raml.configs`
            ("paper/chatml"); a file of that path comes first.
        trust_remote_code: Run Python code that comes with the model.

    Raises:
        ModelError: there is no such model, it can't be reached, it is no causal language model, it has only pickled
            weights, or it needs code of its own and `trust_remote_code` is off.
    """
    torch_device = _choose_device("auto" if device == "all" else device)
    source = find_source(name, revision)
    weight_files = find_weight_files(name, source)
    _check_architecture(name, source, trust_remote_code)
    check_sizes(name, source, weight_files, trust_remote_code)
    placement: dict[str, Any] = {}  # none on a CPU: where weights are sharded by a launcher, it places them itself
    if torch_device.type != "cpu":
        placement["device_map"] = "auto" if device == "all" else {"": torch_device}
    tokenizer = read_tokenizer(name, source, chat_template, trust_remote_code)
    files = locate_files(source, trust_remote_code)
    model = _load_weights(name, files, _choose_dtype(dtype, torch_device), placement)
    identity = ModelIdentity(
        name=name,
        revision=find_revision(source),
        weights_sha256=hash_weights(weight_files),
        dtype=str(model.dtype).removeprefix("torch."),
        device="+".join(sorted({str(parameter.device) for parameter in model.parameters()})),
        config_sha256=hash_config(source) if source.is_dir() else None,
    )
    return LoadedModel(model, tokenizer, identity)


def set_threads(threads: int | None, model: PreTrainedModel) -> None:
    """Set the CPU threads of the arithmetic: what was asked for, else one for a small model, else leave them.

    Raises:
        DataError: fewer than one were asked for.
    """
    if threads is not None and threads < 1:
        raise DataError(f"--threads is {threads}; it must be at least 1.")
    if threads is not None or model.num_parameters() < SMALL_MODEL:
        torch.set_num_threads(threads or 1)


def _choose_device(device: str) -> torch.device:
    if device == "auto":
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        if accelerator is None:
            return torch.device("cpu")
        index = choose_accelerator(torch.accelerator.device_count())
        return accelerator if index is None else torch.device(accelerator.type, index)
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"Device {device!r} can't be used here: {first_line(error)}") from error
    return chosen


def _choose_dtype(dtype: str, device: torch.device) -> torch.dtype | str:
    if dtype == "auto":
        return torch.float32 if device.type == "cpu" else "auto"
    chosen = getattr(torch, dtype, None)
    if not isinstance(chosen, torch.dtype) or not chosen.is_floating_point:
        raise ModelError(f"Unknown dtype {dtype!r}; choose float32, bfloat16, float16 or auto.")
    return chosen


def _check_architecture(name: str, source: Path, trust_remote_code: bool) -> None:
    """Refuse what is no causal language model, or what needs its own code unasked, before anything of it is loaded."""
    if source.is_file():
        return  # GGUF files hold decoder models only; the loader names the architectures it does not know
    check_configurations(name, source)
    try:
        config = json.loads(read_plain(source / "config.json"))
        model_type, has_code = config.get("model_type"), "auto_map" in config
    except (ValueError, AttributeError, RecursionError) as error:
        raise ModelError(f"{name}: config.json is no JSON object.") from error
    if not isinstance(model_type, str):
        raise ModelError(f"{name}: config.json has no text as model_type.")
    if model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return
    if has_code:
        if not trust_remote_code:
            raise ModelError(
                f"{name} ({model_type}) needs Python code that comes with it. "
                "If you trust its authors, pass --trust-remote-code."
            )
        return
    try:
        AutoConfig.from_pretrained(source, trust_remote_code=False)
    except Exception as error:
        raise ModelError(
            f"{name} has model type {model_type!r}, which this transformers version does not know."
        ) from error
    raise ModelError(f"{name} ({model_type}) is not a causal language model.")


def _load_weights(
    name: str, files: dict[str, Any], dtype: torch.dtype | str, placement: dict[str, Any]
) -> PreTrainedModel:
    try:
        config = AutoConfig.from_pretrained(**files)
        # Only eager attention applies Gemma 2's soft-capping; the other implementations leave it out.
        attention = {"attn_implementation": "eager"} if getattr(config, "attn_logit_softcapping", None) else {}
        with _without_progress_bars():
            model, report = AutoModelForCausalLM.from_pretrained(  # type: ignore[misc]
                **files,
                dtype=dtype,
                use_safetensors=True,
                output_loading_info=True,
                **placement,
                **attention,
            )
    except Exception as error:
        raise ModelError(f"{name} can't be loaded: {first_line(error)}") from error
    missing = sorted(report["missing_keys"]) + sorted(str(key) for key, *_ in report["mismatched_keys"])
    if missing:
        raise ModelError(f"{name} lacks {len(missing)} of its weights, such as {missing[0]}; they would be random.")
    stops = model.generation_config.eos_token_id if model.generation_config is not None else None
    # Many models bring penalties and filters of their own; what is sampled here is what the settings say and no more.
    model.generation_config = GenerationConfig(eos_token_id=stops)
    return model.eval()


@contextlib.contextmanager
def _without_progress_bars() -> Iterator[None]:
    """Keep transformers' own bars off the screen, and leave its setting as it was."""
    was_on = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_on:
            transformers_logging.enable_progress_bar()
