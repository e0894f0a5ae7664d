"""Direct preference optimisation on a run's right and wrong trajectories (the paper's Table 1, second row)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raml.errors import DataError
from raml.models import LoadedModel
from raml.training.arguments import Batching, count_processes, fill_in, load_for_training
from raml.training.engine import TrainingResult, Work, run_outer_loop
from raml.training.examples import TrajectoryEncoder
from raml.training.order import count_updates, drop_long, hash_ids, order_examples
from raml.training.pairs import Pair, choose_pairs, encode_pairs
from raml.training.recorder import Progress
from raml.training.settings import DpoSettings
from raml.training.sources import list_run_files, note_without, read_runs

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
        n_updates, n_total = count_updates(
            len(pairs), settings.batch_size, settings.epochs, settings.max_steps, whole=count_processes() > 1
        )
        lens, groups = [len(pair) for pair in pairs], [pair.question_id for pair in pairs]
        order = order_examples(lens, settings.batch_size, n_total, settings.seed, groups)
        ordered = [pairs[i] for i in order]
        fingerprint = hash_ids(ids for pair in ordered for ids in (pair.prompt_ids, pair.chosen_ids, pair.rejected_ids))

        def make_trainer(loaded: LoadedModel, arguments: dict[str, Any], batching: Batching) -> Trainer:
            return make_preference_trainer(loaded, settings, arguments, ordered)

        return Work(n_updates, fingerprint, notes, make_trainer, list_run_files(settings.trajectories))

    return run_outer_loop("dpo", settings, out, prepare, progress=progress)


def collect_pairs(loaded: LoadedModel, settings: DpoSettings) -> tuple[list[Pair], tuple[str, ...]]:
    """Make the pairs that the settings ask for, and say in words what was left out.

    Raises:
        DataError: nothing is left.
    """
    questions, trajectories = read_runs(settings.trajectories)
    by_id = {question.id: question for question in questions}
    encoder = TrajectoryEncoder(loaded)
    decided = [t for t in trajectories if t.correct is not None and t.question_id in by_id]
    if not decided:
        raise DataError("There is no graded trajectory to make pairs of.")
    encoded = [encoder.encode(by_id[t.question_id], t) for t in decided]
    limit = settings.max_length or loaded.context_len
    kept = drop_long([len(prompt) + len(response) for prompt, response, _ in encoded], limit, "trajectories")
    chosen, without = choose_pairs(questions, [decided[i] for i in kept], settings.pairs, settings.n, settings.seed)
    notes = [note_without(without, "not both a right and a wrong trajectory")] if without else []
    if len(kept) < len(decided):
        notes.append(f"{len(decided) - len(kept)} of {len(decided)} trajectories left out: above {limit} tokens.")
    notes.append(f"{len(chosen)} pairs from {len(questions) - len(without)} questions.")
    return encode_pairs(encoder, chosen), tuple(notes)


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
        ref_model=load_for_training(settings).model,
        args=fill_in(DPOConfig, **arguments, beta=settings.beta, max_length=None, train_sampling_strategy="sequential"),
        train_dataset=Dataset.from_dict(rows),
        processing_class=loaded.tokenizer,
    )
    trainer.settings = settings
    return trainer
