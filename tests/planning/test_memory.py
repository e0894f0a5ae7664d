"""Bytes of weights, keys and values, logits and paths, against hand arithmetic."""

import pytest

from raml.planning.memory import (
    count_generation_bytes,
    count_gradient_bytes,
    count_pass_bytes,
    count_path_bytes,
    count_weight_bytes,
)
from raml.scoring import Job
from raml.scoring.memory import FIXED_BYTES, count_position_bytes, count_row_bytes

# 2 layers × 1 key-value head × 4 dimensions × (key and value) × 4 bytes.
POSITION = 64
# 4 bytes × (5 × 16 + 10 × 8) for feed-forward and residual, 4 bytes × 2 heads × (6 × 4 + 3 × (128 + 1)) for attention.
ROW = 4 * 160 + 8 * 411


def test_weights_are_counted_in_bytes(model):
    attention = 8 * 8 + 8 * 4 + 8 * 4 + 8 * 8  # queries, keys, values, output
    feed_forward = 3 * 8 * 16
    layer = attention + feed_forward + 2 * 8  # and two norms
    assert count_weight_bytes(model) == 4 * (2 * layer + 32 * 8 + 32 * 8 + 8)


def test_a_position_has_a_key_and_a_value_in_every_layer(model):
    assert count_position_bytes(model) == POSITION


def test_a_row_has_buffers_for_feed_forward_residual_and_attention(model):
    assert count_row_bytes(model) == ROW
    assert count_row_bytes(model, own=3) == ROW + 4 * 2 * 3 * 2


def test_a_pass_stores_prompt_and_text_and_buffers_its_rows(model):
    job = Job((3, 4), (5, 6, 7), (8,), (), (0, 3))
    stored, buffers = count_pass_bytes(model, [job], memory=2**30)
    assert stored.n_bytes == 5 * POSITION
    assert buffers.n_bytes == (5 + 2) * ROW + FIXED_BYTES  # seven tokens are read, fewer than a chunk has


def test_a_pass_buffers_no_more_rows_than_a_chunk_has(model):
    job = Job((3,), (5,) * 5000, (8,), (), (5000,))
    _, buffers = count_pass_bytes(model, [job], memory=2**30)
    assert buffers.n_bytes == 1024 * ROW + FIXED_BYTES


def test_generation_stores_padded_rows_and_one_layer_twice(model):
    stored, buffers = count_generation_bytes(model, [5, 3, 2], n_new=4)
    cache = 3 * (5 + 4) * POSITION
    assert stored.n_bytes == cache + cache // 2
    assert buffers.n_bytes == 15 * ROW + 3 * 32 * (4 + 24)


def test_a_path_has_two_widths_and_an_inner_width_for_each_row_of_a_layer_and_one_layer_twice(model):
    assert count_path_bytes(model, n_prefixes=3, n_probe=2) == 6 * (2 + 1) * 4 * (2 * 8 + 16)
    assert count_path_bytes(model, n_prefixes=3, n_probe=2, by_definition=True) == 6 * (2 + 2) * 4 * (2 * 8 + 16)


def test_inner_products_of_a_long_path_take_more_than_the_path(model):
    rows = 3000
    # Two blocks of 2^22 / rows rows against all of them, factors in float64, and what is left of the path.
    expected = rows * 2 * 4 * (2 * 8 + 16) + 8 * (rows * 24 + 2 * (2**22 // rows) * rows)
    assert count_path_bytes(model, n_prefixes=1500, n_probe=2, gram=True) == expected


def test_a_pass_forward_and_back_keeps_twelve_widths_four_inner_widths_and_four_times_the_logits(model):
    assert count_gradient_bytes(model, n_rows=10, n_scored=3) == 4 * 10 * 2 * (12 * 8 + 4 * 16) + 16 * 3 * 32


@pytest.mark.parametrize("n_new", [10, 100])
def test_longer_generations_take_more_by_their_keys_and_values(model, n_new):
    short, long = (count_generation_bytes(model, [5], n)[0].n_bytes for n in (1, 1 + n_new))
    assert long - short == n_new * POSITION * 3 // 2
