"""What TRL is given: the model, how batches are cut, and its arguments in its own words."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from transformers import TrainingArguments

from raml.errors import DataError, MissingExtra, ModelError
from raml.models import LoadedModel, find_source, load_model
from raml.scoring.kernels import keep_freed_memory
from raml.training.folder import TrainingFolder
from raml.training.settings import OuterLoopSettings

C = TypeVar("C", bound=TrainingArguments)
EXTRA = ("trl", "datasets")
SCHEDULERS = {"constant": "constant_with_warmup", "linear": "linear", "cosine": "cosine_with_min_lr"}


@dataclass(frozen=True)
class Batching:
    """How a batch is cut for one process."""

    per_device: int
    accumulation: int
    n_updates: int


def check_extras(settings: OuterLoopSettings) -> None:
    """Refuse to begin without what training needs.

    Raises:
        MissingExtra: TRL, a reporting tool or vLLM is not installed.
        DataError: a reporting tool is none that transformers knows.
    """
    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtra(f"Training needs {', '.join(missing)}: pip install 'raml[train]'.")
    if getattr(settings, "vllm", "off") != "off" and importlib.util.find_spec("vllm") is None:
        raise MissingExtra("--vllm needs vLLM: pip install vllm, on a machine with a GPU.")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from transformers.integrations import get_available_reporting_integrations
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    for name in settings.report_to:
        if name not in INTEGRATION_TO_CALLBACK:
            raise DataError(f"No tool {name!r} to report to; choose of {', '.join(sorted(INTEGRATION_TO_CALLBACK))}.")
        if name not in get_available_reporting_integrations():
            raise MissingExtra(f"--report-to {name} needs {name}, which is not installed.")


def is_on_cpu(settings: OuterLoopSettings) -> bool:
    """Whether this run uses no accelerator, by its settings or for want of one."""
    return settings.device == "cpu" or not torch.accelerator.is_available()


def count_processes() -> int:
    """How many processes train together."""
    return PartialState().num_processes


def load_for_training(settings: OuterLoopSettings) -> LoadedModel:
    """Load a model's weights in float32; TRL moves them to where they are trained.

    Raises:
        ModelError: there is no such model, or it can't be trained (a .gguf file).
    """
    source = find_source(settings.model, settings.revision)
    if source.is_file():
        raise ModelError(f"{settings.model} is a .gguf file, which can't be trained. Give a folder with safetensors.")
    loaded = load_model(
        settings.model,
        dtype="float32",
        device="cpu",
        revision=settings.revision,
        chat_template=settings.chat_template,
    )
    if loaded.tokenizer.pad_token_id is None:  # rows are filled up with it and masked, so which one does not matter
        loaded.tokenizer.pad_token_id = loaded.stop_ids[0]
    return loaded


def cut_batches(settings: OuterLoopSettings, n_updates: int) -> Batching:
    """Divide a batch over processes and micro-batches.

    Raises:
        DataError: the sizes don't divide each other.
    """
    sharded = any(os.environ.get(f"ACCELERATE_USE_{name}") == "true" for name in ("FSDP", "DEEPSPEED"))
    if sharded and settings.optimizer == "muon":
        raise DataError("Muon needs whole matrices; FSDP and DeepSpeed cut them up. Use --optimizer adamw.")
    n_processes = count_processes()
    local, rest = divmod(settings.batch_size, n_processes)
    if rest:
        raise DataError(f"batch_size {settings.batch_size} is no multiple of the {n_processes} processes.")
    per_device = min(settings.micro_batch_size or local, local)
    if local % per_device:
        raise DataError(
            f"batch_size {settings.batch_size} is no multiple of {n_processes} processes times micro_batch_size "
            f"{per_device}."
        )
    return Batching(per_device, local // per_device, n_updates)


def make_arguments(settings: OuterLoopSettings, out: Path, batching: Batching) -> dict[str, Any]:
    """Say in TRL's words what all techniques have in common."""
    on_cpu = is_on_cpu(settings)
    if on_cpu:
        keep_freed_memory()
    schedule: dict[str, Any] = {"lr_scheduler_type": SCHEDULERS[settings.schedule]}
    if settings.schedule == "cosine":
        schedule["lr_scheduler_kwargs"] = {"min_lr_rate": settings.final_share}
    return {
        "output_dir": str(TrainingFolder(out).checkpoints_path),
        "per_device_train_batch_size": batching.per_device,
        "gradient_accumulation_steps": batching.accumulation,
        "max_steps": batching.n_updates,
        "learning_rate": settings.learning_rate,
        "weight_decay": settings.weight_decay,
        "adam_beta2": settings.adam_beta2,
        "max_grad_norm": settings.max_grad_norm,
        "warmup_steps": settings.warmup_steps,
        **schedule,
        "bf16": choose_precision(settings) == "bfloat16",
        "fp16": False,
        "activation_checkpointing": settings.gradient_checkpointing,
        "use_cpu": on_cpu,
        "dataloader_pin_memory": not on_cpu,
        "seed": settings.seed,
        "data_seed": settings.seed,
        "save_strategy": "steps",
        "save_steps": settings.save_every,
        "logging_steps": settings.log_every,
        "logging_nan_inf_filter": False,
        "report_to": list(settings.report_to) or "none",
        "disable_tqdm": True,
    }


def choose_precision(settings: OuterLoopSettings) -> str:
    """Resolve the arithmetic: bfloat16 where it was asked for, or where the accelerator has it and nothing was."""
    if settings.precision != "auto":
        return settings.precision
    has_bf16 = not is_on_cpu(settings) and torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return "bfloat16" if has_bf16 else "float32"


def fill_in(config_type: type[C], **arguments: Any) -> C:  # noqa: ANN401 - TRL's many kinds of arguments
    """Make TRL's configuration for one device a process: several GPUs are accelerate's affair, not DataParallel's."""
    config = config_type(**arguments)
    config._n_gpu = min(1, config.n_gpu)
    return config
