"""What decides a training run: one frozen dataclass for each technique, and what all of them share.

Names are the field's; where TRL has a setting of the same meaning, its name stands in the comment. The defaults are the
paper's where it names them; `raml.configs` holds whole sets for the paper's model and for the embedded one.
"""

from __future__ import annotations

import typing
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from raml.answers import ResponseFormat
from raml.errors import DataError
from raml.records import PromptSettings

Balance = Literal["paper", "tokens", "once"]
PairChoice = Literal["random", "shortest", "length"]
PolicyLoss = Literal["grpo", "dapo", "dr_grpo", "bnpo"]


@dataclass(frozen=True, kw_only=True)
class OuterLoopSettings:
    """What every technique needs to know: the model, the optimiser's steps, and what is kept on the way."""

    TRACED: ClassVar[frozenset[str]] = frozenset(
        {"model", "revision", "chat_template", "trajectories", "rows", "questions"}
    )
    """Fields that name a file; what is in it decides, and a plan holds the hash of that."""
    HARMLESS: ClassVar[frozenset[str]] = frozenset({"save_every", "keep_checkpoints", "log_every", "report_to"})
    """Fields that may change when a run is taken up again: they change no weight."""

    model: str
    """What is trained: "tiny", "tiny-base", a Hub name or a folder."""
    revision: str | None = None
    """Branch, tag or commit, for Hub names."""
    chat_template: Path | None = None
    """A Jinja file, or a packaged one such as paper/chatml, that replaces the tokenizer's chat template; it is saved
    with the trained model."""
    learning_rate: float = 1e-5
    """Peak, of AdamW."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """muon: Muon for the matrices inside the layers, AdamW for the rest; for small models on one process."""
    muon_learning_rate: float = 0.02
    """Peak, of Muon."""
    weight_decay: float = 0.0
    """Of the matrices."""
    adam_beta2: float = 0.95
    """AdamW's decay of the second moment."""
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    """How the learning rate falls after the warm-up."""
    warmup_steps: int = 0
    """Updates in which the learning rate rises from 0 to its peak."""
    final_share: float = 0.0
    """Share of the peak that the cosine ends at."""
    max_grad_norm: float = 1.0
    """The gradient is scaled down to this norm; 0 leaves it."""
    epochs: float = 1.0
    """Passes over the data."""
    max_steps: int | None = None
    """Updates to make, instead of epochs."""
    batch_size: int = 64
    """Examples per update over all processes: responses in SFT, pairs in DPO, rollouts in GRPO."""
    micro_batch_size: int | None = None
    """Examples in one forward pass of one process; by default all of them. Changes memory and, but for means over a
    micro-batch (loss bnpo, the entropy bonus), no more than the last digits."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the arithmetic; weights and optimiser stay in float32. auto: bfloat16 where the accelerator has it."""
    gradient_checkpointing: bool = False
    """Compute activations twice instead of keeping them: a fifth slower, far less memory."""
    device: Literal["auto", "cpu"] = "auto"
    """auto: the accelerators that there are; cpu: none of them."""
    threads: int | None = None
    """CPU threads; by default all cores, and one for small models. Another number changes the last digits."""
    seed: int = 0
    """Of the order of the examples, of what is drawn, and of the rollouts."""
    save_every: int = 100
    """Updates between checkpoints; at the end there is always one."""
    keep_checkpoints: int = 1
    """How many of the newest checkpoints stay in the folder."""
    log_every: int = 1
    """Updates between lines of metrics."""
    report_to: tuple[str, ...] = ()
    """Where TRL also reports to: tensorboard, wandb, mlflow, …"""

    def __post_init__(self) -> None:
        """Refuse numbers out of range.

        Raises:
            DataError: one is; the message names it.
        """
        positive = ("learning_rate", "muon_learning_rate", "epochs", "max_steps", "batch_size", "micro_batch_size")
        self._check_above(0, *positive, "threads", "save_every", "keep_checkpoints", "log_every")
        self._check_at_least(0, "warmup_steps", "weight_decay", "max_grad_norm", "seed")
        self._check_between(0, 1, "final_share", "adam_beta2")
        if self.final_share and self.schedule != "cosine":
            raise DataError(f"final_share is for the cosine schedule; {self.schedule} takes none.")
        for name, choices in _list_choices(type(self)).items():
            if getattr(self, name) not in choices:
                raise DataError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(map(str, choices))}.")

    def _check_above(self, low: float, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if value is not None and not low < value < float("inf"):
                raise DataError(f"{name} is {value}; it must be above {low}.")

    def _check_at_least(self, low: float, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if value is not None and not low <= value < float("inf"):
                raise DataError(f"{name} is {value}; it must be at least {low}.")

    def _check_between(self, low: float, high: float, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise DataError(f"{name} is {value}; it must be between {low} and {high}.")


@dataclass(frozen=True, kw_only=True)
class SftSettings(OuterLoopSettings):
    """Supervised fine-tuning: the off-policy outer loop, negative log-likelihood of given trajectories.

    The defaults are the paper's: learning rate 1e-5, batch 256, one epoch.
    """

    trajectories: tuple[Path, ...] = ()
    """Run folders whose right trajectories are learnt."""
    rows: tuple[Path, ...] = ()
    """Tokenised data sets instead: parquet files with `input_ids` and `labels` (-100: no loss), as TRL takes them."""
    n: int | None = None
    """Most distinct right trajectories per question; by default all."""
    balance: Balance = "paper"
    """paper: each question as often as it has right trajectories, padded by repeats of the n chosen; tokens: as many
    training tokens for every n; once: each chosen trajectory once."""
    loss_on: Literal["response", "answer"] = "response"
    """Loss on trajectory and answer, or on the answer alone given the trajectory (the paper's Eq. 8 read literally)."""
    max_length: int | None = None
    """Longest example, prompt and response, in tokens; longer ones are left out. By default the model's context."""
    batch_size: int = 256

    def __post_init__(self) -> None:
        """Refuse numbers out of range, and no data or two kinds of it."""
        super().__post_init__()
        self._check_above(0, "n", "max_length")
        if bool(self.trajectories) == bool(self.rows):
            raise DataError("SFT needs either trajectories (run folders) or rows (parquet files), and not both.")


@dataclass(frozen=True, kw_only=True)
class DpoSettings(OuterLoopSettings):
    """Direct preference optimisation: off-policy, a right against a wrong trajectory of the same question."""

    trajectories: tuple[Path, ...]
    """Run folders whose right and wrong trajectories make the pairs."""
    pairs: PairChoice = "random"
    """random; shortest: the shortest right ones, against random wrong ones; length: each right one against the wrong
    one nearest to it in length, so that the difference is not the length."""
    n: int = 4
    """Most pairs per question; no trajectory is in two of them."""
    beta: float = 0.1
    """How far the model may move from where it started: DPO's β."""
    max_length: int | None = None
    """Longest prompt and response, in tokens; pairs with a longer one are left out. By default the model's context."""
    learning_rate: float = 1e-6

    def __post_init__(self) -> None:
        """Refuse numbers out of range, and no data."""
        super().__post_init__()
        self._check_above(0, "n", "beta", "max_length")
        if not self.trajectories:
            raise DataError("DPO needs trajectories: run folders with right and wrong ones.")


@dataclass(frozen=True, kw_only=True)
class GrpoSettings(OuterLoopSettings):
    """Group-relative policy optimisation: on-policy, clipped surrogate, the paper's reward (Eq. 21).

    The defaults are the paper's where it names them (group of 16, temperature 1, learning rate 1e-6).
    """

    questions: tuple[str, ...]
    """Run folders or question files (.jsonl, .csv, .parquet) whose questions are answered."""
    prompt: PromptSettings = field(default_factory=PromptSettings)
    """How a question becomes a prompt."""
    group_size: int = 16
    """Rollouts per question, N; advantages come from all of them. (TRL: num_generations)"""
    n_update: int | None = None
    """How many of a group's rollouts the gradient is taken from, n of N, chosen by seed; by default all."""
    format: ResponseFormat = "conclusion"
    """What the reward calls right format; see `raml.answers.has_format`."""
    temperature: float = 1.0
    """Of the rollouts; 1 draws them as the model is."""
    top_p: float = 1.0
    """Rollouts keep the most likely tokens until their probabilities add up to this; 1 keeps all."""
    top_k: int = 0
    """Rollouts keep so many of the most likely tokens; 0 keeps all."""
    max_prompt_length: int = 1024
    """Longest prompt in tokens; questions with longer ones are left out."""
    max_completion_length: int | None = None
    """Longest response in tokens; by default what the context leaves beside the longest prompt, at most 16,384."""
    loss: PolicyLoss = "grpo"
    """How token losses are summed: the mean over each response, then over responses (grpo); the mean over all tokens
    (dapo, over the whole batch; bnpo, over a micro-batch); or over a constant length (dr_grpo). (TRL: loss_type)"""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    """What advantages are divided by: the standard deviation within the group, within the batch, or nothing."""
    clip_low: float = 0.2
    """The ratio is clipped below 1 - clip_low. (TRL: epsilon)"""
    clip_high: float | None = None
    """and above 1 + clip_high; by default as clip_low. DAPO's clip-higher: 0.28. (TRL: epsilon_high)"""
    kl: float = 0.0
    """Weight of the divergence from the model at the start; DAPO has none. (TRL: beta)"""
    entropy: float = 0.0
    """Weight of an entropy bonus. (TRL: entropy_coef)"""
    dynamic_sampling: int = 0
    """DAPO: draw other questions for groups whose rewards are all equal, at most so many times per update."""
    drop_truncated: bool = False
    """Leave responses that were cut off out of the loss (DAPO's overlong filtering). (TRL: mask_truncated_completions)
    """
    updates_per_generation: int = 1
    """Updates made with one generation of rollouts; above 1 the later ones are off-policy and clipping matters."""
    vllm: Literal["off", "server", "colocate"] = "off"
    """Let vLLM write the rollouts: a server started with `trl vllm-serve`, or inside the training processes."""
    vllm_url: str = "http://localhost:8000"
    """Where that server listens."""
    cold_start: SftSettings | None = None
    """First SFT with these settings, then GRPO from its result: the paper's Table 3. What is no matter of SFT is taken
    from here: model, revision, chat template, seed, device, threads and precision."""
    learning_rate: float = 1e-6
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    batch_size: int = 1024

    def __post_init__(self) -> None:
        """Refuse numbers out of range, sizes that don't divide each other, and a server's URL with a password."""
        super().__post_init__()
        self._check_above(0, "temperature", "max_prompt_length", "max_completion_length", "updates_per_generation")
        self._check_at_least(0, "top_k", "clip_low", "clip_high", "kl", "entropy", "dynamic_sampling")
        self._check_between(0, 1, "top_p")
        if not self.questions:
            raise DataError("GRPO needs questions: run folders or question files.")
        if self.group_size < 2:
            raise DataError(f"group_size is {self.group_size}; advantages need at least 2 rollouts to compare.")
        if self.n_update is not None and not 1 <= self.n_update <= self.group_size:
            raise DataError(f"n_update is {self.n_update}; it must be between 1 and group_size ({self.group_size}).")
        if self.batch_size % self.group_size:
            raise DataError(f"batch_size {self.batch_size} is no multiple of group_size {self.group_size}.")
        if self.vllm_url != GrpoSettings.vllm_url:
            from raml.sampling.client import check_address  # not at the top: help texts come without torch

            check_address(self.vllm_url)
        if self.cold_start is not None:
            shared = ("model", "revision", "chat_template", "seed", "device", "threads", "precision")
            cold_start = replace(self.cold_start, **{name: getattr(self, name) for name in shared})
            object.__setattr__(self, "cold_start", cold_start)
        if self.save_every % self.updates_per_generation:
            raise DataError(
                f"save_every {self.save_every} is no multiple of updates_per_generation {self.updates_per_generation}: "
                "a checkpoint in between would lose the rollouts that are half used."
            )


def _list_choices(settings_type: type) -> dict[str, tuple[Any, ...]]:
    """List the fields that take one of a few words, with the words."""
    hints = typing.get_type_hints(settings_type)
    return {
        entry.name: typing.get_args(hints[entry.name])
        for entry in fields(settings_type)
        if typing.get_origin(hints[entry.name]) is Literal
    }
