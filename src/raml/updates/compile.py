"""A trajectory's path as a record, with a certificate of how exactly each point stands for its prefix."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

import torch

from raml.errors import DataError, ModelError, NumericsError, RamlError
from raml.models import LoadedModel
from raml.records import ModelIdentity, Question, Trajectory, Update, UpdateSettings, hash_key
from raml.scoring import Job
from raml.updates.equivalent import verify_update
from raml.updates.factors import LowRank
from raml.updates.layers import find_layers
from raml.updates.path import WeightPath, trace_path
from raml.updates.probe import Probe, plan_probe, space_prefixes
from raml.updates.transfer import score_bare


def key_update(
    model: ModelIdentity,
    trajectory: Trajectory,
    gold: str,
    settings: UpdateSettings,
    others: Mapping[str, Job] = MappingProxyType({}),
) -> str:
    """The id that a trajectory's update will have: a hash of settings, model, trajectory, gold answer and others."""
    asked = [(other, job.prompt_ids, job.answers) for other, job in others.items()]
    return hash_key("update", model.key(), settings, trajectory.id, gold, asked)


def compile_trajectory(
    loaded: LoadedModel,
    trajectory: Trajectory,
    question: Question,
    settings: UpdateSettings | None = None,
    *,
    others: Mapping[str, Job] = MappingProxyType({}),
    memory: int | None = None,
) -> tuple[Update, WeightPath]:
    """Compile the prefixes of a trajectory into updates of the weights, and certify the last one by running it.

    Args:
        loaded: The model that is updated, usually the one that wrote the trajectory.
        trajectory: Its ids are used as they are; they are never tokenised again.
        question: Its gold answer is what the updated model reads after the bridge.
        settings: Bridge, span and number of prefixes.
        others: Other questions by id, as `plan_bare` makes them, to be asked before and with the last update.
        memory: Bytes that may be used beside the model's weights; by default most of what is free.

    Returns:
        The record, and the updates themselves as low-rank factors.

    Raises:
        DataError: the question asks for a program, or bridge or answer is empty, or fewer than two prefixes are asked.
        ModelError: the architecture does not allow it, or the trajectory does not fit the model.
        NumericsError: an activation or a loss is NaN or infinite.
    """
    settings = settings or UpdateSettings()
    if settings.n_prefixes < 2:
        raise DataError(f"A path of {settings.n_prefixes} prefixes goes nowhere; n_prefixes is at least 2.")
    probe = plan_probe(loaded, trajectory, question, settings.bridge, settings.span)
    path = follow(loaded, trajectory, probe, settings.n_prefixes, memory=memory)
    parts = (probe.prompt_ids, probe.trajectory_ids, probe.ids)
    prompt, text, asked = (torch.tensor(ids, dtype=torch.long, device=loaded.device) for ids in parts)
    logit_gap, prompt_gap = verify_update(loaded.model, prompt, text, asked, take_point(path), len(probe.answer_ids))
    jobs = list(others.values())
    change = score_bare(loaded, jobs, take_point(path)) - score_bare(loaded, jobs) if jobs else torch.zeros(0)
    if not (math.isfinite(logit_gap) and math.isfinite(prompt_gap) and change.isfinite().all()):
        raise NumericsError(f"Trajectory {trajectory.id}: the updated model puts out NaN or infinity.")
    weights = [layer.down.weight for layer in find_layers(loaded.model)]
    record = Update(
        id=key_update(loaded.identity, trajectory, question.answer, settings, others),
        trajectory_id=trajectory.id,
        model=loaded.identity,
        settings=settings,
        bridge_ids=probe.bridge_ids,
        answer_ids=probe.answer_ids,
        prefix_lens=torch.tensor(path.prefix_lens, dtype=torch.int32).numpy(),
        rank=len(probe.ids),
        exact=path.exact,
        loss=path.loss.cpu().float().numpy(),
        updated_loss=path.updated_loss.cpu().float().numpy(),
        logit_gap=logit_gap,
        prompt_gap=prompt_gap,
        residual=path.residual.float().numpy(),
        norm=path.measure_norms().float().numpy(),
        weight_norm=torch.stack([weight.detach().float().norm().cpu() for weight in weights]).numpy(),
        condition=path.condition.float().numpy(),
        gram=path.measure_gram().cpu().numpy(),
        other_ids=tuple(others),
        other_change=change.float().numpy(),
    )
    return record, path


def follow(
    loaded: LoadedModel, trajectory: Trajectory, probe: Probe, n_prefixes: int, *, memory: int | None = None
) -> WeightPath:
    """Trace a trajectory's path; errors name the trajectory.

    Raises:
        ModelError: the architecture does not allow it, or memory is short.
        NumericsError: an activation or a loss is NaN or infinite.
    """
    lens = space_prefixes(len(probe.trajectory_ids), n_prefixes)
    try:
        path = trace_path(
            loaded.model,
            probe.prompt_ids,
            probe.trajectory_ids,
            probe.ids,
            lens,
            len(probe.answer_ids),
            memory=memory,
        )
    except RamlError as error:
        raise type(error)(f"Trajectory {trajectory.id}: {error}") from error
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        raise ModelError(
            f"Trajectory {trajectory.id}: out of memory at {len(lens)} prefixes; ask for fewer."
        ) from error
    for losses in (path.loss, path.updated_loss):
        if not losses.isfinite().all():
            raise NumericsError(f"Trajectory {trajectory.id}: the answer's loss is NaN or infinite somewhere.")
    return path


def take_point(path: WeightPath, place: int = -1) -> tuple[LowRank, ...]:
    """The updates of all layers at one point of a path, the last by default."""
    return tuple(layer[place] for layer in path.layers)
