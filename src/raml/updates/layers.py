"""The weights that an update moves: the down projection of every layer's feed-forward part, and hooks around it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from transformers import PreTrainedModel

from raml.errors import ModelError

Hook = Callable[[int, Tensor], Tensor | None]
"""Gets a layer's index and a tensor [rows, width]; what it returns, if anything, replaces the tensor."""

TRIAL_TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-3}
TRIAL_TOLERANCE_BELOW = 0.02
"""Of narrower types."""

_obstacles: WeakKeyDictionary[PreTrainedModel, str | None] = WeakKeyDictionary()


@dataclass(frozen=True)
class Layer:
    """A decoder layer whose output is a sum, of which the down projection's output is one term."""

    block: torch.nn.Module
    down: torch.nn.Linear
    name: str
    """The down projection's name in the model, such as "model.layers.3.mlp.down_proj"."""


def find_layers(model: PreTrainedModel) -> list[Layer]:
    """List a model's layers, lowest first.

    Raises:
        ModelError: updates of its down projections can't stand for a text; the message has the reason.
    """
    if model not in _obstacles:
        _obstacles[model] = _find_static_obstacle(model) or _try_sum(model)
    if obstacle := _obstacles[model]:
        raise ModelError(
            f"{type(model).__name__} can't take a trajectory as an update: {obstacle}. Pre-norm decoders with a "
            "feed-forward part of their own in each layer, such as Llama, Qwen2, Qwen3 or Mistral, can."
        )
    return _list_layers(model)


def find_update_obstacle(model: PreTrainedModel) -> str | None:
    """Say in one phrase why a trajectory can't become an update of this model; None if it can."""
    with contextlib.suppress(ModelError):
        find_layers(model)
    return _obstacles[model]


@contextlib.contextmanager
def watching(
    layers: Sequence[Layer], *, output: Hook | None = None, inner: Hook | None = None, added: Hook | None = None
) -> Iterator[None]:
    """Call functions on what flows through the layers while the block runs.

    Args:
        layers: Where.
        output: Gets a layer's output; what it returns replaces it.
        inner: Gets the input of the layer's down projection; what it returns is ignored.
        added: Gets the down projection's output; what it returns replaces it.
    """
    handles = []
    try:
        for index, layer in enumerate(layers):
            if inner is not None:
                handles.append(layer.down.register_forward_pre_hook(_see_input(index, inner)))
            if added is not None:
                handles.append(layer.down.register_forward_hook(_change_output(index, added)))
            if output is not None:
                handles.append(layer.block.register_forward_hook(_change_output(index, output)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _see_input(index: int, hook: Hook) -> Callable[..., None]:
    def see(_module: torch.nn.Module, arguments: tuple[Tensor, ...]) -> None:
        hook(index, arguments[0].flatten(0, -2))

    return see


def _change_output(index: int, hook: Hook) -> Callable[..., object]:
    def change(_module: torch.nn.Module, _arguments: object, result: Tensor | tuple[Tensor, ...]) -> object:
        first = result if isinstance(result, Tensor) else result[0]
        changed = hook(index, first.flatten(0, -2))
        if changed is None:
            return None
        changed = changed.view_as(first)
        return changed if isinstance(result, Tensor) else (changed, *result[1:])

    return change


def _list_layers(model: PreTrainedModel) -> list[Layer]:
    names = {module: name for name, module in model.named_modules()}
    blocks: list[torch.nn.Module] = list(getattr(model.base_model, "layers", ()))
    downs = [getattr(getattr(block, "mlp", None), "down_proj", None) for block in blocks]
    return [
        Layer(block, down, names[down])
        for block, down in zip(blocks, downs, strict=True)
        if isinstance(down, torch.nn.Linear)
    ]


def _find_static_obstacle(model: PreTrainedModel) -> str | None:
    """Recognise what can't work from how the model is built."""
    if model.config.is_encoder_decoder:
        return "it is an encoder-decoder model"
    blocks = list(getattr(model.base_model, "layers", ()))
    layers = _list_layers(model)
    if any(hasattr(getattr(block, "mlp", None), "experts") for block in blocks):
        return "its feed-forward parts are mixtures of experts, and which expert reads a token depends on its state"
    if not blocks:
        return "it has no list of layers where transformers' decoders have theirs"
    if len(layers) < len(blocks):
        return f"{len(blocks) - len(layers)} of its {len(blocks)} layers have no linear mlp.down_proj"
    if any(hasattr(block, "post_feedforward_layernorm") for block in blocks):
        return "its layers normalise what the feed-forward part adds, so that its length can't be chosen"
    if len({id(layer.block) for layer in layers}) < len(layers):
        return "layers are shared: one weight would have to serve several depths"
    if len({id(layer.down.weight) for layer in layers}) < len(layers):
        return "layers share (tie) their down projection: one weight would have to serve several depths"
    if any(type(layer.down) is not torch.nn.Linear or layer.down.weight.device.type == "meta" for layer in layers):
        return "its weights are quantised or not in memory"
    return None


@torch.inference_mode()
def _try_sum(model: PreTrainedModel) -> str | None:
    """See whether a layer's output moves by exactly what is added to its down projection's output."""
    layers, n = _list_layers(model), 4
    ids = torch.arange(n, device=model.device)[None] % model.config.get_text_config().vocab_size
    generator = torch.Generator().manual_seed(0)
    pushes = [torch.randn(n, layer.down.out_features, generator=generator) for layer in layers]
    plain: list[Tensor] = []
    added: list[Tensor] = []
    gaps: list[float] = []

    def keep(_index: int, states: Tensor) -> None:
        plain.append(states)

    def push(index: int, states: Tensor) -> Tensor:
        # As long as the layer's output, beside which rounding is small.
        length = plain[index].to(states.device).norm(dim=-1, keepdim=True) / states.shape[-1] ** 0.5
        pushed = states + pushes[index].to(states) * length
        added.append(pushed - states)
        return pushed

    def compare(index: int, states: Tensor) -> Tensor:
        moved, scale = states - plain[index], added[index].norm()
        gaps.append(float((moved - added[index].to(moved)).norm() / scale) if scale > 0 else 0.0)
        return plain[index]  # the next layer gets what it got without a push

    with watching(layers, output=keep):
        model.base_model(input_ids=ids, use_cache=False)
    with watching(layers, added=push, output=compare):
        model.base_model(input_ids=ids, use_cache=False)
    if not max(gaps) <= TRIAL_TOLERANCES.get(model.dtype, TRIAL_TOLERANCE_BELOW):
        return "its layers change what the feed-forward part adds before they add it"
    return None
