"""Where a wrong trajectory leaves the gold answer for its own: two curves of L̂ on one axis, the paper's Fig. 16."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from raml.curves.estimates import estimate_share, estimate_values
from raml.curves.groups import CurveSet, CurveSettings
from raml.errors import DataError
from raml.records import Estimate, Mode, Trace

ENDS = ("gold at the start", "gold at the end", "own at the start", "own at the end")
"""Of wrong trajectories' curves."""


@dataclass(frozen=True)
class Parting:
    """Gold and own answer along one trajectory."""

    parted: int | None
    """First measured prefix from which on the own answer's L̂ stays below the gold one's by more than the margin; None
    if it does not do so at the end."""
    first: int | None
    """First measured prefix where it lies below by more than the margin, whatever comes later."""
    length: int
    """Tokens that were followed."""
    gold: tuple[float, float]
    """L̂ of the gold answer at start and end, in nats."""
    own: tuple[float, float]


@dataclass(frozen=True)
class PartingSummary:
    """The wrong trajectories of one mode."""

    mode: Mode
    n_wrong: int
    """Wrong trajectories with both traces: the ones that are measured."""
    n_unanswered: int
    """Wrong ones without an answer of their own, which have no second curve."""
    n_untraced: int
    """Wrong ones with an answer that lack a trace of it or of the gold answer."""
    n_undecided: int
    """Trajectories of which nobody knows whether they are right."""
    n_right: int
    """Right ones with both traces. Their own answer is the gold one, so there is nothing to part."""
    n_same_text: int
    """Of these, the ones whose answer has the gold answer's very tokens: both curves are one."""
    parts: Estimate | None
    """Share of the wrong ones whose curves part for good."""
    parted_at_start: Estimate | None
    """Share of the wrong ones that are apart from prefix 0 on: the model leaned to the wrong answer all along."""
    tokens: Estimate | None
    """Tokens until they part, over those that do."""
    place: Estimate | None
    """The same as a share of the length."""
    first_place: Estimate | None
    """Where they are first apart, as a share of the length, over those that ever are."""
    losses: dict[str, Estimate]
    """L̂ by name: ENDS."""


def measure_parting(gold: Trace, own: Trace, margin: float) -> Parting:
    """Find the prefix from which on the own answer stays likelier than the gold one.

    Raises:
        DataError: the traces are not of the same prefixes of one trajectory.
    """
    if gold.trajectory_id != own.trajectory_id or not np.array_equal(gold.prefix_lens, own.prefix_lens):
        raise DataError(
            f"Traces {gold.id} and {own.id} are not of the same prefixes of one trajectory; compare those of one pass "
            "(`raml trace RUN --target both`)."
        )
    lens, above, below = gold.prefix_lens, gold.mean_nll, own.mean_nll
    apart = above - below > margin
    together = np.flatnonzero(~apart)
    place = int(together[-1]) + 1 if len(together) else 0
    return Parting(
        parted=int(lens[place]) if place < len(lens) else None,
        first=int(lens[np.argmax(apart)]) if apart.any() else None,
        length=int(lens[-1]),
        gold=(float(above[0]), float(above[-1])),
        own=(float(below[0]), float(below[-1])),
    )


def summarize_parting(curves: CurveSet, mode: Mode, settings: CurveSettings) -> PartingSummary | None:
    """Estimate where the wrong trajectories of a mode part, over questions; None without trajectories of that mode.

    Right and wrong is what grading said, so an answer that has another form than the gold one and the same value is
    right, and is not looked at.
    """
    trajectories = curves.list_mode(mode)
    if not trajectories:
        return None
    both = curves.gold.keys() & curves.own.keys()
    right = [t for t in trajectories if t.correct and t.id in both]
    wrong = [t for t in trajectories if t.correct is False and t.answer is not None]
    measured = [t for t in wrong if t.id in both]
    partings = [measure_parting(curves.gold[t.id], curves.own[t.id], settings.margin) for t in measured]
    ids = [t.question_id for t in measured]
    tokens = [math.nan if p.parted is None else float(p.parted) for p in partings]
    places = [math.nan if p.parted is None else p.parted / max(1, p.length) for p in partings]
    first = [math.nan if p.first is None else p.first / max(1, p.length) for p in partings]
    ends = np.array([(*p.gold, *p.own) for p in partings]).reshape(-1, len(ENDS)).T
    losses = {n: estimate_values(n, ids, values.tolist(), settings) for n, values in zip(ENDS, ends, strict=True)}
    return PartingSummary(
        mode=mode,
        n_wrong=len(measured),
        n_unanswered=sum(t.correct is False and t.answer is None for t in trajectories),
        n_untraced=len(wrong) - len(measured),
        n_undecided=sum(t.correct is None for t in trajectories),
        n_right=len(right),
        n_same_text=sum(curves.gold[t.id].answer_ids == curves.own[t.id].answer_ids for t in right),
        parts=estimate_share("part", ids, [p.parted is not None for p in partings], settings),
        parted_at_start=estimate_share("apart from the start", ids, [p.parted == 0 for p in partings], settings),
        tokens=estimate_values("tokens until they part", ids, tokens, settings),
        place=estimate_values("share of the length until they part", ids, places, settings, within=(0, 1)),
        first_place=estimate_values("share until they are first apart", ids, first, settings, within=(0, 1)),
        losses={name: estimate for name, estimate in losses.items() if estimate is not None},
    )
