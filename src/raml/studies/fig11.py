"""Fig. 11: is there shorter reasoning that ends nearly as well? Budgets, summaries, no thinking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raml.efficiency.outcomes import (
    NO_THINKING,
    Resamples,
    average,
    collect_cells,
    compare_shares,
    get_right,
    pair_outcomes,
)
from raml.figures import plot_frontier
from raml.figures.trained import Shown, plot_models
from raml.records import Estimate, Frontier, FrontierPoint, Method
from raml.store import Run, read_summary
from raml.studies.answers import in_points
from raml.studies.conclusion import Outcome
from raml.studies.ingredients import PROBE, TOKEN_BYTES, plan_probe, plan_questions
from raml.studies.plan import Cost, Setup, Step
from raml.studies.verdict import Measure
from raml.studies.wording import write_number

OWN = "fig11"
"""Folder of the study's own run, where it has one."""
METHODS: tuple[Method, ...] = ("cut", "summary", "no-thinking")
ROWS: Mapping[Method, str] = {"full": "thinking", "summary": "summary", "no-thinking": "no-thinking"}
BENCHMARKS = ("AIME24", "MATH500-L5", "LiveMathBench-Hard-en")
PAPER: Mapping[str, Mapping[str, Sequence[float]]] = {
    "accuracy": {
        "thinking": (80.63, 94.17, 58.33),
        "summary": (39.79, 83.14, 27.01),
        "no-thinking": (27.92, 71.12, 16.37),
    },
    "Pass@n": {
        "thinking": (93.33, 99.25, 76.19),
        "summary": (80.00, 93.96, 59.52),
        "no-thinking": (60.00, 90.30, 38.10),
    },
}
"""The paper's Avg@16 and Pass@16 of Qwen3-32B on BENCHMARKS, in percent."""
UNPAIRED = "No question has both summaries and no-thinking responses."


def plan(setup: Setup) -> list[Step]:
    """List the steps: the probed run or one of the study's own, shortened."""
    options, folder = setup.options, _name_folder(setup)
    own = options["own"] or setup.shared["probe"]
    steps = _plan_own(options["own"]) if options["own"] else plan_probe(setup)
    n_summaries = own["n_questions"] * own["n"] * options["n_runs"]
    n_written = n_summaries * options["summary_tokens"]
    compress = Step(
        f"{folder}/compress",
        words=("compress", folder, *METHODS, *options["compress"]),
        needs=(steps[-1].name,),
        folder=folder,
        cost=Cost(
            generated=n_written,
            scored=n_summaries * own["mean_tokens"] + n_written,
            parameters=options["summarizer_parameters"],
            n_bytes=n_written * TOKEN_BYTES,
        ),
    )
    return [*steps, compress]


def conclude(setup: Setup, home: Path) -> Outcome:
    """Set accuracy from summaries against no thinking and against full thinking, and tokens against tokens."""
    folder = _name_folder(setup)
    frontier = read_summary(home / folder / "compress.json", Frontier)
    points = [point for point in frontier.points if point.method in ("full", *METHODS)]
    summary = next((point for point in points if point.method == "summary"), None)
    estimates = {
        "beside no-thinking": summary and compare_without_thinking(Run(home / folder), summary),
        "saved": summary and summary.saved_context,
        "beside thinking": summary and summary.difference,
    }
    reason = UNPAIRED if summary else "No summary gave an answer that counts."
    return Outcome(
        measures={
            name: Measure(in_points(one)) if one else Measure(None, note=reason) for name, one in estimates.items()
        },
        figures={
            "": plot_frontier(points, n=frontier.n),
            "beside-paper": plot_models(_list_panels(points), published=PAPER, benchmarks=BENCHMARKS),
        },
        models=[frontier.model],
        seeds=[0],
        remarks=[f"Pass@n has n = {frontier.n} here and 16 in the paper.", *_describe(points)],
    )


def compare_without_thinking(run: Run, summary: FrontierPoint) -> Estimate | None:
    """Estimate by how much accuracy from summaries exceeds that without thinking, on the questions that have both.

    A share of 1. None if no question has both.
    """
    cells = collect_cells(run.read_trajectories(), run.read_attempts())
    if NO_THINKING not in cells:
        return None
    own, theirs = pair_outcomes(cells[summary.key], cells[NO_THINKING])
    if not own:
        return None
    difference, _ = compare_shares(
        "accuracy difference", average(own, get_right), average(theirs, get_right), Resamples()
    )
    return difference


def _name_folder(setup: Setup) -> str:
    return OWN if setup.options["own"] else PROBE


def _plan_own(own: Mapping[str, Any]) -> list[Step]:
    """Sample a run of the study's own, with thinking and without."""
    line = ("sample", own["model"], OWN, *own["sample"])
    names = f"{OWN}/questions", f"{OWN}/sample", f"{OWN}/sample-nothink"
    steps = plan_questions(OWN, own["questions"])
    modes = ((), own["mean_tokens"]), (("--mode", "nothink"), own["mean_tokens_nothink"])
    for before, name, (mode, mean_tokens) in zip(names[:-1], names[1:], modes, strict=True):
        n_tokens = own["n_questions"] * own["n"] * mean_tokens
        cost = Cost(generated=n_tokens, parameters=own["parameters"], n_bytes=n_tokens * TOKEN_BYTES)
        steps.append(Step(name, words=(*line, *mode), needs=(before,), folder=OWN, cost=cost))
    return steps


def _list_panels(points: Sequence[FrontierPoint]) -> dict[str, dict[str, Shown]]:
    """Accuracy and Pass@n by row, in percent."""
    panels: dict[str, dict[str, Shown]] = {"accuracy": {}, "Pass@n": {}}
    for method, row in ROWS.items():
        for point in points:
            for title, one in (("accuracy", point.accuracy), ("Pass@n", point.pass_at_n)):
                if point.method == method and one is not None:
                    panels[title][row] = Shown(in_points(one))
    return {title: rows for title, rows in panels.items() if rows}


def _describe(points: Sequence[FrontierPoint]) -> list[str]:
    """Say what was left out, what summaries cost, and how the paper's own values stand to the rules."""
    remarks = []
    for point in points:
        if point.method == "summary":
            remarks.append(
                f"{point.n_attempts} answers from summaries of {point.n_trajectories} trajectories count; "
                f"{point.n_left_out} are left out, as nothing was left to answer from. From {point.n_leaked} summaries "
                "sentences were taken out that gave the answer away."
            )
            if (saved := point.saved_generated) is not None:
                more = "more" if saved.value < 0 else "fewer"
                remarks.append(
                    f"Of tokens generated, reasoning included, summaries take {100 * abs(saved.value):.0f} % {more} "
                    "than full thinking."
                )
    pairs = zip(PAPER["accuracy"]["summary"], PAPER["accuracy"]["thinking"], strict=True)
    losses = ", ".join(write_number(own - full) for own, full in pairs)
    remarks.append(f"Summaries minus full thinking in the paper: {losses} points ({', '.join(BENCHMARKS)}).")
    return remarks
