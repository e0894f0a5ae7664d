"""Fig. 4: how much is solved, and how stably, after SFT on more and more questions."""

from __future__ import annotations

from pathlib import Path

from raml.errors import RunError
from raml.figures.trained import plot_amounts
from raml.stats import Metric
from raml.store import Run
from raml.studies.answers import count_models, measure_gain, show_metric
from raml.studies.conclusion import Outcome
from raml.studies.ingredients import (
    find_model,
    get_seeds,
    name_model,
    plan_model,
    plan_sft,
    plan_test,
    plan_tested,
)
from raml.studies.plan import Setup, Step
from raml.studies.techniques import LABELS, count_techniques

METRICS = {"Avg": Metric("avg"), "Pass@32": Metric("pass", k=32), "mG-Pass@32": Metric("mg-pass", k=32)}


def plan(setup: Setup) -> list[Step]:
    """List the steps."""
    steps = []
    for seed in get_seeds(setup):
        for n_questions in setup.options["n_questions"]:
            trained = _plan_sft(setup, n_questions, seed)
            model = _name_model(setup, n_questions, seed)
            steps += trained
            for test_set in setup.options["test_sets"]:
                steps += plan_test(setup, model, [trained[-1].name], test_set, seed=seed)
        for test_set in setup.options["test_sets"]:
            steps += [step for name in ("base", "zero-grpo") for step in plan_tested(setup, name, test_set, seed)]
    return steps


def conclude(setup: Setup, home: Path) -> Outcome:
    """Measure what SFT on the most questions gains on SFT on the fewest."""
    seeds, sets = get_seeds(setup), setup.options["test_sets"]
    sft = {
        amount: count_models(home, [_name_model(setup, amount, seed) for seed in seeds], seeds, sets)
        for amount in sorted(setup.options["n_questions"])
    }
    others = count_techniques(setup, home, ("base", "zero-grpo"))
    most, fewest = sft[max(sft)], sft[min(sft)]
    n_grpo = len(Run(home / f"train/grpo-{seeds[0]}").read_questions())
    panels = {
        name: {
            "SFT": {amount: show_metric(metric, counts) for amount, counts in sft.items()},
            LABELS["zero-grpo"]: {n_grpo: show_metric(metric, others["zero-grpo"])},
        }
        for name, metric in METRICS.items()
    }
    levels = {name: {"base": show_metric(metric, others["base"])} for name, metric in METRICS.items()}
    gain = measure_gain(METRICS["Avg"], most, fewest).estimate
    assert gain is not None
    return Outcome(
        measures={name: measure_gain(METRICS[name], most, fewest) for name in ("Pass@32", "mG-Pass@32")},
        figures={"": plot_amounts(panels, label="training questions", levels=levels)},
        models=[find_model(setup, "base", 0)],
        seeds=seeds,
        remarks=[
            f"The share of right responses rises by {gain.value:.1f} points [{gain.low:.1f}, {gain.high:.1f}].",
            f"GRPO from the base saw {n_grpo} questions, each answered by a group of rollouts.",
            "The paper sets public models of unlike origin beside each other; here the amount, and with it the "
            "number of updates, is all that differs.",
        ],
    )


def take_questions(home: Path, *, source: str, target: str, n_questions: int) -> None:
    """Take a run's first questions, with their trajectories, as a run of their own.

    Raises:
        RunError: there are fewer.
    """
    run, new = Run(home / source), Run(home / target)
    questions = run.read_questions()
    if len(questions) < n_questions:
        raise RunError(f"{run.path} has {len(questions)} questions; {n_questions} were asked for.")
    kept = questions[:n_questions]
    ids = {question.id for question in kept}
    new.write_questions(kept)
    new.write_trajectories([t for t in run.read_trajectories() if t.question_id in ids])


def _plan_sft(setup: Setup, n_questions: int, seed: int) -> list[Step]:
    """Train on the first questions of a seed; on all of them it is the model of the other studies."""
    all_of_them = plan_model(setup, "sft", seed)
    train = setup.shared["train"]
    if n_questions == train["n_questions"]:
        return all_of_them
    source, target = f"train/sft-{seed}", f"train/sft-{n_questions}-{seed}"
    take = Step(
        target,
        call="raml.studies.fig4:take_questions",
        arguments=(("source", source), ("target", target), ("n_questions", n_questions)),
        needs=(f"{source}/sample",),
        folder=target,
    )
    model = _name_model(setup, n_questions, seed)
    n_tokens = n_questions * train["n"] * train["mean_tokens"]
    rollouts = all_of_them[:-1]
    return [*rollouts, take, plan_sft(setup, model, [target], [target], seed=seed, n_tokens=n_tokens)]


def _name_model(setup: Setup, n_questions: int, seed: int) -> str:
    is_all = n_questions == setup.shared["train"]["n_questions"]
    return name_model("sft" if is_all else f"sft-{n_questions}", seed)
