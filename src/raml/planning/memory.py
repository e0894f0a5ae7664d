"""Bytes that stages take beside what is there once a model is loaded, from configuration and lengths alone."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedModel

from raml.planning.record import Part
from raml.scoring import Job, choose_chunk_tokens
from raml.scoring.memory import FIXED_BYTES, count_position_bytes, count_row_bytes, estimate_need, find_inner_size

FLOAT = 4
"""Bytes of a number in float32; one in float64 has twice as many."""
PRODUCTS_AT_A_TIME = 2**22
"""Of a block when the inner products of a path are taken (`raml.updates.factors.measure_gram`)."""


def count_weight_bytes(model: PreTrainedModel) -> int:
    """Bytes of all parameters, tied ones once."""
    return sum(parameter.nbytes for parameter in model.parameters())


def count_pass_bytes(
    model: PreTrainedModel, jobs: Sequence[Job], *, memory: int | None = None, max_new_tokens: int = 0
) -> tuple[Part, Part]:
    """Keys and values, and buffers, of one pass over some jobs at the chunk that it would choose.

    Raises:
        ModelError: the memory is too small.
    """
    need = estimate_need(model, jobs, max_new_tokens)
    chunk = choose_chunk_tokens(model, jobs, memory=memory, max_new_tokens=max_new_tokens)
    longest = max((job.n_read for job in jobs), default=0) if len(jobs) == 1 else sum(job.n_read for job in jobs)
    rows = min(chunk, max(longest, 1))
    return Part("keys and values", need.stored), Part("buffers", rows * need.per_row + FIXED_BYTES)


def count_generation_bytes(model: PreTrainedModel, prompt_lens: Sequence[int], n_new: int) -> tuple[Part, Part]:
    """Keys and values, and buffers, of one batch that `generate()` makes longer.

    Rows are filled up to the longest prompt. While a layer's keys and values get longer by a token, the old ones are
    still there, for one layer at a time. Logits are of one position: as the model gives them, in float32, and what
    sampling makes of them.
    """
    config = model.config.get_text_config()
    n_rows, longest = len(prompt_lens), max(prompt_lens, default=0)
    position = count_position_bytes(model)
    stored = n_rows * (longest + n_new) * position
    logits = n_rows * config.vocab_size * (model.dtype.itemsize + 6 * FLOAT)
    return (
        Part("keys and values", stored + stored // config.num_hidden_layers),
        Part("buffers", n_rows * longest * count_row_bytes(model) + logits),
    )


def count_path_bytes(
    model: PreTrainedModel, n_prefixes: int, n_probe: int, *, gram: bool = False, by_definition: bool = False
) -> int:
    """Bytes of a path in weight space, at the more expensive of two moments; each row is a prefix's probe position.

    Each row of a layer has targets or changes (a width), and left and right factors (a width and an inner width). When
    its parts are joined, all of one layer are there twice, or of all layers where prefixes are compiled by the
    definition. When inner products are taken (`gram`), there are of one
    layer the factors in float64 and two blocks of products too.
    """
    config = model.config.get_text_config()
    width, inner, n_layers = config.hidden_size, find_inner_size(config), config.num_hidden_layers
    rows, size = n_prefixes * n_probe, max(FLOAT, model.dtype.itemsize)
    layer = rows * size * (2 * width + inner)
    joined = (2 * n_layers if by_definition else n_layers + 1) * layer
    block = min(rows, max(n_probe, PRODUCTS_AT_A_TIME // max(1, rows))) * rows
    paired = n_layers * layer + 2 * FLOAT * (rows * (width + inner) + 2 * block)
    return max(joined, paired) if gram else joined


def count_gradient_bytes(model: PreTrainedModel, n_rows: int, n_scored: int) -> int:
    """Bytes of one pass forward and back: what each layer keeps for the way back, and logits of what is scored.

    A layer keeps some twelve widths and four inner widths a token; logits are there as they come, in float32, as
    log-probabilities and as their gradient.
    """
    config = model.config.get_text_config()
    kept = 12 * config.hidden_size + 4 * find_inner_size(config)
    return model.dtype.itemsize * n_rows * config.num_hidden_layers * kept + 4 * FLOAT * n_scored * config.vocab_size
