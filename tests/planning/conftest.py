"""A model whose bytes can be counted by hand."""

import pytest
from transformers import LlamaConfig, LlamaForCausalLM


@pytest.fixture(scope="session")
def model():
    """Two layers, width 8, inner width 16, two heads of 4 with one key-value head, 32 words, untied, in float32."""
    config = LlamaConfig(
        vocab_size=32,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        tie_word_embeddings=False,
    )
    return LlamaForCausalLM(config).eval()
