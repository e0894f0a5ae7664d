"""Summaries are asked for without the answer, cleared of it, answered from, and counted."""

from dataclasses import replace

import pytest

from raml.efficiency import summaries
from raml.efficiency.summaries import (
    answer_from_summaries,
    is_elsewhere,
    key_summaries,
    make_requests,
    split_requests,
)
from raml.probes.task import make_writing
from raml.prompts import build_prompt, encode_text
from raml.records import ModelIdentity, PromptSettings, ReadoutSettings, SamplingSettings
from raml.scoring import write_by_definition

PROMPT = PromptSettings(instruction="")


@pytest.fixture
def summarize(tiny, make_trajectory):
    """A function that makes a summary of a trajectory, as if a model had written it."""

    def make(trajectory, text, repeat=0, **changes):
        ids = encode_text(tiny.tokenizer, text)
        values = {
            "id": f"summary-{repeat}-{text[:5]}",
            "token_ids": ids,
            "token_ends": (*range(1, len(ids)), len(text)) if ids else (),
            "reasoning_len": 0,
            "finish": "stop",
            "model": ModelIdentity("summariser", None, "01", "float32", "cpu"),
        }
        return replace(make_trajectory(question_id=trajectory.id, repeat=repeat, **values | changes), text=text)

    return make


def test_a_request_holds_question_and_reasoning_but_not_the_answers_statement(pairs):
    trajectory, question = pairs[0]
    [request] = make_requests(pairs[:1])
    assert request.id == trajectory.id
    assert (request.kind, request.answer) == ("math", question.answer)
    assert question.prompt in request.prompt
    reasoning = trajectory.text.partition("</think>")[0].removeprefix("<think>\n").strip()
    assert reasoning in request.prompt
    assert "think>" not in request.prompt
    assert "boxed" not in request.prompt
    assert "Leave out the final answer" in request.prompt


def test_braces_in_question_and_reasoning_stay_as_they_are(make_trajectory, question):
    odd = replace(question, prompt=r"What is \frac{1}{2} of {question}?")
    [request] = make_requests([(make_trajectory("half {reasoning} {0}"), odd)])
    assert r"What is \frac{1}{2} of {question}?" in request.prompt
    assert "half {reasoning} {0}" in request.prompt


@pytest.mark.parametrize(
    "engine", ["transformers", "vllm", "http://localhost:8000/v1", "http://127.0.0.2:1/v1", "https://[::1]:80/v1"]
)
def test_what_runs_on_this_machine_may_be_sent_everything(engine):
    assert not is_elsewhere(engine)


@pytest.mark.parametrize(
    "engine",
    ["http://10.0.0.7:8000/v1", "https://api.example.com/v1", "http://localhost.example.com/v1", "http://0.0.0.0/v1"],
)
def test_other_addresses_are_elsewhere(engine):
    assert is_elsewhere(engine)


def test_a_redacted_question_never_goes_to_a_server_elsewhere(tiny, pairs):
    shown, hidden = pairs[0], (pairs[2][0], replace(pairs[2][1], redacted=True))
    requests = make_requests([shown, hidden])
    sampling = SamplingSettings(max_new_tokens=10)
    fit, [(name, error)] = split_requests(tiny, requests, PROMPT, sampling, engine="https://api.example.com/v1")
    assert [request.id for request in fit] == [shown[0].id]
    assert name == hidden[0].id
    assert "terms" in str(error)
    assert pairs[2][1].prompt not in str(error)
    fit, failures = split_requests(tiny, requests, PROMPT, sampling, engine="http://localhost:8000/v1")
    assert (len(fit), failures) == (2, [])


def test_a_request_that_does_not_fit_the_summariser_is_left_out_with_the_numbers(tiny, pairs):
    requests = make_requests(pairs[:2])
    n_first, n_second = (len(build_prompt(tiny.tokenizer, request, PROMPT)) for request in requests)
    room = tiny.context_len - max(n_first, n_second)
    fit, failures = split_requests(tiny, requests, PROMPT, SamplingSettings(max_new_tokens=room))
    assert (len(fit), failures) == (2, [])
    fit, failures = split_requests(tiny, requests, PROMPT, SamplingSettings(max_new_tokens=room + 1))
    assert len(fit) == (n_first != n_second)
    assert f"takes {max(n_first, n_second)} tokens" in str(failures[0][1])


def test_the_answer_is_the_greedy_one_after_opening_summary_and_bridge(tiny, pairs, summarize):
    trajectory, question = pairs[0]
    text = "Now add.\nThen add again."
    made = [summarize(trajectory, text), summarize(trajectory, f"<think>\nhm\n</think>\n\n{text} ", repeat=1)]
    attempts, failures = answer_from_summaries(tiny, [(trajectory, question)], {trajectory.id: made})
    assert failures == []
    opening = trajectory.token_ids[:2]
    assert tiny.tokenizer.decode(opening) == "<think>\n"
    ids = (*opening, *encode_text(tiny.tokenizer, text))
    bridge = encode_text(tiny.tokenizer, ReadoutSettings().bridge)
    writing = make_writing(tiny, ReadoutSettings())
    [written] = write_by_definition(tiny.model, trajectory.prompt_ids, ids, bridge, [len(ids)], writing)
    n_summary = len(encode_text(tiny.tokenizer, text))
    for draw, attempt in enumerate(attempts):
        assert attempt.answer == tiny.tokenizer.decode(written.ids).partition("}")[0]
        assert attempt.text == text
        assert (attempt.method, attempt.variant, attempt.level, attempt.draw) == ("summary", "summariser", 0.0, draw)
        assert attempt.n_thinking == n_summary
        n_all = trajectory.reasoning_len + len(made[draw].token_ids) + len(written.ids)
        assert attempt.n_generated == n_all
        assert attempt.correct == (attempt.answer == question.answer)
        assert (attempt.leaked, attempt.error) == (False, None)


def test_sentences_that_tell_the_gold_or_the_own_answer_are_not_read(tiny, pairs, summarize):
    trajectory, question = pairs[0]
    wrong = replace(trajectory, answer="987", correct=False)
    text = f"Now add.\nSo it is {question.answer}.\nOr 987?\nThen add again."
    [attempt], _ = answer_from_summaries(tiny, [(wrong, question)], {wrong.id: [summarize(wrong, text)]})
    assert attempt.text == "Now add.\n\n\nThen add again."
    assert attempt.leaked
    assert attempt.answer is not None


def test_what_leaves_nothing_to_read_has_an_error_and_no_answer(tiny, pairs, summarize):
    trajectory, question = pairs[0]
    made = [
        summarize(trajectory, f"The answer is {question.answer}."),
        summarize(trajectory, "<think>\nLet me see", repeat=1, finish="length"),
        summarize(trajectory, "", repeat=2),
        summarize(trajectory, "Now add.", repeat=3),
    ]
    attempts, failures = answer_from_summaries(tiny, [(trajectory, question)], {trajectory.id: made})
    assert failures == []
    assert [attempt.leaked for attempt in attempts] == [True, False, False, False]
    reasons = [summaries.NOTHING_LEFT, summaries.STILL_THINKING, summaries.EMPTY, None]
    assert [attempt.error for attempt in attempts] == reasons
    for attempt in attempts[:3]:
        assert (attempt.answer, attempt.correct, attempt.verdict, attempt.text) == (None, None, "undecided", None)
    assert attempts[0].n_generated == trajectory.reasoning_len + len(made[0].token_ids)
    assert attempts[3].answer is not None


def test_thinking_that_the_prompt_opened_and_nobody_closed_is_no_summary(tiny, pairs, summarize):
    trajectory, question = pairs[0]
    opened = encode_text(tiny.tokenizer, "12+7\n<think>\n")
    made = [
        summarize(trajectory, "Let me see", prompt_ids=opened, model=tiny.identity, finish="length"),
        summarize(trajectory, "I see\n</think>\nNow add.", 1, prompt_ids=opened, model=tiny.identity),
        summarize(trajectory, "Now add.", 2, prompt_ids=opened[:-2], model=tiny.identity),
    ]
    attempts, _ = answer_from_summaries(tiny, [(trajectory, question)], {trajectory.id: made})
    assert [attempt.error for attempt in attempts] == [summaries.STILL_THINKING, None, None]
    assert [attempt.text for attempt in attempts] == [None, "Now add.", "Now add."]


def test_a_trajectory_without_a_summary_is_left_out_and_the_others_go_on(tiny, pairs, summarize):
    first, second = pairs[0], pairs[1]
    made = {second[0].id: [summarize(second[0], "Now add.")]}
    attempts, [(name, error)] = answer_from_summaries(tiny, [first, second], made)
    assert (name, str(error)) == (first[0].id, f"Trajectory {first[0].id} has no summary.")
    assert [attempt.trajectory_id for attempt in attempts] == [second[0].id]


def test_ids_are_known_beforehand_and_differ_by_summary(tiny, pairs, summarize):
    trajectory, question = pairs[0]
    made = [summarize(trajectory, "Now add."), summarize(trajectory, "Then add.", repeat=1)]
    attempts, _ = answer_from_summaries(tiny, [(trajectory, question)], {trajectory.id: made})
    keys = key_summaries(tiny, (trajectory, question), made)
    assert [attempt.id for attempt in attempts] == keys
    assert len(set(keys)) == 2
