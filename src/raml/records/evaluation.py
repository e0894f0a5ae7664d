"""How good models are, and which one is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from raml.records.base import SCHEMA_VERSION, IntervalMethod, Verdict
from raml.records.notebook import show_estimate


@dataclass(frozen=True)
class Estimate:
    """A metric or another mean over a set of questions, or a difference between two models, with an interval."""

    name: str
    """Such as "Pass@8" or "Pass@8 difference"."""
    value: float
    """Mean over the questions: a metric's from 0 to 1, its differences' from −1 to 1, other values' in their unit."""
    low: float
    high: float
    """The interval is for the mean over all questions of which these are a sample; training seeds are as given. It is
    −∞ to ∞ where values without bounds don't vary, so that nothing is known."""
    level: float
    """The interval's nominal coverage, such as 0.95."""
    method: IntervalMethod
    """How the interval was made, see `raml.stats.estimate_metric` and `estimate_mean`."""
    n_questions: int

    def _repr_html_(self) -> str:
        return show_estimate(self)


@dataclass(frozen=True)
class Score:
    """How a model did on a benchmark."""

    model: str
    """Its label: the model's name, with what else tells it apart from the others."""
    benchmark: str
    estimates: tuple[Estimate, ...]
    """One for each metric."""
    verdicts: dict[Verdict, int]
    """How many responses came out how; all six are named."""
    n_cut: int
    """Responses that were cut off before their end."""
    n_min: int
    n_max: int
    """Fewest and most decided responses to a question."""
    mean_tokens: float
    """Mean length of a response, in tokens."""
    left_out: tuple[str, ...]
    """Ids of questions that have too few decided responses for a metric."""
    unanswered: tuple[str, ...]
    """Ids of questions without any response, in runs where the model answered others of the benchmark."""


@dataclass(frozen=True)
class Comparison:
    """How much better a model is than a baseline on the questions that both answered."""

    model: str
    baseline: str
    benchmark: str
    difference: Estimate
    p: float
    """Of a paired permutation test, two-sided."""
    p_holm: float
    """Adjusted for all comparisons of the evaluation (Holm)."""


@dataclass(frozen=True)
class Evaluation:
    """Models on benchmarks, and their paired differences."""

    scores: tuple[Score, ...]
    comparisons: tuple[Comparison, ...]
    undecided: Literal["leave-out", "wrong"]
    """Whether responses that could not be decided are left out, or counted as wrong."""
    notes: tuple[str, ...]
    """What a reader must know, a line each."""
    schema_version: int = SCHEMA_VERSION
