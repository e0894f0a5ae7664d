"""Fig. 9: GRPO whose gradient takes some of a group's rollouts, or all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from raml.errors import RunError
from raml.figures import plot_training
from raml.figures.trained import plot_amounts
from raml.stats import estimate_mean
from raml.studies.answers import METRICS, count_models, measure_gain, show_metric
from raml.studies.conclusion import Outcome
from raml.studies.ingredients import find_model, get_seeds, name_model, plan_grpo, plan_test, plan_tested
from raml.studies.plan import Setup, Step
from raml.studies.techniques import count_techniques
from raml.studies.verdict import Measure
from raml.training.folder import TrainingFolder

GROUP_SIZE = 16
"""Rollouts of a question; the gradient from all of them is Zero-GRPO's of the other studies."""
QUANTITIES = ("reward", "correct_rate")
"""Of the learning curves."""


def plan(setup: Setup) -> list[Step]:
    """List the steps."""
    steps = []
    for seed in get_seeds(setup):
        for n in setup.options["ns"]:
            trained = _plan_grpo(setup, n, seed)
            steps += trained
            for test_set in setup.options["test_sets"]:
                steps += plan_test(setup, _name_model(n, seed), [trained[-1].name], test_set, seed=seed)
        for test_set in setup.options["test_sets"]:
            steps += plan_tested(setup, "base", test_set, seed)
    return steps


def conclude(setup: Setup, home: Path) -> Outcome:
    """Measure what the gradient from all rollouts gains on that from one, in the end and on the way."""
    seeds, sets, ns = get_seeds(setup), setup.options["test_sets"], sorted(setup.options["ns"])
    counts = {n: count_models(home, [_name_model(n, seed) for seed in seeds], seeds, sets) for n in ns}
    curves = {n: [TrainingFolder(home / _name_model(n, seed)).read_metrics() for seed in seeds] for n in ns}
    most, fewest = ns[-1], ns[0]
    base = count_techniques(setup, home, ("base",))["base"]
    ends = {
        name: {f"after {len(curves[most][0])} updates": {n: show_metric(metric, counts[n]) for n in ns}}
        for name, metric in METRICS.items()
    }
    levels = {name: {"base": show_metric(metric, base)} for name, metric in METRICS.items()}
    label = f"rollouts of {GROUP_SIZE} that the gradient takes"
    means = {f"{n} of {GROUP_SIZE}": average_rows(rows) for n, rows in curves.items()}
    gains = {name: measure_gain(METRICS[name], counts[most], counts[fewest]) for name in ("mG-Pass@8", "Pass@8")}
    return Outcome(
        measures={**gains, "learning curve": compare_curves(curves[most], curves[fewest])},
        figures={
            "": plot_training(means, quantities=QUANTITIES),
            "end": plot_amounts(ends, label=label, levels=levels),
        },
        models=[find_model(setup, "base", 0)],
        seeds=seeds,
        remarks=[
            f"Curves are means over seeds; advantages come from all {GROUP_SIZE} rollouts whatever the gradient takes."
        ],
    )


def average_rows(runs: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, float | None]]:
    """Average the quantities of learning curves over runs, update by update; None where a run has none.

    Raises:
        RunError: they have other updates.
    """
    _check_updates(runs)
    means: list[dict[str, float | None]] = []
    for rows in zip(*runs, strict=True):
        found = {name: [row.get(name) for row in rows] for name in QUANTITIES}
        mean = {name: None if None in values else float(np.mean(values)) for name, values in found.items()}
        means.append({"step": rows[0]["step"], **mean})
    return means


def compare_curves(ours: Sequence[Sequence[dict[str, Any]]], theirs: Sequence[Sequence[dict[str, Any]]]) -> Measure:
    """Measure by how much the mean reward over all updates is higher; runs of one seed read the same questions.

    The interval is over updates, each with its own questions; an update without any reward is left out and counted.

    Raises:
        RunError: runs of a seed have other updates.
    """
    differences: list[list[float]] = []
    n_without = 0
    for left, right in zip(ours, theirs, strict=True):
        _check_updates([left, right])
        pairs = [(a["reward"], b["reward"]) for a, b in zip(left, right, strict=True)]
        known = [a - b for a, b in pairs if a is not None and b is not None]
        n_without += len(pairs) - len(known)
        differences.append(known)
    values = [value for own in differences for value in own]
    note = f"Its interval is over {len(values)} batches of training questions, and not over test questions."
    if n_without:
        note += f" {n_without} updates had no reward."
    if not all(differences):
        return Measure(None, note=note)
    return Measure(estimate_mean("reward", values), tuple(float(np.mean(own)) for own in differences), note)


def _check_updates(runs: Sequence[Sequence[dict[str, Any]]]) -> None:
    """Check that runs made the same updates.

    Raises:
        RunError: they did not.
    """
    steps = {tuple(row["step"] for row in rows) for rows in runs}
    if len(steps) != 1:
        lens = ", ".join(str(len(rows)) for rows in runs)
        raise RunError(f"Learning curves have {lens} updates; they must have the same ones. Choose another --out.")


def _plan_grpo(setup: Setup, n: int, seed: int) -> list[Step]:
    """Train with the gradient from n rollouts of each question."""
    base = find_model(setup, "base", seed)
    options, share = (("--n-update", str(n)), n / GROUP_SIZE) if n < GROUP_SIZE else ((), 1.0)
    return plan_grpo(setup, _name_model(n, seed), base, (), seed, options=options, share=share)


def _name_model(n: int, seed: int) -> str:
    return name_model("zero-grpo" if n == GROUP_SIZE else f"grpo-{n}", seed)
