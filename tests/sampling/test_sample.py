from dataclasses import replace

import numpy as np
import pytest
import torch

from raml.errors import DataError, ModelError
from raml.models import load_model
from raml.records import PromptSettings, Question, SamplingSettings
from raml.sampling import make_imported, plan_samples, sample_trajectories, stream_trajectories
from raml.tiny import make_questions

PROMPT = PromptSettings()
SETTINGS = SamplingSettings(temperature=1.0, top_p=1.0, top_k=0, max_new_tokens=150)


@pytest.fixture(scope="module")
def questions():
    return make_questions(5, split="test", seed=3)


@pytest.fixture(scope="module")
def sampled(tiny, questions):
    return sample_trajectories(tiny, questions, n=3, settings=SETTINGS)


def test_there_are_n_trajectories_a_question_in_order_with_identity_and_settings(tiny, questions, sampled):
    assert [(t.question_id, t.repeat) for t in sampled] == [(q.id, r) for q in questions for r in range(3)]
    assert len({t.id for t in sampled}) == 15
    for trajectory in sampled:
        assert trajectory.model == tiny.identity
        assert trajectory.sampling == SETTINGS
        assert len(trajectory.logprobs) == len(trajectory.token_ids) == len(trajectory.token_ends)
        assert "".join(trajectory.pieces) == trajectory.text
        assert trajectory.finish == "stop"
        assert trajectory.pieces[trajectory.reasoning_len] == "</think>"


def test_repeats_of_a_question_differ(sampled):
    assert len({t.token_ids for t in sampled}) > 10


def test_results_do_not_depend_on_batch_size_order_or_company(tiny, questions, sampled):
    tokens = {t.id: t.token_ids for t in sampled}
    alone = sample_trajectories(tiny, questions[2:3], n=2, settings=SETTINGS, batch_size=1)
    reversed_order = sample_trajectories(tiny, questions[::-1], n=3, settings=SETTINGS, batch_size=4)
    for trajectory in alone + reversed_order:
        assert trajectory.token_ids == tokens[trajectory.id]


def test_log_probabilities_are_those_of_a_plain_forward_pass(tiny, sampled):
    trajectory = sampled[0]
    ids = torch.tensor([trajectory.prompt_ids + trajectory.token_ids])
    with torch.inference_mode():
        logprobs = tiny.model(input_ids=ids).logits[0].log_softmax(dim=-1)
    start = len(trajectory.prompt_ids) - 1
    expected = [float(logprobs[start + i, token]) for i, token in enumerate(trajectory.token_ids)]
    np.testing.assert_allclose(trajectory.logprobs, expected, atol=2e-4)


def test_temperature_zero_is_transformers_own_greedy_search(tiny, questions):
    settings = replace(SETTINGS, temperature=0.0)
    (trajectory,) = sample_trajectories(tiny, questions[:1], settings=settings)
    prompt = torch.tensor([trajectory.prompt_ids])
    expected = tiny.model.generate(inputs=prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=150)
    stop = tiny.tokenizer.eos_token_id
    assert [*trajectory.token_ids, stop] == expected[0, prompt.shape[1] :].tolist()


def test_another_seed_gives_other_trajectories_and_other_ids(tiny, questions, sampled):
    other = sample_trajectories(tiny, questions[:1], n=3, settings=replace(SETTINGS, seed=1))
    assert {t.id for t in other}.isdisjoint(t.id for t in sampled)
    assert [t.token_ids for t in other] != [t.token_ids for t in sampled[:3]]


def test_a_response_that_does_not_end_is_cut_and_says_so(tiny, questions):
    (trajectory,) = sample_trajectories(tiny, questions[:1], settings=replace(SETTINGS, max_new_tokens=5))
    assert (trajectory.finish, len(trajectory.token_ids)) == ("length", 5)
    assert (trajectory.answer, trajectory.correct, trajectory.error) == (None, False, None)
    assert trajectory.reasoning_len == 5


def test_no_thinking_answers_at_once(tiny, questions):
    made = sample_trajectories(tiny, questions, prompt=PromptSettings(mode="nothink"), settings=SETTINGS)
    assert {t.mode for t in made} == {"nothink"}
    assert np.mean([len(t.token_ids) for t in made]) < 20


def test_done_units_are_left_out_and_the_others_are_bit_identical(tiny, questions, sampled):
    units = plan_samples(tiny, questions, 3, prompt=PROMPT, settings=SETTINGS)
    done = {sampled[i].id for i in (0, 1, 7)}
    rest = [t for batch in stream_trajectories(tiny, units, settings=SETTINGS, done=done) for t in batch]
    assert {t.id for t in rest} == {t.id for t in sampled} - done
    by_id = {t.id: t for t in sampled}
    assert all(t == by_id[t.id] for t in rest)


def test_the_progress_callback_is_told_each_step(tiny, questions):
    seen = []
    units = plan_samples(tiny, questions[:2], 1, prompt=PROMPT, settings=SETTINGS)
    settings = replace(SETTINGS, max_new_tokens=4)
    list(stream_trajectories(tiny, units, settings=settings, on_step=seen.append))
    assert seen == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperature": -1.0}, "temperature is -1"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_p": 1.5}, "top_p is 1.5"),
        ({"top_k": -1}, "top_k is -1"),
        ({"min_p": 2.0}, "min_p is 2"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(tiny, questions, changes, message):
    with pytest.raises(DataError, match=message):
        sample_trajectories(tiny, questions, settings=replace(SETTINGS, **changes))


def test_without_a_limit_half_of_the_context_is(tiny, questions):
    (trajectory,) = sample_trajectories(tiny, questions[:1], settings=replace(SETTINGS, max_new_tokens=None))
    assert trajectory.sampling.max_new_tokens == 512


def test_a_prompt_that_leaves_no_room_is_refused_with_the_number_that_fits(tiny):
    with pytest.raises(ModelError, match=r"Use --max-new-tokens \d+ or less"):
        sample_trajectories(
            tiny, [Question("long", "Calculate 1+1.", "2")], settings=replace(SETTINGS, max_new_tokens=1020)
        )


def test_the_id_changes_with_whatever_decides_the_response_or_its_grade(tiny, questions):
    def plan(question=questions[0], settings=SETTINGS, prompt=PROMPT, loaded=tiny):
        return plan_samples(loaded, [question], 1, prompt=prompt, settings=settings)[0].id

    ids = {
        plan(),
        plan(question=replace(questions[0], prompt="Calculate 1+1.")),
        plan(question=replace(questions[0], answer="0")),
        plan(settings=replace(SETTINGS, seed=1)),
        plan(prompt=replace(PROMPT, instruction="")),
        plan(loaded=replace(tiny, identity=replace(tiny.identity, config_sha256="other"))),
    }
    assert len(ids) == 6
    assert plan() == plan(loaded=replace(tiny, identity=replace(tiny.identity, name="elsewhere", device="cuda:0")))


def test_numbers_that_break_down_spoil_one_response_and_not_its_batch(tiny, questions, sampled):
    broken = load_model("tiny", device="cpu")
    word = sampled[0].token_ids[4]
    rows = sample_trajectories(broken, questions, n=1, settings=SETTINGS)
    sound = [t for t in rows if word not in t.token_ids]
    with torch.no_grad():
        broken.model.get_input_embeddings().weight[word] = torch.nan
    broken.model.lm_head.weight = torch.nn.Parameter(tiny.model.lm_head.weight.clone())
    made = {t.id: t for t in sample_trajectories(broken, questions, n=1, settings=SETTINGS)}
    hurt = [t for t in made.values() if t.error]
    assert hurt
    for trajectory in hurt:
        assert "NaN" in trajectory.error
        assert (trajectory.correct, trajectory.answer, trajectory.finish) == (None, None, None)
        assert np.isfinite(trajectory.logprobs).all()
    assert all(made[t.id].token_ids == t.token_ids for t in sound)


def test_a_think_mark_that_the_prompt_has_already_is_not_doubled(tiny):
    question, before = Question("q", "Calculate 3+4.", "7"), tiny.tokenizer.chat_template
    tiny.tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}{{ '\n<think>\n' }}"
    try:
        trajectory = make_imported(tiny, question, "<think>\n3+4=7\n</think>\\boxed{7}", 0)
    finally:
        tiny.tokenizer.chat_template = before
    assert tiny.tokenizer.decode(trajectory.prompt_ids + trajectory.token_ids).count("<think>") == 1
    assert trajectory.text == "3+4=7\n</think>\\boxed{7}"


def test_imported_text_becomes_a_graded_trajectory_of_unknown_origin(tiny):
    question = Question("q", "Calculate 3+4.", "7")
    text = "<think>\n3+4=7 so 7\n</think>\n\n**Final Answer**\n\\boxed{7}"
    trajectory = make_imported(tiny, question, text, 0)
    assert (trajectory.text, trajectory.answer, trajectory.correct) == (text, "7", True)
    assert (trajectory.logprobs, trajectory.finish, trajectory.sampling) == (None, None, None)
    assert trajectory.pieces[trajectory.reasoning_len] == "</think>"
