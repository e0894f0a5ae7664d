"""Fig. 8: SFT on more and more distinct trajectories of the same questions."""

from __future__ import annotations

from pathlib import Path

from raml.figures.trained import plot_amounts
from raml.stats import Counts
from raml.studies.answers import METRICS, count_models, measure_gain, show_metric
from raml.studies.conclusion import Outcome
from raml.studies.ingredients import (
    find_model,
    get_seeds,
    name_model,
    plan_rollouts,
    plan_sft,
    plan_test,
    plan_tested,
)
from raml.studies.plan import Setup, Step
from raml.studies.techniques import count_techniques

BALANCES = {"paper": "equal frequency", "tokens": "equal tokens"}
RULED = {"paper": "frequency", "tokens": "tokens"}


def plan(setup: Setup) -> list[Step]:
    """List the steps."""
    steps = []
    for seed in get_seeds(setup):
        rollouts = _plan_rollouts(setup, seed)
        steps += rollouts
        pairs = [(n, balance) for n in setup.options["ns"] for balance in _list_balances(setup, n)]
        for n, balance in pairs:
            model = _name_model(setup, balance, n, seed)
            steps.append(_plan_sft(setup, model, rollouts[-1], n, balance, seed))
            for test_set in setup.options["test_sets"]:
                steps += plan_test(setup, model, [model], test_set, seed=seed)
        for test_set in setup.options["test_sets"]:
            steps += plan_tested(setup, "base", test_set, seed)
    return steps


def conclude(setup: Setup, home: Path) -> Outcome:
    """Measure what the most trajectories gain on a single one, both ways to balance them."""
    found = {balance: _count(setup, home, balance) for balance in BALANCES}
    base = count_techniques(setup, home, ("base",))["base"]
    panels, levels, measures = {}, {}, {}
    for name, metric in METRICS.items():
        panels[name] = {
            BALANCES[balance]: {n: show_metric(metric, counts) for n, counts in by_n.items()}
            for balance, by_n in found.items()
        }
        levels[name] = {"base": show_metric(metric, base)}
    for balance, by_n in found.items():
        for name in ("Pass@8", "mG-Pass@8"):
            measures[f"{name}, {RULED[balance]}"] = measure_gain(METRICS[name], by_n[max(by_n)], by_n[min(by_n)])
    return Outcome(
        measures=measures,
        figures={"": plot_amounts(panels, label="distinct trajectories for each question", levels=levels)},
        models=[find_model(setup, "base", 0)],
        seeds=get_seeds(setup),
        remarks=_list_remarks(setup),
    )


def _count(setup: Setup, home: Path, balance: str) -> dict[int, Counts]:
    seeds, sets = get_seeds(setup), setup.options["test_sets"]
    return {
        n: count_models(home, [_name_model(setup, balance, n, seed) for seed in seeds], seeds, sets)
        for n in setup.options["ns"]
    }


def _plan_rollouts(setup: Setup, seed: int) -> list[Step]:
    """Bring questions with many trajectories each: the study's own, or those that all models learn from."""
    own = {name: setup.options[name] for name in ("questions", "writer", "n_questions", "n") if name in setup.options}
    return plan_rollouts(setup, seed, folder=f"train/fig8-{seed}", writing=own) if own else plan_rollouts(setup, seed)


def _plan_sft(setup: Setup, model: str, rollouts: Step, n: int, balance: str, seed: int) -> Step:
    sizes = {**setup.shared["train"], **setup.options}
    return plan_sft(
        setup,
        model,
        [rollouts.name],
        [rollouts.folder],
        seed=seed,
        n_tokens=sizes["n_questions"] * sizes["n"] * sizes["mean_tokens"],
        options=("--n", str(n), "--balance", balance),
    )


def _list_balances(setup: Setup, n: int) -> list[str]:
    """List the ways to balance that give training sets of their own: with all trajectories they give the same one."""
    return ["paper"] if n == setup.options.get("n") else list(BALANCES)


def _name_model(setup: Setup, balance: str, n: int, seed: int) -> str:
    own = balance if balance in _list_balances(setup, n) else "paper"
    return name_model(f"fig8-{own}-{n}", seed)


def _list_remarks(setup: Setup) -> list[str]:
    remarks = ["The questions are the same whatever the number of trajectories."]
    most = max(setup.options["ns"])
    if len(_list_balances(setup, most)) == 1:
        remarks.append(f"A question has {most} trajectories, so that with all of them both balances are one model.")
    return remarks
