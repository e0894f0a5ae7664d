"""Fig. 3: along right trajectories the answer's loss falls, step by step."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from raml.figures import plot_traces
from raml.stats import average_questions, estimate_mean
from raml.studies.conclusion import Outcome
from raml.studies.curves import correlate_with_place, describe_missing, estimate_change, read_probe
from raml.studies.ingredients import plan_probe
from raml.studies.plan import Setup, Step
from raml.studies.verdict import Measure


def plan(setup: Setup) -> list[Step]:
    """List the steps."""
    return plan_probe(setup)


def conclude(setup: Setup, home: Path) -> Outcome:
    """Measure how far L̂ falls along right trajectories, and how steadily."""
    questions, curves = read_probe(home)
    written = [t for t in curves.list_mode("think") if t.correct]
    right = [t for t in written if t.id in curves.gold]
    trends = [correlate_with_place(curves.gold[t.id]) for t in right]
    steady = [(t.question_id, trend) for t, trend in zip(right, trends, strict=True) if np.isfinite(trend)]
    measures = {
        "fall": Measure(estimate_change("change of L̂", right, curves.gold)),
        "trend": Measure(
            estimate_mean("trend", list(average_questions([i for i, _ in steady], [v for _, v in steady])))
            if steady
            else None
        ),
    }
    ids = {trajectory.question_id for trajectory in right}
    shown = [question for question in questions if question.id in ids][: setup.options["n_panels"]]
    own = {question.id for question in shown}
    traces = [curves.gold[t.id] for t in right if t.question_id in own]
    flat = len(right) - len(steady)
    return Outcome(
        measures=measures,
        figures={"": plot_traces(shown, right, traces, alpha=setup.options["alpha"])} if traces else {},
        models=[curves.writer.name],
        seeds=[0],
        remarks=[
            *describe_missing(written, curves.gold),
            *([f"{flat} curves without any movement have no trend."] if flat else []),
        ],
    )
