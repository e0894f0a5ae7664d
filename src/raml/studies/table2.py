"""Table 2: SFT on given trajectories, long or short, against GRPO from the base."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from raml.errors import RunError
from raml.store import Run
from raml.studies.answers import METRICS, count_models, describe_gain, measure_gain
from raml.studies.conclusion import Outcome
from raml.studies.ingredients import (
    find_model,
    get_seeds,
    name_model,
    plan_model,
    plan_rollouts,
    plan_sft,
    plan_test,
    plan_tested,
)
from raml.studies.plan import Setup, Step
from raml.studies.techniques import LABELS, SHORT, count_techniques, draw_table

Length = Literal["long", "short"]
LENGTHS: tuple[Length, ...] = ("long", "short")


def plan(setup: Setup) -> list[Step]:
    """List the steps."""
    steps = []
    for seed in get_seeds(setup):
        for length in LENGTHS:
            trained = _plan_trained(setup, length, seed)
            steps += trained
            for test_set in setup.options["test_sets"]:
                steps += plan_test(setup, _name_model(setup, length, seed), [trained[-1].name], test_set, seed=seed)
        for test_set in setup.options["test_sets"]:
            steps += [step for name in ("base", "zero-grpo") for step in plan_tested(setup, name, test_set, seed)]
    return steps


def conclude(setup: Setup, home: Path) -> Outcome:
    """Measure what SFT on long trajectories gains on Zero-GRPO, and on SFT on short ones."""
    seeds, sets = get_seeds(setup), setup.options["test_sets"]
    long, short = (
        count_models(home, [_name_model(setup, length, seed) for seed in seeds], seeds, sets) for length in LENGTHS
    )
    found = count_techniques(setup, home, ("base", "zero-grpo"))
    base, zero = found["base"], found["zero-grpo"]
    stable, solved = METRICS["mG-Pass@8"], METRICS["Pass@8"]
    return Outcome(
        measures={
            "mG-Pass@8": measure_gain(stable, long, zero),
            "Pass@8": measure_gain(solved, long, zero),
            "long over short": measure_gain(stable, long, short),
        },
        figures={"": draw_table({"base": base, SHORT: short, LABELS["sft"]: long, LABELS["zero-grpo"]: zero})},
        models=[find_model(setup, "base", 0)],
        seeds=seeds,
        remarks=[
            describe_gain("SFT on long trajectories minus base", long, base),
            describe_gain("Zero-GRPO minus base", zero, base),
            describe_gain("SFT on long minus on short trajectories", long, short),
            describe_gain("SFT on short trajectories minus base", short, base),
        ],
    )


def take_by_length(home: Path, *, source: str, target: str, n: int, longest: bool) -> None:
    """Take each question's n longest or shortest right trajectories as a run of their own.

    No trajectory is both: of fewer than 2n right ones half are taken, and a question with less than two is left out.

    Raises:
        RunError: no question has two.
    """
    run, new = Run(home / source), Run(home / target)
    by_question = {question.id: [] for question in run.read_questions()}
    for trajectory in run.read_trajectories():
        if trajectory.correct is True:
            by_question[trajectory.question_id].append(trajectory)
    taken = []
    for own in by_question.values():
        ordered = sorted(own, key=lambda t: (len(t.token_ids), t.id), reverse=longest)
        taken += ordered[: min(n, len(own) // 2)]
    if not taken:
        raise RunError(f"{run.path} has no question with two right trajectories, a longer and a shorter one.")
    new.write_questions([question for question in run.read_questions() if len(by_question[question.id]) > 1])
    new.write_trajectories(taken)


def _plan_trained(setup: Setup, length: Length, seed: int) -> list[Step]:
    """Train on long or short trajectories of the same questions.

    Short ones come from a writer of their own, the long ones then being those of the other studies; or, where the scale
    has one writer, both are chosen from what it writes.
    """
    train, options = setup.shared["train"], setup.options
    folder, model = f"train/sft-{length}-{seed}", _name_model(setup, length, seed)
    if "by_length" in options:
        *rollouts, last = plan_rollouts(setup, seed)
        chosen = {"source": last.folder, "target": folder, "n": options["by_length"], "longest": length == "long"}
        take = Step(
            folder,
            call="raml.studies.table2:take_by_length",
            arguments=tuple(chosen.items()),
            needs=(last.name,),
            folder=folder,
        )
        n_tokens = train["n_questions"] * options["by_length"] * train["mean_tokens"]
        return [*rollouts, last, take, plan_sft(setup, model, [folder], [folder], seed=seed, n_tokens=n_tokens)]
    if length == "long":
        return plan_model(setup, "sft", seed)
    writing = {"mean_tokens": options["short_tokens"], "writer": options["short_writer"]}
    writing["writer_parameters"] = options.get("short_writer_parameters", 0)
    *rollouts, last = plan_rollouts(setup, seed, folder=folder, writing=writing)
    n_tokens = train["n_questions"] * train["n"] * options["short_tokens"]
    return [*rollouts, last, plan_sft(setup, model, [last.name], [folder], seed=seed, n_tokens=n_tokens)]


def _name_model(setup: Setup, length: Length, seed: int) -> str:
    is_shared = length == "long" and "by_length" not in setup.options
    return name_model("sft" if is_shared else f"sft-{length}", seed)
