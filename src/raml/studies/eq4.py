"""Eq. 4: do the steps of a trajectory go down the gradient of the answer's loss? The test that the paper lacks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure

from raml.figures import plot_alignment, plot_loss_changes
from raml.records import AlignmentSummary, Estimate
from raml.store import Run, read_summary
from raml.studies.answers import in_points
from raml.studies.conclusion import Outcome
from raml.studies.ingredients import BRANCH_TOKENS
from raml.studies.plan import Cost, Setup, Step
from raml.studies.thinking import N_TRAJECTORIES, THINKING, plan_thinking
from raml.studies.verdict import Measure
from raml.updates.alignment_summary import GROUPS, average_group, judge_equation, label_texts

N_TEXTS = 4
"""A trajectory, and the three texts that are put in its place."""
PANELS = {
    "step cosine": "mean cosine of the steps with −∇L (Eq. 4: 1)",
    "cosine": "cosine of the whole update with −∇L (Eq. 4: 1)",
}


def plan(setup: Setup) -> list[Step]:
    """List the steps."""
    options, probe = setup.options, setup.shared["probe"]
    n_texts = probe["n_questions"] * N_TRAJECTORIES * N_TEXTS
    n_prefixes = options["n_prefixes"]
    align = Step(
        f"{THINKING}/align",
        words=("align", THINKING, "--n-prefixes", str(n_prefixes), *options["load"]),
        needs=(f"{THINKING}/take",),
        folder=THINKING,
        cost=Cost(
            scored=n_texts * (probe["mean_tokens"] + 2 * n_prefixes * BRANCH_TOKENS),
            trained=n_texts * n_prefixes * options["row_tokens"],
            parameters=probe["parameters"],
        ),
    )
    return [*plan_thinking(setup), align]


def conclude(setup: Setup, home: Path) -> Outcome:
    """Read how the steps and the whole updates lie to the gradient."""
    summary = read_summary(home / THINKING / "alignment.json", AlignmentSummary)
    right = summary.find_row("right")
    means: dict[str, Estimate] = right.means if right else {}
    reason = None if right else "No right trajectory was measured."
    agreement = means.get("agreement")
    if agreement is not None:
        agreement = replace(in_points(agreement), low=max(0, 100 * agreement.low), high=min(100, 100 * agreement.high))
    return Outcome(
        measures={
            "step cosine": Measure(means.get("step cosine"), note=reason),
            "agreement": Measure(agreement, note=reason),
        },
        figures=_draw(home),
        models=[summary.model],
        seeds=[summary.settings.seed],
        remarks=_describe(summary),
    )


def _draw(home: Path) -> dict[str, Figure]:
    run = Run(home / THINKING)
    texts = label_texts(run.read_trajectories(), run.read_alignments())
    own = [group for group in GROUPS if any(label == group for label, _, _ in texts)]
    cosines = {
        title: {group: list(average_group(texts, group, name).values()) for group in own}
        for name, title in PANELS.items()
    }
    predicted, true = (
        {group: list(average_group(texts, group, name).values()) for group in own} for name in ("predicted", "true")
    )
    changes = {group: (predicted[group], true[group]) for group in own}
    return {"": plot_alignment(cosines), "loss": plot_loss_changes(changes)}


def _describe(summary: AlignmentSummary) -> list[str]:
    """Say what could be reached, what other texts have, and what `raml align` makes of it."""
    nulls = [
        f"{row.text} {100 * row.means['agreement'].value:.0f} %"
        for row in summary.rows
        if row.text not in ("right", "undecided") and "agreement" in row.means
    ]
    remarks = [judge_equation(summary)]
    if nulls:
        remarks.append(f"Other texts whose change of L has the predicted sign: {', '.join(nulls)}.")
    if summary.n_undefined:
        remarks.append(f"{summary.n_undefined} steps began where the loss has no gradient; they are left out.")
    return remarks
