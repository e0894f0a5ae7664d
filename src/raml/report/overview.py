"""The numbers at the top of the page, each with the definition that is shown beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raml.records import ModelIdentity, Question, Readout, Trace, Trajectory, Verdict
from raml.report.answers import follow_answer


@dataclass(frozen=True)
class Figure:
    """One number of the overview."""

    key: str
    """Stable name, for scripts that read the page."""
    label: str
    value: float | None
    """None where there is nothing to average over."""
    unit: str
    """"count", "share" (0 to 1), "nats" or "tokens"."""
    detail: str
    """What the number was computed from, such as "18 of 24"."""
    definition: str


def summarize_run(
    questions: Sequence[Question],
    trajectories: Sequence[Trajectory],
    traces: Sequence[Trace],
    readouts: Sequence[Readout] = (),
) -> tuple[Figure, ...]:
    """Compute the overview; without readouts it has no figures of them.

    Shares are of trajectories, not of questions: a question with more trajectories weighs more. Trajectories whose
    correctness is undecided count neither as right nor as wrong.
    """
    right = {t.id for t in trajectories if t.correct is True}
    wrong = {t.id for t in trajectories if t.correct is False}
    n_decided = len(right) + len(wrong)
    verdicts = Counter(t.find_verdict() for t in trajectories)
    n_errors = sum(t.error is not None and t.correct is None for t in trajectories)
    ends = {t.trajectory_id: (float(t.mean_nll[0]), float(t.mean_nll[-1])) for t in traces}
    right_ends, wrong_ends = ([e for i, e in ends.items() if i in ids] for ids in (right, wrong))
    traced_text = _name_parts(f"{len(ends)} traced", (n_errors, "with an error"))
    others: tuple[Verdict, ...] = ("no answer", "unparsed", "timed out", "undecided")
    right_text = _name_parts(f"{len(right)} of {n_decided}", *((verdicts[verdict], verdict) for verdict in others))
    return (
        Figure("n_questions", "Questions", len(questions), "count", "", "Questions in this page."),
        Figure(
            "n_trajectories",
            "Trajectories",
            len(trajectories),
            "count",
            traced_text,
            "Responses of the model. Traced: L̂ was measured along it.",
        ),
        Figure(
            "share_right",
            "Right",
            len(right) / n_decided if n_decided else None,
            "share",
            right_text,
            "Trajectories whose final answer equals the gold answer, as a share of those that could be decided. Those "
            "without an answer, or with one that can't be parsed, count as wrong; undecided ones count neither way.",
        ),
        _share_fallen("share_right_fallen", "Right, L̂ fell", "right", right_ends),
        _average_end("mean_end_right", "Right, L̂ ends at", "right", right_ends),
        _share_fallen("share_wrong_fallen", "Wrong, L̂ fell", "wrong", wrong_ends),
        _average_end("mean_end_wrong", "Wrong, L̂ ends at", "wrong", wrong_ends),
        *(_summarize_answers(trajectories, readouts) if readouts else ()),
    )


def name_models(identities: Sequence[ModelIdentity]) -> tuple[str, ...]:
    """Name each model once, with its arithmetic and, where there is one, its revision."""
    return tuple(
        dict.fromkeys(f"{m.name} · {m.dtype}" + (f" · {m.revision[:12]}" if m.revision else "") for m in identities)
    )


def _summarize_answers(trajectories: Sequence[Trajectory], readouts: Sequence[Readout]) -> tuple[Figure, ...]:
    """Take medians over right trajectories that think: what stands before a no-thinking answer can't be shortened."""
    reasoning_lens = {t.id: t.reasoning_len for t in trajectories if t.correct is True and t.mode == "think"}
    paths = [follow_answer(r, reasoning_lens[r.trajectory_id]) for r in readouts if r.trajectory_id in reasoning_lens]
    return (
        _take_median(
            "median_first_right",
            "Right, first right at",
            "tokens",
            [path.first_right for path in paths],
            "Tokens read when the answer that the model itself would give is right for the first time.",
            missing="never",
        ),
        _take_median(
            "median_last_change",
            "Right, last change at",
            "tokens",
            [path.last_change for path in paths],
            "Tokens read when the answer that the model itself would give changes for the last time.",
        ),
        _take_median(
            "median_overthinking",
            "Right, overthinking",
            "share",
            [path.overthinking for path in paths],
            "Share of the reasoning's tokens that come after the last change of the model's own answer.",
            missing="without reasoning",
        ),
    )


def _take_median(
    key: str, label: str, unit: str, values: Sequence[float | None], definition: str, *, missing: str = ""
) -> Figure:
    known = [value for value in values if value is not None]
    definition += " Median over the right thinking trajectories along which it was read."
    if not known:
        return Figure(key, label, None, unit, f"{len(values)} {missing}" if values else "none read", definition)
    first = f"tokens, median of {len(known)}" if unit == "tokens" else f"median of {len(known)}"
    detail = _name_parts(first, (len(values) - len(known), missing))
    return Figure(key, label, float(np.median(known)), unit, detail, definition)


def _share_fallen(key: str, label: str, kind: str, ends: Sequence[tuple[float, float]]) -> Figure:
    n_fallen = sum(end < start for start, end in ends)
    definition = f"Traced {kind} trajectories whose L̂ after the last traced token is lower than before the first one."
    share = n_fallen / len(ends) if ends else None
    return Figure(key, label, share, "share", f"{n_fallen} of {len(ends)}" if ends else "none traced", definition)


def _average_end(key: str, label: str, kind: str, ends: Sequence[tuple[float, float]]) -> Figure:
    definition = (
        f"L̂ after the last traced token, averaged over the traced {kind} trajectories, in nats for each token of the "
        "answer; below it the same before the first token."
    )
    if not ends:
        return Figure(key, label, None, "nats", "none traced", definition)
    start, end = np.mean(ends, axis=0).tolist()
    return Figure(key, label, end, "nats", f"from {start:.2f} nats", definition)


def _name_parts(first: str, *others: tuple[int, str]) -> str:
    return ", ".join([first, *(f"{n} {what}" for n, what in others if n)])
