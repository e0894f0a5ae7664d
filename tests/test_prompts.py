import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.errors import DataError, ModelError
from raml.prompts import (
    build_prompt,
    decode_tokens,
    encode_answer,
    encode_text,
    find_reasoning_len,
    find_sentence_ends,
    render_prompt,
    resolve_prompt,
    split_sentences,
    write_message,
)
from raml.records import ModelIdentity, PromptSettings, Question, Trajectory

WHY, SUM = Question("w", "Why?", "42"), Question("s", "Calculate 1+1.", "2")
NO_SWITCH = "{% for m in messages %}U:{{ m.content }}\n{% endfor %}A:"


class OtherTemplate:
    """The embedded tokenizer with another chat template, undone afterwards."""

    def __init__(self, tokenizer, template):
        self.tokenizer, self.template = tokenizer, template

    def __enter__(self):
        self.before, self.tokenizer.chat_template = self.tokenizer.chat_template, self.template
        return self.tokenizer

    def __exit__(self, *_):
        self.tokenizer.chat_template = self.before


def test_the_default_prompt_is_question_blank_line_instruction(tiny):
    text = render_prompt(tiny.tokenizer, SUM, PromptSettings())
    assert "Calculate 1+1.\n\nPlease reason step by step, and put your final answer within \\boxed{}." in text
    assert "<think>" not in text


def test_an_empty_instruction_leaves_the_question_alone(tiny):
    with OtherTemplate(tiny.tokenizer, NO_SWITCH) as tokenizer:
        assert render_prompt(tokenizer, WHY, PromptSettings(instruction="")) == "U:Why?\nA:"


def test_each_kind_of_question_asks_for_its_answer_in_its_own_way():
    choice, code = (Question("q", "Why?", "A", kind=kind) for kind in ("choice", "code"))
    assert write_message(choice, PromptSettings()).startswith("Why?\n\nPlease reason step by step, and put the letter")
    assert "```python" in write_message(code, PromptSettings())


def test_the_settings_instruction_comes_before_the_questions_own_and_that_before_the_kinds():
    own = Question("q", "Why?", "A", kind="choice", instruction="Say a letter.")
    assert write_message(own, PromptSettings()) == "Why?\n\nSay a letter."
    assert write_message(own, PromptSettings(instruction="Be brief.")) == "Why?\n\nBe brief."
    assert write_message(own, PromptSettings(instruction="")) == "Why?"
    assert write_message(Question("q", "Why?", "A", instruction=""), PromptSettings()) == "Why?"
    assert resolve_prompt(own, PromptSettings(mode="nothink")).instruction == "Say a letter."


def test_no_thinking_uses_the_models_own_empty_block_where_its_template_has_one(tiny):
    text = render_prompt(tiny.tokenizer, SUM, PromptSettings(mode="nothink"))
    assert text.endswith("<think>\n\n</think>\n\n")


def test_no_thinking_puts_the_delimiter_into_the_mouth_of_other_models(tiny):
    settings = PromptSettings(mode="nothink")
    with OtherTemplate(tiny.tokenizer, NO_SWITCH) as tokenizer:
        text = render_prompt(tokenizer, WHY, settings)
    assert text.endswith("A:<think>\nTherefore, after all this, I believe the answer is")
    with OtherTemplate(tiny.tokenizer, NO_SWITCH + "{{ '<think>\n' }}") as tokenizer:
        text = render_prompt(tokenizer, WHY, settings)
    assert text.endswith("A:<think>\nTherefore, after all this, I believe the answer is")


def test_a_missing_template_says_how_to_give_one(tiny):
    with OtherTemplate(tiny.tokenizer, None) as tokenizer, pytest.raises(ModelError, match="--chat-template"):
        render_prompt(tokenizer, WHY, PromptSettings())


def test_a_template_that_fails_is_one_error(tiny):
    with (
        OtherTemplate(tiny.tokenizer, "{{ raise_exception('no users here') }}") as tokenizer,
        pytest.raises(ModelError, match="no users here"),
    ):
        render_prompt(tokenizer, WHY, PromptSettings())


def test_prompt_ids_are_the_rendered_text_and_no_more(tiny):
    text = render_prompt(tiny.tokenizer, SUM, PromptSettings())
    assert tiny.tokenizer.decode(build_prompt(tiny.tokenizer, SUM, PromptSettings())) == text


def test_bridge_and_answer_ids_read_as_bridge_and_answer(tiny):
    bridge = "\n\n**Final Answer**\n\\boxed{"
    ids = encode_text(tiny.tokenizer, bridge) + encode_answer(tiny.tokenizer, bridge, "42")
    assert tiny.tokenizer.decode(ids) == bridge + "42"


@pytest.mark.parametrize("answer", ["", "  \n"])
def test_an_empty_answer_is_refused(tiny, answer):
    with pytest.raises(DataError, match="empty"):
        encode_answer(tiny.tokenizer, "x", answer)


@given(st.text(max_size=40))
def test_token_boundaries_cut_any_text_into_its_pieces(tiny, text):
    ids = encode_text(tiny.tokenizer, text)
    decoded, ends = decode_tokens(tiny.tokenizer, ids)
    assert decoded == text
    assert len(ends) == len(ids)
    assert list(ends) == sorted(ends)
    assert not ends or ends[-1] == len(text)


def test_a_character_of_several_tokens_belongs_to_the_token_that_completes_it(tiny):
    """The embedded tokenizer writes U+1F600 as its four UTF-8 bytes."""
    ids = encode_text(tiny.tokenizer, "a\N{GRINNING FACE}b")
    assert len(ids) == 6
    assert decode_tokens(tiny.tokenizer, ids)[1] == (1, 1, 1, 1, 2, 3)


@pytest.mark.parametrize(
    ("pieces", "prefixes"),
    [
        (["One", ".", " Two", "?", " 3", ".", "14", " is", " pi", "."], [2, 4]),
        (["a", "\n", "b", "\n\n", "c"], [2, 4]),
        (["He said", ' "no', '."', " Then", "!\n"], [3, 5]),
        (["end. Next", " word"], [1]),
        ([], []),
    ],
)
def test_sentences_end_with_the_token_that_closes_them(pieces, prefixes):
    ends = [sum(map(len, pieces[: i + 1])) for i in range(len(pieces))]
    assert find_sentence_ends("".join(pieces), ends) == prefixes


@pytest.mark.parametrize(
    ("pieces", "reasoning"),
    [
        (["<think>", "a", "b", "</think>", "\\boxed{", "1", "}"], 3),
        (["a", "so ", "\\boxed{", "1", "}"], 2),
        (["\\boxed{", "1", "}", " no, ", "\\boxed{", "2", "}"], 4),
        (["a ", "x \\box", "ed{", "1}"], 1),
        (["a", "b"], 2),
        ([], 0),
    ],
)
def test_reasoning_ends_where_the_final_statement_starts(pieces, reasoning):
    ends = [sum(map(len, pieces[: i + 1])) for i in range(len(pieces))]
    assert find_reasoning_len("".join(pieces), ends) == reasoning


def split(text, make_trajectory, **changes):
    """The sentences that a reasoning is cut into; every character is a token."""
    ids, ends = tuple(range(len(text))), tuple(range(1, len(text) + 1))
    values = {"token_ids": ids, "token_ends": ends, "reasoning_len": len(text)} | changes
    made = replace(make_trajectory(), text=text, **values)
    return [text[start:stop] for start, stop in split_sentences(made)]


def test_sentences_and_lines_tile_the_reasoning_without_its_opening_tag(make_trajectory):
    assert split("<think>\nTwo. Three\nFour", make_trajectory) == ["\nTwo.", " Three\n", "Four"]
    assert split("One. Two</think>3. 4.", make_trajectory, reasoning_len=8) == ["One.", " Two"]


@pytest.mark.parametrize(
    ("pieces", "sentences"),
    [
        (("<th", "ink", ">\n", "One.", " Two"), ["One.", " Two"]),  # as a tokenizer without that mark writes it
        (("<think>", "", "é", " is. ", "Two"), ["é is. ", "Two"]),  # the first byte of é is no part of the mark
        (("<think", ">Hm. ", "So."), ["So."]),
    ],
)
def test_the_token_in_which_the_opening_tag_ends_is_left_out_and_no_other(pieces, sentences, make_trajectory):
    ends = tuple(itertools.accumulate(map(len, pieces)))
    n = len(pieces)
    made = make_trajectory(text="")
    made = replace(made, text="".join(pieces), token_ids=tuple(range(n)), token_ends=ends, reasoning_len=n)
    assert ["".join(pieces[start:stop]) for start, stop in split_sentences(made)] == sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("1. Add.\n2. Stop.", ["1. Add.", "\n2. Stop."]),
        ("So\n\\[\n3 - 1 = 2\n\\]\n\n2. Next", ["So\n", "\\[\n3 - 1 = 2\n", "\\]\n\n2. Next"]),
        ("End.\n\n**", ["End.\n\n**"]),
        ("**\n", ["**\n"]),
        ("", []),
    ],
)
def test_marks_that_say_nothing_belong_to_their_neighbour(text, sentences, make_trajectory):
    assert split(text, make_trajectory) == sentences


@given(st.text(alphabet="a1.\n =[", max_size=30), st.integers(0, 30))
def test_no_token_of_the_reasoning_is_lost_or_doubled(text, cut):
    model = ModelIdentity("m", None, "00", "float32", "cpu")
    stop, ends = min(cut, len(text)), tuple(range(1, len(text) + 1))
    made = Trajectory("t", "q", 0, model, "think", (1,), tuple(range(len(text))), stop, text, ends)
    spans = split_sentences(made)
    assert [i for start, end in spans for i in range(start, end)] == list(range(stop))
