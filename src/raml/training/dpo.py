"""Direct preference optimisation on a run's right and wrong trajectories (the paper's Table 1, second row)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raml.models import LoadedModel
from raml.training.engine import Batching, TrainingResult, Work, fill_in, run_outer_loop
from raml.training.examples import TrajectoryEncoder
from raml.training.order import count_updates, drop_long, hash_ids, order_examples
from raml.training.pairs import Pair, choose_pairs, encode_pairs
from raml.training.recorder import Progress
from raml.training.settings import DpoSettings
from raml.training.sft import note_without, read_runs

if TYPE_CHECKING:
    from transformers import Trainer


def train_dpo(settings: DpoSettings, out: Path, *, progress: Progress | None = None) -> TrainingResult:
    """Train on pairs of a right and a wrong trajectory, into a model folder; resumes as `train_sft` does.

    Raises:
        DataError: no question has both, or everything is too long.
        ModelError: the model can't be loaded or trained.
        NumericsError: a loss or gradient is not finite.
        RunError: the folder holds something else, or a run with other settings.
        MissingExtra: TRL is not installed.
    """

    def prepare(loaded: LoadedModel) -> Work:
        pairs, notes = collect_pairs(loaded, settings)
        n_updates, n_total = count_updates(len(pairs), settings.batch_size, settings.epochs, settings.max_steps)
        order = order_examples([len(pair) for pair in pairs], settings.batch_size, n_total, settings.seed)
        ordered = [pairs[i] for i in order]
        fingerprint = hash_ids(ids for pair in ordered for ids in (pair.prompt_ids, pair.chosen_ids, pair.rejected_ids))

        def make_trainer(loaded: LoadedModel, arguments: dict[str, Any], batching: Batching) -> Trainer:
            return make_preference_trainer(loaded, settings, arguments, ordered)

        return Work(n_updates, fingerprint, notes, make_trainer)

    return run_outer_loop("dpo", settings, out, prepare, progress=progress)


def collect_pairs(loaded: LoadedModel, settings: DpoSettings) -> tuple[list[Pair], tuple[str, ...]]:
    """Make the pairs that the settings ask for, and say in words what was left out.

    Raises:
        DataError: nothing is left.
    """
    questions, trajectories = read_runs(settings.trajectories)
    chosen, without = choose_pairs(questions, trajectories, settings.pairs, settings.n, settings.seed)
    pairs = encode_pairs(TrajectoryEncoder(loaded), chosen)
    limit = settings.max_length or loaded.context_len
    kept = drop_long([len(pair) for pair in pairs], limit, "pairs")
    notes = [note_without(without, "not both a right and a wrong trajectory")] if without else []
    if len(kept) < len(pairs):
        notes.append(f"{len(pairs) - len(kept)} of {len(pairs)} pairs left out: longer than {limit} tokens.")
    notes.append(f"{len(kept)} pairs from {len(questions) - len(without)} questions.")
    return [pairs[i] for i in kept], tuple(notes)


def make_preference_trainer(
    loaded: LoadedModel, settings: DpoSettings, arguments: dict[str, Any], pairs: Sequence[Pair]
) -> Trainer:
    """Make TRL's trainer for pairs in the order in which they are to come."""
    from datasets import Dataset
    from trl import DPOConfig

    from raml.training.trainers import PreferenceTrainer

    rows = {name: [getattr(pair, name) for pair in pairs] for name in ("prompt_ids", "chosen_ids", "rejected_ids")}
    trainer = PreferenceTrainer(
        model=loaded.model,
        args=fill_in(DPOConfig, **arguments, beta=settings.beta, max_length=None, train_sampling_strategy="sequential"),
        train_dataset=Dataset.from_dict(rows),
        processing_class=loaded.tokenizer,
    )
    trainer.settings = settings
    return trainer
