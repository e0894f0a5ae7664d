"""Fig. 2: a trajectory on the loss landscape, drawn the paper's way and where it really is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from raml.errors import RunError
from raml.figures import plot_landscape
from raml.records import Estimate, Landscape, Plane, PlanePath, Trajectory
from raml.stats import average_questions, estimate_mean
from raml.stats.surface import choose_surface, interpolate
from raml.store import Run
from raml.store.landscapes import read_landscape
from raml.studies.conclusion import Outcome
from raml.studies.ingredients import BRANCH_TOKENS
from raml.studies.plan import Cost, Setup, Step
from raml.studies.thinking import N_TRAJECTORIES, THINKING, plan_thinking
from raml.studies.verdict import Measure
from raml.studies.wording import write_estimate, write_number

PATH_POINTS = 40
"""Of a path that is drawn; each is read twice after bridge and answer."""


def plan(setup: Setup) -> list[Step]:
    """List the steps: a plane of random directions with paths on it, and the plane of one path."""
    options = setup.options
    planes: dict[Plane, tuple[int, int, int]] = {
        "random": (options["n_questions"], options["n_paths"], options["n_steps"]),
        "path": (1, N_TRAJECTORIES, options["n_path_steps"]),
    }
    steps = plan_thinking(setup)
    for plane, (n_questions, n_paths, n_steps) in planes.items():
        numbers = ("--n-questions", str(n_questions), "--n-paths", str(n_paths), "--n-steps", str(n_steps))
        path_tokens = n_paths * (setup.shared["probe"]["mean_tokens"] + 2 * PATH_POINTS * BRANCH_TOKENS)
        step = Step(
            f"{THINKING}/landscape-{plane}",
            words=("landscape", THINKING, "--plane", plane, *numbers, *options["load"]),
            needs=(f"{THINKING}/take",),
            folder=THINKING,
            cost=Cost(
                scored=n_steps**2 * n_questions * options["row_tokens"] + path_tokens,
                parameters=setup.shared["probe"]["parameters"],
            ),
        )
        steps.append(step)
    return steps


def conclude(setup: Setup, home: Path) -> Outcome:
    """Measure how far L̂ falls along the drawn paths, and how much of them lies on the plane."""
    run = Run(home / THINKING)
    trajectories = run.read_trajectories()
    surface, own = _read_plane(run, "random"), _read_plane(run, "path")
    right = _list_right(surface, trajectories)
    shares = [(question, measure_share(path)) for question, path in right]
    falls = [(question, float(path.loss[-1]) - float(path.loss[0])) for question, path in right]
    shown = next((question for question, _ in right), None)
    return Outcome(
        measures={
            "fall": Measure(_estimate("change of L̂", falls)),
            "on the plane": Measure(_estimate("share on the plane", [(q, 100 * share) for q, share in shares])),
        },
        figures={
            "": plot_landscape(surface, trajectories, question_id=shown, draw="paper"),
            "feet": plot_landscape(surface, trajectories, question_id=shown),
            "own-plane": plot_landscape(own, trajectories),
        },
        models=[surface.model.name],
        seeds=[surface.settings.seed],
        remarks=[
            f"{len(right)} of {len(surface.paths)} drawn paths are right.",
            *_describe_feet(surface, trajectories),
            *_describe_own_plane(own, trajectories),
        ],
    )


def measure_share(path: PlanePath) -> float:
    """The share of a path's squared distances from the weights that lies within the plane, from 0 to 1.

    1 − Σ(distance from the plane)² / Σ(distance from θ)² over its points; NaN for a path that does not move.
    """
    total = float(np.square(path.distance).sum())
    return 1 - float(np.square(path.off_plane).sum()) / total if total else float("nan")


def _read_plane(run: Run, plane: Plane) -> Landscape:
    files = sorted(run.landscapes_path.glob(f"{plane}-*.safetensors"))
    if len(files) != 1:
        raise RunError(f"{run.landscapes_path} holds {len(files)} landscapes of plane {plane}; the study reads one.")
    return read_landscape(files[0])


def _list_right(landscape: Landscape, trajectories: Sequence[Trajectory]) -> list[tuple[str, PlanePath]]:
    """Right trajectories' paths, each with its question."""
    by_id = {trajectory.id: trajectory for trajectory in trajectories}
    return [
        (by_id[path.trajectory_id].question_id, path)
        for path in landscape.paths
        if by_id[path.trajectory_id].correct is True
    ]


def _estimate(name: str, values: Sequence[tuple[str, float]]) -> Estimate | None:
    """Estimate the mean over questions of what is known; None if nothing is."""
    known = [(question, value) for question, value in values if np.isfinite(value)]
    means = average_questions([question for question, _ in known], [value for _, value in known])
    return estimate_mean(name, means.tolist()) if known else None


def _describe_feet(landscape: Landscape, trajectories: Sequence[Trajectory]) -> list[str]:
    """Say whether the surface itself falls where the right paths' feet are."""
    changes = []
    for question, path in _list_right(landscape, trajectories):
        heights = interpolate(choose_surface(landscape, list(trajectories), question), path.coordinates)
        changes.append((question, float(heights[-1] - heights[0])))
    made = _estimate("change of the surface", changes)
    if made is None:
        return []
    return [
        "The random plane's surface at the feet of these paths changes from the first to the last point by "
        f"{write_estimate(made, 'nats')}."
    ]


def _describe_own_plane(landscape: Landscape, trajectories: Sequence[Trajectory]) -> list[str]:
    """Say how much of the path that spans a plane lies on it, and what the surface is at its end."""
    path = next((p for p in landscape.paths if p.trajectory_id == landscape.settings.trajectory_id), None)
    if path is None:
        return []
    foot = float(interpolate(choose_surface(landscape, list(trajectories), None), path.coordinates)[-1])
    start, end = (write_number(round(float(loss), 3)) for loss in path.loss[[0, -1]])
    return [
        f"On the plane fitted to one right trajectory's own path lies {100 * measure_share(path):.0f} % of its squared "
        f"distances; L̂ goes from {start} to {end} nats along it, and the surface at its last foot is "
        f"{write_number(foot)}."
    ]
