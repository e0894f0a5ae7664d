"""Records → the plain data that the page carries."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from raml.prompts import split_sentences
from raml.records import Manifest, Question, Readout, Trace, Trajectory
from raml.report.answers import follow_answer
from raml.report.charts import View
from raml.report.checks import check_records
from raml.report.overview import name_models, summarize_run

WITHHELD = "▪ "
"""Stands for a token whose text may not be shown."""
ANSWER_LIMIT = 60
"""Characters of an answer along the way that are shown."""
Payload = dict[str, Any]
"""JSON-able; the scripts in page/ read it by these names."""


def describe_run(
    questions: Sequence[Question],
    trajectories: Sequence[Trajectory],
    traces: Sequence[Trace],
    readouts: Sequence[Readout],
    manifest: Manifest,
    *,
    views: Sequence[View] = (),
    title: str,
) -> Payload:
    """Collect what the page shows. See `raml.report.build_report` for arguments and errors."""
    check_records(questions, trajectories, traces, readouts)
    trace_of = {t.trajectory_id: t for t in traces}
    readout_of = {r.trajectory_id: r for r in readouts}
    withheld = {q.id for q in questions if q.redacted}
    models = [t.model for t in trajectories] + [t.model for t in traces]
    return {
        "title": title,
        "models": name_models(models),
        "overview": [asdict(f) for f in summarize_run(questions, trajectories, traces, readouts)],
        "settings": asdict(traces[0].settings) if traces else None,
        "change_scale": find_change_scale(traces),
        "questions": [_describe_question(q) for q in questions],
        "trajectories": [
            _describe_trajectory(t, trace_of.get(t.id), readout_of.get(t.id), t.question_id in withheld)
            for t in trajectories
        ],
        "views": [asdict(view) for view in views],
        "manifest": asdict(manifest),
    }


def find_change_scale(traces: Sequence[Trace]) -> float:
    """Find the change of L̂ in nats that gets the full colour: the 95th percentile of all sizes of change in the run.

    A percentile, since one jump would wash out all else; over the run, since colours then mean the same in each
    trajectory.
    """
    changes = [np.abs(np.diff(t.mean_nll) / np.diff(t.prefix_lens)) for t in traces]
    sizes = np.concatenate(changes) if changes else np.zeros(0)
    return float(np.percentile(sizes, 95)) if sizes.size else 0.0


def encode_payload(payload: Payload) -> str:
    """Write the payload as JSON that is valid UTF-8 and inert inside a <script> element.

    <, > and & are escaped, so that no text can end the element or open a comment; U+2028 and U+2029 so that no line
    breaks inside a string. NaN and infinity become null.
    """
    text = msgspec.json.encode(_clean_surrogates(payload)).decode("utf-8")
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _describe_question(question: Question) -> Payload:
    return {
        "id": question.id,
        "prompt": question.public_prompt(),
        "answer": "withheld" if question.redacted else question.answer,
        "domain": question.domain,
        "source": question.source,
    }


def _describe_trajectory(
    trajectory: Trajectory, trace: Trace | None, readout: Readout | None, is_withheld: bool
) -> Payload:
    """Describe a response; tokens of a withheld question's become blank marks, since they may quote it."""
    return {
        "id": trajectory.id,
        "question_id": trajectory.question_id,
        "repeat": trajectory.repeat,
        "model": name_models([trajectory.model])[0],
        "mode": trajectory.mode,
        "finish": trajectory.finish,
        "answer": "withheld" if is_withheld and trajectory.answer is not None else trajectory.answer,
        "correct": trajectory.correct,
        "error": None if is_withheld else trajectory.error,
        "reasoning_len": trajectory.reasoning_len,
        "sentence_borders": _encode_array(list_borders(trajectory), "<i4"),
        "pieces": [WITHHELD] * len(trajectory.pieces) if is_withheld else trajectory.pieces,
        "trace": _describe_trace(trace) if trace else None,
        "readout": _describe_readout(readout, trace, trajectory.reasoning_len, is_withheld)
        if readout and trace
        else None,
    }


def list_borders(trajectory: Trajectory) -> NDArray[np.int64]:
    """List where the sentences of the reasoning begin, in tokens, and where the last one ends."""
    spans = split_sentences(trajectory)
    return np.array([*(start for start, _ in spans), *(stop for _, stop in spans[-1:])], dtype=np.int64)


def _describe_trace(trace: Trace) -> Payload:
    return {
        "id": trace.id,
        "model": name_models([trace.model])[0],
        "scorer": trace.scorer,
        "n_answer_tokens": len(trace.answer_ids),
        "prefix_lens": _encode_array(trace.prefix_lens, "<i4"),
        "mean_nll": _encode_array(trace.mean_nll, "<f4"),
    }


def _describe_readout(readout: Readout, trace: Trace, reasoning_len: int, is_withheld: bool) -> Payload:
    """Describe the model's own answers: each once, and which of them came after each prefix.

    Prefix lengths are null where they are the trace's. Of a withheld question it shows when its answer changes and when
    it is right, as for its trajectories, and no text.
    """
    path = follow_answer(readout, reasoning_len)
    has_same_places = np.array_equal(readout.prefix_lens, trace.prefix_lens)
    return {
        "id": readout.id,
        "prefix_lens": None if has_same_places else _encode_array(readout.prefix_lens, "<i4"),
        "answers": [None if a is None else "withheld" if is_withheld else _shorten(a) for a in path.answers],
        "correct": path.correct,
        "kinds": path.kinds,
        "index": _encode_array(path.index, "<u1" if len(path.answers) <= 256 else "<i4"),
        "mean_logprob": _encode_array(readout.mean_logprob, "<f4"),
        "margin": _encode_array(readout.margin, "<f4"),
        "first_right": path.first_right,
        "last_change": path.last_change,
        "overthinking": path.overthinking,
    }


def _shorten(answer: str) -> str:
    return answer if len(answer) <= ANSWER_LIMIT else answer[: ANSWER_LIMIT - 1] + "…"


def _encode_array(values: NDArray[Any], dtype: str) -> str:
    """Base64 of little-endian bytes: a third of the size of JSON numbers, and read by the browser without parsing."""
    return base64.b64encode(values.astype(dtype).tobytes()).decode("ascii")


def _clean_surrogates(value: object) -> object:
    """Join surrogate pairs and replace lone surrogates, which UTF-8 can't hold, in all strings of JSON-able data."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Mapping):
        return {_clean_surrogates(key): _clean_surrogates(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean_surrogates(item) for item in value]
    return value
