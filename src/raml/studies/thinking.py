"""The probed run's thinking trajectories as a run of their own, for stages that would take both modes together."""

from __future__ import annotations

from pathlib import Path

from raml.errors import RunError
from raml.store import Run
from raml.studies.ingredients import PROBE, plan_probe
from raml.studies.plan import Setup, Step

THINKING = "thinking"
"""Its folder, and the start of its steps' names."""
N_TRAJECTORIES = 2
"""Of each question: intervals are over questions, and more trajectories of one add little to them."""


def plan_thinking(setup: Setup) -> list[Step]:
    """Sample and trace the probed run, and take its first thinking trajectories; the last step takes them."""
    take = Step(
        f"{THINKING}/take",
        call="raml.studies.thinking:take_thinking",
        arguments=(("n", N_TRAJECTORIES),),
        needs=(f"{PROBE}/sample-nothink",),
        folder=THINKING,
    )
    return [*plan_probe(setup), take]


def take_thinking(home: Path, *, n: int) -> None:
    """Write the run folder: all questions, and the first n thinking trajectories of each.

    Raises:
        RunError: the probed run has none.
    """
    probed, taken = Run(home / PROBE), Run(home / THINKING)
    trajectories = [t for t in probed.read_trajectories() if t.mode == "think" and t.repeat < n]
    if not trajectories:
        raise RunError(f"{probed.path} has no thinking trajectories; sample some without --mode nothink.")
    taken.write_questions(probed.read_questions())
    taken.write_trajectories(trajectories)
