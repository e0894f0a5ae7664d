"""Small random models of many architectures."""

import pytest
import torch
import transformers as tr
from transformers.masking_utils import AttentionMaskInterface, eager_mask

VOCABULARY = 160
WINDOW = 12
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
}
EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 32}
CONFIGS = {
    "llama": lambda: tr.LlamaConfig(**SIZES),
    "qwen2": lambda: tr.Qwen2Config(**SIZES),
    "qwen2-sliding": lambda: tr.Qwen2Config(
        **SIZES, use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1
    ),
    "qwen3": lambda: tr.Qwen3Config(**SIZES, head_dim=24),
    "qwen3-moe": lambda: tr.Qwen3MoeConfig(**SIZES, head_dim=24, num_experts=4, **EXPERTS),
    "gemma2": lambda: tr.Gemma2Config(**SIZES, head_dim=24, sliding_window=WINDOW, query_pre_attn_scalar=24),
    "gemma3": lambda: tr.Gemma3TextConfig(**SIZES, head_dim=24, sliding_window=WINDOW, query_pre_attn_scalar=24),
    "mistral-sliding": lambda: tr.MistralConfig(**SIZES, sliding_window=WINDOW),
    "phi3": lambda: tr.Phi3Config(**SIZES),
    "gpt2": lambda: tr.GPT2Config(
        vocab_size=VOCABULARY, n_embd=64, n_layer=3, n_head=4, n_positions=256, initializer_range=0.2
    ),
    "gpt-neox": lambda: tr.GPTNeoXConfig(**{k: v for k, v in SIZES.items() if k != "num_key_value_heads"}),
    "gpt-oss": lambda: tr.GptOssConfig(
        **SIZES, head_dim=16, num_local_experts=4, num_experts_per_tok=2, sliding_window=WINDOW
    ),
    "deepseek-v3": lambda: tr.DeepseekV3Config(
        **SIZES | {"num_key_value_heads": 4},
        q_lora_rank=16,
        kv_lora_rank=16,
        qk_rope_head_dim=8,
        qk_nope_head_dim=8,
        v_head_dim=12,
        n_routed_experts=4,
        n_group=1,
        topk_group=1,
        first_k_dense_replace=1,
        **EXPERTS,
    ),
    "phimoe-silent-window": lambda: tr.PhimoeConfig(
        **SIZES, sliding_window=WINDOW, num_local_experts=4, num_experts_per_tok=2
    ),
    "doge-own-mask": lambda: tr.DogeConfig(**SIZES, sliding_window=WINDOW),
    "granite": lambda: tr.GraniteConfig(**SIZES, logits_scaling=1.5),
    "cohere": lambda: tr.CohereConfig(**SIZES, logit_scale=0.5),
    "llama-dynamic-rope": lambda: tr.LlamaConfig(
        **SIZES, rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}
    ),
    "llama-longrope": lambda: tr.LlamaConfig(
        **SIZES,
        rope_parameters={
            "rope_type": "longrope",
            "factor": 2.0,
            "rope_theta": 1e4,
            "short_factor": [1.0] * 8,
            "long_factor": [2.0] * 8,
            "original_max_position_embeddings": 128,
        },
    ),
    "falcon-h1": lambda: tr.FalconH1Config(**SIZES, mamba_d_ssm=64, mamba_n_heads=4, mamba_d_head=16, mamba_d_state=8),
    "qwen3-next": lambda: tr.Qwen3NextConfig(
        **SIZES,
        head_dim=16,
        num_experts=4,
        shared_expert_intermediate_size=32,
        linear_num_key_heads=2,
        linear_num_value_heads=4,
        linear_key_head_dim=16,
        linear_value_head_dim=16,
        **EXPERTS,
    ),
    "mamba": lambda: tr.MambaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, state_size=8),
    "bloom": lambda: tr.BloomConfig(vocab_size=VOCABULARY, hidden_size=32, n_layer=2, n_head=4),
    "lfm2": lambda: tr.Lfm2Config(**SIZES, layer_types=["conv", "full_attention", "conv"]),
}


def attend_in_float64(module, query, key, value, attention_mask, scaling=None, softcap=None, s_aux=None, **_):
    """Plain attention in the arithmetic of its arguments, soft-capping and sinks included."""
    key, value = (part.repeat_interleave(query.shape[1] // key.shape[1], dim=1) for part in (key, value))
    scores = query @ key.transpose(2, 3) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if softcap is not None:
        scores = (scores / softcap).tanh() * softcap
    if attention_mask is not None:
        scores = scores + attention_mask
    if s_aux is not None:
        scores = torch.cat([scores, s_aux.view(1, -1, 1, 1).expand(*scores.shape[:3], 1)], dim=-1)
    weights = scores.softmax(dim=-1)[..., : key.shape[2]]
    return (weights @ value).transpose(1, 2).contiguous(), None


tr.AttentionInterface.register("float64_eager", attend_in_float64)
AttentionMaskInterface.register("float64_eager", eager_mask)


def build_model(name, **changes):
    torch.manual_seed(0)
    config = CONFIGS[name]()
    config.update(changes)
    # Eager attention is the definition of soft-capping.
    attention = "eager" if name == "gemma2" else None
    return tr.AutoModelForCausalLM.from_config(config, attn_implementation=attention).float().eval()


@pytest.fixture(scope="module")
def models():
    """Build models by name, once each."""
    built = {}

    def get(name):
        if name not in built:
            built[name] = build_model(name)
        return built[name]

    return get


def draw_ids(n, seed=0):
    return torch.randint(3, VOCABULARY, (n,), generator=torch.Generator().manual_seed(seed))
