"""The gradient as factors against automatic differentiation by dense weights."""

import copy

import pytest
import torch

from raml.errors import DataError, ModelError, NumericsError
from raml.updates.factors import LowRank, inner_product
from raml.updates.gradient import compute_gradient
from raml.updates.probe import Probe
from tests.scoring.conftest import build_model, draw_ids

N_PROMPT, N_BRIDGE, N_ANSWER = 6, 3, 2
N = N_PROMPT + N_BRIDGE + N_ANSWER


def draw_probe(n_answer=N_ANSWER, seed=0):
    ids = draw_ids(N_PROMPT + N_BRIDGE + n_answer, seed).tolist()
    return Probe(tuple(ids[:N_PROMPT]), (), tuple(ids[N_PROMPT:-n_answer]), tuple(ids[-n_answer:]))


def draw_updates(model, n_points=3, rank=5, scale=0.01):
    torch.manual_seed(1)
    downs = [layer.mlp.down_proj for layer in model.model.layers]
    return [
        LowRank(
            scale * torch.randn(n_points, rank, down.out_features, dtype=torch.float64),
            torch.randn(n_points, rank, down.in_features, dtype=torch.float64),
        )
        for down in downs
    ]


def differentiate_densely(model, probe, updates=None):
    """Loss and gradients by whole weights, of a copy of the model with changed ones."""
    changed = copy.deepcopy(model)
    downs = [layer.mlp.down_proj.weight for layer in changed.model.layers]
    with torch.no_grad():
        for weight, update in zip(downs, updates or [], strict=False):
            weight += update.left.T @ update.right
    ids = torch.tensor(probe.prompt_ids + probe.ids)
    logits = changed(input_ids=ids[None]).logits[0]
    n_answer = len(probe.answer_ids)
    loss = -logits.log_softmax(-1)[-n_answer - 1 : -1].gather(1, ids[-n_answer:, None]).mean()
    return loss.detach(), torch.autograd.grad(loss, downs)


@pytest.mark.parametrize("name", ["llama", "qwen2", "qwen3", "mistral-sliding", "granite", "cohere"])
def test_the_factors_multiply_out_to_the_gradient_of_the_dense_weights(name):
    model, probe = build_model(name).double(), draw_probe()
    expected_loss, expected = differentiate_densely(model, probe)
    gradient = compute_gradient(model, probe)
    torch.testing.assert_close(gradient.loss, expected_loss[None], rtol=0, atol=1e-9)
    for layer, dense in zip(gradient.layers, expected, strict=True):
        assert layer.left.shape[:2] == layer.right.shape[:2] == (1, N)
        assert dense.abs().max() > 1e-3
        torch.testing.assert_close(layer[0].make_dense(), dense, rtol=0, atol=1e-9)


def test_at_changed_weights_it_is_the_gradient_there_at_each_point_of_a_batch():
    model, probe = build_model("qwen2").double(), draw_probe()
    updates = draw_updates(model)
    gradient = compute_gradient(model, probe, updates)
    at_start = compute_gradient(model, probe)
    for i in range(3):
        expected_loss, expected = differentiate_densely(model, probe, [update[i] for update in updates])
        torch.testing.assert_close(gradient.loss[i], expected_loss, rtol=0, atol=1e-9)
        for layer, start, dense in zip(gradient.layers, at_start.layers, expected, strict=True):
            torch.testing.assert_close(layer[i].make_dense(), dense, rtol=0, atol=1e-9)
            assert (dense - start[0].make_dense()).norm() > 0.01 * dense.norm()


def test_squares_are_those_of_the_dense_gradient():
    model, probe = build_model("llama").double(), draw_probe()
    _, expected = differentiate_densely(model, probe)
    squares = compute_gradient(model, probe).measure_squares()
    torch.testing.assert_close(squares[0], torch.stack([dense.square().sum() for dense in expected]))


def test_along_a_small_change_the_loss_moves_as_the_inner_product_says():
    """L(θ + h Δ) − L(θ − h Δ) = 2 h ⟨∇L, Δ⟩ + O(h³), without autograd on either side."""
    model, probe = build_model("qwen3").double(), draw_probe()
    update, h = draw_updates(model, n_points=1), 0.01  # norms are taken in float32: no smaller
    moved = [LowRank(torch.cat([h * u.left, -h * u.left]), torch.cat([u.right] * 2)) for u in update]
    after, before = compute_gradient(model, probe, moved).loss
    gradient = compute_gradient(model, probe)
    slope = sum(inner_product(u, g) for u, g in zip(update, gradient.layers, strict=True))
    torch.testing.assert_close((after - before) / (2 * h), slope[0], rtol=2e-3, atol=0)


def test_the_last_token_of_the_answer_has_no_gradient_and_the_others_have_one():
    gradient = compute_gradient(build_model("llama").double(), draw_probe())
    sizes = gradient.layers[0].left[0].norm(dim=1)
    assert sizes[-1] == 0
    assert (sizes[:-1] > 0).all()


def test_weights_and_what_they_ask_of_autograd_stay_as_they_were():
    model, probe = build_model("llama"), draw_probe()
    weights = list(model.parameters())
    weights[0].requires_grad_(False)
    asked, before = [w.requires_grad for w in weights], [w.detach().clone() for w in weights]
    with torch.inference_mode():  # as where a path was traced just before
        compute_gradient(model, probe, [LowRank(u.left.float(), u.right.float()) for u in draw_updates(model)])
    assert [w.requires_grad for w in weights] == asked
    assert all(torch.equal(w, old) and w.grad is None for w, old in zip(weights, before, strict=True))


def test_a_loss_that_is_not_finite_is_refused():
    model, probe = build_model("llama"), draw_probe()
    with torch.no_grad():
        model.lm_head.weight[5, 0] = float("nan")
    with pytest.raises(NumericsError, match="NaN or infinite"):
        compute_gradient(model, probe)
    assert all(weight.requires_grad for weight in model.parameters())


def test_empty_prompts_and_narrow_arithmetic_are_refused():
    model, probe = build_model("llama"), draw_probe()
    with pytest.raises(DataError, match="prompt has no tokens"):
        compute_gradient(model, Probe((), (), probe.bridge_ids, probe.answer_ids))
    with pytest.raises(ModelError, match="--dtype float32"):
        compute_gradient(model.bfloat16(), probe)
