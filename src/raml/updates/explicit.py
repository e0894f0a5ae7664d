"""The explicit inner loop: gradient steps on a trajectory as text, beside the trajectory in the context.

The paper reads a trajectory in the context as gradient steps that nobody takes (arXiv 2505.19815, Eq. 4). Here they are
taken: SGD or Adam on the trajectory's tokens, and after each step the answer is asked for without the trajectory, as
MAML's inner loop and test-time training do (Finn et al. 2017, arXiv 1703.03400; Sun et al. 2020, arXiv 1909.13231).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import functional_call
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from raml.errors import DataError, ModelError, NumericsError
from raml.models import LoadedModel
from raml.models.load import SMALL_MODEL
from raml.probes.task import plan_task
from raml.records import Adaptation, AdaptSettings, Kind, ModelIdentity, TraceSettings, Trajectory, hash_key
from raml.scoring.definition import widen

SMALL_RATES = {"sgd": 0.1, "adam": 3e-4}
"""What the embedded models bear; at ten times as much the text's own loss rises."""
LARGE_RATES = {"sgd": 1e-3, "adam": 1e-5}
"""What a model of half a billion weights bears."""

Weights = Mapping[str, Tensor]
"""Parameters by name, tied ones once."""
Row = tuple[tuple[int, ...], tuple[int, ...]]
"""Token ids that are read, and those after them that are scored."""


def score_rows(model: PreTrainedModel, weights: Weights, rows: Sequence[Row]) -> Float[Tensor, " row"]:
    """Mean NLL in nats of each row's second part after its first, in one forward pass at the weights given.

    Weights that are not given are the model's, which never change. Rows are filled up at the end, where no earlier
    token looks, so they need no mask. The result can be differentiated with respect to the weights given.

    Raises:
        ModelError: the model is in 16 bits.
    """
    if model.dtype not in (torch.float32, torch.float64):
        raise ModelError(
            f"The model is in {model.dtype}, where small steps are lost. Load it with dtype='float32' "
            "(--dtype float32)."
        )
    first = min(len(before) for before, _ in rows)  # place of the first token that is scored in any row
    ids = pad_sequence([torch.tensor(before + scored) for before, scored in rows], batch_first=True)
    targets = [torch.tensor((-100,) * len(before) + scored)[first:] for before, scored in rows]
    targets = pad_sequence(targets, batch_first=True, padding_value=-100).to(model.device)
    options: dict[str, Any] = {"input_ids": ids.to(model.device), "use_cache": False}
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        options["logits_to_keep"] = targets.shape[1] + 1
    logits = functional_call(model, dict(weights), (), options).logits[:, -targets.shape[1] - 1 : -1]
    nll = torch.nn.functional.cross_entropy(widen(logits).transpose(1, 2), targets, reduction="none")
    return nll.sum(dim=1) / (targets >= 0).sum(dim=1)


def adapt_to_trajectory(
    loaded: LoadedModel,
    trajectory: Trajectory,
    gold: str,
    settings: AdaptSettings | None = None,
    *,
    kind: Kind = "math",
) -> Adaptation:
    """Take gradient steps on a trajectory as text, and score the answer without it after each.

    The steps descend the mean NLL of the trajectory's tokens after the prompt, all of them in each step, on copies of
    the weights: the model's own are never written, whatever happens. A run of k steps is the beginning of a longer one.

    Args:
        loaded: The model, in 32 or 64 bits.
        trajectory: Its ids are used as they are, up to the end of the settings' span.
        gold: The question's answer.
        settings: Of optimizer, rate and steps.
        kind: How the question's answers are checked.

    Raises:
        DataError: prompt, bridge, span or answer is empty, the answer is a program, no weight has such a
            name, or a setting is out of its range.
        ModelError: prompt, trajectory, bridge and answer exceed the model's context, the ids are not this model's, the
            model is in 16 bits, or memory does not suffice.
        NumericsError: a loss is NaN or infinite; the message names trajectory and step.
    """
    settings = choose_rate(loaded, settings or AdaptSettings())
    check_settings(settings)
    # Prefixes 0 and the span's end are all that a trace at this distance looks at.
    place = TraceSettings(settings.bridge, span=settings.span, every=max(1, len(trajectory.token_ids)))
    job = plan_task(loaded, trajectory, gold, [place], None, kind=kind).job
    text = job.trajectory_ids[: job.prefix_lens[-1]]
    if not text:
        raise DataError(
            f"Trajectory {trajectory.id} has no tokens before its final answer (or none at all); nothing to learn."
        )
    (answer,) = job.answers
    try:
        with torch.no_grad():
            in_context = score_rows(loaded.model, {}, [(job.prompt_ids + text + job.bridge_ids, answer)]).item()
        _check_finite(trajectory, "the answer's loss in context", in_context)
        rows = (job.prompt_ids, text), (job.prompt_ids + job.bridge_ids, answer)
        text_loss, loss, distance = _walk(loaded.model, trajectory, *rows, settings)
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        raise ModelError(
            f"Trajectory {trajectory.id}: out of memory. Gradients need several times the weights' size; "
            "move fewer weights (such as --weights mlp)."
        ) from error
    return Adaptation(
        id=key_adaptation(loaded.identity, trajectory, gold, settings),
        trajectory_id=trajectory.id,
        model=loaded.identity,
        settings=settings,
        loss=loss,
        text_loss=text_loss,
        distance=distance,
        in_context_loss=in_context,
    )


def key_adaptation(model: ModelIdentity, trajectory: Trajectory, gold: str, settings: AdaptSettings) -> str:
    """The id that an adaptation will have: a hash of model, settings, trajectory and gold answer."""
    return hash_key("adaptation", model.key(), settings, trajectory.id, gold)


def choose_rate(loaded: LoadedModel, settings: AdaptSettings) -> AdaptSettings:
    """Fill in the rate where the settings leave it open."""
    if settings.rate is not None:
        return settings
    rates = SMALL_RATES if loaded.model.num_parameters() < SMALL_MODEL else LARGE_RATES
    return replace(settings, rate=rates[settings.optimizer])


def check_settings(settings: AdaptSettings) -> None:
    """Refuse settings that make no sense.

    Raises:
        DataError: one is out of its range.
    """
    if settings.optimizer not in ("sgd", "adam"):
        raise DataError(f"There is no optimizer {settings.optimizer!r}; choose sgd or adam.")
    if settings.n_steps < 1:
        raise DataError(f"{settings.n_steps} gradient steps make no inner loop; take at least 1.")
    if settings.rate is None:
        return
    if not 0 < settings.rate < math.inf:
        raise DataError(f"The rate is {settings.rate}; it must be above 0, and finite.")
    if settings.optimizer == "adam" and settings.rate >= 0.1:
        raise DataError(
            f"Adam moves each weight by about its rate in a step; {settings.rate} leaves nothing of a model. Try 1e-4."
        )


def _walk(
    model: PreTrainedModel, trajectory: Trajectory, text: Row, question: Row, settings: AdaptSettings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Take the steps on copies of the weights; return text loss, answer loss and distance before them and after each.

    Raises:
        DataError: no weight has such a name.
        NumericsError: a loss is NaN or infinite.
    """
    start = {name: value.detach() for name, value in model.named_parameters() if settings.weights in name}
    if not start:
        one = next(name for name, _ in model.named_parameters())
        raise DataError(f"weights {settings.weights!r} is in no weight's name; one is {one!r}.")
    moved = {name: value.clone().requires_grad_() for name, value in start.items()}
    kind = torch.optim.SGD if settings.optimizer == "sgd" else torch.optim.Adam
    assert settings.rate is not None, "choose_rate fills it in"
    optimizer = kind(list(moved.values()), lr=settings.rate)
    path = np.zeros((3, settings.n_steps + 1), dtype=np.float32)
    for step in range(settings.n_steps + 1):
        with torch.no_grad():
            answer_loss = score_rows(model, moved, [question]).item()
            lengths = (torch.linalg.vector_norm(moved[name] - value).item() for name, value in start.items())
            distance = math.hypot(*lengths)
        with torch.set_grad_enabled(step < settings.n_steps):
            text_loss = score_rows(model, moved, [text]).sum()
        _check_finite(trajectory, f"the text's loss after step {step} at rate {settings.rate:g}", text_loss.item())
        _check_finite(trajectory, f"the answer's loss after step {step} at rate {settings.rate:g}", answer_loss)
        path[:, step] = text_loss.item(), answer_loss, distance
        if step < settings.n_steps:
            optimizer.zero_grad()
            text_loss.backward(inputs=list(moved.values()))
            optimizer.step()
    return path[0], path[1], path[2]


def _check_finite(trajectory: Trajectory, what: str, value: float) -> None:
    if not math.isfinite(value):
        raise NumericsError(f"Trajectory {trajectory.id}: {what} is NaN or infinite. Try a smaller rate.")
