import math
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from raml.errors import DataError, ModelError
from raml.scoring import Job, answer_nll_by_definition, answer_nll_in_one_pass, engine, score_in_one_pass
from raml.scoring.attention import NAME, sharing_prefix
from raml.scoring.engine import find_shared_beginnings
from tests.scoring.conftest import WINDOW, build_model, draw_ids

SERVED = [
    "llama",
    "qwen2",
    "qwen2-sliding",
    "qwen3",
    "qwen3-moe",
    "gemma2",
    "gemma3",
    "mistral-sliding",
    "phi3",
    "gpt2",
    "gpt-neox",
    "gpt-oss",
    "deepseek-v3",
    "granite",
    "cohere",
]


def draw_parts(prompt=7, trajectory=40, bridge=5, answer=3):
    ids = draw_ids(prompt + trajectory + bridge + answer)
    parts = ids.split([prompt, trajectory, bridge, answer])
    return (*parts, torch.arange(trajectory + 1))


@pytest.mark.parametrize("name", SERVED)
def test_one_pass_equals_the_definition_on_every_architecture(models, name):
    parts = draw_parts()
    expected = answer_nll_by_definition(models(name), *parts)
    # The curve must move, or any constant would pass.
    assert expected.std() > 0.5
    scored = answer_nll_in_one_pass(models(name), *parts, chunk_tokens=50)
    torch.testing.assert_close(scored, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", SERVED)
def test_float64_agrees_to_ten_digits_on_every_architecture(name):
    """Both in float64 throughout: transformers' eager attention takes some soft-maxes in float32 (Gemma 2).

    DeepSeek's choice of experts runs in float32 whatever the model, so its layers are dense here.
    """
    model = build_model(name, **({"first_k_dense_replace": 3} if name == "deepseek-v3" else {})).double()
    if hasattr(model, "set_experts_implementation"):
        model.set_experts_implementation("eager")  # grouped products refuse float64
    model.set_attn_implementation("float64_eager")
    parts = draw_parts()
    expected = answer_nll_by_definition(model, *parts)
    assert expected.dtype == torch.float64
    torch.testing.assert_close(answer_nll_in_one_pass(model, *parts, chunk_tokens=50), expected, rtol=0, atol=1e-10)


@settings(max_examples=40)
@given(
    name=st.sampled_from(["llama", "gemma2", "gemma3", "mistral-sliding", "gpt2", "gpt-oss"]),
    prompt=st.integers(1, 2 * WINDOW),
    trajectory=st.integers(0, 3 * WINDOW),
    bridge=st.integers(1, WINDOW + 2),
    answer=st.integers(1, 4),
    step=st.integers(1, 2 * WINDOW),
    chunk_tokens=st.integers(1, 80),
)
def test_one_pass_equals_the_definition_at_any_lengths(
    models, name, prompt, trajectory, bridge, answer, step, chunk_tokens
):
    *parts, _ = draw_parts(prompt, trajectory, bridge, answer)
    lens = torch.arange(0, trajectory + 1, step)
    scored = answer_nll_in_one_pass(models(name), *parts, lens, chunk_tokens=chunk_tokens)
    assert scored.shape == (len(lens), answer)
    torch.testing.assert_close(scored, answer_nll_by_definition(models(name), *parts, lens), rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", ["qwen2-sliding", "mistral-sliding", "gemma3"])
@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_the_edge_of_a_window_is_exact(models, name, offset):
    """Prompt, trajectory and branch end around the window's length, where a key more or less would show."""
    for prompt, trajectory in ((WINDOW + offset, 5), (3, WINDOW - 3 + offset), (WINDOW, WINDOW + offset)):
        parts = draw_parts(prompt, trajectory, bridge=2, answer=2)
        expected = answer_nll_by_definition(models(name), *parts)
        torch.testing.assert_close(answer_nll_in_one_pass(models(name), *parts), expected, rtol=0, atol=2e-5)


def test_text_up_to_the_models_last_position_is_scored(models):
    """GPT-2's positions are a table of 256 rows: 200 + 48 + 5 + 3 tokens fill it."""
    parts = draw_parts(prompt=200, trajectory=48)
    expected = answer_nll_by_definition(models("gpt2"), *parts)
    torch.testing.assert_close(answer_nll_in_one_pass(models("gpt2"), *parts), expected, rtol=0, atol=2e-5)


def make_job(parts, answers=None):
    prompt, trajectory, bridge, answer, lens = (tuple(part.tolist()) for part in parts)
    return Job(prompt, trajectory, bridge, (answer,) if answers is None else answers, lens)


@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt-oss"])
@pytest.mark.parametrize("chunk_tokens", [40, 1000])
def test_trajectories_in_one_pass_score_as_they_do_alone(models, name, chunk_tokens):
    """Two share a prompt, one has another, one is empty."""
    a, b, c = draw_parts(trajectory=30), draw_parts(trajectory=13), draw_parts(prompt=9, trajectory=21)
    empty = (*c[:1], c[1][:0], *c[2:4], torch.tensor([0]))
    b = (a[0], *b[1:])
    results = score_in_one_pass(models(name), [make_job(p) for p in (a, b, c, empty)], chunk_tokens=chunk_tokens)
    for parts, scores in zip((a, b, c, empty), results, strict=True):
        expected = answer_nll_by_definition(models(name), *parts)
        torch.testing.assert_close(scores.nll[0], expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", ["qwen3", "mistral-sliding"])
def test_candidate_answers_share_a_tree_and_score_as_they_do_alone(models, name):
    """Equal, with a common beginning, one the beginning of another, and of one token."""
    parts = draw_parts()
    answers = ((5, 6, 7), (5, 6, 7), (5, 6, 9, 4), (5, 6), (8,))
    job = make_job(parts, answers)
    # Bridge of 5, then 5, 6 once, and 9 of the third; last tokens are never read.
    assert len(job.branch.ids) == 5 + 2 + 1
    scores = score_in_one_pass(models(name), [job], chunk_tokens=60)[0]
    for answer, nll in zip(answers, scores.nll, strict=True):
        expected = answer_nll_by_definition(models(name), *parts[:3], torch.tensor(answer), parts[4])
        torch.testing.assert_close(nll, expected, rtol=0, atol=2e-5)


def test_a_prompt_is_read_once_for_all_its_trajectories(models, monkeypatch):
    rows = []
    run = engine.run_chunk
    monkeypatch.setattr(engine, "run_chunk", lambda *args: (rows.append(len(args[3])), run(*args))[1])
    jobs = [make_job((draw_ids(50), draw_ids(8, seed), draw_ids(2), draw_ids(1), torch.tensor([8]))) for seed in (1, 2)]
    score_in_one_pass(models("llama"), jobs)
    assert sum(rows) == 50 + 2 * (8 + 2)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"prompt_ids": ()}, "prompt has no tokens"),
        ({"bridge_ids": ()}, "bridge has no tokens"),
        ({"answers": ((5,), ())}, "answer has no tokens"),
        ({"prefix_lens": (0, 3)}, "from 0 to 3"),
        ({"prefix_lens": (-1, 2)}, "from -1 to 2"),
        ({"prefix_lens": (2, 1)}, "do not ascend"),
    ],
)
def test_a_job_that_makes_no_sense_is_refused(change, reason):
    whole = {
        "prompt_ids": (1,),
        "trajectory_ids": (2, 3),
        "bridge_ids": (4,),
        "answers": ((5,),),
        "prefix_lens": (0, 2),
    }
    Job(**whole)
    with pytest.raises(DataError, match=reason):
        Job(**whole | change)


def test_nothing_to_do_is_done(models):
    assert score_in_one_pass(models("llama"), []) == []
    job = Job((5, 6), (7, 8), (9,), ((10, 11),), ())
    assert score_in_one_pass(models("llama"), [job])[0].nll[0].shape == (0, 2)


def test_one_pass_equals_the_definition_on_the_embedded_model(tiny):
    prompt, trajectory = draw_ids(30, seed=1), draw_ids(120, seed=2)
    parts = (prompt, trajectory, draw_ids(6, seed=3), draw_ids(2, seed=4), torch.arange(121))
    expected = answer_nll_by_definition(tiny.model, *parts)
    torch.testing.assert_close(answer_nll_in_one_pass(tiny.model, *parts), expected, rtol=0, atol=2e-5)


def test_later_tokens_never_change_earlier_entries(models):
    prompt, trajectory, bridge, answer, lens = draw_parts()
    changed = trajectory.clone()
    changed[20:] = draw_ids(20, seed=9)
    before = answer_nll_in_one_pass(models("llama"), prompt, trajectory, bridge, answer, lens)
    after = answer_nll_in_one_pass(models("llama"), prompt, changed, bridge, answer, lens)
    torch.testing.assert_close(after[:21], before[:21], rtol=0, atol=1e-5)
    assert (after[21:] - before[21:]).abs().max() > 0.1


def test_rows_follow_the_order_of_the_prefix_lengths_given(models):
    prompt, trajectory, bridge, answer, _ = draw_parts()
    lens = torch.tensor([30, 0, 17, 30])
    scored = answer_nll_in_one_pass(models("qwen3"), prompt, trajectory, bridge, answer, lens)
    expected = answer_nll_by_definition(models("qwen3"), prompt, trajectory, bridge, answer, lens)
    torch.testing.assert_close(scored, expected, rtol=0, atol=2e-5)


def test_a_model_without_preference_scores_log_vocabulary_everywhere():
    """With a zero output layer all 160 words are equally likely: -log(1/160) = 5.0752 nats."""
    model = build_model("gpt-neox")
    torch.nn.init.zeros_(model.get_output_embeddings().weight)
    for score in (answer_nll_by_definition, answer_nll_in_one_pass):
        torch.testing.assert_close(score(model, *draw_parts()), torch.full((41, 3), math.log(160)), rtol=0, atol=1e-6)


def test_bfloat16_is_no_further_from_float32_than_the_definition_in_bfloat16():
    """On average over models, since a single small one is noise; the largest deviation at most 1.5 times theirs."""
    ours, theirs = [], []
    for name in ("llama", "qwen2", "gemma3", "phi3", "gpt2", "mistral-sliding"):
        parts = draw_parts(trajectory=60)
        expected = answer_nll_by_definition(build_model(name), *parts)
        low = build_model(name).bfloat16()
        theirs.append((answer_nll_by_definition(low, *parts) - expected).abs())
        ours.append((answer_nll_in_one_pass(low, *parts) - expected).abs())
    assert torch.cat(ours).mean() <= 1.05 * torch.cat(theirs).mean()
    assert torch.cat(ours).max() <= 1.5 * torch.cat(theirs).max()


@pytest.mark.parametrize("empty", [0, 2, 3])
def test_an_empty_part_is_refused_by_name(models, empty):
    parts = list(draw_parts())
    parts[empty] = parts[empty][:0]
    for score in (answer_nll_by_definition, answer_nll_in_one_pass):
        with pytest.raises(DataError, match=("prompt", "", "bridge", "answer")[empty]):
            score(models("llama"), *parts)


def test_a_prefix_longer_than_the_trajectory_is_refused(models):
    *parts, _ = draw_parts()
    with pytest.raises(DataError, match="from 0 to 41"):
        answer_nll_in_one_pass(models("llama"), *parts, torch.tensor([0, 41]))


def test_the_attention_is_put_back_after_an_exception(models):
    model = models("llama")
    before = model.config._attn_implementation
    seen = []

    def fail():
        with sharing_prefix(model, 5):
            seen.append(model.config._attn_implementation)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert seen == [NAME]
    assert model.config._attn_implementation == before
    assert torch.isfinite(model(input_ids=draw_ids(4)[None]).logits).all()


def test_a_pass_inside_a_pass_on_the_same_model_changes_nothing(models):
    parts = draw_parts()
    expected = answer_nll_in_one_pass(models("llama"), *parts)
    before = models("llama").config._attn_implementation
    with sharing_prefix(models("llama"), 5) as outer:
        torch.testing.assert_close(answer_nll_in_one_pass(models("llama"), *parts), expected, rtol=0, atol=0)
        assert models("llama").config._attn_implementation == NAME
        assert outer.chunk is None
    assert models("llama").config._attn_implementation == before


def test_shared_prefix_attention_outside_of_a_pass_says_so(models):
    model = build_model("llama")
    model.set_attn_implementation(NAME)
    with pytest.raises(ModelError, match="outside"):
        model(input_ids=draw_ids(4)[None])


@pytest.mark.parametrize("names", [("llama", "qwen3"), ("llama", "llama")], ids=["two models", "one model"])
def test_passes_in_two_threads_do_not_meet(models, names):
    parts = draw_parts()
    pair = [models(name) for name in names]
    expected = [answer_nll_by_definition(model, *parts) for model in pair]
    before = pair[0].config._attn_implementation
    scored = [None, None]

    def run(i):
        for _ in range(5):
            scored[i] = answer_nll_in_one_pass(pair[i], *parts, chunk_tokens=16)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(2):
        torch.testing.assert_close(scored[i], expected[i], rtol=0, atol=2e-5)
    assert pair[0].config._attn_implementation == before


def test_shared_beginnings_are_those_of_the_first_text_that_has_them():
    texts = [(1, 2, 3, 4), (1, 2, 5), (1, 2, 3, 6), (1, 2, 5, 7, 8), (9,), (1, 2, 3, 4), ()]
    assert find_shared_beginnings(texts) == [(None, 0), (0, 2), (0, 3), (1, 3), (None, 0), (0, 4), (None, 0)]


@given(st.lists(st.lists(st.integers(0, 2), max_size=6), max_size=8))
def test_shared_beginnings_are_as_long_as_can_be(texts):
    for i, (text, (earlier, n_shared)) in enumerate(zip(texts, find_shared_beginnings(texts), strict=True)):
        best = max((max(n for n in range(len(text) + 1) if other[:n] == text[:n]) for other in texts[:i]), default=0)
        assert n_shared == best
        assert earlier is None if best == 0 else texts[earlier][:best] == text[:best]


@pytest.mark.parametrize("name", ["llama", "mistral-sliding", "gemma3"])
def test_a_trajectory_with_parts_left_out_is_read_from_where_it_differs(models, name, monkeypatch):
    rows = []
    run = engine.run_chunk
    monkeypatch.setattr(engine, "run_chunk", lambda *args: (rows.append(len(args[3])), run(*args))[1])
    prompt, whole, bridge, answer = draw_ids(9), draw_ids(40), draw_ids(2), draw_ids(3)
    cuts = [(0, 0), (30, 35), (10, 20), (0, 5)]
    kept = [torch.cat([whole[:start], whole[stop:]]) for start, stop in cuts]
    jobs = [make_job((prompt, part, bridge, answer, torch.tensor([len(part)]))) for part in kept]
    for part, scores in zip(kept, score_in_one_pass(models(name), jobs), strict=True):
        expected = answer_nll_by_definition(models(name), prompt, part, bridge, answer, torch.tensor([len(part)]))
        torch.testing.assert_close(scores.nll[0], expected, rtol=0, atol=2e-5)
    assert sum(rows) == (9 + 40) + 5 + 20 + 35 + 4 * (2 + 2)
