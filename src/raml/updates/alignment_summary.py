"""What alignments say together: means over questions, differences to the null texts, and whether Eq. 4 holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from raml.errors import DataError
from raml.records import (
    EQUATION_HOLDS,
    Alignment,
    AlignmentDifference,
    AlignmentRow,
    AlignmentSummary,
    Estimate,
    Trajectory,
)
from raml.stats import (
    SIGNIFICANT,
    adjust_holm,
    average_questions,
    compute_paired_p_value,
    estimate_mean,
    write_relation,
)

RANDOM = "random direction"
GROUPS = ("right", "wrong", "undecided", "other question", "shuffled", "random tokens", RANDOM)
COMPARED = ("cosine", "layer cosine", "step cosine", "similarity")
"""What right trajectories are compared with other texts in."""
MEASURES = (*COMPARED, "predicted", "true", "agreement")


Values = dict[str, dict[str, float]]
"""By group and question."""


def summarize_alignments(trajectories: Sequence[Trajectory], alignments: Sequence[Alignment]) -> AlignmentSummary:
    """Estimate how texts align, question by question; the last prefix stands for a text.

    Several texts of a question are averaged first, so that intervals and tests are over questions. Differences are
    those of a right trajectory and its own null texts, or of the right and the wrong trajectories of a question.

    Raises:
        DataError: there are no alignments of these trajectories, or they differ in model or settings.
    """
    texts = label_texts(trajectories, alignments)
    if not texts:
        raise DataError("There is nothing to summarise: none of these trajectories has an alignment.")
    shown = [alignment for _, _, alignment in texts]
    if len({(a.model.key(), a.settings) for a in shown}) > 1:
        raise DataError("The alignments differ in model or settings; summarise those of one.")
    own = [(label, question, a) for label, question, a in texts if a.text == "trajectory"]
    ceilings = average_questions([question for _, question, _ in own], [a.ceiling[-1] for _, _, a in own])
    outside = _average([(question, _lies_outside(a)) for label, question, a in own if label == "right"])
    return AlignmentSummary(
        model=shown[0].model.name,
        settings=shown[0].settings,
        rows=tuple(row for group in GROUPS if (row := _make_row(group, texts)) is not None),
        differences=_list_differences(texts),
        ceiling=float(ceilings.mean()),
        spread=math.sqrt(_average_known(np.array([np.square(a.span_cosine[-1]).mean() for _, _, a in own]))),
        outside=fmean(outside.values()) if outside else None,
        lowering=_estimate_nulls(texts, lowers=True),
        raising=_estimate_nulls(texts, lowers=False),
        n_undefined=sum(int(np.isnan(a.step_cosine).sum()) for a in shown),
    )


def label_texts(
    trajectories: Sequence[Trajectory], alignments: Sequence[Alignment]
) -> list[tuple[str, str, Alignment]]:
    """Say for each alignment of these trajectories to which of GROUPS and to which question it belongs."""
    by_id = {trajectory.id: trajectory for trajectory in trajectories}
    names = {True: "right", False: "wrong", None: "undecided"}
    return [
        (names[own.correct] if a.text == "trajectory" else a.text, own.question_id, a)
        for a in alignments
        if (own := by_id.get(a.trajectory_id)) is not None
    ]


def measure_text(alignment: Alignment) -> dict[str, float]:
    """The values of MEASURES at a text's last prefix, and the mean of its random directions; NaN where undefined."""
    predicted, true = float(alignment.predicted[-1]), float(alignment.loss[-1]) - alignment.base_loss
    return {
        "cosine": float(alignment.total_cosine[-1]),
        "layer cosine": _average_known(alignment.cosine[-1]),
        "step cosine": _average_known(alignment.step_cosine),
        "similarity": _average_known(alignment.similarity[-1]),
        "predicted": predicted,
        "true": true,
        "agreement": float(np.sign(predicted) == np.sign(true)),
        RANDOM: float(alignment.span_cosine[-1].mean(dtype=float)),
    }


def _average_known(values: NDArray[np.float32]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean(dtype=float)) if len(known) else math.nan


def _lies_outside(alignment: Alignment) -> float:
    """1 if a text's cosine is, either way, larger than those of all its random directions, else 0; NaN if undefined."""
    own, drawn = abs(alignment.total_cosine[-1]), np.abs(alignment.span_cosine[-1]).max()
    return float(own > drawn) if math.isfinite(own + drawn) else math.nan


def average_group(texts: Sequence[tuple[str, str, Alignment]], group: str, measure: str) -> dict[str, float]:
    """Mean of a measure over a group's texts for each question where it is defined."""
    if group == RANDOM:
        group, measure = "right", RANDOM
    return _average([(question, measure_text(a)[measure]) for label, question, a in texts if label == group])


def _average(values: Sequence[tuple[str, float]]) -> dict[str, float]:
    known = [(question, value) for question, value in values if math.isfinite(value)]
    ids = [question for question, _ in known]
    means = average_questions(ids, [value for _, value in known])
    return dict(zip(dict.fromkeys(ids), map(float, means), strict=True))


def average_layers(texts: Sequence[tuple[str, str, Alignment]], group: str, name: str) -> NDArray[np.float64]:
    """Mean over a group's texts at their last prefix for each question and layer [question layer].

    Texts without a value in a layer, whose gradient or change is zero there, are left out; NaN where no text has one.
    """
    own = [(question, getattr(a, name)[-1]) for label, question, a in texts if label == group]
    ids = [question for question, _ in own]
    values = np.array([values for _, values in own], dtype=float)
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        # A mean of the known values is their sum over their number; both are means over all texts times how many.
        return average_questions(ids, np.where(known, values, 0)) / average_questions(ids, known)


def _make_row(group: str, texts: Sequence[tuple[str, str, Alignment]]) -> AlignmentRow | None:
    """Estimate all means of a group; None if it has no texts."""
    of = "right" if group == RANDOM else group
    n_texts = sum(label == of for label, _, _ in texts)
    if not n_texts:
        return None
    measures = ("cosine",) if group == RANDOM else MEASURES
    values = {name: average_group(texts, group, name) for name in measures}
    means = {name: estimate_mean(name, list(by.values())) for name, by in values.items() if by}
    pearson = spearman = None
    if group != RANDOM:
        predicted, true = list(values["predicted"].values()), list(values["true"].values())
        if len(true) > 2 and np.ptp(predicted) > 0 and np.ptp(true) > 0:
            pearson = float(np.corrcoef(predicted, true)[0, 1])
            spearman = float(np.corrcoef(rankdata(predicted), rankdata(true))[0, 1])
    return AlignmentRow(group, n_texts, means, pearson, spearman)


def _estimate_nulls(texts: Sequence[tuple[str, str, Alignment]], *, lowers: bool) -> Estimate | None:
    """Mean cosine of the null texts that lower L, or that do not."""
    values = [(question, measure_text(a)) for _, question, a in texts if a.text != "trajectory"]
    means = _average([(question, value["cosine"]) for question, value in values if (value["true"] < 0) is lowers])
    return estimate_mean("cosine", list(means.values())) if means else None


def _list_differences(texts: Sequence[tuple[str, str, Alignment]]) -> tuple[AlignmentDifference, ...]:
    """Compare right trajectories with every other kind of text, in all that is compared.

    Not with random directions: as many lie one way as the other, their mean cosine is 0 whatever the updates are.
    """
    found: list[tuple[str, str, Estimate, float]] = []
    for measure in COMPARED:
        for group in GROUPS:
            if group in ("right", "undecided", RANDOM):
                continue
            differences = list(_pair(texts, group, measure).values())
            if differences:
                estimate = estimate_mean(f"{measure} difference", differences)
                found.append((measure, group, estimate, compute_paired_p_value(differences)))
    adjusted = adjust_holm([p for _, _, _, p in found])
    return tuple(
        AlignmentDifference(measure, group, estimate, p, p_holm)
        for (measure, group, estimate, p), p_holm in zip(found, adjusted, strict=True)
    )


def _pair(texts: Sequence[tuple[str, str, Alignment]], group: str, measure: str) -> dict[str, float]:
    """By question, how much larger a measure is for right trajectories than for a group."""
    if group == "wrong":
        right, wrong = (average_group(texts, label, measure) for label in ("right", "wrong"))
        return {question: value - wrong[question] for question, value in right.items() if question in wrong}
    nulls: Mapping[str, Alignment] = {a.trajectory_id: a for label, _, a in texts if label == group}
    pairs = []
    for label, question, a in texts:
        if label == "right" and a.trajectory_id in nulls:
            other = measure_text(nulls[a.trajectory_id])[measure]
            pairs.append((question, measure_text(a)[measure] - other))
    return _average(pairs)


def judge_equation(summary: AlignmentSummary) -> str:
    """Say in plain words whether Eq. 4 holds in the model. The rule was fixed before anything was measured.

    Eq. 4 holds if the intervals of both mean cosines of right trajectories, that of the steps and that of the whole
    updates, lie above 0.9, as it requires 1, and does not if one lies below. Where it is not shown to hold, there is a
    weak alignment if the interval of the
    whole updates' cosine lies above 0 and it is above that of every kind of null text, each at a level of 5 % after
    Holm's correction. How right ones compare with wrong trajectories is said, but decides nothing: those are
    trajectories too.
    """
    right = summary.find_row("right")
    if right is None or not {"cosine", "step cosine"} <= right.means.keys():
        return f"Whether Eq. 4 holds in {summary.model} can't be said: no right trajectory was measured."
    whole, step = right.means["cosine"], right.means["step cosine"]
    if not math.isfinite(whole.low + step.low):
        return f"Whether Eq. 4 holds in {summary.model} can't be said: one question alone tells nothing about others."
    holds, fails = min(whole.low, step.low) > EQUATION_HOLDS, min(whole.high, step.high) < EQUATION_HOLDS
    numbers = (
        f"over {whole.n_questions} questions the steps of right trajectories have a mean cosine of "
        f"{write_cosine(step)} with −∇L and the whole updates {write_cosine(whole)}, where Eq. 4 requires 1 and "
        f"changes of this form could reach {summary.ceiling:.2f}"
    )
    against = [made for made in summary.differences if made.measure == "cosine"]
    nulls = [made for made in against if made.against != "wrong"]
    is_weak = (
        whole.low > 0 and bool(nulls) and all(made.difference.value > 0 and made.p_holm < SIGNIFICANT for made in nulls)
    )
    verdict = "holds" if holds else "does not hold" if fails else "is neither shown to hold nor not to hold"
    text = f"Eq. 4 {verdict} in {summary.model}: {numbers}."
    if against:
        text += f" The whole updates' cosine is {_compare_plainly(against)}."
    if not holds and is_weak:
        text += " So there is a weak alignment."
    elif not holds:
        text += " So not even a weak alignment is shown."
        n_questions = min((made.difference.n_questions for made in nulls), default=0)
        if nulls and len(summary.differences) * 2 / 2**n_questions >= SIGNIFICANT:
            text += f" With {n_questions} questions this test could not have shown one."
    return text


def _compare_plainly(differences: Sequence[AlignmentDifference]) -> str:
    """Say which texts right trajectories are above, and from which they can't be told apart."""
    sorts: dict[str, list[str]] = {"above": [], "below": [], "not told apart from": []}
    for made in differences:
        side = "above" if made.difference.value > 0 else "below"
        sort = side if made.p_holm < SIGNIFICANT else "not told apart from"
        sorts[sort].append(f"{_name_plainly(made.against)} (p {write_relation(made.p_holm)})")
    return "; ".join(f"{sort} {', '.join(names)}" for sort, names in sorts.items() if names)


def _name_plainly(group: str) -> str:
    names = {
        "wrong": "wrong trajectories'",
        "other question": "other questions' trajectories'",
        "shuffled": "shuffled trajectories'",
        "random tokens": "random tokens'",
    }
    return names[group]


def write_cosine(estimate: Estimate) -> str:
    """A small number with its interval."""
    if estimate.method == "none":
        return f"{estimate.value:z.4f}"
    return f"{estimate.value:z.4f} [{estimate.low:z.4f}, {estimate.high:z.4f}]"
