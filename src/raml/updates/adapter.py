"""An update as a LoRA adapter that PEFT loads: one trajectory of one question, compiled into weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import safetensors.torch
import torch

from raml.errors import ModelError, RunError
from raml.models import LoadedModel, find_source
from raml.store import write_atomically, writing
from raml.updates.factors import LowRank
from raml.updates.layers import find_layers

WEIGHTS, CONFIG, CERTIFICATE = "adapter_model.safetensors", "adapter_config.json", "certificate.json"


def write_adapter(
    folder: Path, loaded: LoadedModel, updates: Sequence[LowRank], certificate: Mapping[str, object]
) -> tuple[Path, Path, Path]:
    """Write an update of all down projections as a PEFT LoRA folder (made if need be).

    `peft.PeftModel.from_pretrained(model, folder)` runs with it, and its `merge_and_unload()` adds it to the weights.
    The scale is 1: lora_alpha is the rank. Both factors of a rank get the same length, so that neither overflows a
    narrow type.

    Returns:
        The adapter's weights, its configuration, and the certificate, as PEFT does not read it, in a file of its own.

    Raises:
        ModelError: the model is not in a form whose weights PEFT could find again: a GGUF file.
        RunError: there is something else in the folder, the disk is full or the folder can't be written.
    """
    source = find_source(loaded.identity.name, loaded.identity.revision)
    if source.is_file():
        raise ModelError(f"{source} is a GGUF file, which no adapter can be attached to. Load its safetensors folder.")
    if folder.exists() and (
        not folder.is_dir() or {entry.name for entry in folder.iterdir()} - {WEIGHTS, CONFIG, CERTIFICATE}
    ):
        raise RunError(f"{folder} holds something that is no adapter. Choose another folder.")
    tensors: dict[str, torch.Tensor] = {}
    layers = find_layers(loaded.model)
    for layer, update in zip(layers, updates, strict=True):
        left, right = update.left.float(), update.right.float()
        ratio = (left.norm(dim=1) / right.norm(dim=1)).nan_to_num(1.0, posinf=1.0).clamp(min=1e-30).sqrt()[:, None]
        name = f"base_model.model.{layer.name}"
        tensors[f"{name}.lora_A.weight"] = (right * ratio).cpu().contiguous()
        tensors[f"{name}.lora_B.weight"] = (left / ratio).T.cpu().contiguous()
    rank = updates[0].left.shape[0]
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": loaded.identity.name if loaded.identity.revision else str(source.resolve()),
        "revision": loaded.identity.revision,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "target_modules": [layer.name for layer in layers],
    }
    files = folder / WEIGHTS, folder / CONFIG, folder / CERTIFICATE
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_atomically(files[0], safetensors.torch.save(tensors, metadata={"format": "pt"}))
    for path, content in zip(files[1:], (config, certificate), strict=True):
        write_atomically(path, msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
    return files


def check_adapter_folder(folder: Path) -> None:
    """Refuse a folder that holds anything but an adapter.

    Raises:
        RunError: it does, or it is a file.
    """
    own = {WEIGHTS, CONFIG, CERTIFICATE}
    if folder.exists() and (not folder.is_dir() or {entry.name for entry in folder.iterdir()} - own):
        raise RunError(f"{folder} holds something that is no adapter. Choose another folder.")
