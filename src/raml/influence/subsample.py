"""Which trajectories are written again, where time does not allow for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from raml.influence.faithfulness import MIN_SENTENCES
from raml.prompts import split_sentences
from raml.records import Trajectory, hash_key

MOST_OF_A_QUESTION = 2


@dataclass(frozen=True)
class Subsample:
    """Trajectories to write again, and why others can't be."""

    chosen: tuple[Trajectory, ...]
    """In the order in which they were drawn; a smaller subsample is the beginning of a larger one."""
    n_eligible: int
    left_out: dict[str, int]
    """How many trajectories were not eligible, by reason."""


def choose_trajectories(
    trajectories: Sequence[Trajectory], n: int, *, only: Literal["all", "right", "wrong"] = "all", seed: int = 0
) -> Subsample:
    """Draw a subsample of thinking trajectories, evenly from right and wrong ones, at most two of a question.

    Each draw takes from the side that has fewer so far, and a question's second trajectory only where that side has no
    other question left. What is drawn depends on seed and ids, not on the order of the list.
    """
    wanted = {"all": (True, False), "right": (True,), "wrong": (False,)}[only]
    left_out: dict[str, int] = {}
    pools: dict[bool, list[Trajectory]] = {side: [] for side in wanted}
    for trajectory in sorted(trajectories, key=lambda t: hash_key("subsample", seed, t.id)):
        reason = _find_obstacle(trajectory, wanted)
        if reason is not None:
            left_out[reason] = left_out.get(reason, 0) + 1
        elif trajectory.correct is not None:
            pools[trajectory.correct].append(trajectory)
    chosen: list[Trajectory] = []
    n_eligible = sum(map(len, pools.values()))
    while len(chosen) < n and (drawn := _draw(pools, chosen)) is not None:
        chosen.append(drawn)
    return Subsample(tuple(chosen), n_eligible, dict(sorted(left_out.items())))


def _find_obstacle(trajectory: Trajectory, wanted: Sequence[bool]) -> str | None:
    """Why a trajectory can't or shan't be written again; None if it can."""
    if trajectory.mode != "think":
        return "without thinking"
    if trajectory.correct is None:
        return "undecided"
    if trajectory.correct not in wanted:
        return "right" if trajectory.correct else "wrong"
    if trajectory.finish == "length":
        return "cut off"
    if len(split_sentences(trajectory)) < MIN_SENTENCES:
        return f"fewer than {MIN_SENTENCES} sentences"
    return None


def _draw(pools: dict[bool, list[Trajectory]], chosen: Sequence[Trajectory]) -> Trajectory | None:
    """Take the next trajectory out of its pool; None if every question has given all that it may."""
    questions = [trajectory.question_id for trajectory in chosen]
    sides = sorted(pools, key=lambda side: sum(trajectory.correct is side for trajectory in chosen))
    for side in sides:
        for most in range(1, MOST_OF_A_QUESTION + 1):
            for trajectory in pools[side]:
                if questions.count(trajectory.question_id) < most:
                    pools[side].remove(trajectory)
                    return trajectory
    return None
