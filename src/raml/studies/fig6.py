"""Fig. 6: do words of reflection move the answer's loss more than other tokens?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from raml.errors import RunError
from raml.figures.roles import plot_roles
from raml.influence.bars import list_bars
from raml.influence.groups import EVERY_STEP, EVERY_WORD, Group, list_groups
from raml.influence.tokens import measure_relative
from raml.influence.units import Measured
from raml.records import Estimate, InfluenceSummary
from raml.stats import estimate_mean, write_relation
from raml.store import Run, read_summary
from raml.studies.conclusion import Outcome
from raml.studies.ingredients import PROBE, plan_probe_stage
from raml.studies.plan import Setup, Step
from raml.studies.verdict import Measure
from raml.studies.wording import write_estimate, write_number

PAPER = {
    EVERY_STEP: 0.56,
    "wait": 1.22,
    "therefore": 0.76,
    "since": 4.54,
    "alternatively": 16.33,
    "hold on": 279.5,
}
"""Mean |ΔL̂|/L̂ in the paper's Fig. 6."""
ABSENT = "None of the words occurs in the trajectories."


def plan(setup: Setup) -> list[Step]:
    """List the steps."""
    return plan_probe_stage(setup, ["influence", "--n-resamples", str(setup.options["n_resamples"])])


def conclude(setup: Setup, home: Path) -> Outcome:
    """Compare the listed words with matched controls, and by the paper's measure with all tokens."""
    summary = read_summary(home / PROBE / "influence.json", InfluenceSummary)
    words = summary.find_row(EVERY_WORD)
    size = words.size.difference if words and words.size else None
    return Outcome(
        measures={
            "size": Measure(size, note=None if size else ABSENT if not words or not words.n_units else "No control."),
            "paper's measure": _measure_relative(home, summary),
        },
        figures={"": plot_roles(list_bars(summary, ("all", "word")), PAPER, level=summary.level)} if words else {},
        models=[summary.writer],
        seeds=[0],
        remarks=_describe(summary),
    )


def compare_relative(words: Group, steps: Group) -> Estimate | None:
    """Estimate by how much the paper's |ΔL̂|/L̂ of words exceeds that of all tokens of the same questions.

    Means within a question first; units where it is infinite or undefined are left out. None without any word.
    """
    by_question = []
    values = [(group, measure_relative(group.units.before, group.units.after)) for group in (words, steps)]
    for question in np.unique(words.units.question[words.is_member]):
        means = []
        for group, relative in values:
            own = relative[group.is_member & (group.units.question == question) & np.isfinite(relative)]
            means.append(own.mean() if len(own) else np.nan)
        if np.isfinite(means).all():
            by_question.append(float(means[0] - means[1]))
    return estimate_mean("|ΔL̂|/L̂ difference", by_question) if by_question else None


def _measure_relative(home: Path, summary: InfluenceSummary) -> Measure:
    if not summary.every_token:
        return Measure(None, note="L̂ is not known after every token.")
    groups = {group.name: group for group, _ in zip(list_groups(_read_measured(home)), range(2), strict=False)}
    made = compare_relative(groups[EVERY_WORD], groups[EVERY_STEP])
    return Measure(made, note=None if made else ABSENT)


def _read_measured(home: Path) -> Sequence[Measured]:
    """Read the thinking trajectories with the influence of their tokens on the gold answer.

    Raises:
        RunError: there are none.
    """
    run = Run(home / PROBE)
    traces = {trace.id: trace for trace in run.read_traces() if trace.settings.target == "gold"}
    own = {one.trajectory_id: one for one in run.read_influences() if one.trace_id in traces}
    measured = [
        Measured(t, traces[own[t.id].trace_id], own[t.id])
        for t in run.read_trajectories()
        if t.mode == "think" and t.id in own
    ]
    if not measured:
        raise RunError(f"{run.path} has no influences of the gold answer along thinking trajectories.")
    return measured


def _describe(summary: InfluenceSummary) -> list[str]:
    """Say how often each word stands there, and what is known of it alone."""
    rows = [row for row in summary.rows if row.family == "word" and row.outcome == "all" and row.group != EVERY_WORD]
    remarks = []
    for row in rows:
        text = f"{row.group!r}: {row.n_units} times in {row.n_questions} questions"
        if row.size is not None:
            beyond = write_estimate(row.size.difference)
            text += f", |Δ log| beyond controls {beyond}, p {write_relation(row.size.p_holm)} after Holm's correction"
        if row.n_units:
            remarks.append(f"{text}.")
    if absent := [row.group for row in rows if not row.n_units]:
        remarks.append(f"Not written by this model: {', '.join(absent)}.")
    every, words, largest = summary.find_row(EVERY_STEP), summary.find_row(EVERY_WORD), summary.largest
    if every is not None and every.n_undefined:
        n_words = words.n_undefined if words else 0
        remarks.append(
            f"L̂ is 0 before {every.n_undefined} of {every.n_units} tokens, {n_words} listed words among them; the "
            "paper's measure leaves these out."
        )
    if every is not None and every.mean_relative is not None and every.median_relative is not None:
        remarks.append(
            f"Over all tokens the paper's measure has mean {write_number(every.mean_relative)} and median "
            f"{write_number(every.median_relative)}."
        )
    if largest is not None:
        remarks.append(
            f"Its largest value is {write_number(largest.relative)}, where one token moves L̂ from "
            f"{write_number(largest.before)} to {write_number(largest.after)} nats."
        )
    return remarks
