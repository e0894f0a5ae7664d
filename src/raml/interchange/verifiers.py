"""verifiers: the saved rollouts of its evaluations.

`results.jsonl` has the keys of `state_to_output` in verifiers 0.1; `traces.jsonl`, which newer versions write, holds an
`Episode` of verifiers 0.4 a line. The first is read and written, the second is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raml.errors import DataError
from raml.interchange.build import Asked, build_row
from raml.interchange.chat import read_completion, read_conversation, read_prompt, write_messages, write_response
from raml.interchange.files import write_rows
from raml.interchange.record import encode_record
from raml.interchange.rows import (
    RECORD,
    ExportedResponse,
    ForeignResponse,
    ForeignRow,
    ReadContext,
    find_answer,
    read_finish,
    read_label,
    require_columns,
)

UNANSWERED = "ended with an error and has no response"


def read_verifiers(row: Mapping[str, Any], place: str, context: ReadContext) -> list[ForeignRow]:
    """Read a line of results.jsonl, or an episode of traces.jsonl with one or more traces.

    The verdict is the reward, or the metric that `Columns.label_column` names. A rollout that ended with an error and
    without text gives a question without a response.

    Raises:
        DataError: a key is missing, or a rollout has several turns or calls tools.
    """
    if "traces" in row:
        return _read_episode(row, place, context)
    require_columns(row, ["prompt", "completion", "reward"], place)
    prompt, info = read_prompt(row["prompt"], place), row.get("info")
    rest = dict(info) if isinstance(info, Mapping) else {"info": info} if info else {}
    record = rest.pop(RECORD, None)
    meta = {"task": row.get("task"), "example_id": row.get("example_id"), **rest}
    asked = Asked(
        prompt.message,
        find_answer(row, context.columns, place),
        system=prompt.system,
        meta={key: value for key, value in meta.items() if value is not None},
    )
    if row["completion"] in (None, "", []) and row.get("error"):
        return [_leave_unanswered(build_row(place, context, asked, []))]
    name = context.columns.label_column or "reward"
    require_columns(row, [name], place)
    finish = "length" if row.get("is_truncated") else "stop" if row.get("is_completed") else None
    response = ForeignResponse(read_completion(row["completion"], place), read_label(row[name]), finish)
    return [build_row(place, context, asked, [response], [record])]


def write_verifiers(path: Path, responses: Sequence[ExportedResponse], *, records: bool = True) -> None:
    """Write a results.jsonl, a line a response.

    Args:
        path: A .jsonl file; verifiers looks for the name results.jsonl.
        responses: What to write.
        records: Keep the whole trajectory as `raml` in info.
    """
    numbers: dict[str, int] = {}
    rows = []
    for response in responses:
        question, trajectory = response.question, response.trajectory
        correct = None if trajectory.correct is None else float(trajectory.correct)
        row: dict[str, Any] = {
            "example_id": numbers.setdefault(question.id, len(numbers)),
            "prompt": write_messages(response.message),
            "completion": [{"role": "assistant", "content": write_response(trajectory)}],
            "answer": question.answer,
            "task": question.source or "raml",
            "reward": correct,
            "metrics": {} if correct is None else {"correct": correct},
            "timing": {},
            "is_completed": trajectory.finish == "stop",
            "is_truncated": trajectory.finish == "length",
            "error": None,
        }
        rows.append(row | {"info": {RECORD: encode_record(question, trajectory)}} if records else row)
    write_rows(path, rows)


def _read_episode(row: Mapping[str, Any], place: str, context: ReadContext) -> list[ForeignRow]:
    """Read an episode: each of its traces is a rollout with a graph of messages, which has to be one line."""
    traces = row["traces"]
    if not isinstance(traces, list):
        raise DataError(f"{place}: 'traces' is no list.")
    return [_read_trace(trace, f"{place} trace {i}", context) for i, trace in enumerate(traces)]


def _read_trace(trace: object, place: str, context: ReadContext) -> ForeignRow:
    task = trace.get("task") if isinstance(trace, Mapping) else None
    data = task.get("data") if isinstance(task, Mapping) else None
    if not isinstance(trace, Mapping) or not isinstance(data, Mapping):
        raise DataError(f"{place} has no task with data.")
    nodes, calls = trace.get("nodes") or [], trace.get("calls")
    if not isinstance(nodes, list) or not all(isinstance(node, Mapping) for node in nodes):
        raise DataError(f"{place}: 'nodes' is no list of messages.")
    if [node.get("parent") for node in nodes] != [None, *range(len(nodes) - 1)][: len(nodes)]:
        raise DataError(f"{place} branches; one question and one response can be read.")
    chat = read_conversation([node.get("message") for node in nodes], place)
    meta = {key: data[key] for key in ("idx", "id", "name") if data.get(key) is not None}
    asked = Asked(chat.message, find_answer(data, context.columns, place), system=chat.system, meta=meta)
    if not (chat.response or "").strip() and trace.get("errors"):
        return _leave_unanswered(build_row(place, context, asked, []))
    finish = (
        calls[-1].get("finish_reason") if isinstance(calls, list) and calls and isinstance(calls[-1], Mapping) else None
    )
    if chat.response is None:
        raise DataError(f"{place} has no response.")
    response = ForeignResponse(chat.response, _read_reward(trace, context, place), read_finish(finish))
    return build_row(place, context, asked, [response])


def _read_reward(trace: Mapping[str, Any], context: ReadContext, place: str) -> float | None:
    """Read the reward or metric that was asked for, else the weighted sum of the rewards."""
    rewards, name = trace.get("rewards") or {}, context.columns.label_column
    metrics = trace.get("metrics") or {}
    if not isinstance(rewards, Mapping) or not isinstance(metrics, Mapping):
        raise DataError(f"{place}: 'rewards' or 'metrics' is no group of fields.")
    if name is not None:
        found = {**metrics, **rewards}
        require_columns(found, [name], place)
        value = found[name]
        return read_label(value.get("score") if isinstance(value, Mapping) else value)
    parts = [reward for reward in rewards.values() if isinstance(reward, Mapping)]
    values = [(read_label(part.get("score")), read_label(part.get("weight", 1.0))) for part in parts]
    known = [score * weight for score, weight in values if score is not None and weight is not None]
    return sum(known) if known and len(known) == len(rewards) else None


def _leave_unanswered(row: ForeignRow) -> ForeignRow:
    return ForeignRow(row.question, (), row.place, (*row.notes, UNANSWERED))
