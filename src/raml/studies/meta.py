"""Algorithm 1 beside Algorithm 2: one outer loop around gradient steps on trajectories, and around reading them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raml.figures.loops import plot_loops
from raml.stats import estimate_mean
from raml.studies.conclusion import Outcome
from raml.studies.ingredients import TOKEN_BYTES, plan_questions
from raml.studies.loops import FOLDER, LOOPS, UNTRAINED, Losses, name_loop, read_losses
from raml.studies.plan import Cost, Setup, Step
from raml.studies.verdict import Measure
from raml.studies.wording import write_change

WAYS = {"plain": "no inner loop", "explicit": "after a\ngradient step", "implicit": "trajectory in\nthe context"}
"""In which an answer's loss is measured."""
SECOND_ORDER = 4.0
"""What Algorithm 1's training costs, as a multiple of Algorithm 2's; about 3.9 on the embedded model."""


def plan(setup: Setup) -> list[Step]:
    """List the steps: questions and trajectories to train on for each seed and to test on, then a model each."""
    own = setup.options
    test = _plan_run(setup, f"{FOLDER}/test", own["test"], 0)
    steps, measured = list(test), []
    for seed in own["seeds"]:
        train = _plan_run(setup, f"{FOLDER}/train-{seed}", own["train"], seed)
        needs = (train[-1].name, test[-1].name)
        steps += train
        names = [UNTRAINED, *LOOPS] if seed == own["seeds"][0] else [*LOOPS]
        measured += [_plan_loop(setup, name, seed, needs) for name in names]
    return [*steps, *measured]


def conclude(setup: Setup, home: Path) -> Outcome:
    """Measure what training by each algorithm changed in both ways to answer after a trajectory."""
    seeds: Sequence[int] = setup.options["seeds"]
    before = read_losses(home, UNTRAINED, 0)
    first, second = ([read_losses(home, loop, seed) for seed in seeds] for loop in LOOPS)
    measures = {
        "2 reads": _measure([_subtract(one.implicit, before.implicit) for one in second]),
        "1 steps": _measure([_subtract(one.explicit, before.explicit) for one in first]),
        "2 steps": _measure([_subtract(one.explicit, before.explicit) for one in second]),
        "2 gains": _measure([_subtract(one.explicit, one.plain) for one in second]),
        "1 reads": _measure([_subtract(one.implicit, before.implicit) for one in first]),
    }
    panels = {
        "Algorithm 1: trained to answer after a gradient step": _gather(first),
        "Algorithm 2: trained to answer after reading": _gather(second),
    }
    gain = estimate_mean("gain", _subtract(before.explicit, before.plain).tolist())
    rates = [f"{one.rate:g}" for one in (before, *first, *second)]
    n = len(seeds)
    remarks = [
        f"Before training a gradient step changes the answer's loss by {write_change(gain, '.2g')} nats.",
        f"Step sizes that serve training questions best: {rates[0]} before training, {', '.join(rates[1 : n + 1])} "
        f"after Algorithm 1, {', '.join(rates[n + 1 :])} after Algorithm 2.",
    ]
    if before.n_left_out:
        remarks.append(f"{before.n_left_out} test questions have no right trajectory and are not measured.")
    figure = plot_loops(_gather([before]), panels)
    return Outcome(measures, {"": figure}, [setup.options["model"]], seeds, remarks)


def _plan_run(setup: Setup, folder: str, own: Mapping[str, Any], seed: int) -> list[Step]:
    """Bring questions, and let their writer solve them."""
    questions = plan_questions(folder, own["questions"], seed)
    n_tokens = own["n_questions"] * own["n"] * setup.options["mean_tokens"]
    writer, *options = own["sample"]
    sample = Step(
        f"{folder}/sample",
        ("sample", writer, folder, *options, "--seed", str(seed)),
        needs=(questions[-1].name,),
        folder=folder,
        cost=Cost(generated=n_tokens, parameters=own["writer_parameters"], n_bytes=n_tokens * TOKEN_BYTES),
    )
    return [*questions, sample]


def _plan_loop(setup: Setup, loop: str, seed: int, needs: tuple[str, ...]) -> Step:
    own = setup.options
    n_questions = own["n_outer_steps"] * own["tasks_per_step"] if loop in LOOPS else 0
    n_tokens = own["n_support"] * own["mean_tokens"]
    passes = SECOND_ORDER if LOOPS.get(loop) == "explicit" else 1.0
    n_steps = own["n_choice"] * len(own["rates"]) + own["test"]["n_questions"]
    names = ("model", "inner_rate", "rates", "inner_weights", "outer_rate", "n_outer_steps", "tasks_per_step")
    sizes = {name: own[name] for name in (*names, "n_choice", "n_support")} | {"rates": tuple(own["rates"])}
    return Step(
        f"{FOLDER}/{name_loop(loop, seed)}",
        call="raml.studies.loops:train_loop",
        arguments=(("loop", loop), ("seed", seed), *sizes.items()),
        needs=needs,
        cost=Cost(trained=n_tokens * (n_questions * passes + n_steps), parameters=own["parameters"]),
    )


def _subtract(ours: Sequence[float], theirs: Sequence[float]) -> NDArray[np.float64]:
    return np.array(ours) - np.array(theirs)


def _measure(by_seed: Sequence[NDArray[np.float64]]) -> Measure:
    """Average the seeds within each question, and the questions of each seed."""
    averages = np.mean(by_seed, axis=0).tolist()
    return Measure(estimate_mean("change", averages), tuple(float(values.mean()) for values in by_seed))


def _gather(models: Sequence[Losses]) -> dict[str, NDArray[np.float64]]:
    """Collect losses [seed question] by way of answering."""
    return {label: np.array([getattr(one, way) for one in models]) for way, label in WAYS.items()}
