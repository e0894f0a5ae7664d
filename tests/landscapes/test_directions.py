import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.pytorch_utils import Conv1D

from raml.errors import DataError, ModelError
from raml.landscapes import DenseDirection, directions, draw_direction, measure_plane
from tests.landscapes.conftest import is_untouched, lay_out, take_snapshot


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_each_output_row_has_the_norm_of_its_weights(build, dtype):
    model = build(dtype=dtype)
    values = lay_out(draw_direction(model, 0, 0), model)
    for name, parameter in model.named_parameters():
        if name in values:
            torch.testing.assert_close(values[name].norm(dim=1), parameter.double().norm(dim=1), rtol=1e-6, atol=0)


def test_per_tensor_all_but_the_embeddings_are_moved_by_their_norm(build):
    model = build("qwen2", tie_word_embeddings=True)
    values = lay_out(draw_direction(model, 0, 0, "tensor"), model)
    assert values.keys() == {name for name, _ in model.named_parameters()} - {"model.embed_tokens.weight"}
    for name, value in values.items():
        torch.testing.assert_close(value.norm(), model.get_parameter(name).double().norm(), rtol=1e-6, atol=0)


def test_filter_wise_norms_and_biases_stay_and_the_output_layer_too(build):
    model = build("qwen2", tie_word_embeddings=False)
    names = draw_direction(model, 0, 0).entries.keys()
    assert names == {n for n, p in model.named_parameters() if p.ndim == 2} - {
        "model.embed_tokens.weight",
        "lm_head.weight",
    }


def test_a_filter_of_gpt2_is_a_column(build):
    model = build("gpt2")
    name = "transformer.h.0.mlp.c_fc.weight"
    assert isinstance(model.get_submodule(name.removesuffix(".weight")), Conv1D)
    value = lay_out(draw_direction(model, 0, 0), model)[name]
    torch.testing.assert_close(value.norm(dim=0), model.get_parameter(name).double().norm(dim=0), rtol=1e-6, atol=0)
    assert not {"transformer.wte.weight", "transformer.wpe.weight"} & draw_direction(model, 0, 0).entries.keys()


@pytest.mark.parametrize(("name", "axis"), [("qwen3-moe", 2), ("gpt-oss", 1)])
def test_a_filter_of_an_expert_is_one_output_whichever_way_it_is_stored(build, name, axis):
    model = build(name)
    values = lay_out(draw_direction(model, 0, 0), model)
    experts = [key for key, value in values.items() if value.ndim == 3]
    assert len(experts) == 2 * 3
    for key in experts:
        own = model.get_parameter(key).double().norm(dim=axis)
        torch.testing.assert_close(values[key].norm(dim=axis), own, rtol=1e-6, atol=0)


def test_the_seed_and_the_index_make_a_direction_and_nothing_else_does(build):
    model = build()
    first, again = draw_direction(model, 3, 0), draw_direction(model, 3, 0)
    assert all(torch.equal(first.entries[n], again.entries[n]) for n in first.entries)
    for other in (draw_direction(model, 3, 1), draw_direction(model, 4, 0)):
        assert not any(torch.equal(first.entries[n], other.entries[n]) for n in first.entries)
    names = [n for n in first.entries if "0.mlp" in n or "1.mlp" in n]
    assert not torch.equal(first.entries[names[0]], first.entries[names[-1]])


def test_drawing_leaves_the_weights_alone(build):
    model = build()
    before = take_snapshot(model)
    draw_direction(model, 0, 0)
    assert is_untouched(model, before)


def test_entries_are_normal_symmetric_odd_and_a_byte():
    levels = directions._list_levels()
    assert levels.dtype == np.int8
    assert (levels % 2 == 1).all()
    assert np.array_equal(levels, -levels[::-1])
    spread = levels / (2 * directions.STEPS_PER_SIGMA)
    assert spread.std() == pytest.approx(1, abs=0.002)
    assert (spread**4).mean() / spread.var() ** 2 == pytest.approx(3, abs=0.02)  # of a normal distribution
    assert (np.abs(spread) < 1).mean() == pytest.approx(0.6827, abs=1e-3)


def test_a_seed_gives_the_same_entries_on_every_machine():
    """The bit generator's stream is guaranteed: PCG64 of SeedSequence([1, 2]) starts with this number.

    Its lowest 16 bits choose the first entry.
    """
    raw = np.random.PCG64(np.random.SeedSequence([1, 2])).random_raw(2).tolist()
    wanted = [directions._list_levels()[(number >> 16 * i) & 0xFFFF] for number in raw for i in range(4)]
    assert directions._draw_entries(torch.empty(2, 4), [1, 2]).flatten().tolist() == wanted[:8]


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 60))
def test_tiles_cover_each_row_once(n_rows, n_columns, tile):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(directions, "TILE", tile)
        rows = [row for part in directions.split_rows(torch.empty(n_rows, n_columns)) for row in range(n_rows)[part]]
    assert rows == list(range(n_rows))


def test_lengths_and_cosine_of_two_directions_are_those_of_the_matrices(build):
    model, name = build(), "model.layers.0.mlp.up_proj.weight"
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(96, 64, generator=generator).double() for _ in "ab")
    directions = [DenseDirection({name: matrix.float()}) for matrix in (a, b)]
    one, two, cosine = measure_plane(model, *directions)
    assert one == pytest.approx(a.norm().item(), rel=1e-5)
    assert two == pytest.approx(b.norm().item(), rel=1e-5)
    assert cosine == pytest.approx(((a * b).sum() / a.norm() / b.norm()).item(), abs=1e-5)
    assert measure_plane(model, DenseDirection({}), directions[0])[::2] == (0, 0)


def test_two_random_directions_are_nearly_orthogonal_and_as_long_as_the_weights(build):
    model = build()
    one, two, cosine = measure_plane(model, draw_direction(model, 0, 0), draw_direction(model, 0, 1))
    moved = draw_direction(model, 0, 0).names
    length = sum(model.get_parameter(name).double().square().sum().item() for name in moved) ** 0.5
    assert one == pytest.approx(length, rel=1e-5)
    assert two == pytest.approx(length, rel=1e-5)
    assert abs(cosine) < 5 / sum(model.get_parameter(name).numel() for name in moved) ** 0.5


def test_quantised_and_parked_weights_are_refused(build):
    layer = torch.nn.Linear(2, 2, bias=False, device="meta")
    model = build()
    broken = type(model)(model.config)
    broken.model.layers[0].mlp.up_proj.weight = layer.weight
    with pytest.raises(ModelError, match=r"layers.0.mlp.up_proj.weight is not in memory"):
        draw_direction(broken, 0, 0)
    integers = torch.nn.Parameter(torch.zeros(96, 64, dtype=torch.uint8), requires_grad=False)
    broken.model.layers[0].mlp.up_proj.weight = integers
    with pytest.raises(ModelError, match="quantised"):
        draw_direction(broken, 0, 0)
    broken = type(model)(model.config)
    broken.is_quantized = True
    with pytest.raises(ModelError, match="quantised"):
        draw_direction(broken, 0, 0)


def test_unknown_normalizations_and_negative_seeds_are_refused(build):
    with pytest.raises(DataError, match="'row'"):
        draw_direction(build(), 0, 0, "row")
    with pytest.raises(DataError, match="-1"):
        draw_direction(build(), -1, 0)
