"""From measures to a verdict, by the rule that was written down before."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raml.errors import DataError
from raml.records import Estimate, Finding, Rule, StudyVerdict


@dataclass(frozen=True)
class Measure:
    """What a study measured for one of its rules."""

    estimate: Estimate | None
    """Over questions and all training seeds; None where it could not be measured."""
    by_seed: tuple[float, ...] = ()
    """Each training seed alone."""
    note: str | None = None


def judge(rules: Sequence[Rule], measures: Mapping[str, Measure]) -> tuple[tuple[Finding, ...], StudyVerdict]:
    """Judge every measure by its rule, and the claim by all of them.

    A measure supports the claim if its whole interval lies where the rule says, and so does the value of every training
    seed alone. It does not support it if the whole interval and every seed's value lie elsewhere (the border is
    elsewhere). Anything else is undecided. The claim is not supported if one measure does not support it, supported if
    all do, else undecided.

    Raises:
        DataError: measures and rules are not about the same, or a rule has no border or two.
    """
    expected = [rule.measure for rule in rules]
    if sorted(expected) != sorted(measures):
        raise DataError(f"The rules are about {', '.join(expected)}, the measures about {', '.join(measures)}.")
    findings = tuple(_judge_measure(rule, measures[rule.measure]) for rule in rules)
    verdicts = {finding.verdict for finding in findings}
    if "not supported" in verdicts:
        return findings, "not supported"
    return findings, "supported" if verdicts == {"supported"} else "undecided"


def _judge_measure(rule: Rule, measure: Measure) -> Finding:
    estimate = measure.estimate
    if estimate is None:
        note = measure.note or "It could not be measured."
        return Finding(rule.measure, None, None, None, 0.95, 0, measure.by_seed, "undecided", note)
    return Finding(
        measure=rule.measure,
        value=estimate.value,
        low=estimate.low if math.isfinite(estimate.low) else None,
        high=estimate.high if math.isfinite(estimate.high) else None,
        level=estimate.level,
        n_questions=estimate.n_questions,
        by_seed=measure.by_seed,
        verdict=_place(rule, estimate.low, estimate.high, measure.by_seed),
        note=measure.note,
    )


def _place(rule: Rule, low: float, high: float, by_seed: Sequence[float]) -> StudyVerdict:
    if (rule.above is None) == (rule.below is None):
        raise DataError(f"The rule for {rule.measure} needs either above or below.")
    if rule.above is not None:
        border, nearest, farthest, values = rule.above, low, high, list(by_seed)
    else:
        assert rule.below is not None
        border, nearest, farthest, values = -rule.below, -high, -low, [-value for value in by_seed]
    if nearest > border and all(value > border for value in values):
        return "supported"
    if farthest <= border and all(value <= border for value in values):
        return "not supported"
    return "undecided"
