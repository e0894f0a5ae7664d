"""Records → the plain data that the page carries."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from raml.errors import DataError, NumericsError
from raml.records import Manifest, Question, Trace, TraceSettings, Trajectory
from raml.report.overview import name_models, summarize_run

WITHHELD = "▪ "
"""Stands for a token whose text may not be shown."""
Payload = dict[str, Any]
"""JSON-able; the scripts in page/ read it by these names."""


def describe_run(
    questions: Sequence[Question],
    trajectories: Sequence[Trajectory],
    traces: Sequence[Trace],
    manifest: Manifest,
    *,
    title: str,
) -> Payload:
    """Collect what the page shows. See `raml.report.build_report` for arguments and errors."""
    check_records(questions, trajectories, traces)
    trace_of = {t.trajectory_id: t for t in traces}
    withheld = {q.id for q in questions if q.redacted}
    models = [t.model for t in trajectories] + [t.model for t in traces]
    return {
        "title": title,
        "models": name_models(models),
        "overview": [asdict(f) for f in summarize_run(questions, trajectories, traces)],
        "settings": asdict(traces[0].settings) if traces else None,
        "change_scale": find_change_scale(traces),
        "questions": [_describe_question(q) for q in questions],
        "trajectories": [_describe_trajectory(t, trace_of.get(t.id), t.question_id in withheld) for t in trajectories],
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


def check_records(
    questions: Sequence[Question],
    trajectories: Sequence[Trajectory],
    traces: Sequence[Trace],
) -> None:
    """Check that the records are there, belong together and can be drawn.

    Raises:
        DataError: no questions or trajectories; an id appears twice or points nowhere; token ends do not fit the text;
            traces of different settings, or a trace whose prefixes do not fit its trajectory.
        NumericsError: a trace holds NaN or infinity.
    """
    if not questions:
        raise DataError("The run has no questions, so there is nothing to show. Add some with `raml questions`.")
    if not trajectories:
        raise DataError(
            f"The run has {len(questions)} questions and no trajectories, so there is nothing to show. "
            "Sample some with `raml sample`, or bring them with `raml import`."
        )
    _check_unique("Question", [q.id for q in questions])
    _check_unique("Trajectory", [t.id for t in trajectories])
    question_ids = {q.id for q in questions}
    for trajectory in trajectories:
        if trajectory.question_id not in question_ids:
            raise DataError(
                f"Trajectory {trajectory.id} answers question {trajectory.question_id}, which is not among the "
                f"{len(questions)} questions given. Pass all questions of the run."
            )
        _check_token_ends(trajectory)
    _check_traces(traces, {t.id: t for t in trajectories})


def _check_token_ends(trajectory: Trajectory) -> None:
    n_tokens, ends = len(trajectory.token_ids), (0, *trajectory.token_ends)
    if len(ends) != n_tokens + 1 or list(ends) != sorted(ends) or ends[-1] != len(trajectory.text):
        raise DataError(
            f"Trajectory {trajectory.id} has {n_tokens} tokens and {len(trajectory.text)} characters, which its "
            f"{len(ends) - 1} token ends up to {ends[-1]} do not fit: one a token, rising to the text's length. "
            "Sample or import it again."
        )
    if not 0 <= trajectory.reasoning_len <= n_tokens:
        raise DataError(
            f"Trajectory {trajectory.id} has {n_tokens} tokens and a reasoning length of {trajectory.reasoning_len}; "
            f"expected 0 to {n_tokens}."
        )


def _check_traces(traces: Sequence[Trace], trajectory_of: Mapping[str, Trajectory]) -> None:
    settings: dict[str, TraceSettings] = {}
    for trace in traces:
        trajectory = trajectory_of.get(trace.trajectory_id)
        if trajectory is None:
            raise DataError(
                f"Trace {trace.id} belongs to trajectory {trace.trajectory_id}, which is not among the "
                f"{len(trajectory_of)} trajectories given. Pass both, or leave the trace out."
            )
        if trace.trajectory_id in settings:
            raise DataError(
                f"Trajectory {trace.trajectory_id} has more than one trace; a page shows one. "
                "Pass the traces of one model and one setting."
            )
        settings[trace.trajectory_id] = trace.settings
        if trace.settings != traces[0].settings:
            raise DataError(
                f"Traces {traces[0].id} and {trace.id} were made with different settings, so their L̂ do not compare. "
                "Pass the traces of one setting."
            )
        _check_prefixes(trace, len(trajectory.token_ids))


def _check_prefixes(trace: Trace, n_tokens: int) -> None:
    lens, shape = trace.prefix_lens, trace.nll.shape
    has_rows = lens.ndim == 1 and lens.size > 0 and len(shape) == 2 and shape[0] == lens.size and shape[1] > 0
    if not has_rows or lens[0] != 0 or lens[-1] > n_tokens or bool((np.diff(lens) <= 0).any()):
        raise DataError(
            f"Trace {trace.id} does not fit trajectory {trace.trajectory_id} of {n_tokens} tokens: prefix lengths must "
            f"rise from 0 to at most {n_tokens}, with one row of NLL each; there are {lens.size}, and NLL of shape "
            f"{shape}. Trace it again."
        )
    if not np.isfinite(trace.nll).all():
        raise NumericsError(
            f"Trace {trace.id} of trajectory {trace.trajectory_id} holds NaN or infinity. Trace it again in float32."
        )


def _check_unique(kind: str, ids: Sequence[str]) -> None:
    seen: set[str] = set()
    for identity in ids:
        if identity in seen:
            raise DataError(f"{kind} {identity} is there twice; ids must be unique in a page.")
        seen.add(identity)


def _describe_question(question: Question) -> Payload:
    return {
        "id": question.id,
        "prompt": question.public_prompt(),
        "answer": "withheld" if question.redacted else question.answer,
        "domain": question.domain,
        "source": question.source,
    }


def _describe_trajectory(trajectory: Trajectory, trace: Trace | None, is_withheld: bool) -> Payload:
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
        "pieces": [WITHHELD] * len(trajectory.pieces) if is_withheld else trajectory.pieces,
        "trace": _describe_trace(trace) if trace else None,
    }


def _describe_trace(trace: Trace) -> Payload:
    return {
        "id": trace.id,
        "model": name_models([trace.model])[0],
        "scorer": trace.scorer,
        "n_answer_tokens": len(trace.answer_ids),
        "prefix_lens": _encode_array(trace.prefix_lens, "<i4"),
        "mean_nll": _encode_array(trace.mean_nll, "<f4"),
    }


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
