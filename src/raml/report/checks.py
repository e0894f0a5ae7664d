"""Whether records belong together and can be drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from raml.errors import DataError, NumericsError
from raml.records import Question, Readout, Trace, TraceSettings, Trajectory


def check_records(
    questions: Sequence[Question],
    trajectories: Sequence[Trajectory],
    traces: Sequence[Trace],
    readouts: Sequence[Readout],
) -> None:
    """Check that the records are there, belong together and can be drawn.

    Raises:
        DataError: no questions or trajectories; an id appears twice or points nowhere; token ends do not fit the text;
            traces of different settings, or a trace whose prefixes do not fit its trajectory; a readout that fits
            neither its trajectory nor the trace beside it.
        NumericsError: a trace, or a readout's log-probability, is NaN or infinite.
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
    trajectory_of = {t.id: t for t in trajectories}
    _check_traces(traces, trajectory_of)
    _check_readouts(readouts, trajectory_of, {t.trajectory_id: t for t in traces})


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
        _check_losses(trace, len(trajectory.token_ids))


def _check_losses(trace: Trace, n_tokens: int) -> None:
    lens, shape = trace.prefix_lens, trace.nll.shape
    if not _rise_from_zero(lens, n_tokens) or len(shape) != 2 or shape[0] != lens.size or shape[1] == 0:
        raise DataError(
            f"Trace {trace.id} does not fit trajectory {trace.trajectory_id} of {n_tokens} tokens: prefix lengths must "
            f"rise from 0 to at most {n_tokens}, with one row of NLL each; there are {lens.size}, and NLL of shape "
            f"{shape}. Trace it again."
        )
    if not np.isfinite(trace.nll).all():
        raise NumericsError(
            f"Trace {trace.id} of trajectory {trace.trajectory_id} holds NaN or infinity. Trace it again in float32."
        )


def _check_readouts(
    readouts: Sequence[Readout], trajectory_of: Mapping[str, Trajectory], trace_of: Mapping[str, Trace]
) -> None:
    seen: set[str] = set()
    for readout in readouts:
        place = f"Readout {readout.id} of trajectory {readout.trajectory_id}"
        trace = trace_of.get(readout.trajectory_id)
        if trace is None or readout.model.key() != trace.model.key():
            raise DataError(
                f"{place} has no trace by the same model beside it, so there is no curve to show it on. "
                "Pass both, or leave the readout out."
            )
        if readout.trajectory_id in seen:
            raise DataError(f"Trajectory {readout.trajectory_id} has more than one readout; a page shows one.")
        seen.add(readout.trajectory_id)
        n_tokens = len(trajectory_of[readout.trajectory_id].token_ids)
        columns = (readout.answers, readout.correct, readout.mean_logprob, readout.margin)
        lens, sizes = readout.prefix_lens, [len(column) for column in columns]
        if not _rise_from_zero(lens, n_tokens) or sizes != [lens.size] * len(columns):
            raise DataError(
                f"{place} of {n_tokens} tokens: prefix lengths must rise from 0 to at most {n_tokens}, with one answer "
                f"each; there are {lens.size}, and {sizes} answers, grades, log-probabilities and margins. "
                "Read it out again."
            )
        if not np.isfinite(readout.mean_logprob).all():
            raise NumericsError(f"{place} holds a log-probability that is NaN or infinite. Read it out in float32.")


def _rise_from_zero(lens: NDArray[np.int32], n_tokens: int) -> bool:
    return (
        lens.ndim == 1 and lens.size > 0 and lens[0] == 0 and lens[-1] <= n_tokens and bool((np.diff(lens) > 0).all())
    )


def _check_unique(kind: str, ids: Sequence[str]) -> None:
    seen: set[str] = set()
    for identity in ids:
        if identity in seen:
            raise DataError(f"{kind} {identity} is there twice; ids must be unique in a page.")
        seen.add(identity)
