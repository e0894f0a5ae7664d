import numpy as np
import pytest
import torch
import transformers as tr
from hypothesis import given
from hypothesis import strategies as st

from raml.errors import DataError, ModelError
from raml.landscapes import AnswerRow, LossBatch, make_answer_rows
from raml.landscapes.batch import _group
from raml.prompts import build_prompt
from raml.records import PromptSettings
from raml.scoring import answer_nll_by_definition
from raml.tiny import make_questions
from tests.landscapes.conftest import make_rows, score_by_definition


@pytest.mark.parametrize("name", ["llama", "gemma2", "cohere", "granite", "qwen3-moe", "mamba", "bloom"])
@pytest.mark.parametrize("limit", [1, 20, 10_000])
def test_losses_are_those_of_one_question_at_a_time(build, name, limit):
    model, rows = build(name), make_rows()
    loss = LossBatch(model, rows, tokens_at_a_time=limit).measure()
    torch.testing.assert_close(loss, score_by_definition(model, rows), rtol=1e-4, atol=1e-5)


def test_a_batch_says_how_many_tokens_it_reads(build):
    """Rows of 14, 12 and 16 tokens; the last one is only predicted. Together they are 3 rows of 15."""
    assert LossBatch(build(), make_rows()).n_tokens == 45
    assert LossBatch(build(), make_rows(), tokens_at_a_time=1).n_tokens == 13 + 11 + 15


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.integers(1, 200))
def test_groups_hold_each_row_once_and_no_more_than_the_limit(lens, limit):
    rows = [AnswerRow("q", (0,) * n, (0,), (0,)) for n in lens]
    groups = _group(rows, limit)
    assert sorted(i for group in groups for i in group) == list(range(len(rows)))
    for group in groups:
        assert len(group) == 1 or len(group) * max(lens[i] + 1 for i in group) <= limit


def test_rows_of_the_tiny_world_are_scored_as_the_definition_scores_them(tiny):
    questions = make_questions(3, split="test")
    rows = make_answer_rows(tiny, questions)
    assert rows[0].prompt_ids == build_prompt(tiny.tokenizer, questions[0], PromptSettings())
    loss = LossBatch(tiny.model, rows).measure().numpy()
    for row, value in zip(rows, loss, strict=True):
        parts = [torch.tensor(ids, dtype=torch.long) for ids in (row.prompt_ids, (), row.bridge_ids, row.answer_ids)]
        nll = answer_nll_by_definition(tiny.model, *parts, torch.tensor([0]))
        np.testing.assert_allclose(value, nll.mean().item(), rtol=1e-4)


def test_a_question_that_is_longer_than_the_context_is_named(tiny):
    question = make_questions(1, split="test")[0]
    long = type(question)("long", "1 + " * 400 + "1", "3")
    with pytest.raises(ModelError, match=r"Question long has .* accepts 1,024"):
        make_answer_rows(tiny, [long])


def test_encoder_decoders_empty_batches_and_empty_parts_are_refused(build):
    t5 = tr.T5ForConditionalGeneration(tr.T5Config(vocab_size=8, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2))
    with pytest.raises(ModelError, match="encoder-decoder"):
        LossBatch(t5, make_rows())
    with pytest.raises(DataError, match="at least one question"):
        LossBatch(build(), [])
    with pytest.raises(DataError, match="Question q"):
        LossBatch(build(), [AnswerRow("q", (3,), (), (4,))])
