"""TRL's trainers with what this project adds: sound losses, Muon, timing, exact token ids, and n of N rollouts.

Imported only where training begins, since TRL takes seconds to load and is an extra.
"""

# What is mixed into a trainer uses the trainer's own attributes.
# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false, reportIncompatibleVariableOverride=false
# pyright: reportArgumentType=false, reportCallIssue=false, reportIndexIssue=false, reportOptionalSubscript=false

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor
from trl import DPOTrainer, GRPOTrainer, SFTTrainer

from raml.errors import NumericsError
from raml.training.optimizer import MuonAdamW
from raml.training.rollouts import join_batches, select_rollouts, take_rows
from raml.training.settings import GrpoSettings, OuterLoopSettings

ADVICE = "The last checkpoint is kept; try a lower --learning-rate, in another --out."


class _Watched:
    """What all techniques add to TRL's trainer."""

    settings: OuterLoopSettings
    _last_log: float | None = None

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        """Compute one gradient.

        Raises:
            NumericsError: the loss is NaN or infinite.
        """
        if self._last_log is None:  # the first one of this process
            self._last_log = time.perf_counter()
            logged = [row["num_tokens"] for row in self.state.log_history if "num_tokens" in row]
            self._total_train_tokens = int(logged[-1]) if logged else 0  # TRL begins again at 0
        loss = super().training_step(*args, **kwargs)
        if not torch.isfinite(loss).all():
            step = self.state.global_step + 1
            raise NumericsError(f"The loss of update {step} is {float(loss)}. {ADVICE}")
        return loss

    def _get_grad_norm(self, *args: Any, **kwargs: Any) -> Any:
        """Return the norm of the gradient, before the optimiser uses it.

        Raises:
            NumericsError: it is NaN or infinite.
        """
        norm = super()._get_grad_norm(*args, **kwargs)
        if norm is not None and not math.isfinite(norm):
            raise NumericsError(f"The gradient of update {self.state.global_step + 1} is {float(norm)}. {ADVICE}")
        return norm

    def create_optimizer(self, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        """Make AdamW as TRL does, or Muon with AdamW."""
        if self.settings.optimizer == "muon" and self.optimizer is None:
            self.optimizer = MuonAdamW(
                self.model,
                learning_rate=self.settings.learning_rate,
                muon_learning_rate=self.settings.muon_learning_rate,
                weight_decay=self.settings.weight_decay,
                adam_beta2=self.settings.adam_beta2,
            )
        return super().create_optimizer(*args, **kwargs)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the seconds since the last log."""
        if "loss" in logs:
            now = time.perf_counter()
            logs["seconds"] = round(now - (self._last_log or now), 4)
            self._last_log = now
        super().log(logs, start_time)

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        """Leave out weights that a checkpoint holds under the name they are tied to."""
        tied = set(self.model.all_tied_weights_keys)
        load_result.missing_keys[:] = [name for name in load_result.missing_keys if name not in tied]
        super()._issue_warnings_after_load(load_result)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Write none into checkpoints; the manifest says how a model came about."""

    def _send_telemetry(self) -> None:
        """Send nothing: what is trained here is nobody else's business."""


class SupervisedTrainer(_Watched, SFTTrainer):
    """SFT on tokenised examples with labels."""


class PreferenceTrainer(_Watched, DPOTrainer):
    """DPO on tokenised pairs."""

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        """Take the ids as they are; tokenising their text again could change them."""
        return dataset


class GroupTrainer(_Watched, GRPOTrainer):
    """GRPO whose advantages come from all N rollouts of a group and whose gradient comes from n of them.

    Rollouts that are not chosen are taken out of the batch before the loss, so policy, divergence and entropy terms
    leave them out alike, and every normaliser counts only what is used.
    """

    settings: GrpoSettings
    _undecided: Tensor

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        batch = self._mask_undecided(super()._generate_and_score_completions(inputs))
        if not self.model.training:
            return batch
        if self.settings.dynamic_sampling:
            batch = self._replace_equal_groups(batch)
        if self.settings.n_update is not None:
            size = self.settings.group_size
            n_groups = len(batch["advantages"]) // size
            chosen = select_rollouts(n_groups, size, self.settings.n_update, self._place())
            batch = take_rows(batch, chosen.to(self.accelerator.device))
        return self._count_items(batch)

    def _mask_undecided(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Leave responses without a reward out of the loss's tokens; their advantage is zero already."""
        n = len(batch["advantages"])
        start = self.accelerator.process_index * n
        undecided = self._undecided[start : start + n]
        return {**batch, "completion_mask": batch["completion_mask"] * (~undecided).long()[:, None]}

    def _replace_equal_groups(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Put groups of other questions in the place of those whose rewards are all equal: they teach nothing.

        All processes draw as often as the one that needs it most, since generation is a common act. Places that stay
        empty are filled with equal groups whose tokens are masked.
        """
        n_groups, size = len(batch["advantages"]) // self.settings.group_size, self.settings.group_size
        useful = self._take_groups(batch, useful=True)
        for attempt in range(self.settings.dynamic_sampling):
            missing = n_groups - (0 if useful is None else len(useful["advantages"]) // size)
            if int(self.accelerator.gather(torch.tensor([missing], device=self.accelerator.device)).max()) == 0:
                break
            drawn = super()._generate_and_score_completions(self._draw_questions(n_groups, attempt))
            found = self._take_groups(self._mask_undecided(drawn), useful=True)
            useful = found if useful is None else useful if found is None else self._join(useful, found)
        n_useful = 0 if useful is None else len(useful["advantages"]) // size
        shares = self.accelerator.gather(torch.tensor([min(1.0, n_useful / n_groups)], device=self.accelerator.device))
        self._metrics["train"]["useful_group_rate"].append(float(shares.mean()))
        equal = self._take_groups(batch, useful=False)
        if equal is not None and n_useful < n_groups:
            equal = {**equal, "completion_mask": torch.zeros_like(equal["completion_mask"])}
            useful = equal if useful is None else self._join(useful, equal)
        assert useful is not None, "a group is useful or it is not"
        return take_rows(useful, torch.arange(n_groups * size, device=self.accelerator.device))

    def _take_groups(self, batch: dict[str, Any], *, useful: bool) -> dict[str, Any] | None:
        grouped = batch["advantages"].view(-1, self.settings.group_size)
        wanted = grouped.abs().amax(dim=1).gt(1e-6) == useful
        rows = wanted.repeat_interleave(self.settings.group_size).nonzero()[:, 0]
        return take_rows(batch, rows) if len(rows) else None

    def _join(self, first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
        pad_id = self._tokenizer.pad_token_id
        assert isinstance(pad_id, int)
        return join_batches(first, second, pad_id)

    def _draw_questions(self, n: int, attempt: int) -> list[dict[str, Any]]:
        """Draw questions by seed, each as often as a group is large."""
        rng = np.random.default_rng((*self._place(), attempt))
        drawn = rng.integers(len(self.train_dataset), size=n).tolist()
        return [dict(self.train_dataset[i]) for i in drawn for _ in range(self.settings.group_size)]

    def _place(self) -> tuple[int, int, int, int]:
        """Where in the run this is, the same when it is taken up again: the seed of what is drawn here."""
        micro_step = self._step % self.args.gradient_accumulation_steps
        return self.settings.seed, self.state.global_step, micro_step, self.accelerator.process_index

    def _count_items(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Count the tokens in use again, over all processes: the normaliser of DAPO's loss."""
        used = self.accelerator.gather(batch["completion_mask"].sum()).sum()
        return {**batch, "num_items_in_batch": used}

    def _generate(self, prompts: list[Any]) -> Any:
        start = time.perf_counter()
        generated = super()._generate(prompts)
        self._metrics["train" if self.model.training else "eval"]["sampling_s"].append(time.perf_counter() - start)
        return generated

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> Tensor:
        start = time.perf_counter()
        rewards = super()._calculate_rewards(*args, **kwargs)
        self._undecided = rewards.isnan().all(dim=1)  # of all processes
        self._metrics["train" if self.model.training else "eval"]["scoring_s"].append(time.perf_counter() - start)
        return rewards

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log sampling and scoring as seconds per update, as `seconds` is."""
        for name in ("sampling_s", "scoring_s"):
            if spent := self._metrics["train"].get(name):
                self._metrics["train"][name] = [sum(spent)]
        super().log(logs, start_time)
