"""Trajectories of the tiny world's oracle: always right, as different as one asks for."""

from __future__ import annotations

from raml.models import LoadedModel
from raml.records import PromptSettings, Question, Trajectory
from raml.sampling.imported import make_imported
from raml.tiny import write_trajectories
from raml.tiny.oracle import Style

ORACLE = "oracle"
"""Its name where a model's could stand."""


def ask_oracle(
    loaded: LoadedModel,
    question: Question,
    n: int,
    *,
    seed: int = 0,
    style: Style = "verbose",
    prompt: PromptSettings | None = None,
) -> list[Trajectory]:
    """Write n distinct right trajectories for a question of the tiny world, split by a model's tokenizer.

    The style is one of `raml.tiny.write_trajectories`: verbose, or terse and half as long.

    Raises:
        DataError: the question is not of the tiny world, or has fewer distinct ones.
    """
    return [
        make_imported(loaded, question, oracle.text, repeat, prompt)
        for repeat, oracle in enumerate(write_trajectories(question, n, seed=seed, style=style))
    ]
