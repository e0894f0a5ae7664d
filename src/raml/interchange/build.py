"""From the cells of another tool's row to a question and its responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from raml.answers import read_choice
from raml.errors import DataError
from raml.interchange.chat import split_wording, write_response
from raml.interchange.record import decode_record
from raml.interchange.rows import ForeignResponse, ForeignRow, ReadContext
from raml.questions import make_question
from raml.questions.files import keep_plain
from raml.records import Kind, Question, hash_key

CHANGED = "changed since raml wrote it, so its text was read and not the record"
BYTES = "has bytes, which are left out of the question's meta"
SYSTEM = "has a system message, which is kept in the question's meta and not in the prompt"


@dataclass(frozen=True)
class Asked:
    """What a row says about the question."""

    message: str
    """The user's message; the bare question where the file has no message."""
    answer: str | None
    """The gold answer; None where the file has none."""
    is_bare: bool = False
    """Whether the file has the question alone, so that nobody knows which instruction followed."""
    system: str | None = None
    meta: Mapping[str, Any] | None = None
    kind: Kind = "math"
    """As the file has it; a known instruction for another kind says more."""


def build_row(
    place: str,
    context: ReadContext,
    asked: Asked,
    responses: Sequence[ForeignResponse],
    records: Sequence[object] = (),
) -> ForeignRow:
    """Put a row together, with our own records where the row still says what they say.

    Args:
        place: File and line, for messages.
        context: What a reader has to know besides the row.
        asked: The question as the row has it.
        responses: The responses as the row has them.
        records: What stands in the row's place for our record, one for each response (or one for a question without
            any); None where nothing does.

    Raises:
        DataError: there is no gold answer, or a record of ours is damaged.
    """
    decoded = [None if record is None else decode_record(record, place) for record in records]
    own = [found for found in decoded if found is not None and _asks_the_same(found[0], asked)]
    meta, n_dropped = keep_plain(asked.meta or {}, place)
    asked = replace(asked, meta=meta)
    question = own[0][0] if own else find_question(place, context, asked)
    notes = [SYSTEM] if asked.system else []
    notes += [BYTES] * (n_dropped > 0 and not own)
    instruction = _cut_question(asked.message, question.prompt)
    made, n_kept = [], sum(trajectory is None for _, trajectory in own)
    for i, response in enumerate(responses):
        found = decoded[i] if i < len(decoded) else None
        record = found[1] if found is not None and found[0] == question else None
        if record is not None and write_response(record) != response.text:
            record = None
        n_kept += record is not None
        made.append(replace(response, instruction=None if asked.is_bare else instruction, record=record))
    notes += [CHANGED] * (sum(found is not None for found in decoded) - n_kept)
    return ForeignRow(question, tuple(made), place, tuple(notes))


def find_question(place: str, context: ReadContext, asked: Asked) -> Question:
    """Find the question that a row asks, or make it.

    A question that was given for its gold answer goes first, then one of the run with the same answer, then the row.

    Raises:
        DataError: nobody knows the gold answer.
    """
    prompt, _, kind = split_wording(asked.message, {} if asked.is_bare else context.wordings)
    given, known = _find_given(asked, context), context.known.get(prompt)
    if given is not None:
        return given
    if known is not None and asked.answer in (None, known.answer) and known.meta.get("system") == asked.system:
        return known
    if asked.answer is None:
        raise DataError(
            f"{place} has no gold answer for {prompt[:60]!r}. Name its column with --answer-column, or with "
            "--answers a question file or run folder that has it."
        )
    meta = dict(asked.meta or {})
    fields: dict[str, Any] = {"prompt": prompt, "answer": asked.answer}
    if asked.system:
        meta["system"] = asked.system
        fields["id"] = hash_key(prompt, asked.answer, asked.system)
    question = make_question(fields, source=context.source, place=place)
    is_choice = "choice" in (kind, asked.kind) and read_choice(question.answer) is not None
    return replace(question, meta=_check_meta(meta, place), kind="choice" if is_choice else "math")


def index_questions(questions: Sequence[Question]) -> dict[str, Question]:
    """List questions by prompt, without those whose prompt belongs to several gold answers: nobody could say which."""
    found: dict[str, Question] = {}
    unclear = set()
    for question in questions:
        prompt = question.prompt.strip()
        if found.setdefault(prompt, question).gold_key() != question.gold_key():
            unclear.add(prompt)
    return {prompt: question for prompt, question in found.items() if prompt not in unclear}


def keep_meta(row: Mapping[str, Any], without: Sequence[str]) -> dict[str, Any]:
    """Keep what a row says besides, without the columns that are read."""
    return {name: value for name, value in row.items() if name not in without and value is not None}


def _find_given(asked: Asked, context: ReadContext) -> Question | None:
    """Find the question with which a message begins, whatever instruction follows after a blank line."""
    prompt = asked.message.strip()
    while prompt:
        if prompt in context.answers:
            return context.answers[prompt]
        prompt = "" if asked.is_bare else prompt.rpartition("\n\n")[0].rstrip()
    return None


def _asks_the_same(question: Question, asked: Asked) -> bool:
    """Whether a record's question is the one that the row shows."""
    rest = _cut_question(asked.message, question.prompt)
    return rest is not None and not (asked.is_bare and rest) and asked.answer in (None, question.answer.strip() or None)


def _cut_question(message: str, prompt: str) -> str | None:
    """Take a question off the front of a message and return what follows after a blank line; None if it isn't there."""
    message, prompt = message.strip(), prompt.strip()
    rest = message.removeprefix(prompt)
    gap = rest[: len(rest) - len(rest.lstrip())]
    return rest.strip() if message.startswith(prompt) and (not rest or "\n\n" in gap) else None


def _check_meta(meta: dict[str, Any], place: str) -> dict[str, Any]:
    """Refuse what can't be written to a question file, such as a text with half a character.

    Raises:
        DataError: it is there.
    """
    try:
        return msgspec.json.decode(msgspec.json.encode(meta))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise DataError(f"{place}: a field can't be kept: {error}") from error
