"""How well the probe ranks the sentences of trajectories as resampling does, and whether place or length do it too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import kendalltau, rankdata

from raml.influence.sentences import (
    BASELINES,
    CONTRAST,
    DISTANCE,
    DIVERGENCE,
    FALL,
    GOLD,
    LENGTH,
    OWN,
    PLACE,
    SHARE,
    Floats,
    SentenceImportance,
)
from raml.records import Estimate
from raml.stats import adjust_holm, average_questions, compute_paired_p_value, estimate_mean

PAIRS = ((SHARE, FALL), (CONTRAST, OWN), (CONTRAST, GOLD), (DISTANCE, OWN), (DIVERGENCE, OWN))
"""What resampling says, and what of the probe is compared with it. The first two decide (`judge_faithfulness`)."""
GROUPS = {"all": (True, False, None), "right": (True,), "wrong": (False,)}
N_PERMUTATIONS = 9999


@dataclass(frozen=True)
class Agreement:
    """How well one measure ranks the sentences of a trajectory as resampling does."""

    text: str
    """Of which trajectories: "all", "right" or "wrong"."""
    resampled: str
    measure: str
    """Of the probe, or a baseline."""
    n_trajectories: int
    """Those with an agreement; the others are counted next."""
    n_constant: int
    """Where resampling calls all sentences equally important, such as when every continuation is right."""
    n_unranked: int
    """Where it does not, but the measure does, or fewer than two sentences are known on both sides."""
    spearman: Estimate | None
    """Mean rank correlation over questions; None where no trajectory has one."""
    kendall: Estimate | None
    """The same of Kendall's τ-b."""
    p: float | None
    """Two-sided, of a permutation test: the measure's values shuffled within each trajectory. None for baselines."""
    p_holm: float | None
    """Adjusted for all of the probe's agreements in the summary (Holm)."""


@dataclass(frozen=True)
class Lead:
    """How much better the probe agrees with resampling than a baseline does, on the same trajectories."""

    resampled: str
    measure: str
    baseline: str
    """Baseline in the direction in which it agrees better: "later", "earlier", "longer" or "shorter" sentences."""
    difference: Estimate
    """Of mean Spearman correlations, over questions."""
    p: float
    """Of a paired sign-flip test over questions, two-sided."""
    p_holm: float
    """Adjusted for all leads of the summary (Holm)."""


def correlate_ranks(first: Floats, second: Floats) -> float:
    """Spearman's correlation of two measures of the same sentences.

    Sentences of which one is unknown are left out; NaN if a measure is the same for all others.
    """
    known = np.isfinite(first) & np.isfinite(second)
    a, b = first[known], second[known]
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1]) if has_order(a) and has_order(b) else math.nan


def correlate_pairs(first: Floats, second: Floats) -> float:
    """Kendall's τ-b of two measures of the same sentences, as `correlate_ranks`."""
    known = np.isfinite(first) & np.isfinite(second)
    a, b = first[known], second[known]
    return float(kendalltau(a, b).statistic) if has_order(a) and has_order(b) else math.nan  # type: ignore[attr-defined]


def has_order(values: Floats) -> bool:
    """Whether not all of the known values are the same."""
    known = values[np.isfinite(values)]
    return len(known) > 1 and float(np.ptp(known)) > 0


def is_constant(values: Floats) -> bool:
    """Whether there are known values, at least two, and all are the same."""
    return int(np.isfinite(values).sum()) > 1 and not has_order(values)


def list_agreements(sentences: Sequence[SentenceImportance], seed: int) -> tuple[Agreement, ...]:
    """All pairs for each group of trajectories, and the baselines for all of them."""
    rows: list[Agreement] = []
    groups = {name: [one for one in sentences if one.correct in wanted] for name, wanted in GROUPS.items()}
    for text, own in groups.items():
        if text == "all" or 0 < len(own) < len(sentences):
            rows += [_agree(text, own, *pair, seed) for pair in PAIRS]
    tested = [row.p for row in rows if row.p is not None]
    adjusted = iter(adjust_holm(tested))
    rows = [row if row.p is None else replace(row, p_holm=next(adjusted)) for row in rows]
    for resampled in dict.fromkeys(resampled for resampled, _ in PAIRS):
        rows += [_agree("all", sentences, resampled, baseline, None) for baseline in BASELINES]
    return tuple(rows)


def _agree(
    text: str, sentences: Sequence[SentenceImportance], resampled: str, measure: str, seed: int | None
) -> Agreement:
    ranked = [(one, correlate_ranks(one.values[resampled], one.values[measure])) for one in sentences]
    known = [(one, rho) for one, rho in ranked if math.isfinite(rho)]
    taus = [correlate_pairs(one.values[resampled], one.values[measure]) for one, _ in known]
    n_constant = sum(is_constant(one.values[resampled]) for one in sentences)
    questions = [one.question_id for one, _ in known]
    return Agreement(
        text=text,
        resampled=resampled,
        measure=measure,
        n_trajectories=len(known),
        n_constant=n_constant,
        n_unranked=len(sentences) - len(known) - n_constant,
        spearman=estimate_questions("Spearman", questions, [rho for _, rho in known]) if known else None,
        kendall=estimate_questions("Kendall τ-b", questions, taus) if known else None,
        p=compute_permutation_p_value([one for one, _ in known], resampled, measure, seed)
        if known and seed is not None
        else None,
        p_holm=None,
    )


def compute_permutation_p_value(
    sentences: Sequence[SentenceImportance], resampled: str, measure: str, seed: int
) -> float:
    """Find how likely a mean correlation at least as far from 0, either way, is if the measure's order says nothing.

    Its values are shuffled within each trajectory, N_PERMUTATIONS times. Twice the smaller tail, at most 1. Sentences
    count as exchangeable, though neighbours share a border (docs/faithfulness.md says what that costs).
    """
    generator = np.random.default_rng(seed)
    correlations = np.empty((N_PERMUTATIONS + 1, len(sentences)))
    for i, one in enumerate(sentences):
        known = np.isfinite(one.values[resampled]) & np.isfinite(one.values[measure])
        a, b = (rankdata(one.values[name][known]) for name in (resampled, measure))
        a, b = a - a.mean(), b - b.mean()
        # The order as it came is the first row.
        orders = np.concatenate([b[None], generator.permuted(np.tile(b, (N_PERMUTATIONS, 1)), axis=1)])
        correlations[:, i] = orders @ a / math.sqrt(float(a @ a) * float(b @ b))
    means = average_questions([one.question_id for one in sentences], correlations.T).mean(axis=0).round(12)
    tails = (means >= means[0]).mean(), (means <= means[0]).mean()
    return min(1.0, 2 * float(min(tails)))


def list_leads(sentences: Sequence[SentenceImportance]) -> tuple[Lead, ...]:
    """Compare each pair with each baseline, turned the way it agrees better: the harder comparison."""
    found: list[tuple[str, str, str, Estimate, float]] = []
    names = {PLACE: ("later", "earlier"), LENGTH: ("longer", "shorter")}
    for resampled, measure in PAIRS:
        for baseline in BASELINES:
            both = [
                (
                    one.question_id,
                    *(correlate_ranks(one.values[resampled], one.values[m]) for m in (measure, baseline)),
                )
                for one in sentences
            ]
            known = [(question, ours, theirs) for question, ours, theirs in both if math.isfinite(ours + theirs)]
            if not known:
                continue
            questions = [question for question, _, _ in known]
            ours, theirs = (average_questions(questions, [row[i] for row in known]) for i in (1, 2))
            turn = -1 if theirs.mean() < 0 else 1
            differences = (ours - turn * theirs).tolist()
            estimate = estimate_questions("Spearman difference", list(dict.fromkeys(questions)), differences, bound=2)
            name = names[baseline][0 if turn > 0 else 1]
            found.append((resampled, measure, name, estimate, compute_paired_p_value(differences)))
    adjusted = adjust_holm([p for *_, p in found])
    return tuple(Lead(*row, p_holm) for row, p_holm in zip(found, adjusted, strict=True))


def estimate_questions(name: str, questions: Sequence[str], values: Sequence[float], bound: float = 1) -> Estimate:
    """Estimate the mean over questions of values of trajectories, averaged within each question first.

    The values lie between −bound and bound, and so do the interval's ends, unless it has none.
    """
    estimate = estimate_mean(name, average_questions(questions, values).tolist())
    if estimate.method == "none":
        return estimate
    return replace(estimate, low=max(-bound, estimate.low), high=min(bound, estimate.high))
