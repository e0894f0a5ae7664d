"""Which models the one-pass engine can serve: known obstacles by name, all others by trying."""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakKeyDictionary

import torch
from transformers import PreTrainedModel

from raml.errors import RamlError
from raml.scoring.definition import answer_nll_by_definition
from raml.scoring.one_pass import answer_nll_in_one_pass

BRANCHABLE_LAYERS = {"full_attention", "sliding_attention"}
LENGTH_DEPENDENT_ROPE = {"dynamic", "longrope"}
TOLERANCES = {torch.float64: 1e-8, torch.float32: 1e-3}
"""Largest accepted deviation of a trial in nats; LOW_PRECISION_TOLERANCE for narrower types."""
LOW_PRECISION_TOLERANCE = 0.3
LONGEST_WINDOW_TRIED = 1024
"""Sliding windows up to this length are reached past in the trial; longer ones rely on what the layers ask for."""

_verdicts: WeakKeyDictionary[PreTrainedModel, tuple[torch.dtype, str | None]] = WeakKeyDictionary()


def find_obstacle(model: PreTrainedModel) -> str | None:
    """Say in one phrase why the one-pass engine can't serve a model; None if it can.

    Recurrent layers, layers that bypass transformers' attention interface, and rotary embeddings whose frequencies
    depend on the length are recognised from the configuration. Anything else is found by trying: random tokens, more
    than a sliding window where that is short, are scored both ways, once per model and arithmetic.
    """
    dtype = next(model.parameters()).dtype
    known = _verdicts.get(model)
    if known is None or known[0] != dtype:
        known = _verdicts[model] = (dtype, _find_static_obstacle(model) or _try_both(model, dtype))
    return known[1]


def _find_static_obstacle(model: PreTrainedModel) -> str | None:
    config = model.config.get_text_config()
    if model.config.is_encoder_decoder:
        return "it is an encoder-decoder model"
    stateful = set(getattr(config, "layer_types", None) or ()) - BRANCHABLE_LAYERS
    if stateful:
        return f"its {', '.join(sorted(stateful))} layers keep a state that can't be branched"
    if not (model._supports_attention_backend and model._can_set_attn_implementation()):
        return "it does not take its attention from transformers' attention interface"
    rope_types = set(_list_rope_types(getattr(config, "rope_parameters", None))) & LENGTH_DEPENDENT_ROPE
    if rope_types:
        return f"its {rope_types.pop()} rotary embedding changes with the length of the text"
    return None


def _list_rope_types(parameters: object) -> Iterator[str]:
    """Rotary types of a configuration: one set of parameters, or one for each kind of layer."""
    if not isinstance(parameters, dict):
        return
    if "rope_type" in parameters:
        yield str(parameters["rope_type"])
    for value in parameters.values():
        yield from _list_rope_types(value)


def _try_both(model: PreTrainedModel, dtype: torch.dtype) -> str | None:
    config = model.config.get_text_config()
    window = getattr(config, "sliding_window", None) or 0
    n = 9 + (window if window <= LONGEST_WINDOW_TRIED else 0)
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(config.vocab_size, (6 + n + 5,), generator=generator).to(model.device)
    prompt, trajectory, bridge, answer = ids.split([6, n, 3, 2])
    parts = (prompt, trajectory, bridge, answer, torch.tensor([0, 4, n], device=model.device))
    try:
        deviation = float(
            (answer_nll_in_one_pass(model, *parts, chunk_tokens=64) - answer_nll_by_definition(model, *parts))
            .abs()
            .max()
        )
    except torch.OutOfMemoryError:
        raise  # no property of the model
    except (RamlError, RuntimeError, AttributeError, TypeError, KeyError, ValueError, AssertionError) as error:
        return f"a trial of the one-pass engine failed: {str(error).splitlines()[0]}"
    if not deviation <= TOLERANCES.get(dtype, LOW_PRECISION_TOLERANCE):
        return f"a trial of the one-pass engine was off by {deviation:.2g} nats"
    return None
