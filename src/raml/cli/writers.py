"""Which model looks at which trajectories: the one that wrote them, or one that was named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from raml.cli.options import LoadOptions, load
from raml.errors import ModelError, RamlError
from raml.records import ModelIdentity, Trajectory
from raml.scale import Pool, Workers, open_pool

if TYPE_CHECKING:
    from raml.models import LoadedModel


def open_scorers(
    model: str | None,
    trajectories: Sequence[Trajectory],
    options: LoadOptions | None,
    errors: list[tuple[str, RamlError]],
    workers: Workers | None = None,
) -> Iterator[tuple[Pool[LoadedModel], ModelIdentity, Sequence[Trajectory]]]:
    """Let workers load one model after the other, each with the trajectories that are its to look at.

    See `list_scorers`. A model that can't be loaded, or is not the one that wrote its trajectories, is noted as an
    error of each of them, and the others go on.
    """
    for name, own, as_written in list_scorers(model, trajectories, options):
        with open_pool(partial(load, name, as_written), workers) as pool:
            try:
                identity = pool.ask(_identify)
                if model is None:
                    check_weights(identity, own)
            except ModelError as error:
                errors += [(trajectory.id, error) for trajectory in own]
                continue
            yield pool, identity, own


def load_scorers(
    model: str | None,
    trajectories: Sequence[Trajectory],
    options: LoadOptions | None,
    errors: list[tuple[str, RamlError]],
) -> Iterator[tuple[LoadedModel, Sequence[Trajectory]]]:
    """Load one model after the other in this process, as `open_scorers` does in workers."""
    for pool, _, own in open_scorers(model, trajectories, options, errors):
        yield pool.ask(_take), own


def _identify(loaded: LoadedModel) -> ModelIdentity:
    return loaded.identity


def _take(loaded: LoadedModel) -> LoadedModel:
    return loaded


def list_scorers(
    model: str | None, trajectories: Sequence[Trajectory], options: LoadOptions | None
) -> Iterator[tuple[str, Sequence[Trajectory], LoadOptions]]:
    """List the models that score, each with the trajectories that are its to score and how to load it.

    Without a model named, these are the writers, with the revision and arithmetic they had unless the options differ.
    """
    options = options or LoadOptions()
    if model is not None:
        yield model, trajectories, options
        return
    writers = dict.fromkeys((t.model.name, t.model.revision, t.model.dtype) for t in trajectories)
    for name, revision, dtype in writers:
        own = [t for t in trajectories if (t.model.name, t.model.revision, t.model.dtype) == (name, revision, dtype)]
        as_written = replace(
            options,
            dtype=dtype if options.dtype == "auto" else options.dtype,
            revision=revision if options.revision is None else options.revision,
        )
        yield name, own, as_written


def check_weights(now: ModelIdentity, trajectories: Sequence[Trajectory]) -> None:
    """Refuse a model of the right name whose weights are not those that wrote the trajectories.

    Where a server held the weights, only configuration and tokenizer can be compared.

    Raises:
        ModelError: the hashes differ.
    """
    for trajectory in trajectories:
        written = trajectory.model
        same_weights = written.weights_sha256 in (None, now.weights_sha256)
        if not same_weights or written.config_sha256 != now.config_sha256:
            raise ModelError(
                f"Trajectory {trajectory.id} was written by {now.name} with other weights or another configuration "
                f"than it has now. Bring those back, or score with these by --model {now.name}."
            )
