"""OpenAI's chat files: one conversation a line, as for fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raml.errors import DataError
from raml.interchange.build import Asked, build_row, keep_meta
from raml.interchange.chat import read_conversation, write_messages, write_response
from raml.interchange.files import write_rows
from raml.interchange.record import encode_record
from raml.interchange.rows import (
    ANSWER_COLUMNS,
    RECORD,
    ExportedResponse,
    ForeignResponse,
    ForeignRow,
    ReadContext,
    find_answer,
    read_label,
    require_columns,
)


def read_openai_chat(row: Mapping[str, Any], place: str, context: ReadContext) -> list[ForeignRow]:
    """Read a conversation of one question and one response.

    `reasoning_content` and parts of type reasoning or thinking become `<think>…</think>` in front of the text.

    Raises:
        DataError: there are no messages, or they are of another kind.
    """
    require_columns(row, ["messages"], place)
    chat = read_conversation(row["messages"], place)
    if chat.response is None:
        raise DataError(f"{place}: the conversation has no assistant's message.")
    columns = context.columns
    label = None if columns.label_column is None else read_label(row.get(columns.label_column))
    without = (
        "messages",
        RECORD,
        *ANSWER_COLUMNS,
        *(name for name in (columns.answer_column, columns.label_column) if name),
    )
    asked = Asked(chat.message, find_answer(row, columns, place), system=chat.system, meta=keep_meta(row, without))
    response = ForeignResponse(chat.response, label)
    return [build_row(place, context, asked, [response], [row.get(RECORD)])]


def write_openai_chat(path: Path, responses: Sequence[ExportedResponse], *, records: bool = True) -> None:
    """Write conversations, a line a response; thinking stays in the content as `<think>…</think>`.

    Args:
        path: A .jsonl or .parquet file.
        responses: What to write.
        records: Add `answer` and `raml`; without, a line has `messages` alone, as services ask for.
    """
    rows: list[dict[str, Any]] = []
    for response in responses:
        row: dict[str, Any] = {"messages": write_messages(response.message, write_response(response.trajectory))}
        if records:
            row["answer"] = response.question.answer
            row[RECORD] = encode_record(response.question, response.trajectory)
        rows.append(row)
    write_rows(path, rows)
