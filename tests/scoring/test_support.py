import pytest
import torch
import transformers

from raml.scoring import find_obstacle
from tests.scoring.conftest import CONFIGS, build_model
from tests.scoring.test_one_pass import SERVED


@pytest.mark.parametrize("name", SERVED)
def test_common_decoders_have_no_obstacle(models, name):
    assert find_obstacle(models(name)) is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("mamba", "keep a state"),
        ("lfm2", "conv layers keep a state"),
        ("falcon-h1", "keep a state"),
        ("qwen3-next", "linear_attention layers keep a state"),
        ("bloom", "attention interface"),
        ("llama-dynamic-rope", "dynamic rotary embedding"),
        ("llama-longrope", "longrope rotary embedding"),
    ],
)
def test_models_the_engine_cannot_serve_are_named_with_the_reason(models, name, reason):
    assert reason in find_obstacle(models(name))


@pytest.mark.parametrize("window", [12, 2000])
def test_a_layer_that_keeps_its_window_to_itself_is_noticed_at_any_length(window):
    """Phimoe's layers get their window from the mask alone; the trial does not reach past 2,000 tokens."""
    config = CONFIGS["phimoe-silent-window"]()
    config.sliding_window = window
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    assert "do not tell the attention interface about their sliding window" in find_obstacle(model)


def test_a_layer_that_brings_a_mask_of_its_own_is_noticed(models):
    assert "brings a mask of its own" in find_obstacle(models("doge-own-mask"))


def test_a_trial_notices_what_no_list_names():
    """A model whose own forward does something to the logits that its configuration does not speak of."""
    model = build_model("llama")
    forward = type(model).forward

    def scaled(self, *args, **kwargs):
        output = forward(self, *args, **kwargs)
        output.logits = output.logits / 3
        return output

    model.forward = scaled.__get__(model)
    assert "off by" in find_obstacle(model)


def test_a_layer_that_bypasses_the_interface_is_noticed():
    model = build_model("llama")
    layer = model.model.layers[1].self_attn
    layer.forward = lambda hidden_states, **_: (torch.zeros_like(hidden_states), None)
    assert "Only layers [0, 2] of 3" in find_obstacle(model)
