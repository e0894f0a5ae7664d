"""What a `raml compress` has to do, and which trajectories it can be done with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from raml.cli.compress_options import Choice, CompressOptions
from raml.cli.options import LoadOptions
from raml.cli.units import Work
from raml.errors import DataError, RamlError
from raml.records import Question, ReadoutSettings, Trajectory
from raml.store import Run

Pair = tuple[Trajectory, Question]
Failure = tuple[str, RamlError]
"""A trajectory's id, and why there is nothing of it."""


@dataclass
class Task:
    """What is asked, and what has been done so far."""

    folder: Run
    pairs: Sequence[Pair]
    """Thinking trajectories that can be shortened."""
    methods: Sequence[Choice]
    options: CompressOptions
    seed: int
    memory: int | None
    allow_code: bool
    model: str | None
    """The model that answers; None for each trajectory's writer."""
    load: LoadOptions | None
    work: Work = field(default_factory=Work)

    @property
    def readout(self) -> ReadoutSettings:
        """How answers are asked for."""
        return ReadoutSettings(bridge=self.options.bridge, max_new_tokens=self.options.answer_tokens)


def choose_pairs(pairs: Sequence[Pair], errors: list[Failure]) -> list[Pair]:
    """Keep the thinking trajectories that can be shortened, and say what is wrong with the others."""
    kept = []
    for trajectory, question in pairs:
        name = f"Trajectory {trajectory.id}"
        if question.kind == "code":
            reason = f"{name}: question {question.id} asks for a program; no bridge leads to one."
        elif trajectory.correct is None:
            reason = f"{name}: it is not known whether it is right, so nothing can be compared with it."
        elif trajectory.reasoning_len == 0:
            reason = f"{name} has no reasoning before its answer; there is nothing to shorten."
        else:
            kept.append((trajectory, question))
            continue
        errors.append((trajectory.id, DataError(reason)))
    return kept
