"""TRL: prompt and completion, preference pairs, and the completions that its GRPO trainer logs.

Columns as in TRL 1.16: `docs/source/dataset_formats.md` for the first two, `GRPOTrainer.log` for the third.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from raml.errors import DataError
from raml.interchange.build import Asked, build_row, keep_meta
from raml.interchange.chat import Conversation, read_completion, read_prompt, write_messages, write_response
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
from raml.records import Question, Trajectory

REWARD = "correct"
"""Column of our verdict in a table of completions, where TRL has one for each reward function."""
PAIRS = ("chosen", "rejected")


def read_trl(row: Mapping[str, Any], place: str, context: ReadContext) -> list[ForeignRow]:
    """Read a row of prompt and completion, as text or as chat messages.

    Raises:
        DataError: a column is missing or holds something else.
    """
    require_columns(row, ["prompt", "completion"], place)
    label = None if context.columns.label_column is None else read_label(row.get(context.columns.label_column))
    response = ForeignResponse(read_completion(row["completion"], place), label)
    without = (
        "prompt",
        "completion",
        RECORD,
        *ANSWER_COLUMNS,
        context.columns.answer_column,
        context.columns.label_column,
    )
    asked = _read_asked(read_prompt(row["prompt"], place), row, place, context, without)
    return [build_row(place, context, asked, [response], [row.get(RECORD)])]


def read_trl_preference(row: Mapping[str, Any], place: str, context: ReadContext) -> list[ForeignRow]:
    """Read a preference pair; `chosen` counts as labelled right and `rejected` as labelled wrong.

    Chat messages may hold the prompt themselves (TRL's implicit prompt).

    Raises:
        DataError: a column is missing or holds something else.
    """
    require_columns(row, PAIRS, place)
    prompt, pair = row.get("prompt"), [row[name] for name in PAIRS]
    if prompt is None:
        if not all(isinstance(side, list) for side in pair) or pair[0][:-1] != pair[1][:-1]:
            raise DataError(f"{place} has no column 'prompt', and chosen and rejected don't begin with the same one.")
        prompt, pair = pair[0][:-1], [side[-1:] for side in pair]
    responses = [
        ForeignResponse(read_completion(side, place), label) for side, label in zip(pair, (1.0, 0.0), strict=True)
    ]
    records = [row.get(f"{RECORD}_{name}") for name in PAIRS]
    without = (
        "prompt",
        *PAIRS,
        *(f"{RECORD}_{name}" for name in PAIRS),
        *ANSWER_COLUMNS,
        context.columns.answer_column,
    )
    asked = _read_asked(read_prompt(prompt, place), row, place, context, without)
    return [build_row(place, context, asked, responses, records)]


def read_trl_completions(row: Mapping[str, Any], place: str, context: ReadContext) -> list[ForeignRow]:
    """Read a row of the table that GRPOTrainer writes with `log_completions`.

    The columns between completion and advantage are reward functions, and whatever these logged besides. Which of them
    is the verdict has to be said (`Columns.label_column`), unless it is ours.

    Raises:
        DataError: a column is missing or holds something else.
    """
    require_columns(row, ["prompt", "completion", "advantage"], place)
    name = context.columns.label_column or REWARD
    if context.columns.label_column is not None:
        require_columns(row, [name], place)
    response = ForeignResponse(read_completion(row["completion"], place), read_label(row.get(name)))
    prompt = read_prompt(row["prompt"], place)
    asked = Asked(prompt.message, find_answer(row, context.columns, place), system=prompt.system)
    return [build_row(place, context, asked, [response], [row.get(RECORD)])]


def write_trl(path: Path, responses: Sequence[ExportedResponse], *, records: bool = True, chat: bool = True) -> None:
    """Write prompt and completion, a row a response, for SFTTrainer.

    Args:
        path: A .jsonl or .parquet file.
        responses: What to write.
        records: Add the column `raml`, from which we can read the same trajectories again.
        chat: Write chat messages, to which TRL applies the model's template; otherwise text.
    """
    rows = []
    for response in responses:
        row = _write_prompt(response, chat=chat) | {"completion": _write_completion(response.trajectory, chat=chat)}
        rows.append(row | _write_rest(response, records=records))
    write_rows(path, rows)


def write_trl_preference(
    path: Path,
    pairs: Sequence[tuple[ExportedResponse, ExportedResponse]],
    *,
    records: bool = True,
    chat: bool = True,
) -> None:
    """Write preference pairs (right, wrong) of the same prompt, a row a pair, for DPOTrainer; as `write_trl`."""
    rows = []
    for pair in pairs:
        row = _write_prompt(pair[0], chat=chat)
        sides = zip(PAIRS, pair, strict=True)
        row |= {name: _write_completion(side.trajectory, chat=chat) for name, side in sides}
        row |= {"answer": pair[0].question.answer}
        if records:
            sides = zip(PAIRS, pair, strict=True)
            row |= {f"{RECORD}_{name}": encode_record(side.question, side.trajectory) for name, side in sides}
        rows.append(row)
    write_rows(path, rows)


def write_trl_completions(path: Path, responses: Sequence[ExportedResponse], *, records: bool = True) -> None:
    """Write a table like GRPOTrainer's log, a row a response.

    The reward function's column is `correct`: 1 or 0, null where that is undecided. Step is 0; the advantage is null,
    because a run does not say which responses were a group.
    """
    rows = []
    for response in responses:
        correct = response.trajectory.correct
        row = {"step": 0} | _write_prompt(response, chat=True)
        row |= {"completion": _write_completion(response.trajectory, chat=True)}
        row |= {REWARD: None if correct is None else float(correct)}
        rows.append(row | _write_rest(response, records=records) | {"advantage": None})
    write_rows(path, rows, types={REWARD: pa.float64(), "advantage": pa.float64()})


def _read_asked(
    prompt: Conversation, row: Mapping[str, Any], place: str, context: ReadContext, without: Sequence[str | None]
) -> Asked:
    meta = keep_meta(row, [name for name in without if name is not None])
    return Asked(prompt.message, find_answer(row, context.columns, place), system=prompt.system, meta=meta)


def _write_prompt(response: ExportedResponse, *, chat: bool) -> dict[str, Any]:
    # TRL puts text next to text, so a prompt that is text brings the gap before the completion with it.
    return {"prompt": write_messages(response.message) if chat else f"{response.message}\n\n"}


def _write_completion(trajectory: Trajectory, *, chat: bool) -> str | list[dict[str, str]]:
    text = write_response(trajectory)
    return [{"role": "assistant", "content": text}] if chat else text


def _write_rest(response: ExportedResponse, *, records: bool) -> dict[str, str]:
    question: Question = response.question
    rest = {"answer": question.answer}
    return rest | {RECORD: encode_record(question, response.trajectory)} if records else rest
