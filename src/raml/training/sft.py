"""Supervised fine-tuning: the off-policy outer loop over given trajectories (the paper's Table 1, first row)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raml.errors import DataError
from raml.models import LoadedModel
from raml.training.arguments import Batching, count_processes, fill_in
from raml.training.engine import TrainingResult, Work, run_outer_loop
from raml.training.examples import Example, TrajectoryEncoder, balance_examples, read_row_files, select_trajectories
from raml.training.order import count_updates, drop_long, hash_ids, order_examples
from raml.training.recorder import Progress
from raml.training.settings import SftSettings
from raml.training.sources import list_run_files, note_without, read_runs

if TYPE_CHECKING:
    from transformers import Trainer


def train_sft(settings: SftSettings, out: Path, *, progress: Progress | None = None) -> TrainingResult:
    """Train on right trajectories, or on tokenised rows, into a model folder.

    Killed and called again with the same settings, it goes on from the last checkpoint; on a CPU the final weights are
    then those of an undisturbed run, to the bit. A finished run is left as it is.

    Raises:
        DataError: there is nothing to learn from, or everything is too long.
        ModelError: the model can't be loaded or trained.
        NumericsError: a loss or gradient is not finite.
        RunError: the folder holds something else, or a run with other settings.
        MissingExtra: TRL is not installed.
    """

    def prepare(loaded: LoadedModel) -> Work:
        examples, notes = collect_examples(loaded, settings)
        lens, groups = [len(e.input_ids) for e in examples], [e.group or str(i) for i, e in enumerate(examples)]
        n_updates, n_total = count_updates(
            len(examples), settings.batch_size, settings.epochs, settings.max_steps, whole=count_processes() > 1
        )
        order = order_examples(lens, settings.batch_size, n_total, settings.seed, groups)
        ordered = [examples[i] for i in order]
        fingerprint = hash_ids(row for example in ordered for row in (example.input_ids, example.labels))

        def make_trainer(loaded: LoadedModel, arguments: dict[str, Any], batching: Batching) -> Trainer:
            return make_supervised_trainer(loaded, settings, arguments, ordered)

        files = (*settings.rows, *list_run_files(settings.trajectories))
        return Work(n_updates, fingerprint, notes, make_trainer, files)

    return run_outer_loop("sft", settings, out, prepare, progress=progress)


def collect_examples(loaded: LoadedModel, settings: SftSettings) -> tuple[list[Example], tuple[str, ...]]:
    """Make the examples that the settings ask for, and say in words what was left out.

    Raises:
        DataError: nothing is left.
    """
    limit = settings.max_length or loaded.context_len
    if settings.rows:
        examples, notes = keep_usable(read_row_files(settings.rows, len(loaded.tokenizer)), limit)
    else:
        examples, notes = _encode_runs(loaded, settings, limit)
    notes.append(f"{len(examples)} examples with {sum(e.n_targets for e in examples)} tokens of loss.")
    return examples, tuple(notes)


def keep_usable(examples: Sequence[Example], limit: int | None) -> tuple[list[Example], list[str]]:
    """Leave out what is too long, and what has nothing to take a loss on; say so in words.

    Raises:
        DataError: nothing is left.
    """
    kept = [examples[i] for i in drop_long([len(example.input_ids) for example in examples], limit, "examples")]
    notes = []
    if len(kept) < len(examples):
        notes.append(f"{len(examples) - len(kept)} of {len(examples)} examples left out: longer than {limit} tokens.")
    usable = [example for example in kept if example.n_targets]
    if not usable:
        raise DataError(f"None of {len(kept)} examples has a token that loss is taken on.")
    if len(usable) < len(kept):
        notes.append(f"{len(kept) - len(usable)} examples left out: no token that loss is taken on.")
    return usable, notes


def make_supervised_trainer(
    loaded: LoadedModel, settings: SftSettings, arguments: dict[str, Any], examples: Sequence[Example]
) -> Trainer:
    """Make TRL's trainer for examples in the order in which they are to come."""
    from datasets import Dataset
    from trl import SFTConfig

    from raml.training.trainers import SupervisedTrainer

    rows = {
        "input_ids": [example.input_ids for example in examples],
        "labels": [example.labels for example in examples],
    }
    trainer = SupervisedTrainer(
        model=loaded.model,
        args=fill_in(
            SFTConfig,
            **arguments,
            max_length=None,
            packing=False,
            shuffle_dataset=False,
            train_sampling_strategy="sequential",
            dataset_kwargs={"skip_prepare_dataset": True},
        ),
        train_dataset=Dataset.from_dict(rows),
        processing_class=loaded.tokenizer,
    )
    trainer.settings = settings
    return trainer


def _encode_runs(loaded: LoadedModel, settings: SftSettings, limit: int | None) -> tuple[list[Example], list[str]]:
    """Encode the right trajectories, leave out what is too long, then choose n and balance what is left."""
    questions, trajectories = read_runs(settings.trajectories)
    by_id = {question.id: question for question in questions}
    encoder = TrajectoryEncoder(loaded)
    right = [t for t in trajectories if t.correct is True and t.question_id in by_id]
    made = {t.id: encoder.make_example(by_id[t.question_id], t, settings.loss_on) for t in right}
    fitting, notes = keep_usable(list(made.values()), limit) if made else ([], [])
    usable = {id(example) for example in fitting}
    kept = [t for t in right if id(made[t.id]) in usable]
    selection = select_trajectories(questions, kept, settings.n, settings.seed)
    groups = [
        ([made[t.id] for t in chosen], [made[t.id] for t in selection.right[question_id]])
        for question_id, chosen in selection.chosen.items()
    ]
    if selection.without:
        notes.append(note_without(selection.without, "no right trajectory"))
    if selection.n_copies:
        notes.append(f"{selection.n_copies} right trajectories are copies of another one of their question.")
    return balance_examples(groups, settings.balance), notes
