import numpy as np
import pytest
import torch

from raml.errors import ModelError
from raml.landscapes import DenseDirection, LossBatch, Perturbation, PlaneLoss, draw_direction, lead_to, perturb
from tests.landscapes.conftest import (
    is_untouched,
    lay_out,
    make_rows,
    move_by_hand,
    score_by_definition,
    take_snapshot,
)

ARCHITECTURES = [
    "llama",
    "qwen2",
    "qwen3-moe",
    "gemma2",
    "gpt2",
    "gpt-oss",
    "falcon-h1",
    "mamba",
    "qwen3-next",
    "bloom",
]


def combine(alpha, one, beta, two):
    return {name: alpha * one[name] + beta * two[name] for name in one}


@pytest.mark.parametrize("normalization", ["filter", "tensor"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_point_has_the_loss_of_a_copy_with_weights_written_by_hand(build, name, normalization):
    model, rows = build(name, initializer_range=0.2), make_rows()
    before = take_snapshot(model)
    first, second = (draw_direction(model, 0, index, normalization) for index in (0, 1))
    plane = PlaneLoss(model, rows, first, second)
    loss = plane.measure(0.3, -0.2)
    moved = move_by_hand(model, combine(0.3, lay_out(first, model), -0.2, lay_out(second, model)))
    np.testing.assert_allclose(loss, score_by_definition(moved, rows), rtol=2e-4)
    assert np.abs(loss - score_by_definition(model, rows).numpy()).max() > 0.01
    assert is_untouched(model, before)


@pytest.mark.parametrize("name", ["qwen2", "qwen3-moe", "gpt2", "falcon-h1", "gemma2"])
@pytest.mark.parametrize("tied", [False, True])
def test_a_plane_through_checkpoints_has_their_losses_at_its_corners(build, name, tied):
    model, rows = build(name, tie_word_embeddings=tied), make_rows()
    torch.manual_seed(1)
    others = [move_by_hand(model, {n: 0.1 * torch.randn(p.shape) for n, p in model.named_parameters()}) for _ in "bc"]
    batches = [LossBatch(other, rows).measure().numpy() for other in others]
    plane = PlaneLoss(model, rows, *(lead_to(model, "other", dict(other.named_parameters())) for other in others))
    assert np.array_equal(plane.measure(1, 0), batches[0])
    assert np.array_equal(plane.measure(0, 1), batches[1])
    own, one, two = (dict(m.named_parameters()) for m in (model, *others))
    half = {n: (0.5 * (one[n] - own[n]) - 0.25 * (two[n] - own[n])).double() for n in own}
    np.testing.assert_allclose(
        plane.measure(0.5, -0.25), score_by_definition(move_by_hand(model, half), rows), rtol=2e-4
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_origin_is_the_base_loss_and_weights_keep_their_bits(build, dtype):
    model, rows = build("qwen3", dtype), make_rows()
    before, base = take_snapshot(model), LossBatch(model, rows).measure().numpy()
    plane = PlaneLoss(model, rows, draw_direction(model, 0, 0), draw_direction(model, 0, 1))
    for alpha, beta in [(0.1, -0.2), (0, 0), (1, 0), (0, -1), (-0.0, 0.0)]:
        loss = plane.measure(alpha, beta)
        assert np.array_equal(loss, base) == (not alpha and not beta)
    assert np.array_equal(LossBatch(model, rows).measure().numpy(), base)
    assert is_untouched(model, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_moved_weights_are_rounded_once(build, dtype):
    model = build(dtype=dtype)
    first, second = draw_direction(model, 0, 0), draw_direction(model, 0, 1)
    name = "model.layers.1.self_attn.q_proj.weight"
    module, seen = model.get_submodule(name.removesuffix(".weight")), []
    perturbation = Perturbation(model, first, second)
    with perturbation.at(0.37, 0.11):
        handle = module.register_forward_pre_hook(lambda module, _: seen.append(module.weight.clone()))
        model(input_ids=torch.tensor([[5, 6]]), use_cache=False)
        handle.remove()
    one, two = (lay_out(direction, model)[name] for direction in (first, second))
    exact = model.get_parameter(name).double() + 0.37 * one + 0.11 * two
    spacing = {torch.float32: 2.0**-23, torch.bfloat16: 2.0**-7}[dtype]
    error = (seen[0].double() - exact).abs()
    assert seen[0].dtype == dtype
    # Half a unit in the last place, and what three float32 operations add.
    assert (error <= 0.5 * spacing * exact.abs() + 4 * 2.0**-24 * (one.abs() + two.abs() + exact.abs())).all()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_in_the_middle_of_a_point_leaves_nothing_behind(build, error):
    model, rows = build("qwen3-moe"), make_rows()
    before, base = take_snapshot(model), LossBatch(model, rows).measure()
    plane = PlaneLoss(model, rows, draw_direction(model, 0, 0), draw_direction(model, 0, 1))
    wanted = plane.measure(0.2, 0.1)

    def fail(*_):
        raise error

    handle = model.model.layers[1].mlp.register_forward_hook(fail)
    with pytest.raises(error):
        plane.measure(0.2, 0.1)
    handle.remove()
    assert is_untouched(model, before)
    assert torch.equal(LossBatch(model, rows).measure(), base)
    assert np.array_equal(plane.measure(0.2, 0.1), wanted)


def test_each_step_goes_along_its_own_direction(build):
    """The first direction moves one weight, the second another; each is checked on a copy with that weight written."""
    model, rows = build(), make_rows()
    up, down = "model.layers.0.mlp.up_proj.weight", "model.layers.2.self_attn.v_proj.weight"
    thin = [(up, 96, 64, 3.0), (down, 32, 64, -2.0)]
    units = []
    for name, n_out, n_in, size in thin:
        entries = torch.zeros(n_out, n_in)
        entries[5, 7] = size
        units.append(DenseDirection({name: entries}))
    plane = PlaneLoss(model, rows, *units)
    for alpha, beta in [(2.0, 0.5), (0.5, 2.0), (-1.0, 0.0), (0.0, -1.0)]:
        copy = move_by_hand(model, {})
        with torch.no_grad():
            copy.get_parameter(up)[5, 7] += 3.0 * alpha
            copy.get_parameter(down)[5, 7] += -2.0 * beta
        np.testing.assert_allclose(plane.measure(alpha, beta), score_by_definition(copy, rows), rtol=1e-4)
    assert not np.allclose(plane.measure(2.0, 0.5), plane.measure(0.5, 2.0), rtol=1e-3)


def test_what_is_read_past_its_module_is_moved_all_the_same(build):
    model, rows = build("mamba"), make_rows()
    first, second = draw_direction(model, 0, 0, "tensor"), draw_direction(model, 0, 1, "tensor")
    plane = PlaneLoss(model, rows, first, second)
    assert any("conv1d" in name or "dt_proj" in name for name in plane._perturbation._held)


def test_a_parameter_that_nothing_reads_is_refused(build):
    model, rows = move_by_hand(build(), {}), make_rows()
    for layer in model.model.layers:
        kept = layer.mlp.up_proj.weight.detach().clone()
        layer.mlp.up_proj.forward = lambda x, kept=kept: torch.nn.functional.linear(x, kept)
    with pytest.raises(ModelError, match=r"layers.0.mlp.up_proj.weight is not read"):
        PlaneLoss(model, rows, draw_direction(model, 0, 0), draw_direction(model, 0, 1))
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_plane_of_another_model_is_refused(build):
    with pytest.raises(ModelError, match="is no parameter"):
        Perturbation(build(), DenseDirection({"other.weight": torch.zeros(2, 2)}), DenseDirection({}))
    with pytest.raises(ModelError, match="has no weight"):
        lead_to(build(), "small", {})
    with pytest.raises(ModelError, match="other sizes"):
        lead_to(build(), "small", {n: torch.zeros(1) for n, _ in build().named_parameters()})


@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen3-moe", "falcon-h1"])
def test_weights_kept_along_a_row_change_no_number(build, name):
    model, rows = build(name), make_rows()
    before = take_snapshot(model)
    directions = [draw_direction(model, 0, index, "tensor") for index in (0, 1)]
    plane, fresh = PlaneLoss(model, rows, *directions), PlaneLoss(model, rows, *directions)
    fresh._perturbation._rows = {}
    assert plane._perturbation._rows
    for alpha, beta in [
        (0.3, 0.1),
        (0.3, 0.2),
        (0.3, 0.0),
        (0.1, 0.0),
        (0.1, 0.3),
        (0.0, 0.3),
        (0.1, 0.2),
        (0.1, -0.2),
    ]:
        assert np.array_equal(plane.measure(alpha, beta), fresh.measure(alpha, beta))
    assert is_untouched(model, before)


def test_an_exception_while_a_row_is_kept_leaves_no_half_of_it(build, monkeypatch):
    model, rows = build(), make_rows()
    first, second = draw_direction(model, 0, 0), draw_direction(model, 0, 1)
    plane = PlaneLoss(model, rows, first, second)
    wanted = [plane.measure(0.2, beta) for beta in (0.1, 0.2)]
    plane.measure(0.4, 0.1)
    calls = iter(range(1000))

    def fail(*arguments, add=first.add):
        if next(calls) == 5:
            raise KeyboardInterrupt
        add(*arguments)

    monkeypatch.setattr(first, "add", fail)
    with pytest.raises(KeyboardInterrupt):
        plane.measure(0.4, 0.2)
    assert np.array_equal([plane.measure(0.2, beta) for beta in (0.1, 0.2)], wanted)
    assert np.array_equal(plane.measure(0.2, 0.1), wanted[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_all_that_is_kept_together_is_no_more_than_two_copies(build, dtype):
    """Counted in bytes: the widths are those of a real model in small, with as much vocabulary as one layer holds."""
    model = build("llama", dtype, num_hidden_layers=8, vocab_size=600)
    first, second = draw_direction(model, 0, 0), draw_direction(model, 0, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(perturb, "TILE", 512)
        plane = PlaneLoss(model, make_rows(), first, second)
        for beta in (0.1, 0.2):
            plane.measure(0.1, beta)
    size = sum(p.nbytes for p in model.parameters())
    directions = sum(t.nbytes for d in (first, second) for t in [*d.entries.values(), *d.scales.values()])
    assert directions == first.n_bytes + second.n_bytes
    kept = sum(row.nbytes for row in plane._perturbation._rows.values())
    scratch = sum(scratch.buffer.nbytes for scratch in plane._perturbation._scratch.values())
    assert size + directions + kept + scratch <= 2 * size
    assert (kept > 0.2 * size) == (dtype == torch.float32)
