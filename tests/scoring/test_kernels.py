import resource
import sys

import pytest
import torch
from torch import nn

from raml.scoring import answer_nll_by_definition, answer_nll_in_one_pass, kernels
from raml.scoring.kernels import fast_products, keep_freed_memory, multiply_by_onednn, prefers_onednn
from tests.scoring.conftest import build_model, draw_ids


def make_wide_model():
    return build_model("llama", hidden_size=512, intermediate_size=512, initializer_range=0.05)


def test_small_layers_are_not_worth_a_trial(models, monkeypatch):
    monkeypatch.setattr(kernels, "_time", lambda run: 1 / 0)
    assert not prefers_onednn(models("llama"))


def test_the_clearly_faster_product_is_chosen_and_measured_once(monkeypatch):
    model = make_wide_model()
    times = iter([1.0, 1.0, 2.0, 1.0, 2.1, 1.1, 2.0, 1.2])
    monkeypatch.setattr(kernels, "_time", lambda run: next(times))
    assert prefers_onednn(model)
    assert prefers_onednn(model)
    times = iter([1.0, 1.0, 1.1, 1.0, 1.1, 1.0, 1.2, 1.0])
    assert not prefers_onednn(make_wide_model())


def test_onednn_gives_the_same_numbers_and_is_left_behind_afterwards(monkeypatch):
    model = make_wide_model()
    calls = []
    monkeypatch.setattr(kernels, "prefers_onednn", lambda model: True)
    monkeypatch.setattr(kernels, "multiply_by_onednn", lambda *args: (calls.append(1), multiply_by_onednn(*args))[1])
    parts = (draw_ids(7), draw_ids(20, 1), draw_ids(3, 2), draw_ids(2, 3), torch.arange(21))
    fast = answer_nll_in_one_pass(model, *parts)
    n_calls = len(calls)
    assert n_calls >= 3 * 7
    torch.testing.assert_close(fast, answer_nll_by_definition(model, *parts), rtol=0, atol=2e-5)
    assert len(calls) == n_calls


def test_only_plain_float32_layers_are_routed(monkeypatch):
    monkeypatch.setattr(kernels, "prefers_onednn", lambda model: True)
    with torch.inference_mode(), fast_products(make_wide_model()):
        for dtype in (torch.float32, torch.float64, torch.bfloat16):
            layer = nn.Linear(8, 4).to(dtype)
            assert layer(torch.ones(2, 8, dtype=dtype)).dtype == dtype
        keyword = nn.functional.linear(torch.ones(2, 8), weight=torch.ones(4, 8))
    assert keyword.tolist() == [[8.0] * 4] * 2


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_freed_memory_is_kept_for_the_next_layer():
    """Without it each of these buffers costs 2,441 page faults of 4 KiB; with it only the first does."""
    if not keep_freed_memory():
        pytest.skip("this C library can't be asked")
    for _ in range(3):
        torch.empty(2_500_000).fill_(0.0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.empty(2_500_000).fill_(0.0)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 20 * 2441 / 4
