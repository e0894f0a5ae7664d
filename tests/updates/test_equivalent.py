"""The model with the update and without the trajectory is the model with it."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from raml.errors import DataError, ModelError
from raml.updates import applying, compile_update_by_definition, find_update_obstacle, verify_update
from raml.updates.factors import LowRank, combine, inner_product, measure_gram
from raml.updates.layers import find_layers
from tests.updates.conftest import draw_ids

SERVED = ["llama", "llama-biased", "qwen2", "qwen3", "mistral-sliding", "phi3", "granite"]
REFUSED = {
    "granite-scaled": "before they add it",
    "gemma2": "normalise",
    "gemma3": "normalise",
    "olmo2": "normalise",
    "qwen3-moe": "mixtures of experts",
    "gpt2": "no linear mlp.down_proj|can't take",
}


def run(model, *parts, n_last):
    return model(torch.cat(parts)[None]).logits[0, -n_last:]


def add_by_hand(model, update):
    """A copy whose weights really are D + ΔD."""
    changed = copy.deepcopy(model)
    for layer, change in zip(find_layers(changed), update.layers, strict=True):
        layer.down.weight.add_(change.make_dense())
    return changed


@pytest.mark.parametrize("name", SERVED)
def test_dense_weights_with_the_update_answer_as_with_the_trajectory(make_model, ids, name):
    model = make_model(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    update = compile_update_by_definition(model, *ids.parts)
    changed = add_by_hand(model, update)
    wanted = run(model, *ids.parts, n_last=len(ids.probe))
    without = run(model, ids.prompt, ids.probe, n_last=len(ids.probe))
    got = run(changed, ids.prompt, ids.probe, n_last=len(ids.probe))
    assert (wanted - without).abs().max() > 0.1, "the trajectory made no difference, so this shows nothing"
    assert (wanted - got).abs().max() < 1e-8
    assert update.exact
    assert update.residual.max() < 1e-10
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", SERVED)
def test_the_update_leaves_the_prompt_alone(make_model, ids, name):
    model = make_model(name)
    changed = add_by_hand(model, compile_update_by_definition(model, *ids.parts))
    before, after = (m(torch.cat([ids.prompt, ids.probe])[None]).logits[0, : len(ids.prompt)] for m in (model, changed))
    assert (before - after).abs().max() < 1e-8


def test_no_trajectory_is_no_update(make_model, ids):
    update = compile_update_by_definition(make_model("llama"), ids.prompt, ids.trajectory[:0], ids.probe)
    assert max(float(change.measure_norm()) for change in update.layers) < 1e-9


def test_the_formula_is_the_pseudo_inverse_of_the_activations(make_model, ids):
    """Layer 0, written out: ΔD = Rᵀ times the last rows of the transposed pseudo-inverse."""
    model = make_model("llama")
    layer = find_layers(model)[0]
    seen = {}
    layer.down.register_forward_pre_hook(lambda _m, a: seen.__setitem__("G", a[0][0]))
    layer.block.register_forward_hook(lambda _m, _a, o: seen.__setitem__("out", (o if torch.is_tensor(o) else o[0])[0]))
    n = len(ids.probe)
    model(torch.cat(ids.parts)[None])
    target = seen["out"][-n:]
    model(torch.cat([ids.prompt, ids.probe])[None])
    missing = target - seen["out"][-n:]
    expected = missing.T @ torch.linalg.pinv(seen["G"])[:, -n:].T
    layer.down._forward_pre_hooks.clear()
    layer.block._forward_hooks.clear()
    got = compile_update_by_definition(model, *ids.parts).layers[0].make_dense()
    assert torch.allclose(got, expected, atol=1e-9)


@given(st.integers(1, 40), st.integers(0, 40), st.integers(2, 12), st.integers(0, 99))
@settings(max_examples=15)
def test_any_lengths_are_exact_while_positions_are_fewer_than_inputs(make_model, n_prompt, n_text, n_probe, seed):
    model, ids = make_model("qwen3"), draw_ids(n_prompt, n_text, n_probe, seed)
    update = compile_update_by_definition(model, *ids.parts)
    gap, prompt_gap = verify_update(model, *ids.parts, update.layers, 1)
    assert update.exact
    assert gap < 1e-8
    assert prompt_gap < 1e-8


def test_more_positions_than_inputs_give_the_least_squares_update_and_say_so(make_model):
    model, ids = make_model("llama"), draw_ids(n_prompt=90, n_trajectory=20)
    update = compile_update_by_definition(model, *ids.parts)
    assert not update.exact
    assert update.residual.max() > 1e-3
    gap, _ = verify_update(model, *ids.parts, update.layers, ids.n_answer)
    assert gap > 1e-3


def test_float32_is_exact_to_rounding(make_model, ids):
    model = make_model("qwen2", torch.float32)
    update = compile_update_by_definition(model, *ids.parts)
    gap, prompt_gap = verify_update(model, *ids.parts, update.layers, ids.n_answer)
    assert gap < 1e-3
    assert prompt_gap < 1e-4
    assert update.layers[0].left.dtype == torch.float32


def test_bfloat16_comes_close(make_model, ids):
    model = make_model("qwen2", torch.bfloat16)
    update = compile_update_by_definition(model, *ids.parts)
    wanted, bare = run(model, *ids.parts, n_last=8), run(model, ids.prompt, ids.probe, n_last=8)
    gap, _ = verify_update(model, *ids.parts, update.layers, 7)
    assert gap < 0.25 * (wanted - bare).abs().max()
    assert update.layers[0].left.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_a_long_residual_stream_hides_nothing_in_few_bits(make_model, dtype):
    """The trial's push must not drown in rounding where the stream is a hundred times what a layer adds."""
    model = copy.deepcopy(make_model("qwen2", torch.float32))
    model.model.embed_tokens.weight *= 100
    assert find_update_obstacle(model.to(dtype)) is None


@pytest.mark.parametrize(("name", "reason"), REFUSED.items())
def test_other_architectures_are_refused_with_the_reason(make_model, ids, name, reason):
    model = make_model(name)
    assert find_update_obstacle(model)
    with pytest.raises(ModelError, match=reason):
        compile_update_by_definition(model, *ids.parts)


def test_shared_layers_are_refused(make_model):
    model = copy.deepcopy(make_model("llama"))
    model.model.layers[2].mlp.down_proj.weight = model.model.layers[0].mlp.down_proj.weight
    assert "tie" in (find_update_obstacle(model) or "")
    model = copy.deepcopy(make_model("llama"))
    model.model.layers[1] = model.model.layers[0]
    assert "shared" in (find_update_obstacle(model) or "")


def test_an_empty_prompt_or_probe_is_refused(make_model, ids):
    for parts in ((ids.prompt[:0], ids.trajectory, ids.probe), (ids.prompt, ids.trajectory, ids.probe[:0])):
        with pytest.raises(DataError, match="no tokens"):
            compile_update_by_definition(make_model("llama"), *parts)


def test_applying_puts_back_what_was_there_also_after_an_error(make_model, ids):
    model = make_model("llama")
    update = compile_update_by_definition(model, *ids.parts)
    before = run(model, ids.prompt, ids.probe, n_last=8)

    def run_and_interrupt():
        with applying(model, update.layers):
            assert (run(model, ids.prompt, ids.probe, n_last=8) - before).abs().max() > 0.1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_and_interrupt()
    assert torch.equal(run(model, ids.prompt, ids.probe, n_last=8), before)


def test_inner_products_by_hand():
    """[1 0]ᵀ[1 2] and [0 1]ᵀ[3 1] as 2 × 2 matrices [[1 2] [0 0]] and [[0 0] [3 1]]; their difference and sums."""
    ours = LowRank(torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 2.0]]))
    theirs = LowRank(torch.tensor([[0.0, 1.0]]), torch.tensor([[3.0, 1.0]]))
    assert ours.make_dense().tolist() == [[1, 2], [0, 0]]
    assert (ours - theirs).make_dense().tolist() == [[1, 2], [-3, -1]]
    assert inner_product(ours, theirs) == 0
    assert inner_product(ours, ours) == 5
    assert (ours - theirs).measure_norm() == pytest.approx(15**0.5)


@given(st.integers(0, 999))
def test_grams_of_factors_are_those_of_the_matrices(seed):
    generator = torch.Generator().manual_seed(seed)
    path = LowRank(torch.randn(4, 3, 5, generator=generator), torch.randn(4, 3, 6, generator=generator))
    dense = path.make_dense().double().flatten(1)
    assert torch.allclose(measure_gram(path), dense @ dense.T, atol=1e-5)
    weights = torch.tensor([0.5, -2.0, 0.0, 3.0])
    summed = torch.einsum("p,poi->oi", weights, path.make_dense())
    assert torch.allclose(combine(path, weights).make_dense(), summed, atol=1e-4)
