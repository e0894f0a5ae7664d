"""Whether the probe finds the sentences that resampling finds: rank agreement within trajectories, over questions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raml.errors import DataError
from raml.influence.agreement import (
    PAIRS,
    Agreement,
    Lead,
    correlate_ranks,
    estimate_questions,
    has_order,
    list_agreements,
    list_leads,
)
from raml.influence.sentences import (
    DISTANCE,
    Floats,
    SentenceImportance,
    Tally,
    count_unknown,
    measure_chance_distance,
    measure_resampled,
    measure_sentences,
    split_tally,
    tally_answers,
)
from raml.records import Estimate, InfluenceSettings, Resampling, Trajectory

MIN_SENTENCES = 3
"""A trajectory with fewer has no order worth comparing."""
N_SPLITS = 20
"""Ways in which continuations are parted into halves."""


@dataclass(frozen=True)
class Reliability:
    """How well resampling agrees with itself."""

    resampled: str
    halves: Estimate
    """Mean Spearman correlation of one half of the continuations with the other, over the questions of trajectories
    with an agreement. A half in which all sentences are equally important agrees with the other by 0."""
    value: float
    """The same for as many continuations as there are, by the Spearman–Brown formula."""
    low: float
    high: float
    ceiling: float
    """What a measure would reach that knew the true importance: the square root of the reliability; 0 where that is
    negative."""


@dataclass(frozen=True)
class FaithfulnessSummary:
    """The comparison of probe and resampling for one model."""

    model: str
    n: int
    """Continuations from each border."""
    epsilon: float
    n_questions: int
    n_trajectories: int
    n_right: int
    n_wrong: int
    n_short: int
    """Trajectories with fewer than three sentences, which are left out."""
    n_sentences: int
    n_continuations: int
    n_silent: int
    """Continuations that gave no answer."""
    n_undecided: int
    """Those of which it is not known whether they are right."""
    agreements: tuple[Agreement, ...]
    leads: tuple[Lead, ...]
    reliabilities: tuple[Reliability, ...]
    distance: Estimate | None
    """Mean distance of a sentence, over questions; None where no answer is known."""
    chance: Estimate | None
    """The distance that chance alone would give."""

    def find_agreement(self, resampled: str, measure: str, text: str = "all") -> Agreement | None:
        """The agreement of one pair of measures, if there is one."""
        wanted = (text, resampled, measure)
        return next((a for a in self.agreements if (a.text, a.resampled, a.measure) == wanted), None)


def summarize_faithfulness(
    trajectories: Sequence[Trajectory],
    resamplings: Sequence[Resampling],
    *,
    epsilon: float = InfluenceSettings.epsilon,
    seed: int = 0,
) -> FaithfulnessSummary:
    """Compare what probe and resampling say of the sentences of trajectories.

    Agreements are made within each trajectory, averaged over those of a question, and then over questions; intervals
    and tests are over questions, but for the permutation test, which shuffles sentences within trajectories.

    Raises:
        DataError: there are no resamplings of these trajectories, they differ in model, n or trace settings, two are of
            one trajectory, or all trajectories have fewer than three sentences.
    """
    chosen = _pair_up(trajectories, resamplings)
    long = [(t, r) for t, r in chosen if len(r.prefix_lens) > MIN_SENTENCES]
    if not long:
        raise DataError(
            f"None of {len(chosen)} trajectories has {MIN_SENTENCES} sentences or more; there is nothing to rank."
        )
    sentences = [measure_sentences(t, r, epsilon) for t, r in long]
    tallies = [tally_answers(r) for _, r in long]
    generator = np.random.default_rng(seed)
    halves = [_correlate_halves(tally, generator) for tally in tallies]
    chances = [measure_chance_distance(tally, generator) for tally in tallies]
    n_continuations, n_silent, n_undecided = count_unknown([r for _, r in long])
    return FaithfulnessSummary(
        model=long[0][1].model.name,
        n=long[0][1].settings.n,
        epsilon=epsilon,
        n_questions=len({one.question_id for one in sentences}),
        n_trajectories=len(long),
        n_right=sum(t.correct is True for t, _ in long),
        n_wrong=sum(t.correct is False for t, _ in long),
        n_short=len(chosen) - len(long),
        n_sentences=sum(len(r.prefix_lens) - 1 for _, r in long),
        n_continuations=n_continuations,
        n_silent=n_silent,
        n_undecided=n_undecided,
        agreements=list_agreements(sentences, seed),
        leads=list_leads(sentences),
        reliabilities=_list_reliabilities(sentences, halves, long[0][1].settings.n),
        distance=_average_known(sentences, [one.values[DISTANCE] for one in sentences]),
        chance=_average_known(sentences, chances),
    )


def _pair_up(
    trajectories: Sequence[Trajectory], resamplings: Sequence[Resampling]
) -> list[tuple[Trajectory, Resampling]]:
    by_id = {trajectory.id: trajectory for trajectory in trajectories}
    chosen = [(by_id[r.trajectory_id], r) for r in resamplings if r.trajectory_id in by_id]
    if not chosen:
        raise DataError("There is nothing to compare: none of these trajectories has been written again.")
    if len({(r.model.key(), r.settings.n, r.settings.trace) for _, r in chosen}) > 1:
        raise DataError("The resamplings differ in model, n or probe; compare those of one.")
    if len({t.id for t, _ in chosen}) < len(chosen):
        raise DataError("A trajectory has been written again under several settings; compare those of one.")
    return sorted(chosen, key=lambda pair: pair[0].id)


def _correlate_halves(tally: Tally, generator: np.random.Generator) -> dict[str, float]:
    """Mean Spearman correlation of halves of the continuations, by what resampling says; 0 where a half is constant."""
    found: dict[str, list[float]] = {}
    for _ in range(N_SPLITS if tally.kinds.shape[1] > 1 else 0):
        first, second = (measure_resampled(half) for half in split_tally(tally, generator))
        for name, values in first.items():
            if np.isfinite(values).any():  # a half of one continuation has no halves to contrast
                found.setdefault(name, []).append(correlate_ranks(values, second[name]))
    return {name: float(np.nan_to_num(values).mean()) for name, values in found.items()}


def _list_reliabilities(
    sentences: Sequence[SentenceImportance], halves: Sequence[dict[str, float]], n: int
) -> tuple[Reliability, ...]:
    rows = []
    for resampled in dict.fromkeys(resampled for resampled, _ in PAIRS):
        known = [
            (one.question_id, half[resampled])
            for one, half in zip(sentences, halves, strict=True)
            if resampled in half and has_order(one.values[resampled])
        ]
        if known:
            mean = estimate_questions("Spearman of halves", [q for q, _ in known], [rho for _, rho in known])
            value, low, high = (predict_reliability(r, n / (n // 2)) for r in (mean.value, mean.low, mean.high))
            rows.append(Reliability(resampled, mean, value, low, high, math.sqrt(max(0.0, value))))
    return tuple(rows)


def predict_reliability(correlation: float, factor: float) -> float:
    """The correlation of two measurements, each of them made so many times longer (Spearman 1910, Brown 1910).

    Ends of intervals may lie beyond −1 and 1, where the formula says nothing; they are taken as −1 and 1.
    """
    r = min(1.0, max(-1.0, correlation))
    return -1.0 if r == -1 else max(-1.0, factor * r / (1 + (factor - 1) * r))


def _average_known(sentences: Sequence[SentenceImportance], values: Sequence[Floats]) -> Estimate | None:
    """Mean over questions of what is known of the sentences of trajectories."""
    known = [(one.question_id, own[np.isfinite(own)]) for one, own in zip(sentences, values, strict=True)]
    means = [(question, float(own.mean())) for question, own in known if len(own)]
    return estimate_questions(DISTANCE, [q for q, _ in means], [value for _, value in means]) if means else None
