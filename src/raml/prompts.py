"""Between text and token ids: prompts with thinking and no-thinking modes, the bridge, answers, token boundaries.

Ids of prompt, trajectory, bridge and answer are made once each and then only concatenated. Tokenising the joined text
again would change the ids at about half of a trajectory's positions.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from raml.errors import DataError, ModelError
from raml.inputs import bound_template
from raml.records import Kind, PromptSettings, Question, Trajectory

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

INSTRUCTIONS: dict[Kind, str] = {
    "math": "Please reason step by step, and put your final answer within \\boxed{}.",
    "choice": "Please reason step by step, and put the letter of your final answer within \\boxed{}.",
    "code": "Please reason step by step, and give the whole program at the end in one Python code block (```python).",
    "reasoning-gym": "Please reason step by step, and put your final answer within \\boxed{}.",
}
"""What follows a question of each kind, after a blank line; the first is the paper's."""
SENTENCE_END = re.compile(r"[.!?][\"'”’)\]]*(?=\s)|\n+")
BARE_MARK = re.compile(r"(?:\d+[.)]|[^\w=+<>])*")
"""A list item's number, an opening bracket of a formula and the like, which say nothing by themselves."""
THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
MOST_CHARACTERS = 10_000_000
"""Most that a chat template may put around its messages."""
UNDECODED = "\N{REPLACEMENT CHARACTER}"


def encode_text(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    """Turn text into token ids without adding a beginning or end mark."""
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


def has_thinking_switch(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the chat template itself has a no-thinking mode (Qwen3's `enable_thinking`)."""
    return "enable_thinking" in str(tokenizer.chat_template)


def resolve_prompt(question: Question, settings: PromptSettings) -> PromptSettings:
    """Fill in what depends on the question: the instruction, where the settings leave it open."""
    if settings.instruction is not None:
        return settings
    own = question.instruction
    return replace(settings, instruction=INSTRUCTIONS[question.kind] if own is None else own)


def write_message(question: Question, settings: PromptSettings) -> str:
    """Write the user's message: the question, a blank line and the instruction."""
    instruction = resolve_prompt(question, settings).instruction
    return f"{question.prompt}\n\n{instruction}" if instruction else question.prompt


def render_prompt(tokenizer: PreTrainedTokenizerBase, question: Question, settings: PromptSettings) -> str:
    """Write the prompt as the model will read it, up to where its response starts.

    In mode "nothink" the model's own switch is used where its template has one; elsewhere the paper's delimiter
    sentence is put in the model's mouth, after an opening `<think>` if the model knows that token.

    Raises:
        ModelError: the tokenizer has no chat template, or the template fails on this message.
    """
    if not tokenizer.chat_template:
        raise ModelError(
            f"{tokenizer.name_or_path} has no chat template, so its prompt format is unknown. "
            "Give one with --chat-template FILE (a Jinja file; chat_template= in Python)."
        )
    switch: dict[str, Any] = {"enable_thinking": settings.mode == "think"} if has_thinking_switch(tokenizer) else {}
    text = _apply_template(tokenizer, [write_message(question, settings)], add_generation_prompt=True, **switch)
    if settings.mode == "think" or switch:
        return text
    if THINK_OPEN in tokenizer.get_vocab() and not text.rstrip().endswith(THINK_OPEN):
        text += f"{THINK_OPEN}\n"
    return text + settings.delimiter


def build_prompt(tokenizer: PreTrainedTokenizerBase, question: Question, settings: PromptSettings) -> tuple[int, ...]:
    """Turn a question into the token ids that precede the response; see `render_prompt`.

    Raises:
        ModelError: as `render_prompt`, or the template writes nothing.
    """
    ids = encode_text(tokenizer, render_prompt(tokenizer, question, settings))
    if not ids:
        raise ModelError(f"The chat template of {tokenizer.name_or_path} writes nothing for question {question.id!r}.")
    return ids


def continue_prompt(prompt: str, response: str) -> str:
    """Leave out a response's opening `<think>` where the prompt holds it already."""
    if prompt.rstrip().endswith(THINK_OPEN) and response.lstrip().startswith(THINK_OPEN):
        return response.lstrip().removeprefix(THINK_OPEN).removeprefix("\n")
    return response


def find_turn_end(tokenizer: PreTrainedTokenizerBase, stop_ids: Sequence[int]) -> int:
    """Find the token that a response has to end with: the end mark that the chat template itself puts there.

    A model may know several; where the template shows none of them, it is the first.
    """
    text = _apply_template(tokenizer, ["Question", "Response"])
    after = encode_text(tokenizer, text.rpartition("Response")[2])
    return next((token for token in after if token in stop_ids), stop_ids[0])


def _apply_template(tokenizer: PreTrainedTokenizerBase, contents: Sequence[str], **switch: Any) -> str:  # noqa: ANN401
    """Write messages of a user and, if there are two, an assistant as the chat template has them.

    Raises:
        ModelError: the template fails, or takes more than it may (`raml.inputs.bound_template`).
    """
    messages = [{"role": role, "content": text} for role, text in zip(("user", "assistant"), contents, strict=False)]
    try:
        with bound_template(str(tokenizer.chat_template)):
            text = str(tokenizer.apply_chat_template(messages, tokenize=False, **switch))
    except Exception as error:
        words = str(error) or type(error).__name__
        raise ModelError(f"The chat template of {tokenizer.name_or_path} failed: {words}") from error
    if len(text) > MOST_CHARACTERS + sum(map(len, contents)):
        raise ModelError(f"The chat template of {tokenizer.name_or_path} wrote {len(text):,} characters.")
    return text


def encode_answer(tokenizer: PreTrainedTokenizerBase, bridge: str, answer: str) -> tuple[int, ...]:
    """Turn an answer into the token ids it has right after the bridge.

    Some tokenizers write a word differently at the start of a text, so the answer is cut out of bridge + answer where
    the bridge's own ids stand unchanged in front, and encoded alone elsewhere.

    Raises:
        DataError: the answer is empty.
    """
    if not answer.strip():
        raise DataError("The answer to score is empty; it needs at least one token.")
    bridge_ids, joint_ids = encode_text(tokenizer, bridge), encode_text(tokenizer, bridge + answer)
    if len(joint_ids) > len(bridge_ids) and joint_ids[: len(bridge_ids)] == bridge_ids:
        return joint_ids[len(bridge_ids) :]
    return encode_text(tokenizer, answer)


def decode_tokens(tokenizer: PreTrainedTokenizerBase, token_ids: Sequence[int]) -> tuple[str, tuple[int, ...]]:
    """Turn token ids into text and the character position where each token ends.

    Each token is decoded together with the one before it, because a decoder may drop the blank in front of a first
    word. A token that ends inside a character (byte-level tokenizers) adds nothing; the one that completes it adds all.
    """
    text, ends = "", []
    context, start = 0, 0  # ids[context:start] is decoded text that gives ids[start:] its surroundings
    for i in range(len(token_ids)):
        before = decode_text(tokenizer, token_ids[context:start])
        now = decode_text(tokenizer, token_ids[context : i + 1])
        if not now.endswith(UNDECODED) or i + 1 == len(token_ids) or i + 1 - start > 8:
            text += now[len(before) :]
            context, start = start, i + 1
        ends.append(len(text))
    return text, tuple(ends)


def find_reasoning_len(text: str, token_ends: Sequence[int]) -> int:
    r"""Count the leading tokens that are reasoning rather than the statement of the final answer.

    Reasoning ends before `</think>`; without one, before the last `\boxed{`; without that too, at the end. The token
    in which the statement starts is no longer reasoning.
    """
    end = text.find(THINK_CLOSE)
    if end < 0:
        end = text.rfind("\\boxed{")
    if end < 0:
        return len(token_ends)
    return sum(position <= end for position in token_ends)


def find_sentence_ends(text: str, token_ends: Sequence[int]) -> list[int]:
    """List the prefix lengths, in tokens, that end with a sentence or a line.

    A sentence ends with . ! or ? (and closing quotes or brackets) before white space; a line with its newline. The
    prefix ends with the token in which that happens.
    """
    ends = sorted({match.end() for match in SENTENCE_END.finditer(text)})
    return sorted({bisect.bisect_left(token_ends, end) + 1 for end in ends})


def find_opening(text: str) -> int:
    """Count the characters that an opening `<think>` takes, with the white space before it; 0 without one."""
    blank = len(text) - len(text.lstrip())
    return blank + len(THINK_OPEN) if text.startswith(THINK_OPEN, blank) else 0


def split_sentences(trajectory: Trajectory) -> list[tuple[int, int]]:
    """Cut a trajectory's reasoning into stretches of tokens (start, stop), a sentence or line each, without gaps.

    An opening `<think>` is left out, with all of the token in which it ends, since no reasoning can do without it. What
    says nothing by itself, such as the number of a list's item, belongs to the sentence that follows, or at the end to
    the one before.
    """
    text, ends = trajectory.text, trajectory.token_ends
    opening = find_opening(text)
    first = bisect.bisect_left(ends, opening) + 1 if opening else 0
    stop = trajectory.reasoning_len
    borders = [end for end in find_sentence_ends(text, ends) if first < end < stop]
    spans: list[tuple[int, int]] = []
    start = first
    for end in (*borders, stop):
        begins = ends[start - 1] if start else 0
        if end > start and not (end < stop and BARE_MARK.fullmatch(text, begins, ends[end - 1])):
            spans.append((start, end))
            start = end
    if len(spans) > 1 and BARE_MARK.fullmatch(text, ends[spans[-1][0] - 1], ends[spans[-1][1] - 1]):
        spans[-2:] = [(spans[-2][0], spans[-1][1])]
    return spans


def decode_text(tokenizer: PreTrainedTokenizerBase, token_ids: Sequence[int]) -> str:
    """Turn token ids into text, special tokens kept."""
    text = tokenizer.decode(list(token_ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
    assert isinstance(text, str)
    return text
