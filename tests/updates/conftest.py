"""Small random models, and token ids to compile."""

from dataclasses import dataclass

import pytest
import torch
import transformers as tr

VOCABULARY = 150
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
}
CONFIGS = {
    "llama": lambda: tr.LlamaConfig(**SIZES),
    "llama-biased": lambda: tr.LlamaConfig(**SIZES, mlp_bias=True, attention_bias=True),
    "qwen2": lambda: tr.Qwen2Config(**SIZES),
    "qwen3": lambda: tr.Qwen3Config(**SIZES, head_dim=16),
    "mistral-sliding": lambda: tr.MistralConfig(**SIZES, sliding_window=12),
    "phi3": lambda: tr.Phi3Config(**SIZES),
    "granite": lambda: tr.GraniteConfig(**SIZES, logits_scaling=1.5),
    "granite-scaled": lambda: tr.GraniteConfig(**SIZES, residual_multiplier=0.5),
    "gemma2": lambda: tr.Gemma2Config(**SIZES, head_dim=16, query_pre_attn_scalar=16),
    "gemma3": lambda: tr.Gemma3TextConfig(**SIZES, head_dim=16, query_pre_attn_scalar=16),
    "olmo2": lambda: tr.Olmo2Config(**SIZES),
    "qwen3-moe": lambda: tr.Qwen3MoeConfig(**SIZES, head_dim=16, num_experts=4, moe_intermediate_size=32),
    "gpt2": lambda: tr.GPT2Config(vocab_size=VOCABULARY, n_embd=48, n_layer=3, n_head=4, n_positions=256),
}


@dataclass(frozen=True)
class Ids:
    prompt: torch.Tensor
    trajectory: torch.Tensor
    probe: torch.Tensor
    n_answer: int = 3

    @property
    def parts(self):
        return self.prompt, self.trajectory, self.probe

    @property
    def lists(self):
        return tuple(part.tolist() for part in self.parts)


def draw_ids(n_prompt=15, n_trajectory=30, n_probe=8, seed=0):
    ids = torch.randint(
        3, VOCABULARY, (n_prompt + n_trajectory + n_probe,), generator=torch.Generator().manual_seed(seed)
    )
    return Ids(*ids.split([n_prompt, n_trajectory, n_probe]))


@pytest.fixture
def ids():
    return draw_ids()


@pytest.fixture(scope="session")
def make_model():
    models = {}

    def make(name, dtype=torch.float64):
        if (name, dtype) not in models:
            torch.manual_seed(1)
            model = tr.AutoModelForCausalLM.from_config(CONFIGS[name]()).eval().to(dtype)
            models[name, dtype] = model.requires_grad_(False)
        return models[name, dtype]

    return make
