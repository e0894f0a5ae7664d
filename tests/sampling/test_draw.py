import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import MinPLogitsWarper, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from raml.records import SamplingSettings
from raml.sampling import ReproducibleDraw
from raml.sampling.draw import draw_uniforms

PLAIN = SamplingSettings(temperature=1.0, top_p=1.0, top_k=0)


def choose(settings, logits, uniforms):
    draw = ReproducibleDraw(settings, np.array(uniforms)[:, None])
    scores = draw(torch.zeros(len(logits), 1, dtype=torch.long), torch.tensor(logits))
    assert (scores == 0).sum(dim=1).tolist() == [1] * len(logits)
    return scores.argmax(dim=1).tolist(), draw.logprobs[0].tolist()


def test_a_number_chooses_the_word_whose_share_of_the_unit_interval_it_falls_into():
    """Probabilities 0.2, 0.5, 0.3: cumulative 0.2, 0.7, 1."""
    logits = np.log([[0.2, 0.5, 0.3]] * 5).tolist()
    words, logprobs = choose(PLAIN, logits, [0.0, 0.19, 0.21, 0.69, 0.999999999])
    assert words == [0, 0, 1, 1, 2]
    assert logprobs == pytest.approx(np.log([0.2, 0.2, 0.5, 0.5, 0.3]).tolist())


def test_filters_leave_the_words_they_should_and_log_probabilities_stay_the_models():
    """Of 0.1, 0.6, 0.25, 0.05: top-k 2 keeps 0.6 and 0.25; top-p 0.5 keeps 0.6; min-p 0.3 keeps those above 0.18."""
    logits = np.log([[0.1, 0.6, 0.25, 0.05]]).tolist()
    for settings, allowed in (
        (SamplingSettings(temperature=1.0, top_p=1.0, top_k=2), {1, 2}),
        (SamplingSettings(temperature=1.0, top_p=0.5, top_k=0), {1}),
        (SamplingSettings(temperature=1.0, top_p=1.0, top_k=0, min_p=0.3), {1, 2}),
        (SamplingSettings(temperature=0.0), {1}),
        (PLAIN, {0, 1, 2, 3}),
    ):
        chosen = set()
        for uniform in np.linspace(0, 0.9999, 97):
            (word,), (logprob,) = choose(settings, logits, [uniform])
            chosen.add(word)
            assert logprob == pytest.approx(logits[0][word], abs=1e-6)
        assert chosen == allowed, settings


def choose_over_the_whole_vocabulary(settings, logits, uniforms):
    """The definition: transformers' filters over all words, then the first whose cumulative share is larger."""
    scores = torch.tensor(logits)
    filters = [TopKLogitsWarper(settings.top_k)]
    filters += [TopPLogitsWarper(settings.top_p)] if settings.top_p < 1 else []
    filters += [MinPLogitsWarper(settings.min_p)] if settings.min_p > 0 else []
    for each in (TemperatureLogitsWarper(settings.temperature), *filters):
        scores = each(None, scores)
    shares = scores.double().softmax(dim=-1).cumsum(dim=-1).numpy()
    return [int(np.searchsorted(row, u * row[-1], side="right")) for row, u in zip(shares, uniforms, strict=True)]


@given(
    st.integers(0, 2**20),
    st.integers(1, 14),
    st.sampled_from([(1.0, 0.0), (0.9, 0.0), (0.6, 0.1), (1.0, 0.3)]),
    st.sampled_from([0.6, 1.0]),
)
def test_top_k_among_the_few_words_it_leaves_is_top_k_over_the_vocabulary(seed, top_k, filters, temperature):
    """Without top-p also where scores tie, for top-k keeps all that tie with its last."""
    generator = np.random.default_rng(seed)
    top_p, min_p = filters
    logits = generator.normal(size=(5, 12)).astype(np.float32)
    if top_p == 1:
        logits = np.round(logits)
    settings = SamplingSettings(temperature=temperature, top_p=top_p, top_k=top_k, min_p=min_p)
    uniforms = generator.random(5)
    words, _ = choose(settings, logits.tolist(), uniforms.tolist())
    assert words == choose_over_the_whole_vocabulary(settings, logits, uniforms)


def test_temperature_sharpens_the_shares():
    """At temperature 1/2 the odds 1 : 2 become 1 : 4, so the first word ends at 0.2."""
    settings = SamplingSettings(temperature=0.5, top_p=1.0, top_k=0)
    words, _ = choose(settings, np.log([[1 / 3, 2 / 3]] * 2).tolist(), [0.19, 0.21])
    assert words == [0, 1]


@given(st.integers(0, 2**20))
def test_a_word_of_probability_zero_is_never_chosen(seed):
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(4, 9)).astype(np.float32)
    logits[:, [0, 4, 8]] = -np.inf
    words, _ = choose(PLAIN, logits.tolist(), generator.random(4).tolist())
    assert not {0, 4, 8} & set(words)
    assert choose(PLAIN, logits.tolist(), [np.nextafter(1, 0)] * 4)[0] == [7] * 4


def test_numbers_belong_to_seed_question_and_repeat_and_do_not_change_with_their_count():
    first = draw_uniforms(0, "q", 1, 50)
    assert np.array_equal(first[:20], draw_uniforms(0, "q", 1, 20))
    assert not np.array_equal(first, draw_uniforms(1, "q", 1, 50))
    assert not np.array_equal(first, draw_uniforms(0, "r", 1, 50))
    assert not np.array_equal(first, draw_uniforms(0, "q", 2, 50))
    # "q1", 1 and "q", 11 must not run into each other.
    assert not np.array_equal(draw_uniforms(0, "q1", 1, 5), draw_uniforms(0, "q", 11, 5))


def test_drawn_frequencies_match_the_probabilities():
    """20,000 draws: the standard error of a share is at most 0.0036."""
    logits = np.log([[0.2, 0.5, 0.3]] * 20_000)
    words, _ = choose(PLAIN, logits.tolist(), draw_uniforms(0, "q", 0, 20_000).tolist())
    assert np.bincount(words) / 20_000 == pytest.approx([0.2, 0.5, 0.3], abs=0.015)
