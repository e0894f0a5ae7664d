"""A model trained by Algorithm 1 or 2, and what it makes of held-out questions' trajectories: what `meta` compares."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Literal

import msgspec

from raml.errors import NumericsError, RunError
from raml.inputs import MALFORMED, read_plain
from raml.store import Run, write_atomically

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from raml.models import LoadedModel
    from raml.training.maml import MetaSettings, MetaTask, TaskLosses
    from raml.updates.explicit import Weights

FOLDER = "meta"
LOOPS: Mapping[str, Literal["explicit", "implicit"]] = {"algorithm-1": "explicit", "algorithm-2": "implicit"}
"""What each algorithm's inner loop is."""
UNTRAINED = "untrained"


@dataclass(frozen=True)
class Losses:
    """Answers' mean NLL in nats on the held-out questions, at the weights of one model."""

    rate: float
    """Step size of the gradient step: of those tried the one after which training questions have the lowest loss."""
    question_ids: tuple[str, ...]
    plain: tuple[float, ...]
    """Right after prompt and bridge."""
    explicit: tuple[float, ...]
    """The same after a gradient step on the right trajectories as text."""
    implicit: tuple[float, ...]
    """With a right trajectory in the context; the mean over them."""
    n_left_out: int
    """Questions without a right trajectory, which are not measured."""


def train_loop(
    home: Path,
    *,
    loop: str,
    seed: int,
    model: str,
    inner_rate: float,
    rates: Sequence[float],
    inner_weights: str,
    outer_rate: float,
    n_outer_steps: int,
    tasks_per_step: int,
    n_choice: int,
    n_support: int,
) -> None:
    """Train a model by an algorithm, and measure it on the held-out questions.

    Args:
        home: The folder of the studies.
        loop: Of `LOOPS`; or "untrained", which only measures.
        seed: Of the training questions, and of which are drawn when.
        model: What is trained.
        inner_rate: Step size of Algorithm 1's inner loop while it trains, one step.
        rates: Step sizes of which the measured step takes the one that serves training questions best.
        inner_weights: A gradient step moves only weights with this in their name.
        outer_rate: Of the outer loop's AdamW.
        n_outer_steps: Of it.
        tasks_per_step: Questions of each.
        n_choice: Training questions that the step size is chosen by.
        n_support: Most right trajectories that are used of a question.
    """
    from raml.models import load_model, set_threads
    from raml.training.maml import MetaSettings, measure_tasks, meta_train

    loaded = load_model(model, dtype="float32")
    set_threads(None, loaded.model)
    train, _ = _make_tasks(loaded, home / FOLDER / f"train-{seed}", n_support)
    held_out, left_out = _make_tasks(loaded, home / FOLDER / "test", n_support)
    settings = MetaSettings(
        inner_rate=inner_rate,
        inner_weights=inner_weights,
        outer_rate=outer_rate,
        n_outer_steps=n_outer_steps,
        tasks_per_step=tasks_per_step,
        seed=seed,
    )
    weights = meta_train(loaded.model, train, settings, inner=LOOPS[loop])[0] if loop in LOOPS else None
    rate = _choose_rate(loaded.model, train[:n_choice], settings, weights, rates)
    losses = measure_tasks(loaded.model, held_out, replace(settings, inner_rate=rate), weights)
    write_atomically(
        home / FOLDER / f"{name_loop(loop, seed)}.json", msgspec.json.encode(_collect(rate, losses, len(left_out)))
    )


def name_loop(loop: str, seed: int) -> str:
    """Name what a loop of a seed leaves; nothing is seeded before training."""
    return f"{loop}-{seed}" if loop in LOOPS else loop


def _make_tasks(loaded: LoadedModel, folder: Path, n_support: int) -> tuple[list[MetaTask], list[str]]:
    from raml.training.maml import make_meta_tasks

    run = Run(folder)
    tasks, left_out = make_meta_tasks(loaded, run.read_questions(), run.read_trajectories())
    return [replace(task, support=task.support[:n_support]) for task in tasks], left_out


def _choose_rate(
    model: PreTrainedModel,
    tasks: Sequence[MetaTask],
    settings: MetaSettings,
    weights: Weights | None,
    rates: Sequence[float],
) -> float:
    """Return the step size after which the tasks' answers have the lowest loss; one that breaks the model has none.

    Raises:
        NumericsError: all do.
    """
    from raml.training.maml import query_loss_explicit

    losses: dict[float, float] = {}
    for rate in rates:
        now = replace(settings, inner_rate=rate, order=1)  # the order decides gradients, not values
        with contextlib.suppress(NumericsError):
            losses[rate] = fmean(query_loss_explicit(model, task, now, weights).item() for task in tasks)
    if not losses:
        raise NumericsError(f"No step size of {', '.join(map(str, rates))} leaves losses finite. Try smaller ones.")
    return min(losses, key=lambda rate: losses[rate])


def _collect(rate: float, losses: Sequence[TaskLosses], n_left_out: int) -> Losses:
    return Losses(
        rate=rate,
        question_ids=tuple(one.question_id for one in losses),
        plain=tuple(one.unadapted for one in losses),
        explicit=tuple(one.explicit for one in losses),
        implicit=tuple(one.implicit for one in losses),
        n_left_out=n_left_out,
    )


def read_losses(home: Path, loop: str, seed: int) -> Losses:
    """Read what `train_loop` wrote.

    Raises:
        RunError: it is not there, or is something else.
    """
    path = home / FOLDER / f"{name_loop(loop, seed)}.json"
    try:
        return msgspec.json.decode(read_plain(path), type=Losses)
    except (OSError, *MALFORMED) as error:
        raise RunError(f"{path} holds no losses of a trained model: {error}. Choose another --out.") from error
