"""What `raml compress` can be told, and whether it makes sense."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter

from raml.cli.help_groups import ASK, CUT, EXIT, PRUNE, SUMMARY
from raml.errors import DataError
from raml.records import ReadoutSettings, Target

Choice = Literal["cut", "wait", "summary", "early-exit", "prune", "no-thinking", "all"]
Every = int | Literal["sentence"]


@dataclass(frozen=True)
class CompressOptions:
    """How reasoning is shortened or made longer; headings say for which METHOD."""

    budget: Annotated[tuple[int, ...], Parameter(group=CUT, negative="")] = ()
    """Tokens of reasoning; may be given several times. By default cut takes six from 1/16 of a long
    reasoning up to all of it, and wait 1.5, 2 and 3 times the median."""
    word: Annotated[str, Parameter(group=CUT)] = "Wait"
    """What makes reasoning go on where it would end."""
    max_waits: Annotated[int, Parameter(group=CUT)] = 2
    """How often at most."""
    share: Annotated[tuple[float, ...], Parameter(group=PRUNE, negative="")] = (0.75, 0.5, 0.25)
    """Share of the reasoning's tokens to keep; may be given several times."""
    target: Annotated[Target, Parameter(group=PRUNE)] = "own"
    """Whether a sentence has to contribute to the trajectory's own answer, to the gold one (an oracle, as nobody
    has that beforehand), or both, one after the other."""
    draws: Annotated[int, Parameter(group=PRUNE)] = 4
    """Random choices of sentences to compare each with; 0 for none."""
    stable: Annotated[tuple[int, ...], Parameter(group=EXIT, negative="")] = (1, 2, 3)
    """How many equal answers in a row end the thinking; may be given several times."""
    confidence: Annotated[tuple[float, ...], Parameter(group=EXIT, negative="")] = (0.5, 0.8, 0.9, 0.95, 0.99)
    """How likely the last of them has to be, per token; may be given several times."""
    every: Annotated[tuple[Every, ...], Parameter(group=EXIT, negative="")] = ("sentence",)
    """Probe after so many tokens, or where sentences end; may be given several times."""
    verify: Annotated[int, Parameter(group=EXIT)] = 0
    """Decode so many trajectories again, really stop them, and compare with what was computed."""
    runs: Annotated[int, Parameter(group=SUMMARY)] = 4
    """Summaries of each trajectory."""
    summarizer: Annotated[str | None, Parameter(group=SUMMARY)] = None
    """The model that writes them; by default the one that wrote the trajectory."""
    summary_tokens: Annotated[int, Parameter(group=SUMMARY)] = 256
    """Longest summary, in tokens."""
    summary_temperature: Annotated[float, Parameter(group=SUMMARY)] = 0.6
    """Temperature at which they are drawn."""
    bridge: Annotated[str, Parameter(group=ASK)] = ReadoutSettings.bridge
    """Text that asks for the answer."""
    answer_tokens: Annotated[int, Parameter(group=ASK)] = ReadoutSettings.max_new_tokens
    """Longest answer after it, in tokens."""


@dataclass(frozen=True)
class Estimation:
    """How the tables come about."""

    tolerance: float = 0.01
    """Loss of accuracy that a rule may cost, a share of answers: 0.01 is one point."""
    level: float = 0.95
    """Coverage of the intervals."""
    n_resamples: int = 9999
    """Of bootstrap and permutation tests."""
    seed: int = 0
    """Of these, of the split into halves, of sentences dropped by chance, and of summaries."""


def check_options(options: CompressOptions, estimation: Estimation, limit: int | None) -> None:
    """Refuse what makes no sense, before anything is read.

    Raises:
        DataError: an option is out of its range; the message has its flag and value.
    """
    ranges: list[tuple[str, tuple[float, ...], float, float]] = [
        ("--limit", () if limit is None else (limit,), 1, math.inf),
        ("--budget", options.budget, 0, math.inf),
        ("--max-waits", (options.max_waits,), 1, math.inf),
        ("--draws", (options.draws,), 0, math.inf),
        ("--stable", options.stable, 1, math.inf),
        ("--confidence", options.confidence, 0, 1),
        ("--every", tuple(every for every in options.every if isinstance(every, int)), 1, math.inf),
        ("--verify", (options.verify,), 0, math.inf),
        ("--runs", (options.runs,), 1, math.inf),
        ("--summary-tokens", (options.summary_tokens,), 1, math.inf),
        ("--summary-temperature", (options.summary_temperature,), 0, math.inf),
        ("--answer-tokens", (options.answer_tokens,), 1, math.inf),
        ("--tolerance", (estimation.tolerance,), 0, 1),
        ("--n-resamples", (estimation.n_resamples,), 99, math.inf),
        ("--seed", (estimation.seed,), 0, math.inf),
    ]
    for flag, values, low, high in ranges:
        for value in values:
            if not (low <= value <= high and math.isfinite(value)):
                limits = f"at least {low:g}" if high == math.inf else f"between {low:g} and {high:g}"
                raise DataError(f"{flag} is {value}; it must be {limits}.")
    for share in options.share:
        if not 0 < share <= 1:
            raise DataError(f"--share is {share}; it must be above 0 and at most 1.")
    if not 0 < estimation.level < 1:
        raise DataError(f"--level is {estimation.level}; it must be between 0 and 1.")
    for flag, text in (("--word", options.word), ("--bridge", options.bridge)):
        if not text.strip():
            raise DataError(f"{flag} is empty.")
