"""The model's own greedy answers: equal to `generate()` from each prefix by itself."""

import pytest
import torch

from raml.scoring import Job, Writing, score_in_one_pass, write_by_definition
from raml.scoring.head import choose_tokens, score_tokens
from tests.scoring.conftest import build_model, draw_ids

PROMPT, TRAJECTORY, BRIDGE = (tuple(draw_ids(n, seed).tolist()) for n, seed in ((7, 1), (40, 2), (5, 3)))
LENS = tuple(range(0, 41, 3))
ENDING = {1, *range(3, 160, 4)}
"""Tokens that end a continuation: the models' end mark and a quarter of the vocabulary, so that lengths differ."""


def write_both(model, writing, answers=()):
    job = Job(PROMPT, TRAJECTORY, BRIDGE, answers, LENS)
    fast = score_in_one_pass(model, [job], writing=writing, chunk_tokens=60)[0]
    return fast, write_by_definition(model, PROMPT, TRAJECTORY, BRIDGE, LENS, writing)


@pytest.mark.parametrize("name", ["llama", "gemma3", "mistral-sliding", "gpt2", "gpt-oss", "deepseek-v3"])
def test_every_continuation_is_the_one_that_generate_makes(models, name):
    writing = Writing(lambda ids: ids[-1] in ENDING, max_new_tokens=16)
    scores, expected = write_both(models(name), writing, answers=((5, 6, 7),))
    assert [written.ids for written in scores.written] == [written.ids for written in expected]
    # A small random Gemma 3 repeats one token for ever; the others end here and there.
    assert len({len(written.ids) for written in expected}) > 1 or name == "gemma3"
    for fast, slow in zip(scores.written, expected, strict=True):
        assert fast.stopped == slow.stopped
        torch.testing.assert_close(torch.tensor(fast.logprobs), torch.tensor(slow.logprobs), rtol=0, atol=2e-5)
        torch.testing.assert_close(torch.tensor(fast.leads), torch.tensor(slow.leads), rtol=0, atol=2e-5)


def test_the_answers_scored_on_the_way_do_not_change_what_is_written(models):
    writing = Writing(lambda ids: ids[-1] in ENDING, max_new_tokens=6)
    alone, _ = write_both(models("llama"), writing)
    beside, _ = write_both(models("llama"), writing, answers=((5, 6, 7), (5, 8)))
    assert [w.ids for w in alone.written] == [w.ids for w in beside.written]
    assert alone.nll == ()


def test_a_continuation_is_cut_off_at_its_longest(models):
    scores, _ = write_both(models("llama"), Writing(lambda ids: False, max_new_tokens=3))
    assert {len(written.ids) for written in scores.written} == {3}
    assert not any(written.stopped for written in scores.written)


def test_one_token_is_enough(models):
    scores, expected = write_both(models("llama"), Writing(lambda ids: True, max_new_tokens=1))
    assert [w.ids for w in scores.written] == [w.ids for w in expected]
    assert all(written.stopped and len(written.ids) == 1 for written in scores.written)


def test_the_output_layer_in_blocks_equals_the_whole(models, monkeypatch):
    """Blocks of 1,024 words at least: a vocabulary of 2,500 makes three, the last a partial one."""
    model = build_model("llama", vocab_size=2500)
    monkeypatch.setattr("raml.scoring.head.LOGITS_AT_A_TIME", {"cpu": 1})
    hidden = torch.randn(300, 64, generator=torch.Generator().manual_seed(0))
    targets = torch.arange(300) * 8
    with torch.inference_mode():
        logits = model.get_output_embeddings()(hidden)
        expected = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
        torch.testing.assert_close(score_tokens(model, hidden, targets), expected, rtol=0, atol=1e-5)
        best, second = logits.log_softmax(dim=-1).topk(2, dim=-1).values.unbind(dim=-1)
        tokens, logprobs, leads = choose_tokens(model, hidden)
    torch.testing.assert_close(tokens, logits.argmax(dim=-1))
    torch.testing.assert_close(logprobs, best, rtol=0, atol=1e-5)
    torch.testing.assert_close(leads, best - second, rtol=0, atol=1e-5)


def test_of_two_equally_likely_tokens_the_first_is_chosen_as_argmax_does():
    model = build_model("llama", vocab_size=2500)
    head = model.get_output_embeddings()
    with torch.inference_mode():
        head.weight.zero_()
        head.weight[[7, 1500, 2400]] = 1.0
        tokens, logprobs, leads = choose_tokens(model, torch.ones(2, 64))
    assert tokens.tolist() == [7, 7]
    assert leads.tolist() == [0.0, 0.0]
    assert logprobs[0] == pytest.approx(-1.0986, abs=1e-3)  # three of them share all but e^-64 of the probability
