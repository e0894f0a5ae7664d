"""Whatever the text, a file that we wrote gives back the same records, and messages come apart as put together."""

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raml.errors import DataError
from raml.interchange import (
    stream_foreign,
    write_inspect,
    write_openai_chat,
    write_rollouts,
    write_trl,
    write_trl_completions,
    write_verifiers,
    write_verl_rollouts,
)
from raml.interchange.chat import join_thinking, read_content, read_conversation, split_thinking, split_wording
from raml.interchange.record import decode_record, encode_record
from raml.records import CodeTests, ModelIdentity, PromptSettings, Question, SamplingSettings, Trajectory

WRITERS = {
    "trl": (write_trl, ".parquet"),
    "trl-completions": (write_trl_completions, ".jsonl"),
    "verl-rollouts": (write_verl_rollouts, ".jsonl"),
    "openai-chat": (write_openai_chat, ".jsonl"),
    "verifiers": (write_verifiers, ".jsonl"),
    "rollouts": (write_rollouts, ".parquet"),
    "inspect": (write_inspect, ".json"),
}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
PROMPT = TEXT.filter(lambda text: text.strip())
PIECES = st.lists(st.sampled_from(["<think>", "</think>", "\n", " ", "\\boxed{7}", "user\n", "\nassistant\n", "é"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | TEXT, lambda x: st.lists(x), max_leaves=3
)


@st.composite
def draw_responses(draw):
    """A question and one to three trajectories of it, consistent in themselves and otherwise anything."""
    question = Question(
        id=draw(PROMPT),
        prompt=draw(PROMPT),
        answer=draw(PROMPT),
        domain=draw(st.none() | TEXT),
        source=draw(st.none() | TEXT),
        meta=draw(st.dictionaries(TEXT, JSON, max_size=2)),
        instruction=draw(st.none() | st.just("")),
        tests=draw(st.none() | st.just(CodeTests(("1",), ("2",)))),
        redacted=draw(st.booleans()),
    )
    made = []
    for repeat in range(draw(st.integers(1, 3))):
        text = draw(TEXT | PIECES.map("".join))
        made.append(
            Trajectory(
                id=f"{repeat}",
                question_id=question.id,
                repeat=repeat,
                model=ModelIdentity("m", None, None, "float32", "cpu"),
                mode=draw(st.sampled_from(["think", "nothink"])),
                prompt_ids=(1,),
                token_ids=(7,) if text else (),
                reasoning_len=0,
                text=text,
                token_ends=(len(text),) if text else (),
                logprobs=draw(st.none() | st.just((-0.1,) if text else ())),
                finish=draw(st.sampled_from([None, "stop", "length"])),
                correct=draw(st.sampled_from([None, True, False])),
                prompt=draw(st.none() | st.just(PromptSettings(instruction=draw(st.sampled_from(["", "Think!"]))))),
                sampling=draw(st.none() | st.just(SamplingSettings(max_new_tokens=9))),
            )
        )
    return question, made


@pytest.mark.parametrize("format", WRITERS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=draw_responses())
def test_any_record_comes_back_equal(format, drawn, context, make_response):
    question, trajectories = drawn
    write, suffix = WRITERS[format]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"file{suffix}"
        write(path, [make_response(question, trajectory) for trajectory in trajectories])
        rows = list(stream_foreign(format, path, context))
    assert [response.record for row in rows for response in row.responses] == trajectories
    assert all(row.question == question for row in rows)
    assert all(row.notes == () for row in rows)


@pytest.mark.parametrize("suffix", [".eval", ".json"])
@pytest.mark.parametrize(
    "text",
    [
        "tc://x",
        "attachment://x",
        "<think>\ntc://x\n</think>\n\nattachment://x",
        "data:image/png;base64," + "iVBORw0KGgo" * 20,
        "<think>\ndata:image/png;base64,iVBORw0KGgo\n</think>\n\ndata:image/png;base64,iVBORw0KGgo",
        "iVBORw0KGgo" * 1000,
    ],
)
def test_texts_that_inspect_takes_for_attachments_come_back_as_they_were(
    text, suffix, context, make_response, make_trajectory, question, tmp_path
):
    asked = replace(question, prompt=text)
    made = make_trajectory(question_id=question.id, token_ids=(7,), token_ends=(len(text),), reasoning_len=0)
    trajectory = replace(made, text=text)
    write_inspect(tmp_path / f"log{suffix}", [make_response(asked, trajectory)])
    (row,) = stream_foreign("inspect", tmp_path / f"log{suffix}", context)
    assert (row.question, row.notes) == (asked, ())
    assert row.responses[0].text == text
    assert row.responses[0].record == trajectory


@given(reasoning=TEXT, answer=TEXT)
def test_thinking_is_parted_only_where_it_comes_together_again(reasoning, answer):
    text = join_thinking(reasoning, answer)
    assert text.startswith("<think>")
    assert text.replace("\n", "") == f"<think>{reasoning}</think>{answer}".replace("\n", "")
    for whole in (text, f"<think>{reasoning}</think>{answer}", answer):
        parts = split_thinking(whole)
        assert parts is None or join_thinking(*parts) == whole
    if reasoning.strip() and "</think>" not in reasoning:
        assert split_thinking(text) is not None


@given(prompt=PROMPT)
def test_a_known_instruction_is_taken_off_and_nothing_else(prompt, context):
    for wording, kind in context.wordings.items():
        assert split_wording(f"{prompt}\n\n{wording}", context.wordings) == (prompt.strip(), wording, kind)
    assert split_wording(f"{prompt} so", context.wordings) == (f"{prompt} so".strip(), "", "math")


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": "b"}, "b"),
        ({"content": "b", "reasoning_content": "a"}, "<think>\na\n</think>\n\nb"),
        ({"content": "\nb", "reasoning_content": "\na\n"}, "<think>\na\n</think>\nb"),
        ({"content": "b", "reasoning_content": ""}, "b"),
        ({"content": None, "reasoning_content": "a"}, "<think>\na\n</think>"),
        (
            {"content": [{"type": "reasoning", "reasoning": "a"}, {"type": "text", "text": "b"}]},
            "<think>\na\n</think>\n\nb",
        ),
        (
            {"content": [{"type": "thinking", "thinking": "a"}, {"type": "text", "text": "b"}]},
            "<think>\na\n</think>\n\nb",
        ),
        ({"content": [{"type": "text", "text": "b", "image": None}]}, "b"),
    ],
)
def test_reasoning_that_is_kept_apart_comes_in_front(message, text):
    assert read_content(message, "here") == text


@pytest.mark.parametrize(
    ("messages", "fragment"),
    [
        ("text", "no list"),
        ([], "empty"),
        ([{"role": "user", "content": " "}], "the user's message is empty"),
        ([{"role": "assistant", "content": "x"}], "has messages of assistant"),
        (["x"], "has messages of None"),
        ([{"role": "user", "content": 7}], "content is no text"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "part of type 'image_url'"),
        ([{"role": "user", "content": [{"type": "reasoning", "reasoning": "x", "redacted": True}]}], "open reasoning"),
        ([{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [{}]}], "calls tools"),
        ([{"role": "user", "content": "x"}, {"role": "tool", "content": "x"}], "messages of user, tool"),
    ],
)
def test_messages_that_are_no_question_and_response(messages, fragment):
    with pytest.raises(DataError, match=fragment):
        read_conversation(messages, "line 3")


def test_a_records_question_and_trajectory_belong_together(question, make_trajectory):
    trajectory = make_trajectory(question_id="q")
    assert decode_record(encode_record(question, trajectory), "here") == (question, trajectory)
    assert decode_record(encode_record(question), "here") == (question, None)
    with pytest.raises(DataError, match="here: the record of raml can't be read: it answers question 'other'"):
        decode_record(encode_record(question, replace(trajectory, question_id="other")), "here")
    for value in (None, 7, {}, "", "[]", "{}", '{"v": 2, "question": 1}', "[" * 5000):
        with pytest.raises(DataError, match="here"):
            decode_record(value, "here")
