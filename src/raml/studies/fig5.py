"""Fig. 5: without thinking L̂ converges faster, and into a worse optimum."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from raml.curves import CurveSet, CurveSettings, compare_modes, panels
from raml.curves.descent import ModeComparison
from raml.curves.estimates import Contrast
from raml.curves.groups import MODE_NAMES
from raml.figures import plot_mode_curves, plot_question_curves
from raml.records import Question
from raml.studies.conclusion import Outcome
from raml.studies.curves import read_probe
from raml.studies.ingredients import plan_probe
from raml.studies.plan import Setup, Step
from raml.studies.verdict import Measure
from raml.studies.wording import write_estimate

SPEED, SPEED_SHARE = "tokens to 90 % of the fall", "share of the length to 90 %"
LOWEST, END, AS_LONG = "lowest L̂", "L̂ at the end", "L̂ after as many tokens"


def plan(setup: Setup) -> list[Step]:
    """List the steps."""
    return plan_probe(setup)


def conclude(setup: Setup, home: Path) -> Outcome:
    """Compare the curves of both modes, question by question."""
    questions, curves = read_probe(home)
    comparison = compare_modes(curves, CurveSettings(share=0.9))
    contrasts = {made.measure: made for made in comparison.contrasts} if comparison else {}
    return Outcome(
        measures={
            "speed": _measure(contrasts, SPEED, "No question has falling curves of both modes."),
            "optimum": _measure(contrasts, LOWEST, "No question has curves of both modes."),
        },
        figures=_draw(questions, curves, setup.options["n_panels"]) if comparison else {},
        models=[curves.writer.name],
        seeds=[0],
        remarks=_describe(comparison, contrasts) if comparison else [],
    )


def _measure(contrasts: Mapping[str, Contrast], name: str, reason: str) -> Measure:
    made = contrasts.get(name)
    return Measure(made.difference) if made else Measure(None, note=reason)


def _draw(questions: list[Question], curves: CurveSet, n_panels: int) -> dict[str, Figure]:
    return {
        "": plot_question_curves(panels.collect_questions(questions, curves, n_panels)),
        "means": plot_mode_curves(*panels.collect_modes(curves)),
    }


def _describe(comparison: ModeComparison, contrasts: Mapping[str, Contrast]) -> list[str]:
    """Say how many curves fall at all, and what else differs."""
    remarks = [
        f"Of {made.n_traced} {MODE_NAMES[made.mode]} curves {made.n_flat} do not fall by more than 0.1 nats anywhere; "
        "these have no speed."
        for made in comparison.modes
    ]
    remarks += [
        f"{name}, no-thinking minus thinking: {write_estimate(contrasts[name].difference, unit)}."
        for name, unit in ((SPEED_SHARE, ""), (END, "nats"), (AS_LONG, "nats"))
        if name in contrasts
    ]
    length = contrasts["tokens followed"]
    remarks.append(
        f"What is followed is the text before the final answer statement: {length.nothink.value:.0f} tokens without "
        f"thinking, {length.think.value:.0f} with; the lowest of many values lies lower than that of few by chance."
    )
    return remarks
