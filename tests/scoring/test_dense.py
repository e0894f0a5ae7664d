import pytest
import torch

from raml.scoring import dense
from raml.scoring.dense import attend_dense, attend_dense_by_definition, find_kernel, run_kernel


def draw(rows=70, keys=90, dim=24, value_dim=24, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, rows, dim), (2, keys, dim), (2, keys, value_dim))
    return [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]


def test_the_definition_is_softmax_attention_with_its_log_sum_exp():
    """Two keys with scores 0 and log 3: weights 1/4 and 3/4, log-sum-exp log 4."""
    query, keys = torch.tensor([[[1.0]]]), torch.tensor([[[0.0], [torch.tensor(3.0).log()]]])
    output, log_sum = attend_dense_by_definition(query, keys, torch.tensor([[[4.0], [8.0]]]), scale=1.0)
    assert output.item() == pytest.approx(7.0)
    assert log_sum.item() == pytest.approx(1.386294)


@pytest.mark.parametrize("value_dim", [24, 16, 40])
@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_fast_way_equals_the_definition(value_dim, softcap, dtype):
    parts = draw(value_dim=value_dim, dtype=dtype)
    for fast, slow in zip(
        attend_dense(*parts, 0.3, softcap), attend_dense_by_definition(*parts, 0.3, softcap), strict=True
    ):
        torch.testing.assert_close(fast, slow, rtol=0, atol=1e-5 if dtype == torch.float32 else 1e-13)


def test_the_definition_in_blocks_of_rows_equals_itself(monkeypatch):
    parts = draw()
    whole = attend_dense_by_definition(*parts, 0.3)
    monkeypatch.setattr(dense, "SCORES_AT_A_TIME", 2 * 90 * 8)
    for blocks, expected in zip(attend_dense_by_definition(*parts, 0.3), whole, strict=True):
        torch.testing.assert_close(blocks, expected, rtol=0, atol=1e-6)


def test_a_cpu_has_a_flash_kernel_and_an_unknown_device_none():
    assert find_kernel(torch.device("cpu"), torch.bfloat16, 64) == "cpu"
    assert find_kernel(torch.device("meta"), torch.bfloat16, 64) == ""


@pytest.mark.parametrize(
    ("kernel", "dtype"), [("cpu", torch.float32), ("cuda-flash", torch.bfloat16), ("cuda-efficient", torch.float32)]
)
def test_every_kernel_is_called_with_arguments_it_has(kernel, dtype):
    """On the meta device torch checks arguments and shapes without a GPU."""
    query, keys, values = (part.to("meta", dtype)[None] for part in draw())
    output, log_sum = run_kernel(kernel, query, keys, values, 0.3)
    assert output.shape == query.shape
    assert log_sum.shape[:2] == (1, 2)
    assert log_sum.shape[2] >= 70
    assert log_sum.dtype == torch.float32
