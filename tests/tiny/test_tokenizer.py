import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.prompts import INSTRUCTIONS, build_prompt, encode_text, render_prompt
from raml.records import PromptSettings, Question, TraceSettings
from raml.tiny import make_questions, write_trajectories
from raml.tiny.tokenizer import build_tokenizer

tokenizer = build_tokenizer()


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_restored_exactly(text):
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


@pytest.mark.parametrize("text", ["\\boxed{", "<think>", "</think>", "Calculate", " answer", " within", "Wait", " so"])
def test_the_words_of_the_world_are_one_token(text):
    assert len(encode_text(tokenizer, text)) == 1


def test_the_instruction_costs_one_token_a_word():
    # 11 words, a comma, the blank before \boxed{, the box, "}" and "."
    assert len(encode_text(tokenizer, INSTRUCTIONS["math"])) == 16


def test_line_ends_and_operators_stand_alone():
    pieces = tokenizer.convert_ids_to_tokens(encode_text(tokenizer, "(3+4)*2\n\n"))
    assert len(pieces) == 9


def test_thinking_tags_survive_decoding_without_special_tokens():
    ids = encode_text(tokenizer, "<think>\n3<|im_end|>")
    assert tokenizer.decode(ids, skip_special_tokens=True) == "<think>\n3"


def test_the_template_asks_in_the_words_of_any_other_model():
    question = Question("q", "Calculate 3+4.", "7")
    user = f"<|im_start|>user\n{question.prompt}\n\n{INSTRUCTIONS['math']}<|im_end|>\n<|im_start|>assistant\n"
    assert render_prompt(tokenizer, question, PromptSettings()) == user
    assert render_prompt(tokenizer, question, PromptSettings(mode="nothink")) == f"{user}<think>\n\n</think>\n\n"


def test_the_template_marks_what_the_assistant_said():
    messages = [{"role": "user", "content": "Calculate 3+4."}, {"role": "assistant", "content": "\\boxed{7}"}]
    encoded = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
    said = [i for i, mark in zip(encoded["input_ids"], encoded["assistant_masks"], strict=True) if mark]
    assert tokenizer.decode(said) == "\\boxed{7}<|im_end|>"


def test_prompt_and_trajectory_ids_join_to_the_ids_of_the_joined_text():
    question = make_questions(1, split="test")[0]
    response = write_trajectories(question, 1, seed=0)[0].text
    joined = encode_text(tokenizer, render_prompt(tokenizer, question, PromptSettings()) + response)
    parts = (*build_prompt(tokenizer, question, PromptSettings()), *encode_text(tokenizer, response))
    assert joined == parts


def test_the_bridge_is_the_same_alone_and_after_a_line():
    bridge = TraceSettings().bridge
    line = "First 3+4=7 so 7"
    assert encode_text(tokenizer, line + bridge) == encode_text(tokenizer, line) + encode_text(tokenizer, bridge)


def test_every_call_builds_the_same_tokenizer():
    assert build_tokenizer().backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()


def test_the_vocabulary_is_small():
    assert len(tokenizer) <= 512
