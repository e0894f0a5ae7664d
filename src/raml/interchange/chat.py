"""Chat messages: what was asked, what was answered, and how thinking is written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from raml.errors import DataError
from raml.interchange.rows import read_text
from raml.records import Kind, Trajectory

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"


@dataclass(frozen=True)
class Conversation:
    """One question and, unless it is still open, one response."""

    message: str
    """What the user wrote."""
    response: str | None
    """What the assistant wrote, thinking included."""
    system: str | None


def read_conversation(messages: object, place: str) -> Conversation:
    """Read chat messages: at most one of the system, one of the user, at most one of the assistant.

    Raises:
        DataError: they are no such messages, or the conversation has more turns.
    """
    if not isinstance(messages, list) or not messages:
        raise DataError(f"{place}: the messages are {'empty' if messages == [] else 'no list'}.")
    roles = [message.get("role") if isinstance(message, Mapping) else None for message in messages]
    turns = ["system" if role == "developer" else role for role in roles]
    if turns[0] == "system":
        turns = turns[1:]
    if turns not in (["user"], ["user", "assistant"]):
        raise DataError(
            f"{place} has messages of {', '.join(map(str, roles[:6]))}; one of a user and one of an assistant can be "
            "read, after one of a system if there is any."
        )
    texts = [read_content(message, place) for message in messages]
    start = len(texts) - len(turns)
    return Conversation(
        message=read_text(texts[start], "the user's message", place),
        response=texts[start + 1] if len(turns) == 2 else None,
        system=(texts[0].strip() or None) if start else None,
    )


def read_prompt(prompt: object, place: str) -> Conversation:
    """Read a prompt that is text, or chat messages without a response.

    Raises:
        DataError: it is neither.
    """
    if isinstance(prompt, str):
        return Conversation(read_text(prompt, "the prompt", place), None, None)
    conversation = read_conversation(prompt, place)
    if conversation.response is not None:
        raise DataError(f"{place}: the prompt ends with an assistant's message, so it is not clear what was answered.")
    return conversation


def read_completion(completion: object, place: str) -> str:
    """Read a response that is text, or the one message of an assistant. It may be empty: a model can fall silent.

    Raises:
        DataError: it is neither.
    """
    if isinstance(completion, list):
        if len(completion) != 1 or not isinstance(completion[0], Mapping):
            raise DataError(f"{place}: the completion has {len(completion)} messages; one of an assistant can be read.")
        if completion[0].get("role") not in ("assistant", None):
            raise DataError(f"{place}: the completion is a message of {completion[0]['role']!r}, not of an assistant.")
        completion = read_content(completion[0], place)
    if not isinstance(completion, str):
        raise DataError(f"{place}: the completion is {'missing' if completion is None else 'no text'}.")
    return completion


def read_content(message: Mapping[str, object], place: str) -> str:
    """Read a message's text; reasoning that is kept apart goes in front, between `<think>` and `</think>`.

    Raises:
        DataError: the message calls tools, or holds something that is no text.
    """
    if message.get("tool_calls"):
        raise DataError(f"{place}: a message calls tools; only text can be read.")
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    texts, thoughts = [], [message.get("reasoning_content") or message.get("reasoning") or ""]
    for part in parts:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind == "text":
            texts.append(part.get("text") or "")
        elif kind in ("reasoning", "thinking") and not part.get("redacted"):
            thoughts.append(part.get(kind) or "")
        else:
            raise DataError(
                f"{place}: a message has a part of type {kind!r}; only text and open reasoning can be read."
            )
    if not all(isinstance(text, str) for text in (*texts, *thoughts)):
        raise DataError(f"{place}: a message's content is no text.")
    thought, text = "".join(map(str, thoughts)), "".join(map(str, texts))
    return join_thinking(thought, text) if thought.strip() else text


def join_thinking(reasoning: str, answer: str) -> str:
    """Put reasoning and answer together; line breaks that stand there already are not doubled."""
    start = "" if reasoning.startswith("\n") else "\n"
    end = "" if reasoning.endswith("\n") else "\n"
    gap = "" if not answer or answer.startswith("\n") else "\n\n"
    return f"{THINK_OPEN}{start}{reasoning}{end}{THINK_CLOSE}{gap}{answer}"


def split_thinking(text: str) -> tuple[str, str] | None:
    """Part a response into reasoning and answer; None unless `join_thinking` would give the same text again."""
    reasoning, close, answer = text.removeprefix(THINK_OPEN).partition(THINK_CLOSE)
    if close and reasoning.strip() and join_thinking(reasoning, answer) == text:
        return reasoning, answer
    return None


def write_response(trajectory: Trajectory) -> str:
    """Write a response for another tool; an opening `<think>` that stands in the prompt is put back in front."""
    text = trajectory.text
    if THINK_CLOSE in text and THINK_OPEN not in text:
        return f"{THINK_OPEN}\n{text}"
    return text


def split_wording(message: str, wordings: Mapping[str, Kind]) -> tuple[str, str, Kind]:
    """Part a user's message into question, instruction and the kind of question that the instruction is for.

    Only an instruction that is known word by word, after a blank line, is taken off; otherwise it is "".
    """
    for wording in sorted(wordings, key=len, reverse=True):
        if wording and message.rstrip().endswith(f"\n\n{wording}"):
            return message.rstrip().removesuffix(wording).strip(), wording, wordings[wording]
    return message.strip(), "", "math"


def write_messages(message: str, response: str | None = None) -> list[dict[str, str]]:
    """Write a question and its response as chat messages."""
    messages = [{"role": "user", "content": message}]
    return messages if response is None else [*messages, {"role": "assistant", "content": response}]
