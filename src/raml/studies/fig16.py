"""Fig. 16: along wrong trajectories the answer's loss does not fall."""

from __future__ import annotations

from pathlib import Path

from raml.curves import panels
from raml.curves.groups import CurveSettings
from raml.figures.curves import plot_wrong_curves
from raml.studies.conclusion import Outcome
from raml.studies.curves import compare_changes, describe_missing, estimate_change, read_probe
from raml.studies.ingredients import plan_probe
from raml.studies.plan import Setup, Step
from raml.studies.verdict import Measure


def plan(setup: Setup) -> list[Step]:
    """List the steps."""
    return plan_probe(setup)


def conclude(setup: Setup, home: Path) -> Outcome:
    """Measure how L̂ changes along wrong trajectories, also beside right ones of the same question."""
    questions, curves = read_probe(home)
    decided = [t for t in curves.list_mode("think") if t.correct is not None]
    wrong, right = ([t for t in decided if t.correct is verdict] for verdict in (False, True))
    examples = panels.collect_wrong_examples(questions, curves, CurveSettings(), setup.options["n_panels"])
    means = panels.collect_wrong(curves)
    return Outcome(
        measures={
            "change": Measure(estimate_change("change of L̂", wrong, curves.gold)),
            "beside right ones": Measure(compare_changes("difference of changes", wrong, right, curves.gold)),
        },
        figures={"": plot_wrong_curves(means, examples)} if means else {},
        models=[curves.writer.name],
        seeds=[0],
        remarks=[
            f"{len(wrong)} wrong and {len(right)} right trajectories.",
            *describe_missing([*wrong, *right], curves.gold),
        ],
    )
