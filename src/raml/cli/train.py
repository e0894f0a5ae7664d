"""`raml train`: outer loops over trajectories."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from raml.cli.help_format import PlainHelp
from raml.cli.help_groups import OPTIONS
from raml.cli.stage import say, show_progress
from raml.training.settings import DpoSettings, GrpoSettings, SftSettings

if TYPE_CHECKING:
    from raml.training import TrainingResult

SECONDS_BETWEEN_LINES = 60
"""Where no terminal shows a bar."""

SECTIONS = {
    "The model": ("--model", "--revision", "--chat-template"),
    "The optimiser": (
        "--learning-rate",
        "--optimizer",
        "--muon-learning-rate",
        "--weight-decay",
        "--adam-beta2",
        "--schedule",
        "--warmup-steps",
        "--final-share",
        "--max-grad-norm",
        "--epochs",
        "--max-steps",
        "--batch-size",
    ),
    "Rollouts": (
        "--prompt.instruction",
        "--prompt.mode",
        "--prompt.delimiter",
        "--temperature",
        "--top-p",
        "--top-k",
        "--max-prompt-length",
        "--max-completion-length",
        "--vllm",
        "--vllm-url",
    ),
    "The machine": ("--micro-batch-size", "--precision", "--gradient-checkpointing", "--device", "--threads", "--seed"),
    "Checkpoints and logs": ("--save-every", "--keep-checkpoints", "--log-every", "--report-to"),
}
"""Options of `raml.training.settings` by heading; a technique's own ones come before them."""


train = App(
    name="train",
    help="Train a model on trajectories: SFT, DPO or GRPO.\n\n"
    "Examples: `raml --config tiny/sft train sft --model tiny-base --trajectories runs/train --out models/sft`, "
    "`accelerate launch --config_file FILE -m raml --config NAME train sft`\n\n"
    "The second one is for several GPUs. `python -m raml.configs` lists the files for accelerate and the settings for "
    "`--config` that come with raml.",
    help_formatter=PlainHelp(SECTIONS, left_out="--cold-start."),
    group_parameters=OPTIONS,
)


@train.command(sort_key=0)
def sft(settings: Annotated[SftSettings, Parameter(name="*")], *, out: Path) -> None:
    """Imitate a run's right trajectories (supervised fine-tuning).

    Example: `raml train sft --model tiny-base --trajectories runs/tiny --learning-rate 1e-3 --out models/sft`

    Killed at any moment and run again, it goes on from the last checkpoint, to the same weights.

    Parameters
    ----------
    out
        The model folder; `raml sample` takes it.
    """
    from raml.training import train_sft

    _train(lambda progress: train_sft(settings, out, progress=progress))


@train.command(sort_key=1)
def dpo(settings: Annotated[DpoSettings, Parameter(name="*")], *, out: Path) -> None:
    """Prefer right trajectories to wrong ones of a question (DPO).

    Example: `raml train dpo --model tiny --trajectories runs/tiny --learning-rate 1e-4 --out models/dpo`

    Parameters
    ----------
    out
        The model folder; `raml sample` takes it.
    """
    from raml.training import train_dpo

    _train(lambda progress: train_dpo(settings, out, progress=progress))


@train.command(sort_key=2)
def grpo(settings: Annotated[GrpoSettings, Parameter(name="*")], *, out: Path) -> None:
    """Reward the right ones among the model's own responses (GRPO).

    Group-relative policy optimisation on rollouts, with the paper's reward.

    Example: `raml train grpo --model tiny-base --questions runs/train --format boxed --learning-rate 3e-4
    --batch-size 128 --max-completion-length 160 --out models/grpo`

    With a table `cold_start` in the config file, or `--cold-start.OPTION` for any option of `raml train sft`, SFT comes
    first.

    Parameters
    ----------
    out
        The model folder; `raml sample` takes it.
    """
    from raml.training import train_grpo

    _train(lambda progress: train_grpo(settings, out, progress=progress))


def _train(
    run: Callable[[Callable[[int, int, Mapping[str, Any]], None]], TrainingResult],
) -> None:
    """Run a technique with a bar, and say what came of it."""
    from accelerate import PartialState

    started = told = time.monotonic()
    with show_progress("training", None) as bar:

        def show(done: int, total: int, metrics: Mapping[str, Any]) -> None:
            nonlocal told
            bar.move_to(done, total, _describe(metrics))
            now = time.monotonic()
            if not bar.visible and now - told > SECONDS_BETWEEN_LINES:
                told = now
                left = (now - started) / done * (total - done)
                say(f"{done} of {total} updates, {_describe(metrics)}, about {left / 60:.0f} min left")

        result = run(show)
    if not PartialState().is_main_process:
        return
    for note in result.notes:
        say(note)
    if result.n_new == 0:
        say(f"{result.folder} is finished: {result.n_updates} updates. Nothing was trained.")
    else:
        taken_up = f" ({result.n_updates - result.n_new} were there)" if result.n_new < result.n_updates else ""
        say(f"Made {result.n_new} updates{taken_up}; {_describe(result.metrics[-1])}")
        say(f"Wrote the model to {result.folder}, its curves to {result.folder / 'training.png'} and metrics.jsonl")
    say(f"Next: raml sample {result.folder} RUN")


def _describe(metrics: Mapping[str, Any]) -> str:
    """Say in a few words how it is going; GRPO's loss says nothing, since its gradient is what counts."""
    if "reward" in metrics:
        shares = {"correct_rate": "right", "format_rate": "format"}
        rates = "".join(
            f" {label} {metrics[name]:.0%}" for name, label in shares.items() if metrics.get(name) is not None
        )
        tokens = f"{metrics['completion_tokens']:.0f} tokens"
        reward = "unknown" if metrics["reward"] is None else f"{metrics['reward']:.2f}"
        return f"reward {reward}{rates} {tokens} loss {metrics['loss']:.2g}"
    preferred = f" preferred {metrics['reward_accuracy']:.0%}" if "reward_accuracy" in metrics else ""
    return f"loss {metrics['loss']:.4g}{preferred}"
