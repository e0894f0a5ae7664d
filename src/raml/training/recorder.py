"""What is written down while a run goes on: metrics, complete checkpoints, progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from accelerate import PartialState
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from raml.errors import NumericsError
from raml.training.folder import TrainingFolder
from raml.training.settings import OuterLoopSettings

RENAMED = {
    "mean_token_accuracy": "token_accuracy",
    "num_tokens": "tokens",
    "completions/mean_length": "completion_tokens",
    "completions/clipped_ratio": "cut_off_rate",
    "frac_reward_zero_std": "equal_reward_rate",
    "rewards/margins": "reward_margin",
    "rewards/accuracies": "reward_accuracy",
    "clip_ratio/region_mean": "clip_rate",
}
"""TRL's names of what is logged, and ours."""
KEPT = {*RENAMED.values()} | {
    *("loss", "grad_norm", "learning_rate", "epoch", "entropy", "kl", "reward", "reward_std", "correct_rate"),
    *("format_rate", "undecided_rate", "useful_group_rate", "seconds", "sampling_s", "scoring_s"),
}
Progress = Callable[[int, int, Mapping[str, Any]], None]
"""Told after every log: updates made, updates in all, and the metrics."""


class Recorder(TrainerCallback):
    """Writes metrics, calls checkpoints complete, and tells how it is getting on."""

    def __init__(
        self, folder: TrainingFolder, settings: OuterLoopSettings, n_updates: int, progress: Progress | None
    ) -> None:
        self.folder, self.settings, self.n_updates, self.progress = folder, settings, n_updates, progress

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Write the metrics up to the checkpoint again; what came after it is to be made again.

        The checkpoint also remembers its intervals, which may have changed.
        """
        state.save_steps, state.logging_steps = self.settings.save_every, self.settings.log_every
        if state.is_world_process_zero:
            self.folder.write_metrics([make_row(logs) for logs in state.log_history if "loss" in logs])

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Log the last update, and one before a checkpoint, whatever the interval: counters go on from there."""
        if state.global_step >= self.n_updates or state.global_step % self.settings.save_every == 0:
            control.should_log = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: object,
    ) -> None:
        """Write one line of metrics."""
        if not state.is_world_process_zero or logs is None or "loss" not in logs:
            return
        row = make_row({"step": state.global_step, **logs})
        self.folder.append_metrics(row)
        if self.progress is not None:
            self.progress(state.global_step, self.n_updates, row)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        """Call the checkpoint that was just written complete.

        Raises:
            NumericsError: it has weights that are not finite; the one before it stays.
        """
        check_weights(kwargs["model"], state.global_step)  # type: ignore[arg-type]
        PartialState().wait_for_everyone()
        if state.is_world_process_zero:
            self.folder.mark_checkpoint(state.global_step, self.settings.keep_checkpoints)


def make_row(logs: Mapping[str, Any]) -> dict[str, Any]:
    """Turn what TRL logs into a line of metrics, by our names; seconds are those of all updates since the last line."""
    row: dict[str, Any] = {"step": logs["step"]}
    for name, value in logs.items():
        ours = RENAMED.get(name, name)
        if ours in KEPT:
            row[ours] = value
    if "sampling_s" in row:
        row["update_s"] = round(row["seconds"] - row["sampling_s"] - row["scoring_s"], 4)
    return row


def check_weights(model: torch.nn.Module, step: int) -> None:
    """Refuse weights that are not finite.

    Raises:
        NumericsError: some are; the message names one.
    """
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            raise NumericsError(
                f"After update {step} the weight {name} is not finite. The checkpoint before it is kept; try a lower "
                "--learning-rate, in another --out."
            )
