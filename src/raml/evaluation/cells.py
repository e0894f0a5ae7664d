"""Sort the responses of some runs into cells: one model, asked in one way, on one benchmark."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Literal

from raml.errors import DataError
from raml.prompts import resolve_prompt
from raml.records import PromptSettings, Question, Trajectory

By = Literal["source", "domain", "all"]
"""What makes a benchmark: where questions come from, their domain, or nothing."""


@dataclass(frozen=True)
class Cell:
    """The responses of one model, asked in one way, to one benchmark."""

    model: str
    """Its label: the name, and in brackets what tells it apart from others of that name on the benchmark."""
    benchmark: str
    responses: dict[str, list[Trajectory]] = field(default_factory=dict)
    """By question id, in the order of the questions."""


def collect_cells(runs: Sequence[tuple[Sequence[Question], Sequence[Trajectory]]], *, by: By = "source") -> list[Cell]:
    """Sort responses by model and benchmark, in the order in which they first come.

    Responses are of one model if its weights, its arithmetic and the way of asking agree: thinking mode, instruction,
    sampling settings but for the seed, engine. So runs with other seeds add responses to a cell, and runs on other
    questions add questions. A response that is in two runs counts once.

    Raises:
        DataError: there is no response, or one to a question that its run does not have.
    """
    groups: dict[tuple[str, tuple[object, ...]], dict[str, dict[str, Trajectory]]] = {}
    for questions, trajectories in runs:
        by_id = {question.id: question for question in questions}
        rank = {question.id: i for i, question in enumerate(questions)}
        for trajectory in sorted(trajectories, key=lambda t: rank.get(t.question_id, -1)):
            question = by_id.get(trajectory.question_id)
            if question is None:
                raise DataError(
                    f"Trajectory {trajectory.id} answers question {trajectory.question_id}, which is not in its run."
                )
            key = name_benchmark(question, by), _describe(trajectory, question)
            groups.setdefault(key, {}).setdefault(question.id, {})[trajectory.id] = trajectory
    if not groups:
        raise DataError("The runs have no trajectories to evaluate. Make some with `raml sample MODEL RUN`.")
    labels = _label(list(groups))
    return [
        Cell(label, benchmark, {question: list(made.values()) for question, made in responses.items()})
        for (benchmark, _), responses, label in zip(groups, groups.values(), labels, strict=True)
    ]


def name_benchmark(question: Question, by: By) -> str:
    """Name the benchmark that a question belongs to; a source's revision or file is no part of the name."""
    if by == "all":
        return "all questions"
    name = question.domain if by == "domain" else re.split(r"@| from ", question.source or "")[0]
    return name or f"(no {by})"


def _describe(trajectory: Trajectory, question: Question) -> tuple[object, ...]:
    """List what makes responses comparable, the model's name first; each may become a part of a label."""
    model, sampling, prompt = trajectory.model, trajectory.sampling, trajectory.prompt
    usual = resolve_prompt(question, PromptSettings()).instruction
    asked = None if prompt is None or prompt.instruction == usual else prompt.instruction
    drawn = () if sampling is None else astuple(replace(sampling, seed=0))
    weights = (model.weights_sha256 or "")[:8]
    config = (model.config_sha256 or "")[:8]
    return model.name, weights, config, model.dtype, trajectory.mode, trajectory.engine, asked, drawn


def _label(keys: Sequence[tuple[str, tuple[object, ...]]]) -> list[str]:
    """Name each group by its model and, in brackets, by what differs among those of that name on its benchmark."""
    labels = []
    for benchmark, description in keys:
        rivals = [other for place, other in keys if place == benchmark and other[0] == description[0]]
        differing = [i for i in range(1, len(description)) if len({rival[i] for rival in rivals}) > 1]
        told = [text for i in differing if (text := _tell(i, description[i], [rival[i] for rival in rivals]))]
        labels.append(f"{description[0]} ({', '.join(told)})" if told else str(description[0]))
    return labels


def _tell(place: int, value: object, rivals: Sequence[object]) -> str:
    """Put one part of a description into words."""
    if place == 1:
        return f"weights {value or 'unknown'}"
    if place == 2:
        return f"configuration {value or 'unknown'}"
    if place == 6:
        return "usual instruction" if value is None else f"instruction {str(value)[:40]!r}"
    if place == 7:
        return _tell_sampling(value, rivals)
    return "imported" if value is None else str(value)


def _tell_sampling(drawn: object, rivals: Sequence[object]) -> str:
    """Name those sampling settings that differ among the rivals."""
    assert isinstance(drawn, tuple)
    if not drawn:
        return "imported"
    names = ("T", "top-p", "top-k", "min-p", "max tokens")
    others = [rival for rival in rivals if isinstance(rival, tuple) and rival]
    return ", ".join(f"{name} {drawn[i]:g}" for i, name in enumerate(names) if len({rival[i] for rival in others}) > 1)
