"""Proposition 2.1: what was read as a change of weights; that there is one, and whether Eq. 19 gives it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from raml.errors import RunError
from raml.figures.constructions import Panel, plot_constructions
from raml.records import Estimate, UpdateSettings
from raml.stats import average_questions, estimate_mean
from raml.store import Run
from raml.studies.conclusion import Outcome
from raml.studies.ingredients import PROBE, plan_probe_stage
from raml.studies.plan import Cost, Setup, Step
from raml.studies.readers import FOLDER, PairErrors, read_errors
from raml.studies.verdict import Measure

SETTINGS = UpdateSettings(n_prefixes=2, n_others=0)
"""Of `raml update`: the whole trajectory, and nothing before it."""
CONSTRUCTIONS = {"nothing changed": "unchanged", "query moved": "query", "Eq. 19": "paper", "exact": "exact"}
"""Rows of the figure, and what they are on `PairErrors`."""


def plan(setup: Setup) -> list[Step]:
    """List the steps."""
    own, probe = setup.options, setup.shared["probe"]
    n_tokens = probe["n_questions"] * probe["n"] * (probe["mean_tokens"] + probe["mean_tokens_nothink"])
    cost = Cost(scored=2 * n_tokens, parameters=probe["parameters"])
    sizes = tuple((name, own[name]) for name in ("d", "n_train", "n_test", "n_steps"))
    ends = ("--n-prefixes", str(SETTINGS.n_prefixes), "--n-others", str(SETTINGS.n_others))
    readers = [
        Step(
            f"{FOLDER}/reader-{seed}",
            call="raml.studies.readers:measure_reader",
            arguments=(("seed", seed), *sizes, ("tokens", tuple(own["tokens"]))),
        )
        for seed in own["seeds"]
    ]
    return [*plan_probe_stage(setup, ("update", *ends, *own["update"]), name="update-ends", cost=cost), *readers]


def conclude(setup: Setup, home: Path) -> Outcome:
    """Measure how far the real model's exact update and both constructions on one-layer models are off."""
    gaps, model, remarks = _read_gaps(home)
    seeds = [read_errors(home / FOLDER / f"reader-{seed}.json") for seed in setup.options["seeds"]]
    first, *more = setup.options["tokens"]
    borders = {rule.measure: rule.below for rule in setup.rules if rule.below is not None}
    shown = {"exact": borders["exact"], "Eq. 19": borders["Eq. 19"]}
    panels = [
        Panel(f"one layer, tokens read: {n}", "relative error of the\nattention output", _collect(seeds, n), rule)
        for n, rule in ((first, shown), *((n, {}) for n in more))
    ]
    real = Panel(
        f"{model}, whole trajectories",
        "largest difference of\nan answer logit",
        {"exact": [*gaps.values()]},
        {"exact": borders["logit gap"]},
    )
    later = [
        f"{_estimate(seeds, n, 'paper').value:.2g} and {_estimate(seeds, n, 'query').value:.2g} after {n}"
        for n in (first, *more)
    ]
    return Outcome(
        measures={
            "logit gap": Measure(estimate_mean("logit gap", list(gaps.values())) if gaps else None),
            "exact": _measure(seeds, first, "exact"),
            "Eq. 19": _measure(seeds, first, "paper"),
        },
        figures={"": plot_constructions([*panels, real])},
        models=[model, f"one layer of width {setup.options['d']}"],
        seeds=setup.options["seeds"],
        remarks=[
            f"Mean relative errors by Eq. 19 and by moving the query alone, by tokens read: {', '.join(later)}.",
            *remarks,
        ],
    )


def _read_gaps(home: Path) -> tuple[dict[str, float], str, list[str]]:
    """Return each question's largest gap, the model, and what a reader has to know of trajectories and updates.

    Raises:
        RunError: there are no such updates, or of several models.
    """
    run = Run(home / PROBE)
    question_ids = {trajectory.id: trajectory.question_id for trajectory in run.read_trajectories()}
    updates = [one for one in run.read_updates() if one.settings == SETTINGS]
    models = sorted({update.model.name for update in updates})
    if len(models) != 1:
        raise RunError(f"{run.path} has whole-trajectory updates of {len(models)} models; this study reads one's.")
    gaps: dict[str, float] = {}
    for update in updates:
        question = question_ids[update.trajectory_id]
        gaps[question] = max(gaps.get(question, 0.0), update.logit_gap)
    n_inexact, n_without = sum(not one.exact for one in updates), len(question_ids) - len(updates)
    remarks = [f"{len(updates)} trajectories of {models[0]}; the largest gap is {max(gaps.values()):.2g}."]
    remarks += [f"{n_inexact} updates do not reach their target; their gaps count too."] if n_inexact else []
    remarks += [f"{n_without} trajectories have no update."] if n_without else []
    return gaps, models[0], remarks


def _average(seeds: Sequence[Sequence[PairErrors]], n_tokens: int, name: str) -> list[float]:
    """Mean over seeds for each question."""
    errors = [one for errors in seeds for one in errors if one.n_tokens == n_tokens]
    return average_questions([one.question_id for one in errors], [getattr(one, name) for one in errors]).tolist()


def _estimate(seeds: Sequence[Sequence[PairErrors]], n_tokens: int, name: str) -> Estimate:
    return estimate_mean(name, _average(seeds, n_tokens, name))


def _measure(seeds: Sequence[Sequence[PairErrors]], n_tokens: int, name: str) -> Measure:
    alone = (_average([errors], n_tokens, name) for errors in seeds)
    return Measure(_estimate(seeds, n_tokens, name), tuple(fmean(values) for values in alone))


def _collect(seeds: Sequence[Sequence[PairErrors]], n_tokens: int) -> dict[str, list[float]]:
    return {row: _average(seeds, n_tokens, name) for row, name in CONSTRUCTIONS.items()}
