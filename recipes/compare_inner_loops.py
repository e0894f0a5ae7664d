"""Algorithm 1 beside Algorithm 2: the same outer loop around an explicit and an implicit inner loop, on the tiny world.

    python recipes/compare_inner_loops.py --steps 300 --seeds 2

Each question has two oracle trajectories. Prints the answer's loss on held-out questions without an inner loop, after
an explicit step on the trajectories as text, and with a trajectory in the context, before and after training with each
inner loop; and what a step of each outer loop costs, in turns.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch

from raml.models import LoadedModel, load_model
from raml.sampling import ask_oracle
from raml.tiny import make_questions
from raml.tiny.questions import Split
from raml.training.maml import MetaSettings, MetaTask, TaskLosses, make_meta_tasks, measure_tasks, meta_train

LOOPS: dict[str, tuple[Literal[1, 2], Literal["explicit", "implicit"]]] = {
    "explicit, first order": (1, "explicit"),
    "explicit, second order": (2, "explicit"),
    "implicit": (1, "implicit"),
}


def main() -> None:
    """Train, measure, print."""
    arguments = read_arguments()
    torch.set_num_threads(1)
    loaded = load_model("tiny", device="cpu")
    train = make_tasks(loaded, "train", arguments.train_questions)
    held_out = make_tasks(loaded, "test", arguments.test_questions)
    settings = MetaSettings(inner_rate=1.0, outer_rate=3e-4, n_outer_steps=arguments.steps, tasks_per_step=4)
    print("| trained by | plain | after an explicit step | explicit − plain | in context |\n|---|---|---|---|---|")
    print(describe("nothing", measure_tasks(loaded.model, held_out, settings)), flush=True)
    for name, (order, inner) in LOOPS.items():
        for seed in range(arguments.seeds):
            chosen = replace(settings, order=order, seed=seed)
            weights, _ = meta_train(loaded.model, train, chosen, inner=inner)
            print(describe(f"{name}, seed {seed}", measure_tasks(loaded.model, held_out, chosen, weights)), flush=True)
    time_loops(loaded, train, settings)


def make_tasks(loaded: LoadedModel, split: Split, n: int) -> Sequence[MetaTask]:
    """Make tasks with two oracle trajectories as support."""
    questions = make_questions(n, split=split)
    trajectories = [trajectory for question in questions for trajectory in ask_oracle(loaded, question, 2)]
    return make_meta_tasks(loaded, questions, trajectories)[0]


def describe(name: str, losses: Sequence[TaskLosses]) -> str:
    """Write a row of the table: means and standard errors over questions, in nats."""
    plain, explicit, implicit = (
        np.array([getattr(task, key) for task in losses]) for key in ("unadapted", "explicit", "implicit")
    )
    cells = [show(plain), show(explicit), show(explicit - plain, "+"), show(implicit)]
    return f"| {name} | " + " | ".join(cells) + " |"


def show(values: np.ndarray, sign: str = "") -> str:
    """Write mean and standard error."""
    return f"{values.mean():{sign}.3f} ± {values.std(ddof=1) / len(values) ** 0.5:.3f}"


def time_loops(loaded: LoadedModel, tasks: Sequence[MetaTask], settings: MetaSettings, rounds: int = 12) -> None:
    """Print how long outer steps take, as ratios within rounds."""
    seconds: dict[str, list[float]] = {name: [] for name in LOOPS}
    for seed in range(rounds):
        for name, (order, inner) in LOOPS.items():
            chosen = replace(settings, order=order, n_outer_steps=2, seed=seed)
            seconds[name].append(meta_train(loaded.model, tasks, chosen, inner=inner)[1][1].step_s)
    first, second, implicit = seconds.values()
    for name, above, below in (
        ("second / first order", second, first),
        ("first order / implicit", first, implicit),
        ("second order / implicit", second, implicit),
    ):
        ratios = [a / b for a, b in zip(above, below, strict=True)]
        print(f"{name}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def read_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Compare the inner loops of Algorithms 1 and 2.")
    parser.add_argument("--steps", type=int, default=300, help="of the outer loop")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--train-questions", type=int, default=1200)
    parser.add_argument("--test-questions", type=int, default=128)
    return parser.parse_args()


if __name__ == "__main__":
    main()
