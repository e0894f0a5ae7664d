"""verl: the questions that it trains on, and the responses that it dumps while it does.

Columns as in verl 0.9: `RLHFDataset` and the reward managers read the first, `RayPPOTrainer._write_generations` writes
the second, `main_generation_server` adds `responses` to the first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raml.errors import DataError
from raml.interchange.build import Asked, build_row
from raml.interchange.chat import THINK_OPEN, read_completion, read_conversation, write_messages, write_response
from raml.interchange.files import write_rows
from raml.interchange.record import encode_record
from raml.interchange.rows import (
    RECORD,
    ExportedResponse,
    ForeignResponse,
    ForeignRow,
    ReadContext,
    find_answer,
    read_answer,
    read_label,
    read_text,
    require_columns,
)
from raml.records import Question

# What is left of a ChatML prompt once special tokens are taken out, as verl does before it dumps one.
CHATML = re.compile(r"(?:system\n(?P<system>.*?)\n)?user\n(?P<user>.*)\nassistant\n(?P<lead>.*)", re.DOTALL)
LABELS = ("acc", "score")


def read_verl(row: Mapping[str, Any], place: str, context: ReadContext) -> list[ForeignRow]:
    """Read a row of a training file: a question and, where verl's generation added them, `responses`.

    Raises:
        DataError: a column is missing or holds something else.
    """
    require_columns(row, ["prompt", "reward_model"], place)
    chat = read_conversation(row["prompt"], place)
    if chat.response is not None:
        raise DataError(f"{place}: the prompt ends with an assistant's message.")
    reward, extra = row["reward_model"], row.get("extra_info")
    if not isinstance(reward, Mapping) or not isinstance(extra, Mapping | None):
        raise DataError(f"{place}: 'reward_model' or 'extra_info' is no group of fields.")
    if context.columns.answer_column is not None:
        answer = find_answer(row, context.columns, place)
    else:
        answer = read_answer(reward.get("ground_truth"), place)
    given = row.get("responses") or []
    if not isinstance(given, list):
        raise DataError(f"{place}: column 'responses' holds no list.")
    responses = [ForeignResponse(read_completion(text, place)) for text in given]
    rest = {key: value for key, value in (extra or {}).items() if key != RECORD}
    meta = {"data_source": row.get("data_source"), "ability": row.get("ability"), "extra_info": rest}
    asked = Asked(chat.message, answer, system=chat.system, meta=meta)
    return [build_row(place, context, asked, responses, [(extra or {}).get(RECORD)])]


def read_verl_rollouts(row: Mapping[str, Any], place: str, context: ReadContext) -> list[ForeignRow]:
    """Read a line of a dump of rollouts or validation samples.

    `input` is the rendered prompt without special tokens; the user's message is found in what ChatML leaves of it.
    Elsewhere all of it is taken for the message. The verdict is `acc`, else `score`.

    Raises:
        DataError: a key is missing or holds something else.
    """
    require_columns(row, ["input", "output"], place)
    rendered, output = read_text(row["input"], "the input", place), read_completion(row["output"], place)
    match = CHATML.fullmatch(rendered)
    message, lead = (match["user"], match["lead"]) if match else (rendered, "")
    name = context.columns.label_column
    if name is not None:
        require_columns(row, [name], place)
    label = next((row[key] for key in ((name,) if name else LABELS) if row.get(key) is not None), None)
    if context.columns.answer_column is not None:
        answer = find_answer(row, context.columns, place)
    else:
        answer = read_answer(row.get("gts"), place)
    text = lead + output if lead.strip().startswith(THINK_OPEN) else output
    asked = Asked(read_text(message, "the user's message", place), answer, system=match["system"] if match else None)
    return [build_row(place, context, asked, [ForeignResponse(text, read_label(label))], [row.get(RECORD)])]


def write_verl(path: Path, questions: Sequence[tuple[Question, str]], *, records: bool = True) -> None:
    """Write questions for training, a row each; a training file has no room for responses.

    Args:
        path: A .parquet or .jsonl file.
        questions: Each with the user's message: question and instruction.
        records: Add the whole question as `raml` to extra_info.
    """
    rows = []
    for index, (question, message) in enumerate(questions):
        extra: dict[str, Any] = {"split": "train", "index": index, "id": question.id}
        if records:
            extra[RECORD] = encode_record(question)
        rows.append(
            {
                "data_source": question.source or "raml",
                "prompt": write_messages(message),
                "ability": question.domain or question.kind,
                "reward_model": {"style": "rule", "ground_truth": question.answer},
                "extra_info": extra,
            }
        )
    write_rows(path, rows)


def write_verl_rollouts(path: Path, responses: Sequence[ExportedResponse], *, records: bool = True) -> None:
    """Write a dump such as verl's, a line a response: input, output, gts, score (1 or 0, null if undecided), step."""
    rows: list[dict[str, Any]] = []
    for response in responses:
        correct = response.trajectory.correct
        row: dict[str, Any] = {
            "input": f"user\n{response.message}\nassistant\n",
            "output": write_response(response.trajectory),
            "gts": response.question.answer,
            "score": None if correct is None else float(correct),
            "step": 0,
        }
        rows.append(row | {RECORD: encode_record(response.question, response.trajectory)} if records else row)
    write_rows(path, rows)
