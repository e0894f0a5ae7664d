"""The direction from a model's weights to those of another checkpoint."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import AutoConfig, PreTrainedModel

from raml.errors import ModelError
from raml.landscapes.directions import Piece, Rows, check_plain
from raml.models import find_source, find_weight_files, first_line, load_model
from raml.models.files import CONFIG_REMARKS

WORDS_ONLY = {"architectures", "bos_token_id", "eos_token_id", "pad_token_id", "use_cache", "max_position_embeddings"}
"""Fields of a configuration in which checkpoints of one architecture may differ and still compute the same."""


class CheckpointDirection:
    """Leads from a model's weights to another checkpoint's: θ + 1 × direction is the checkpoint, to the bit."""

    leads_to = True

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self.weights = weights

    @property
    def names(self) -> Collection[str]:
        """The parameters it moves: all."""
        return self.weights.keys()

    @property
    def n_bytes(self) -> int:
        """How much memory it takes, mapped files included."""
        return sum(part.nbytes for part in self.weights.values())

    def pick(self, name: str, rows: Rows) -> Piece:
        """Its part for some rows of a parameter."""
        return (self.weights[name][rows],)

    def cut(self, name: str, n_rows: int) -> Iterable[Piece]:
        """Its parts for a parameter, of so many rows each."""
        return zip(self.weights[name].split(n_rows))

    def add(self, tile: Tensor, start: Tensor, piece: Piece, factor: float) -> None:
        """Write start + factor × a part of the checkpoint into a tile."""
        torch.add(start, piece[0], alpha=factor, out=tile)


def read_checkpoint(model: PreTrainedModel, name: str, revision: str | None = None) -> CheckpointDirection:
    """Read the checkpoint that a direction from this model leads to, by name, folder or file as in `load_model`.

    On a CPU its safetensors file is mapped into memory: the weights take the system's file cache and no more. Where
    names or shapes in the file are not the model's own, as those of experts that are joined while loading, or on an
    accelerator, the checkpoint is held in memory: one more copy of the weights.

    Raises:
        ModelError: there is no such checkpoint, or it is not of this model's architecture; the message says what
            differs.
    """
    check_plain(model)
    source = find_source(name, revision)
    files = find_weight_files(name, source)
    if source.is_dir():
        _check_configuration(model, name, source)
    weights: dict[str, Tensor] = {}
    for file in files if source.is_dir() else []:
        try:
            with safe_open(file, framework="pt", device="cpu") as content:
                weights |= {key: content.get_tensor(key) for key in content.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{name}: {file.name} is no readable safetensors file: {error}") from error
    own = dict(model.named_parameters())
    if not all(key in weights and weights[key].shape == value.shape for key, value in own.items()):
        weights = dict(load_model(name, dtype=str(model.dtype)[6:], device="cpu", revision=revision).model.state_dict())
    return lead_to(model, name, weights)


def lead_to(model: PreTrainedModel, name: str, weights: Mapping[str, Tensor]) -> CheckpointDirection:
    """Make the direction from a model to weights that are in memory; `name` is what errors call them.

    Raises:
        ModelError: a parameter is missing or has another shape.
    """
    chosen = {}
    for key, parameter in model.named_parameters():
        if key not in weights:
            raise ModelError(f"{name} has no weight {key}: it is of another architecture than the model.")
        if weights[key].shape != parameter.shape:
            shapes = " and ".join(str(list(value.shape)) for value in (weights[key], parameter))
            raise ModelError(f"{name}: {key} has other sizes than the model's: {shapes}.")
        chosen[key] = weights[key].to(parameter.device)
    for key in model.state_dict().keys() & weights.keys() - chosen.keys():
        buffer = model.state_dict()[key]
        if not torch.equal(buffer.cpu(), weights[key].to(buffer.dtype).cpu()) and not _is_tied(model, key):
            raise ModelError(f"{name} has other values than the model in {key}, which is no weight and stays as it is.")
    return CheckpointDirection(chosen)


def _is_tied(model: PreTrainedModel, key: str) -> bool:
    """Whether a name stands for a weight that has another name too."""
    return any(key == other for other, _ in model.named_parameters(remove_duplicate=False))


def _check_configuration(model: PreTrainedModel, name: str, source: Path) -> None:
    """Refuse a checkpoint whose weights would compute something else in this model.

    Raises:
        ModelError: a field of the configuration differs, or it needs code of its own, which is not run.
    """
    try:
        other = AutoConfig.from_pretrained(source, trust_remote_code=False)  # without the word, a terminal is asked
    except Exception as error:
        if "custom code" in str(error):
            raise ModelError(f"{name} needs Python code that comes with it; for --toward none is run.") from error
        raise ModelError(f"{name}: config.json can't be read: {first_line(error)}") from error
    own, found = (json.loads(config.to_json_string(use_diff=False)) for config in (model.config, other))
    for key in sorted((found.keys() & own.keys()) - CONFIG_REMARKS - WORDS_ONLY):
        if found[key] != own[key]:
            raise ModelError(
                f"{name} has {key} {found[key]!r}, the model {own[key]!r}: its weights would not compute the same "
                "there. Choose checkpoints of one architecture."
            )
