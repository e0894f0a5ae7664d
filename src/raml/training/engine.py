"""One outer loop from beginning to end: checkpoints, metrics, the finished model."""

from __future__ import annotations

import contextlib
import shutil
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from logging import ERROR, getLogger
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from accelerate import PartialState
from safetensors import SafetensorError
from transformers import PrinterCallback

from raml.errors import RunError
from raml.figures import plot_training, save_figure
from raml.inputs import open_plain
from raml.models import LoadedModel, find_source, set_threads
from raml.store import StageClock, lock_run
from raml.training.arguments import (
    Batching,
    check_extras,
    choose_precision,
    cut_batches,
    is_on_cpu,
    load_for_training,
    make_arguments,
)
from raml.training.folder import PICKLED_ARGUMENTS, TrainingFolder, is_about_space, make_plan, saving
from raml.training.recorder import Progress, Recorder, check_weights
from raml.training.settings import OuterLoopSettings

if TYPE_CHECKING:
    from transformers import Trainer

TORCH_FILES = ("*.pt", "*.pth", "pytorch_model*.bin")
"""Files of a checkpoint that torch writes and a resumed run reads."""


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
    if checkpoint is not None:
        _check_archives(checkpoint)
    try:
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    except SafetensorError as error:
        if is_about_space(error):
            raise
        raise RunError(f"{checkpoint} can't be read: {error}. Remove it, and the run begins again.") from error
    except UnpicklingError as error:
        raise RunError(_tell_broken(checkpoint)) from error
    except RuntimeError as error:
        if "PytorchStreamReader" not in str(error):
            raise
        raise RunError(_tell_broken(checkpoint)) from error


def _check_archives(checkpoint: Path) -> None:
    """Read the files that torch wrote into a checkpoint once, by their checksums; torch compresses nothing.

    Raises:
        RunError: one is cut short or damaged.
    """
    for path in sorted(found for pattern in TORCH_FILES for found in checkpoint.glob(pattern)):
        try:
            with open_plain(path) as file, zipfile.ZipFile(file) as archive:
                packed = any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist())
                broken = packed or archive.testzip() is not None
        except (zipfile.BadZipFile, EOFError, ValueError, RuntimeError, OSError):  # by which field is damaged
            broken = True
        if broken:
            raise RunError(_tell_broken(path))


def _tell_broken(path: Path | None) -> str:
    return (
        f"{path} is broken, or a pickle in it holds more than tensors, numbers and names; nothing was run. Remove the "
        "checkpoint, and the run goes on from the one before, or begins again."
    )


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
