import math
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from raml.errors import DataError, ModelError
from raml.scoring import answer_nll_by_definition, answer_nll_in_one_pass
from raml.scoring.attention import NAME, sharing_prefix
from tests.scoring.conftest import WINDOW, build_model, draw_ids

SERVED = [
    "llama",
    "qwen2",
    "qwen2-sliding",
    "qwen3",
    "qwen3-moe",
    "gemma2",
    "gemma3",
    "mistral-sliding",
    "phi3",
    "gpt2",
    "gpt-neox",
    "gpt-oss",
    "deepseek-v3",
]


def draw_parts(prompt=7, trajectory=40, bridge=5, answer=3):
    ids = draw_ids(prompt + trajectory + bridge + answer)
    parts = ids.split([prompt, trajectory, bridge, answer])
    return (*parts, torch.arange(trajectory + 1))


@pytest.mark.parametrize("name", SERVED)
def test_one_pass_equals_the_definition_on_every_architecture(models, name):
    parts = draw_parts()
    expected = answer_nll_by_definition(models(name), *parts)
    # The curve must move, or any constant would pass.
    assert expected.std() > 0.5
    scored = answer_nll_in_one_pass(models(name), *parts, chunk_tokens=50)
    torch.testing.assert_close(scored, expected, rtol=0, atol=1e-4)


@settings(max_examples=25)
@given(
    name=st.sampled_from(["llama", "gemma3", "mistral-sliding", "gpt2"]),
    prompt=st.integers(1, 2 * WINDOW),
    trajectory=st.integers(0, 3 * WINDOW),
    bridge=st.integers(1, WINDOW + 2),
    answer=st.integers(1, 4),
    chunk_tokens=st.integers(1, 80),
)
def test_one_pass_equals_the_definition_at_any_lengths(models, name, prompt, trajectory, bridge, answer, chunk_tokens):
    parts = draw_parts(prompt, trajectory, bridge, answer)
    scored = answer_nll_in_one_pass(models(name), *parts, chunk_tokens=chunk_tokens)
    assert scored.shape == (trajectory + 1, answer)
    torch.testing.assert_close(scored, answer_nll_by_definition(models(name), *parts), rtol=0, atol=1e-4)


def test_one_pass_equals_the_definition_on_the_embedded_model(tiny):
    prompt, trajectory = draw_ids(30, seed=1), draw_ids(120, seed=2)
    parts = (prompt, trajectory, draw_ids(6, seed=3), draw_ids(2, seed=4), torch.arange(121))
    expected = answer_nll_by_definition(tiny.model, *parts)
    torch.testing.assert_close(answer_nll_in_one_pass(tiny.model, *parts), expected, rtol=0, atol=1e-4)


def test_float64_agrees_to_ten_digits(models):
    model = build_model("gpt2").double()
    parts = draw_parts()
    expected = answer_nll_by_definition(model, *parts)
    assert expected.dtype == torch.float64
    torch.testing.assert_close(answer_nll_in_one_pass(model, *parts), expected, rtol=0, atol=1e-10)


def test_later_tokens_never_change_earlier_entries(models):
    prompt, trajectory, bridge, answer, lens = draw_parts()
    changed = trajectory.clone()
    changed[20:] = draw_ids(20, seed=9)
    before = answer_nll_in_one_pass(models("llama"), prompt, trajectory, bridge, answer, lens)
    after = answer_nll_in_one_pass(models("llama"), prompt, changed, bridge, answer, lens)
    torch.testing.assert_close(after[:21], before[:21], rtol=0, atol=1e-5)
    assert (after[21:] - before[21:]).abs().max() > 0.1


def test_rows_follow_the_order_of_the_prefix_lengths_given(models):
    prompt, trajectory, bridge, answer, _ = draw_parts()
    lens = torch.tensor([30, 0, 17, 30])
    scored = answer_nll_in_one_pass(models("qwen3"), prompt, trajectory, bridge, answer, lens)
    expected = answer_nll_by_definition(models("qwen3"), prompt, trajectory, bridge, answer, lens)
    torch.testing.assert_close(scored, expected, rtol=0, atol=1e-4)


def test_a_model_without_preference_scores_log_vocabulary_everywhere():
    """With a zero output layer all 160 words are equally likely: -log(1/160) = 5.0752 nats."""
    model = build_model("gpt-neox")
    torch.nn.init.zeros_(model.get_output_embeddings().weight)
    for score in (answer_nll_by_definition, answer_nll_in_one_pass):
        torch.testing.assert_close(score(model, *draw_parts()), torch.full((41, 3), math.log(160)), rtol=0, atol=1e-6)


def test_bfloat16_stays_near_the_float32_definition():
    parts = draw_parts()
    expected = answer_nll_by_definition(build_model("llama"), *parts)
    low = build_model("llama").bfloat16()
    deviation_of_definition = (answer_nll_by_definition(low, *parts) - expected).abs().mean()
    deviation = (answer_nll_in_one_pass(low, *parts) - expected).abs().mean()
    assert deviation < 1.5 * deviation_of_definition


@pytest.mark.parametrize("empty", [0, 2, 3])
def test_an_empty_part_is_refused_by_name(models, empty):
    parts = list(draw_parts())
    parts[empty] = parts[empty][:0]
    for score in (answer_nll_by_definition, answer_nll_in_one_pass):
        with pytest.raises(DataError, match=("prompt", "", "bridge", "answer")[empty]):
            score(models("llama"), *parts)


def test_a_prefix_longer_than_the_trajectory_is_refused(models):
    *parts, _ = draw_parts()
    with pytest.raises(DataError, match="from 0 to 41"):
        answer_nll_in_one_pass(models("llama"), *parts, torch.tensor([0, 41]))


def test_the_attention_is_put_back_after_an_exception(models):
    model = models("llama")
    before = model.config._attn_implementation
    seen = []

    def fail():
        with sharing_prefix(model, 5):
            seen.append(model.config._attn_implementation)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert seen == [NAME]
    assert model.config._attn_implementation == before
    assert torch.isfinite(model(input_ids=draw_ids(4)[None]).logits).all()


def test_shared_prefix_attention_outside_of_a_pass_says_so(models):
    model = build_model("llama")
    model.set_attn_implementation(NAME)
    with pytest.raises(ModelError, match="outside"):
        model(input_ids=draw_ids(4)[None])


@pytest.mark.parametrize("names", [("llama", "qwen3"), ("llama", "llama")], ids=["two models", "one model"])
def test_passes_in_two_threads_do_not_meet(models, names):
    parts = draw_parts()
    pair = [models(name) for name in names]
    expected = [answer_nll_by_definition(model, *parts) for model in pair]
    before = pair[0].config._attn_implementation
    scored = [None, None]

    def run(i):
        for _ in range(5):
            scored[i] = answer_nll_in_one_pass(pair[i], *parts, chunk_tokens=16)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(2):
        torch.testing.assert_close(scored[i], expected[i], rtol=0, atol=1e-4)
    assert pair[0].config._attn_implementation == before
