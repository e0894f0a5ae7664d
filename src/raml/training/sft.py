"""Supervised fine-tuning: the off-policy outer loop over given trajectories (the paper's Table 1, first row)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raml.models import LoadedModel
from raml.records import Question, Trajectory
from raml.store import Run
from raml.training.engine import Batching, TrainingResult, Work, fill_in, run_outer_loop
from raml.training.examples import Example, TrajectoryEncoder, balance_examples, read_row_files, select_trajectories
from raml.training.order import count_updates, drop_long, hash_ids, order_examples
from raml.training.recorder import Progress
from raml.training.settings import SftSettings

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
        n_updates, n_total = count_updates(len(examples), settings.batch_size, settings.epochs, settings.max_steps)
        order = order_examples([len(e.input_ids) for e in examples], settings.batch_size, n_total, settings.seed)
        ordered = [examples[i] for i in order]
        fingerprint = hash_ids(row for example in ordered for row in (example.input_ids, example.labels))

        def make_trainer(loaded: LoadedModel, arguments: dict[str, Any], batching: Batching) -> Trainer:
            return make_supervised_trainer(loaded, settings, arguments, ordered)

        return Work(n_updates, fingerprint, notes, make_trainer)

    return run_outer_loop("sft", settings, out, prepare, progress=progress)


def collect_examples(loaded: LoadedModel, settings: SftSettings) -> tuple[list[Example], tuple[str, ...]]:
    """Make the examples that the settings ask for, and say in words what was left out.

    Raises:
        DataError: nothing is left.
    """
    if settings.rows:
        examples, notes = read_row_files(settings.rows, len(loaded.tokenizer)), []
    else:
        examples, notes = _encode_runs(loaded, settings)
    limit = settings.max_length or loaded.context_len
    kept = drop_long([len(example.input_ids) for example in examples], limit, "examples")
    if len(kept) < len(examples):
        notes.append(f"{len(examples) - len(kept)} of {len(examples)} examples left out: longer than {limit} tokens.")
    examples = [examples[i] for i in kept]
    notes.append(f"{len(examples)} examples with {sum(e.n_targets for e in examples)} tokens of loss.")
    return examples, tuple(notes)


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


def read_runs(paths: Sequence[Path]) -> tuple[list[Question], list[Trajectory]]:
    """Read the questions and trajectories of several run folders; a question in two of them is one question."""
    questions: dict[str, Question] = {}
    trajectories: list[Trajectory] = []
    for path in paths:
        run = Run(path)
        questions |= {question.id: question for question in run.read_questions()}
        trajectories += run.read_trajectories()
    return list(questions.values()), trajectories


def _encode_runs(loaded: LoadedModel, settings: SftSettings) -> tuple[list[Example], list[str]]:
    questions, trajectories = read_runs(settings.trajectories)
    selection = select_trajectories(questions, trajectories, settings.n, settings.seed)
    encoder = TrajectoryEncoder(loaded)
    groups = []
    for question in questions:
        if question.id in selection.chosen:
            right, chosen = selection.right[question.id], selection.chosen[question.id]
            made = {t.id: encoder.make_example(question, t, settings.loss_on) for t in right}
            groups.append(([made[t.id] for t in chosen], list(made.values())))
    notes = []
    if selection.without:
        notes.append(note_without(selection.without, "no right trajectory"))
    if selection.n_copies:
        notes.append(f"{selection.n_copies} right trajectories are copies of another one of their question.")
    return balance_examples(groups, settings.balance), notes


def note_without(question_ids: Sequence[str], what: str) -> str:
    """Say how many questions were left out and why, with the first few ids."""
    shown = ", ".join(question_ids[:3]) + (", …" if len(question_ids) > 3 else "")
    return f"{len(question_ids)} questions left out: {what} ({shown})."
