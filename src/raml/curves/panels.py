"""What the figures of curves show, as plain numbers."""

from __future__ import annotations

from collections.abc import Container, Sequence

import numpy as np
from numpy.typing import NDArray

from raml.curves.descent import average_over_share, average_over_tokens
from raml.curves.groups import MODE_NAMES, MODES, CurveSet, CurveSettings
from raml.curves.parting import measure_parting
from raml.curves.settling import follow_readouts
from raml.records import Mode, Question, Trace, Trajectory

Floats = NDArray[np.float64]
Line = tuple[Floats, Floats]
"""Positions [X], and a curve for each question [Q X]."""
SHARES = np.linspace(0, 1, 41)
N_TOKENS = 40
"""Points of a mean curve against tokens, evenly spread on a logarithmic axis."""


def collect_modes(curves: CurveSet) -> tuple[dict[str, Line], dict[str, Line]]:
    """Mean curves of the gold answer by mode, on the questions that have both: against tokens, and against share."""
    traced = {mode: _list_traced(curves, mode, curves.gold) for mode in MODES}
    both = {t.question_id for t in traced["think"]} & {t.question_id for t in traced["nothink"]}
    by_tokens, by_share = {}, {}
    longest = max((int(curves.gold[t.id].prefix_lens[-1]) for own in traced.values() for t in own), default=1)
    tokens = np.array([0.0, *np.unique(np.round(np.geomspace(1, max(1, longest), N_TOKENS)))])
    for mode in MODES:
        own = [t for t in traced[mode] if t.question_id in both]
        lines = [_read(curves.gold[t.id]) for t in own]
        if own:
            by_tokens[MODE_NAMES[mode]] = tokens, average_over_tokens(own, lines, tokens)
            by_share[MODE_NAMES[mode]] = SHARES, average_over_share(own, lines, SHARES)
    return by_tokens, by_share


def collect_questions(
    questions: Sequence[Question], curves: CurveSet, n: int
) -> list[tuple[str, list[tuple[str, bool | None, Floats, Floats]]]]:
    """The first n questions that have curves of both modes: title, and mode, verdict, tokens and L̂ of each curve."""
    panels = []
    for question in questions:
        own = [t for t in curves.trajectories if t.question_id == question.id and t.id in curves.gold]
        if {t.mode for t in own} == set(MODES):
            lines = [(MODE_NAMES[t.mode], t.correct, *_read(curves.gold[t.id])) for t in own]
            panels.append((question.public_prompt(), lines))
    return panels[:n]


def collect_wrong(curves: CurveSet) -> dict[str, tuple[Floats, Floats, Floats]]:
    """By mode, shares of the length and the mean curves of gold and own answer over wrong trajectories."""
    panels = {}
    for mode in MODES:
        wrong = _list_wrong(curves, mode)
        if wrong:
            means = [
                average_over_share(wrong, [_read(kind[t.id]) for t in wrong], SHARES)
                for kind in (curves.gold, curves.own)
            ]
            panels[MODE_NAMES[mode]] = SHARES, means[0], means[1]
    return panels


def collect_wrong_examples(
    questions: Sequence[Question], curves: CurveSet, settings: CurveSettings, n: int
) -> list[tuple[str, Floats, Floats, Floats, int | None]]:
    """One wrong trajectory of each of the first n questions: title, tokens, gold and own L̂, and where they part."""
    by_question: dict[str, Trajectory] = {}
    for mode in MODES:
        for trajectory in _list_wrong(curves, mode):
            by_question.setdefault(trajectory.question_id, trajectory)
        if by_question:
            break  # no-thinking ones only where no thinking one is wrong
    examples = []
    for question in questions:
        if (trajectory := by_question.get(question.id)) is not None:
            gold, own = curves.gold[trajectory.id], curves.own[trajectory.id]
            parted = measure_parting(gold, own, settings.margin).parted
            examples.append((question.public_prompt(), *_read(gold), own.mean_nll, parted))
    return examples[:n]


def collect_readouts(curves: CurveSet) -> dict[str, tuple[dict[str, Line], dict[str, Line]]]:
    """By mode: what has happened up to a share of the length, and the readout's accuracy there by verdict."""
    panels = {}
    for mode in MODES:
        read = [t for t in _list_traced(curves, mode, curves.readouts) if curves.readouts[t.id].prefix_lens[-1] > 0]
        if not read:
            continue
        followed = follow_readouts(curves, read, SHARES)
        accuracy = {"all": (SHARES, followed.pop("accuracy"))}
        for name, wanted in (("right", True), ("wrong", False)):
            own = [t for t in read if t.correct is wanted]
            if own:
                accuracy[name] = SHARES, follow_readouts(curves, own, SHARES)["accuracy"]
        panels[MODE_NAMES[mode]] = {name: (SHARES, values) for name, values in followed.items()}, accuracy
    return panels


def _list_traced(curves: CurveSet, mode: Mode, there: Container[str]) -> list[Trajectory]:
    return [t for t in curves.trajectories if t.mode == mode and t.id in there]


def _list_wrong(curves: CurveSet, mode: Mode) -> list[Trajectory]:
    return [t for t in _list_traced(curves, mode, curves.gold) if t.correct is False and t.id in curves.own]


def _read(trace: Trace) -> tuple[Floats, Floats]:
    return trace.prefix_lens.astype(float), trace.mean_nll
