"""One outer loop from beginning to end: arguments for TRL, checkpoints, metrics, the finished model."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from logging import ERROR, getLogger
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from accelerate import PartialState
from safetensors import SafetensorError
from transformers import PrinterCallback, TrainingArguments

from raml.errors import DataError, MissingExtra, ModelError, RunError
from raml.figures import plot_training, save_figure
from raml.models import LoadedModel, find_source, load_model, set_threads
from raml.scoring.kernels import keep_freed_memory
from raml.store import StageClock, lock_run
from raml.training.folder import PICKLED_ARGUMENTS, TrainingFolder, is_about_space, make_plan, saving
from raml.training.recorder import Progress, Recorder, check_weights
from raml.training.settings import OuterLoopSettings

if TYPE_CHECKING:
    from transformers import Trainer

C = TypeVar("C", bound=TrainingArguments)
EXTRA = ("trl", "datasets")
SCHEDULERS = {"constant": "constant_with_warmup", "linear": "linear", "cosine": "cosine_with_min_lr"}


@dataclass(frozen=True)
class TrainingResult:
    """What a training run left behind."""

    folder: Path
    """A model folder: config, safetensors, tokenizer, chat template, trainer state, metrics, figure, manifest."""
    n_updates: int
    n_new: int
    """Updates that this call made; 0 if the run was finished before."""
    metrics: tuple[Mapping[str, Any], ...]
    """One row per logged update."""
    notes: tuple[str, ...]
    """What was left out of the data and why, in words."""


@dataclass(frozen=True)
class Batching:
    """How a batch is cut for one process."""

    per_device: int
    accumulation: int
    n_updates: int


@dataclass(frozen=True)
class Work:
    """What a technique brings to the outer loop."""

    n_updates: int
    fingerprint: str
    """Hash of all that is read, in its order."""
    notes: tuple[str, ...]
    """What was left out and why, in words."""
    make_trainer: Callable[[LoadedModel, dict[str, Any], Batching], Trainer]
    """Makes TRL's trainer from the model, TRL's arguments and the batching."""
    inputs: tuple[Path, ...]
    """Files that were read."""


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


def run_outer_loop(
    technique: str,
    settings: OuterLoopSettings,
    out: Path,
    prepare: Callable[[LoadedModel], Work],
    *,
    progress: Progress | None = None,
    warm_up: Callable[[], tuple[LoadedModel, tuple[str, ...]]] | None = None,
) -> TrainingResult:
    """Run a technique from the beginning, or from its last checkpoint, to the finished model folder.

    Args:
        technique: Its name in plan and manifest.
        settings: What decides the run.
        out: The model folder.
        prepare: Makes the work from the loaded model.
        progress: Told after every log.
        warm_up: Makes the model that training really begins with (a cold start), and says in words what it left out;
            called only where it is needed.

    Raises:
        RunError: the folder holds something else, or a run with other settings.
    """
    check_extras(settings)
    state = PartialState(cpu=is_on_cpu(settings))  # the first to ask decides whether processes find each other
    with _hold_folder(out) as folder:
        loaded = load_for_training(settings)
        set_threads(settings.threads, loaded.model)
        work = prepare(loaded)
        batching = cut_batches(settings, work.n_updates)
        plan = make_plan(technique, settings, loaded.identity.key(), work.fingerprint, state.num_processes)
        with state.main_process_first():
            checkpoint = folder.begin(plan)
        if folder.is_finished():
            return TrainingResult(out, work.n_updates, 0, tuple(folder.read_metrics()), work.notes)
        resolved = {
            "n_processes": state.num_processes,
            "micro_batch_size": batching.per_device,
            "precision": choose_precision(settings),
            "device": str(state.device),
        }
        config = {"settings": settings, "resolved": resolved, "data": work.fingerprint, "notes": work.notes}
        clock = StageClock(folder.run, f"train-{technique}", config)
        notes = work.notes
        if warm_up is not None:
            loaded, more = warm_up()
            notes = (*more, *notes)
        with saving(out), _quiet():
            trainer = work.make_trainer(loaded, make_arguments(settings, out, batching), batching)
            trainer.remove_callback(PrinterCallback)
            trainer.add_callback(Recorder(folder, settings, work.n_updates, progress))
            uses_cache = loaded.model.config.use_cache
            _train(trainer, checkpoint)
            check_weights(loaded.model, work.n_updates)
            loaded.model.config.use_cache = uses_cache  # off while training; users of the model want it
            trainer.save_model(str(out))
        n_done = 0 if checkpoint is None else int(checkpoint.name.rpartition("-")[2])
        result = TrainingResult(out, work.n_updates, work.n_updates - n_done, tuple(folder.read_metrics()), notes)
        if state.is_main_process:
            with saving(out):
                trainer.state.save_to_json(str(folder.state_path))
                _finish(clock, folder, loaded, settings, result, work.inputs)
        state.wait_for_everyone()
        return result


def _train(trainer: Trainer, checkpoint: Path | None) -> None:
    """Let TRL train, which reads of a checkpoint's pickles nothing but tensors, numbers and names.

    Raises:
        RunError: the checkpoint can't be read, or a pickle in it holds anything else.
    """
    try:
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    except SafetensorError as error:
        if is_about_space(error):
            raise
        raise RunError(f"{checkpoint} can't be read: {error}. Remove it, and the run begins again.") from error
    except UnpicklingError as error:
        raise RunError(
            f"{checkpoint} is broken, or a pickle in it holds more than tensors, numbers and names; nothing was "
            "run. Remove it, and the run goes on from the one before."
        ) from error


def _finish(
    clock: StageClock,
    folder: TrainingFolder,
    loaded: LoadedModel,
    settings: OuterLoopSettings,
    result: TrainingResult,
    inputs: tuple[Path, ...],
) -> None:
    """Leave the folder as its users expect it, draw the curves and write the manifest, the last thing a run does."""
    out = folder.path
    loaded.tokenizer.save_pretrained(out)
    (out / PICKLED_ARGUMENTS).unlink(missing_ok=True)
    for path in out.glob("*.safetensors"):
        path.chmod(0o644)  # safetensors writes files that only their owner may read
    defaults = find_source(loaded.identity.name, settings.revision) / "generation_config.json"
    if defaults.is_file():  # the model's own, which training does not use
        shutil.copyfile(defaults, out / defaults.name)
    save_figure(plot_training({out.name: result.metrics}), folder.figure_path)
    skipped = {folder.run.manifest_path, folder.state_path}
    kinds = {".safetensors", ".json", ".jinja"}
    files = sorted(p for p in out.iterdir() if p.is_file() and p.suffix in kinds and p not in skipped)
    outputs: dict[Path, int | None] = {**dict.fromkeys(files), folder.metrics_path: len(result.metrics)}
    clock.finish(
        inputs=inputs,
        outputs=outputs,
        n_units=result.n_updates,
        n_new=result.n_new,
        seed=settings.seed,
        model=loaded.identity,
    )


@contextlib.contextmanager
def _hold_folder(out: Path) -> Iterator[TrainingFolder]:
    """Lock a training folder for this run; under several processes the main one does.

    Raises:
        RunError: the folder holds something else, or another process writes it.
    """
    folder = TrainingFolder(out)
    folder.check_free()
    with lock_run(out) if PartialState().is_main_process else contextlib.nullcontext():
        PartialState().wait_for_everyone()
        yield folder


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep off the screen what is none of the user's business: other libraries' bars, and TRL's use of old names."""
    from datasets import utils as datasets_utils
    from transformers.utils import logging

    was_on = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    datasets_utils.disable_progress_bars()
    try:
        with warnings.catch_warnings():
            # A response without a reward is counted in the metrics; TRL would print it whole.
            getLogger("trl.trainer.grpo_trainer").setLevel(ERROR)
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
            yield
    finally:
        if was_on:
            logging.enable_progress_bar()
