"""The path computes for all prefixes together what the definition computes for each."""

import pytest
import torch

from raml.errors import DataError
from raml.scoring import answer_nll_by_definition
from raml.updates import compile_update_by_definition, trace_path
from raml.updates.probe import space_prefixes
from tests.updates.conftest import draw_ids

PREFIXES = (0, 1, 2, 7, 8, 21, 30)


@pytest.mark.parametrize("name", ["llama", "qwen2", "qwen3", "mistral-sliding", "phi3"])
def test_every_point_is_the_definition_s(make_model, ids, name):
    model = make_model(name)
    path = trace_path(model, *ids.lists, PREFIXES, ids.n_answer)
    assert path.exact
    for place, prefix_len in enumerate(PREFIXES):
        one = compile_update_by_definition(model, ids.prompt, ids.trajectory[:prefix_len], ids.probe)
        for ours, theirs in zip(path.layers, one.layers, strict=True):
            assert torch.allclose(ours[place].make_dense(), theirs.make_dense(), atol=1e-8)
        assert torch.allclose(path.condition[place], one.condition, rtol=1e-5)


def test_changes_are_those_of_the_layers_outputs(make_model, ids):
    model = make_model("llama")
    path = trace_path(model, *ids.lists, PREFIXES, ids.n_answer)
    bare, whole = (
        compile_update_by_definition(model, ids.prompt, t, ids.probe) for t in (ids.trajectory[:0], ids.trajectory)
    )
    for change, before, after in zip(path.changes, bare.outputs, whole.outputs, strict=True):
        assert torch.allclose(change[-1], after - before, atol=1e-8)
        assert not change[0].any()


def test_losses_are_those_of_the_scoring_definition(make_model, ids):
    model = make_model("qwen3")
    path = trace_path(model, *ids.lists, PREFIXES, ids.n_answer)
    parts = ids.prompt, ids.trajectory, ids.probe[: -ids.n_answer], ids.probe[-ids.n_answer :]
    wanted = answer_nll_by_definition(model, *parts, torch.tensor(PREFIXES)).mean(dim=1)
    assert torch.allclose(path.loss.double(), wanted, atol=1e-6)
    assert torch.allclose(path.updated_loss.double(), wanted, atol=1e-6)


def test_grams_and_norms_are_those_of_dense_weights(make_model, ids):
    path = trace_path(make_model("llama"), *ids.lists, PREFIXES, ids.n_answer)
    dense = torch.cat([layer.make_dense().flatten(1) for layer in path.layers], dim=1)
    assert torch.allclose(path.measure_gram(), dense @ dense.T, rtol=1e-8, atol=1e-8)
    by_layer = torch.stack([layer.make_dense().flatten(1).norm(dim=1) for layer in path.layers], dim=1)
    assert torch.allclose(path.measure_norms(), by_layer, atol=1e-8)


def test_chunks_do_not_change_the_path(make_model, ids, monkeypatch):
    model = make_model("qwen2")
    whole = trace_path(model, *ids.lists, PREFIXES, ids.n_answer)
    monkeypatch.setattr("raml.updates.path.choose_chunk_tokens", lambda *_, **__: 17)
    cut = trace_path(model, *ids.lists, PREFIXES, ids.n_answer)
    for ours, theirs in zip(whole.layers, cut.layers, strict=True):
        assert torch.allclose(ours.make_dense(), theirs.make_dense(), atol=1e-9)


def test_later_tokens_never_change_earlier_points(make_model, ids):
    model = make_model("llama")
    whole = trace_path(model, *ids.lists, PREFIXES, ids.n_answer)
    prompt, trajectory, probe = ids.lists
    short = trace_path(model, prompt, trajectory[:8], probe, PREFIXES[:5], ids.n_answer)
    assert torch.allclose(whole.measure_gram()[:5, :5], short.measure_gram(), atol=1e-7)


def test_too_many_positions_fall_back_to_the_least_squares_definition(make_model):
    model, ids = make_model("llama"), draw_ids(n_prompt=90, n_trajectory=12)
    path = trace_path(model, *ids.lists, (0, 5, 12), ids.n_answer)
    one = compile_update_by_definition(model, *ids.parts)
    assert not path.exact
    assert torch.allclose(path.layers[1][-1].make_dense(), one.layers[1].make_dense(), atol=1e-9)
    assert torch.allclose(path.residual[-1], one.residual)
    assert (path.loss - path.updated_loss).abs().max() > 1e-3


def test_a_model_that_the_engine_can_t_serve_gets_the_same_path(make_model, ids, monkeypatch):
    model = make_model("qwen3")
    fast = trace_path(model, *ids.lists, PREFIXES, ids.n_answer)
    monkeypatch.setattr("raml.updates.path.find_obstacle", lambda _: "made up")
    slow = trace_path(model, *ids.lists, PREFIXES, ids.n_answer)
    assert torch.allclose(fast.measure_gram(), slow.measure_gram(), atol=1e-6)
    assert torch.allclose(fast.loss.double(), slow.loss.double(), atol=1e-6)
    assert torch.allclose(fast.changes[2], slow.changes[2], atol=1e-8)


def test_what_makes_no_path_is_refused(make_model, ids):
    model = make_model("llama")
    with pytest.raises(DataError, match="prefix 0"):
        trace_path(model, *ids.lists, (1, 2), 3)
    with pytest.raises(DataError, match="ascend"):
        trace_path(model, *ids.lists, (0, 9, 2), 3)
    with pytest.raises(DataError, match="answer"):
        trace_path(model, *ids.lists, (0, 9), 8)


def test_prefixes_are_spaced_evenly_with_both_ends():
    assert space_prefixes(10, 3) == (0, 5, 10)
    assert space_prefixes(3, 100) == (0, 1, 2, 3)
    assert space_prefixes(7, 2) == (0, 7)
    assert space_prefixes(0, 5) == (0,)
    assert len(space_prefixes(2000, 100)) == 100
