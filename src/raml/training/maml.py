"""The meta-learning reference: one outer loop around two inner loops, MAML's and the trajectory in context.

A question is a task, its right trajectories are the support set, its answer is the query set. The explicit inner loop
takes gradient steps on the trajectories as text and then answers without them (arXiv 2505.19815, Algorithm 1; MAML:
Finn et al. 2017, arXiv 1703.03400). The implicit one takes no step and answers with a trajectory in the context
(Algorithm 2, Eq. 8). All else is the same. Written to be read: one task at a time, all weights, for small models.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import PreTrainedModel

from raml.errors import DataError, NumericsError
from raml.models import LoadedModel
from raml.probes.spans import check_fit, find_span_len
from raml.prompts import encode_answer, encode_text
from raml.records import Question, TraceSettings, Trajectory
from raml.updates.explicit import Weights, score_rows


@dataclass(frozen=True, kw_only=True)
class MetaSettings:
    """Steps of the inner and of the outer loop."""

    inner_rate: float = 0.1
    """α, the step size of the explicit inner loop's plain SGD."""
    n_inner_steps: int = 1
    """Its steps on a task's support; 0 leaves the weights alone."""
    order: Literal[1, 2] = 2
    """2 differentiates through the inner steps (MAML), 1 takes their gradients as constants (FOMAML)."""
    inner_weights: str = ""
    """The inner loop moves only weights with this in their name; the outer loop always trains all."""
    reduction: Literal["mean", "sum"] = "mean"
    """Of a task's implicit losses over its trajectories: "sum" is Eq. 8, with "mean" all questions count the same."""
    outer_rate: float = 1e-4
    """Learning rate of the outer loop's AdamW, constant."""
    weight_decay: float = 0.0
    """Of that AdamW, on all weights."""
    n_outer_steps: int = 100
    tasks_per_step: int = 4
    """Different tasks drawn for each outer step; it descends the mean of their losses."""
    seed: int = 0
    """Which tasks are drawn when, whatever the inner loop."""

    def __post_init__(self) -> None:
        """Refuse values out of range with a DataError that names them."""
        for name in ("inner_rate", "n_inner_steps", "outer_rate", "weight_decay", "n_outer_steps", "tasks_per_step"):
            low = 1 if name in ("n_outer_steps", "tasks_per_step") else 0
            if not low <= getattr(self, name) < float("inf"):
                raise DataError(f"{name} is {getattr(self, name)}; it must be at least {low}, and finite.")
        for name, choices in (("order", (1, 2)), ("reduction", ("mean", "sum"))):
            if getattr(self, name) not in choices:
                raise DataError(f"{name} is {getattr(self, name)!r}; choose {choices[0]} or {choices[1]}.")


@dataclass(frozen=True)
class MetaTask:
    """A question: what its inner loop reads and what its outer loop asks, as token ids."""

    question_id: str
    prompt_ids: tuple[int, ...]
    support: tuple[tuple[int, ...], ...]
    """Its right trajectories, at least one."""
    bridge_ids: tuple[int, ...]
    """Read before the answer, never scored."""
    answer_ids: tuple[int, ...]


@dataclass(frozen=True)
class MetaStep:
    """A step of the outer loop; losses are means over its tasks, in nats per answer token, at the weights before it."""

    step: int
    """From 1."""
    question_ids: tuple[str, ...]
    before: float
    """Without an inner loop: the answer right after prompt and bridge."""
    after: float
    """After the inner loop: what the step descends."""
    gradient_norm: float
    """Of the gradient of `after` with respect to all weights."""
    step_s: float
    """Seconds for gradient and update; `before` is measured apart."""


@dataclass(frozen=True)
class TaskLosses:
    """Three ways to answer one question at the same weights: the answer's mean NLL in nats."""

    question_id: str
    unadapted: float
    """Right after prompt and bridge."""
    explicit: float
    """The same after gradient steps on the support (Algorithm 1)."""
    implicit: float
    """With a trajectory of the support in the context (Algorithm 2); the mean over them."""


def make_meta_tasks(
    loaded: LoadedModel,
    questions: Sequence[Question],
    trajectories: Sequence[Trajectory],
    *,
    bridge: str = TraceSettings.bridge,
    span: Literal["reasoning", "all"] = "reasoning",
) -> tuple[list[MetaTask], list[str]]:
    """Turn questions and their right trajectories into tasks; also return the ids of questions that have none.

    Repeated and empty trajectories and those of other questions are left out. `span` is as in TraceSettings: by default
    the final answer statement, which would repeat the query, is no support.

    Raises:
        DataError: no question has a right trajectory, one has them after different prompts, or an answer is empty.
        ModelError: a trajectory is longer than the model's context, or its ids are not this model's.
    """
    right: dict[str, dict[tuple[int, ...], Trajectory]] = {question.id: {} for question in questions}
    for trajectory in trajectories:
        ids = trajectory.token_ids[: find_span_len(trajectory, span)]
        if trajectory.question_id in right and trajectory.correct and ids:
            right[trajectory.question_id].setdefault(ids, trajectory)
    left_out = [question.id for question in questions if not right[question.id]]
    if len(left_out) == len(questions):
        raise DataError(f"None of {len(questions)} questions ({', '.join(left_out[:5])}) has a right trajectory.")
    bridge_ids, tasks = encode_text(loaded.tokenizer, bridge), []
    for question in (question for question in questions if right[question.id]):
        answer_ids = encode_answer(loaded.tokenizer, bridge, question.answer)
        for ids, trajectory in right[question.id].items():
            check_fit(loaded, trajectory, len(ids) + len(bridge_ids) + len(answer_ids))
        prompts = {trajectory.prompt_ids for trajectory in right[question.id].values()}
        if len(prompts) > 1:
            raise DataError(f"Question {question.id} has trajectories after {len(prompts)} prompts; give those of one.")
        tasks.append(MetaTask(question.id, prompts.pop(), tuple(right[question.id]), bridge_ids, answer_ids))
    return tasks, left_out


@torch.enable_grad()
def descend(loss: Callable[[Weights], Tensor], weights: Weights, settings: MetaSettings) -> dict[str, Tensor]:
    """Take the inner loop's steps on any loss of some weights: θ' = θ − α ∇L(θ), n_inner_steps times.

    The tensors given stay as they are. A gradient taken through the result reaches them: at order 2 exactly (one step
    multiplies it by I − α · Hessian), at order 1 as if the steps did not depend on where they start.

    Raises:
        DataError: no weight has `inner_weights` in its name.
    """
    moved = {name: value for name, value in weights.items() if settings.inner_weights in name}
    if not moved:
        raise DataError(f"inner_weights {settings.inner_weights!r} is in no weight's name; one is {min(weights)!r}.")
    moved = {name: value if value.requires_grad else value.detach().requires_grad_() for name, value in moved.items()}
    exact = settings.order == 2
    for _ in range(settings.n_inner_steps):
        value = loss({**weights, **moved})
        gradients = torch.autograd.grad(value, list(moved.values()), create_graph=exact, materialize_grads=True)
        moved = {name: moved[name] - settings.inner_rate * one for name, one in zip(moved, gradients, strict=True)}
    return {**weights, **moved}


def adapt(
    model: PreTrainedModel, task: MetaTask, settings: MetaSettings, weights: Weights | None = None
) -> dict[str, Tensor]:
    """Run the explicit inner loop on a task's support, from the weights given or else the model's; see `descend`.

    The loss is the mean over trajectories of their tokens' mean NLL after the prompt, in nats. The model never changes.

    Raises:
        DataError: no weight has `inner_weights` in its name.
        ModelError: the model is in 16 bits.
        NumericsError: a loss is NaN or infinite; the message names the question.
    """
    rows = [(task.prompt_ids, trajectory) for trajectory in task.support]

    def support_loss(now: Weights) -> Tensor:
        return _check_finite(score_rows(model, now, rows).mean(), "support's loss", task)

    # Fused attention can't be differentiated twice.
    with sdpa_kernel(SDPBackend.MATH) if settings.order == 2 else contextlib.nullcontext():
        return descend(support_loss, dict(model.named_parameters()) if weights is None else weights, settings)


def query_loss_plain(model: PreTrainedModel, task: MetaTask, weights: Weights | None = None) -> Float[Tensor, ""]:
    """Mean NLL in nats of the answer right after prompt and bridge, without an inner loop; errors as `adapt`'s."""
    nll = score_rows(model, weights or {}, [(task.prompt_ids + task.bridge_ids, task.answer_ids)])
    return _check_finite(nll.mean(), "answer's loss", task)


def query_loss_explicit(
    model: PreTrainedModel, task: MetaTask, settings: MetaSettings, weights: Weights | None = None
) -> Float[Tensor, ""]:
    """The plain loss at adapted weights: learnt from the trajectories, answered without (Algorithm 1)."""
    return query_loss_plain(model, task, adapt(model, task, settings, weights))


def query_loss_implicit(
    model: PreTrainedModel, task: MetaTask, settings: MetaSettings, weights: Weights | None = None
) -> Float[Tensor, ""]:
    """Mean NLL in nats of the answer after prompt, trajectory and bridge, at the weights as they are (Algorithm 2).

    It is joined over the task's trajectories by `reduction`, all that is read of the settings.
    """
    rows = [(task.prompt_ids + trajectory + task.bridge_ids, task.answer_ids) for trajectory in task.support]
    nll = score_rows(model, weights or {}, rows)
    return _check_finite(nll.sum() if settings.reduction == "sum" else nll.mean(), "answer's loss", task)


def meta_train(
    model: PreTrainedModel,
    tasks: Sequence[MetaTask],
    settings: MetaSettings,
    *,
    inner: Literal["explicit", "implicit"],
    progress: Callable[[MetaStep], None] | None = None,
) -> tuple[dict[str, Tensor], list[MetaStep]]:
    """Run the outer loop of Algorithm 1 (explicit inner loop) or 2 (implicit): AdamW on the loss after the inner loop.

    Returns the trained weights by name and the learning curve. The model itself never changes;
    `model.load_state_dict(weights, strict=False)` makes it the trained one. `progress` is called after every step.

    Raises:
        DataError: there are fewer tasks than a step needs, no such inner loop, or no weight for the inner loop to move.
        ModelError: the model is in 16 bits.
        NumericsError: a loss or gradient is NaN or infinite; the message names the step and the question.
    """
    if inner not in ("explicit", "implicit"):
        raise DataError(f"There is no inner loop {inner!r}; choose explicit or implicit.")
    if len(tasks) < settings.tasks_per_step:
        raise DataError(f"A step takes {settings.tasks_per_step} tasks (tasks_per_step); there are only {len(tasks)}.")
    query_loss = query_loss_explicit if inner == "explicit" else query_loss_implicit
    weights = {name: value.detach().clone().requires_grad_() for name, value in model.named_parameters()}
    optimizer = torch.optim.AdamW(weights.values(), lr=settings.outer_rate, weight_decay=settings.weight_decay)
    rng, curve = random.Random(settings.seed), []
    for step in range(1, settings.n_outer_steps + 1):
        drawn = rng.sample(tasks, settings.tasks_per_step)
        optimizer.zero_grad()
        try:
            with torch.no_grad():
                before = [query_loss_plain(model, task, weights).item() for task in drawn]
            start, after, norm = time.perf_counter(), [], torch.zeros(())
            for task in drawn:
                loss = query_loss(model, task, settings, weights)
                (loss / len(drawn)).backward(inputs=list(weights.values()))
                norm = torch.nn.utils.get_total_norm(one.grad for one in weights.values() if one.grad is not None)
                _check_finite(norm, "gradient", task)
                after.append(loss.item())
        except NumericsError as error:
            raise NumericsError(f"Outer step {step}: {error}") from error
        optimizer.step()
        means, seconds = (fmean(before), fmean(after)), time.perf_counter() - start
        curve.append(MetaStep(step, tuple(task.question_id for task in drawn), *means, norm.item(), seconds))
        if progress is not None:
            progress(curve[-1])
    return {name: value.detach() for name, value in weights.items()}, curve


@torch.no_grad()
def measure_tasks(
    model: PreTrainedModel, tasks: Sequence[MetaTask], settings: MetaSettings, weights: Weights | None = None
) -> list[TaskLosses]:
    """Measure three ways to answer held-out questions, at the weights given or else the model's. Raises as `adapt`."""
    settings = replace(settings, order=1, reduction="mean")  # the order decides gradients, not values
    return [
        TaskLosses(
            task.question_id,
            query_loss_plain(model, task, weights).item(),
            query_loss_explicit(model, task, settings, weights).item(),
            query_loss_implicit(model, task, settings, weights).item(),
        )
        for task in tasks
    ]


def _check_finite(value: Tensor, what: str, task: MetaTask) -> Tensor:
    if not value.isfinite():
        raise NumericsError(f"Question {task.question_id}: the {what} is NaN or infinite. Try smaller rates.")
    return value
