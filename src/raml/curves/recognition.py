"""Telling right from wrong trajectories without the gold answer: from the own answer's curve and the readout."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from raml.curves.auroc import Auroc, compute_auroc, estimate_auroc_within, estimate_pooled_auroc
from raml.curves.groups import CurveSet, CurveSettings
from raml.curves.settling import find_last_change, list_changes, states_own_answer
from raml.records import Mode, Readout, Trace, Trajectory, hash_key
from raml.stats import adjust_holm

Floats = NDArray[np.float64]
CURVE_FEATURES: dict[str, Callable[[Trace], float]] = {
    "low own L̂ at the end": lambda trace: -float(trace.mean_nll[-1]),
    "low own L̂ in the last half": lambda trace: -_average_last_half(trace),
    "low own L̂ at the start": lambda trace: -float(trace.mean_nll[0]),
    "large fall of own L̂": lambda trace: float(trace.mean_nll[0] - trace.mean_nll[-1]),
}
READOUT_FEATURES: dict[str, Callable[[Readout, Trajectory], float]] = {
    "sure of the last readout": lambda readout, _: float(np.exp(readout.mean_logprob[-1])),
    "few changes of the readout": lambda readout, _: -float(len(list_changes(readout, by_text=True))),
    "early last change": lambda readout, _: (
        -find_last_change(readout, by_text=True) / max(1, int(readout.prefix_lens[-1]))
    ),
    "readout gives the own answer": lambda readout, trajectory: float(np.mean(_match_own(readout, trajectory))),
    "last readout is the own answer": lambda readout, trajectory: float(
        states_own_answer(readout, trajectory, -1, by_text=True)
    ),
}
BASELINES: dict[str, Callable[[Trajectory], float]] = {
    "short response": lambda trajectory: -float(len(trajectory.token_ids)),
    "likely tokens": lambda trajectory: float(np.mean(trajectory.logprobs)) if trajectory.logprobs else math.nan,
}
COMBINED = "combined"
PENALTY = 1.0
"""Of the squared weights of the combined score, beside the summed loss of its trajectories."""


@dataclass(frozen=True)
class ScoreRow:
    """How well one score tells right from wrong. Scores are named for what a right trajectory is expected to have."""

    score: str
    is_baseline: bool
    """Whether it needs neither curve nor readout."""
    n_unknown: int
    """Trajectories without it, left out."""
    pooled: Auroc | None
    within: Auroc | None


@dataclass(frozen=True)
class HeldOut:
    """A combined score, fitted on half of the questions and measured on the others."""

    n_fitted: int
    """Questions that it was fitted on."""
    n_tested: int
    n_unknown: int
    """Trajectories that lack one of the scores, left out on both sides."""
    weights: dict[str, float]
    """By score, for one standard deviation of it, in log-odds of being right."""
    best: str
    """The single score that was best on the questions for fitting."""
    rows: tuple[ScoreRow, ...]
    """On the other questions: the combined score, that single one, and the baselines."""


@dataclass(frozen=True)
class Recognition:
    """What tells right from wrong trajectories of one mode."""

    mode: Mode
    n_right: int
    n_wrong: int
    n_unanswered: int
    """Trajectories without an answer of their own: known to be wrong without any score, so left out."""
    n_undecided: int
    n_untraced: int
    """Trajectories with an answer but without a trace of it, left out."""
    rows: tuple[ScoreRow, ...]
    held_out: HeldOut | None
    """None where a half of the questions lacks right or wrong trajectories."""


@dataclass(frozen=True)
class _Table:
    """Scores of trajectories [N F]; higher is expected of right ones."""

    names: tuple[str, ...]
    question_ids: tuple[str, ...]
    right: NDArray[np.bool_]
    values: Floats

    def select(self, rows: NDArray[np.bool_]) -> _Table:
        """The same for some trajectories [N]."""
        ids = tuple(question for question, keep in zip(self.question_ids, rows, strict=True) if keep)
        return _Table(self.names, ids, self.right[rows], self.values[rows])


def measure_recognition(curves: CurveSet, mode: Mode, settings: CurveSettings) -> Recognition | None:
    """Estimate how well each score, and all together, tell right from wrong; None without trajectories of that mode.

    Nothing of a score depends on the gold answer: answers are compared by their texts alone.
    p-values are adjusted for all scores and both kinds of AUROC together; those of the held-out half for their own.
    """
    trajectories = curves.list_mode(mode)
    if not trajectories:
        return None
    decided = [t for t in trajectories if t.correct is not None]
    answered = [t for t in decided if t.answer is not None]
    traced = [t for t in answered if t.id in curves.own]
    table = _make_table(curves, traced)
    rows = _adjust([_make_row(name, table, i, settings) for i, name in enumerate(table.names)])
    return Recognition(
        mode=mode,
        n_right=int(table.right.sum()),
        n_wrong=int((~table.right).sum()),
        n_unanswered=len(decided) - len(answered),
        n_undecided=len(trajectories) - len(decided),
        n_untraced=len(answered) - len(traced),
        rows=rows,
        held_out=_hold_out(table, settings),
    )


def fit_logistic(values: Floats, right: NDArray[np.bool_], penalty: float = PENALTY) -> tuple[Floats, float]:
    """Fit log-odds of being right as a weighted sum of scores: logistic regression with an L2 penalty.

    Args:
        values: Scores [N F].
        right: What they should tell [N].
        penalty: Half of it times the squared weights is added to the sum of the N losses; the constant is free.

    Returns:
        Weights [F] and constant.
    """
    signs = np.where(right, 1.0, -1.0)

    def lose(parameters: Floats) -> tuple[float, Floats]:
        weights, constant = parameters[:-1], parameters[-1]
        reach = signs * (values @ weights + constant)
        pull = -signs * expit(-reach)
        loss = float(np.logaddexp(0, -reach).sum() + penalty / 2 * weights @ weights)
        return loss, np.append(values.T @ pull + penalty * weights, pull.sum())

    found = minimize(lose, np.zeros(values.shape[1] + 1), jac=True, method="L-BFGS-B")
    return found.x[:-1], float(found.x[-1])


def split_questions(question_ids: Sequence[str], seed: int) -> tuple[set[str], set[str]]:
    """Split questions into halves by the hash of seed and id, whatever their order; the first has one more if odd."""
    ordered = sorted(set(question_ids), key=lambda question: (hash_key("half", seed, question), question))
    middle = (len(ordered) + 1) // 2
    return set(ordered[:middle]), set(ordered[middle:])


def _make_table(curves: CurveSet, trajectories: Sequence[Trajectory]) -> _Table:
    columns: dict[str, list[float]] = {}
    for trajectory in trajectories:
        readout = curves.readouts.get(trajectory.id)
        values: Mapping[str, float] = {
            **{name: measure(curves.own[trajectory.id]) for name, measure in CURVE_FEATURES.items()},
            **{
                name: math.nan if readout is None else measure(readout, trajectory)
                for name, measure in READOUT_FEATURES.items()
            },
            **{name: measure(trajectory) for name, measure in BASELINES.items()},
        }
        for name, value in values.items():
            columns.setdefault(name, []).append(value)
    known = {name: values for name, values in columns.items() if not np.isnan(values).all()}
    right = np.array([bool(t.correct) for t in trajectories], dtype=bool)
    table = np.array(list(known.values())).reshape(len(known), len(trajectories)).T
    return _Table(tuple(known), tuple(t.question_id for t in trajectories), right, table)


def _make_row(name: str, table: _Table, column: int, settings: CurveSettings) -> ScoreRow:
    known = ~np.isnan(table.values[:, column])
    shown = table.select(known)
    data = shown.question_ids, shown.values[:, column].tolist(), shown.right.tolist()
    return ScoreRow(
        name,
        name in BASELINES,
        int((~known).sum()),
        estimate_pooled_auroc(*data, settings),
        estimate_auroc_within(*data, settings),
    )


def _adjust(rows: Sequence[ScoreRow]) -> tuple[ScoreRow, ...]:
    """Adjust the p-values of a table, both kinds together."""
    places = [(i, kind) for i in range(len(rows)) for kind in ("pooled", "within")]
    found = {place: made for place in places if (made := getattr(rows[place[0]], place[1])) is not None}
    tests = {place: made.p for place, made in found.items() if made.p is not None}
    adjusted = dict(zip(tests, adjust_holm(list(tests.values())), strict=True))
    return tuple(
        replace(
            row, **{k: replace(found[i, k], p_holm=adjusted[i, k]) for k in ("pooled", "within") if (i, k) in adjusted}
        )
        for i, row in enumerate(rows)
    )


def _hold_out(table: _Table, settings: CurveSettings) -> HeldOut | None:
    """Fit the combined score on one half of the questions and measure it on the other."""
    known = np.asarray(np.isfinite(table.values).all(axis=1))
    complete = table.select(known)
    halves = split_questions(complete.question_ids, settings.seed)
    first, second = (complete.select(np.isin(np.array(complete.question_ids), list(half))) for half in halves)
    if any(side.right.all() or not side.right.any() for side in (first, second)):
        return None
    used = [i for i, name in enumerate(table.names) if name not in BASELINES]
    values = first.values[:, used]
    center, scale = values.mean(axis=0), values.std(axis=0)
    scale[scale == 0] = 1.0  # a score that never varies there gets the weight 0
    weights, _ = fit_logistic((values - center) / scale, first.right)
    scores = ((second.values[:, used] - center) / scale) @ weights
    best = max(used, key=lambda i: _find_auroc(first, i))
    baselines = [i for i, name in enumerate(table.names) if name in BASELINES]
    joint = replace(second, names=(COMBINED, *second.names), values=np.column_stack([scores, second.values]))
    rows = [_make_row(joint.names[i], joint, i, settings) for i in (0, best + 1, *(i + 1 for i in baselines))]
    return HeldOut(
        len(halves[0]),
        len(halves[1]),
        int((~known).sum()),
        {table.names[i]: float(weight) for i, weight in zip(used, weights, strict=True)},
        table.names[best],
        _adjust(rows),
    )


def _find_auroc(table: _Table, column: int) -> float:
    return compute_auroc(table.values[table.right, column], table.values[~table.right, column])


def _average_last_half(trace: Trace) -> float:
    """Mean L̂ of the prefixes that hold at least half of the tokens."""
    return float(trace.mean_nll[trace.prefix_lens >= trace.prefix_lens[-1] / 2].mean())


def _match_own(readout: Readout, trajectory: Trajectory) -> list[bool]:
    """Whether the model says the trajectory's own answer after each prefix, by text alone [P]."""
    places = range(len(readout.answers))
    return [states_own_answer(readout, trajectory, place, by_text=True) for place in places]
