"""Sort the responses of some runs into cells: one model, asked in one way, on one benchmark."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Literal

from raml.errors import DataError
from raml.prompts import resolve_prompt
from raml.records import PromptSettings, Question, Trajectory, hash_key

By = Literal["source", "domain", "all"]
"""What makes a benchmark: where questions come from, their domain, or nothing."""
_NAMED_SOURCE = re.compile(r"([^/@\s]+/[^/@\s]+|reasoning-gym:[^@\s]+)(?:@| from )")
"""A data set or task with its revision or file; the name of a file of one's own has no slash."""
_Description = tuple[object, ...]
_Key = tuple[str, _Description]


@dataclass(frozen=True)
class Cell:
    """The responses of one model, asked in one way, to one benchmark."""

    model: str
    """Its label: the name, and in brackets what tells it apart from others of that name."""
    benchmark: str
    responses: dict[str, list[Trajectory]] = field(default_factory=dict)
    """By question id, in the order of the questions."""
    unanswered: tuple[str, ...] = ()
    """Ids of the benchmark's questions, in the runs where the model answered any, that it gave no response to."""


def collect_cells(runs: Sequence[tuple[Sequence[Question], Sequence[Trajectory]]], *, by: By = "source") -> list[Cell]:
    """Sort responses by model and benchmark, in the order in which they first come.

    Responses are of one model if its weights, its arithmetic and the way of asking agree: thinking mode, instruction,
    sampling settings but for the seed, engine. So runs with other seeds add responses to a cell, and runs on other
    questions add questions. A response that is in two runs counts once, with the grade that decides it. What is said
    of why a response is undecided is withheld where the question's terms ask for it.

    Raises:
        DataError: there is no response, one to a question that its run does not have, one that two runs graded
            differently, or one id stands for different questions of a benchmark.
    """
    groups: dict[_Key, dict[str, dict[str, Trajectory]]] = {}
    asked: dict[_Key, dict[str, None]] = {}
    first: dict[tuple[str, str], Question] = {}
    for questions, trajectories in runs:
        by_id = {question.id: question for question in questions}
        rank = {question.id: i for i, question in enumerate(questions)}
        for question in questions:
            _check_same(question, first.setdefault((name_benchmark(question, by), question.id), question))
        mine = set()
        for trajectory in sorted(trajectories, key=lambda t: rank.get(t.question_id, -1)):
            question = by_id.get(trajectory.question_id)
            if question is None:
                raise DataError(
                    f"Trajectory {trajectory.id} answers question {trajectory.question_id}, which is not in its run."
                )
            key = name_benchmark(question, by), _describe(trajectory, question)
            mine.add(key)
            made = groups.setdefault(key, {}).setdefault(question.id, {})
            made[trajectory.id] = _choose_grade(made.get(trajectory.id), _withhold(trajectory, question))
        for key in mine:
            asked.setdefault(key, {}).update({q.id: None for q in questions if name_benchmark(q, by) == key[0]})
    if not groups:
        raise DataError("The runs have no trajectories to evaluate. Make some with `raml sample MODEL RUN`.")
    labels = _label([description for _, description in groups])
    return [
        Cell(
            labels[key[1]],
            key[0],
            {question: list(made.values()) for question, made in responses.items()},
            tuple(question for question in asked[key] if question not in responses),
        )
        for key, responses in groups.items()
    ]


def _check_same(question: Question, first: Question) -> None:
    """Refuse questions that differ under one id."""
    if (question.prompt, question.gold_key()) != (first.prompt, first.gold_key()):
        raise DataError(
            f"Question id {question.id!r} stands for two questions, or has two gold answers, in these runs. Correct "
            "the wrong one and grade again with `raml grade RUN --all`, or give the questions ids that differ."
        )


def _choose_grade(there: Trajectory | None, new: Trajectory) -> Trajectory:
    """Take the copy of a response that is decided."""
    if there is None or there.correct is None:
        return new
    if new.correct not in (None, there.correct):
        raise DataError(
            f"Trajectory {new.id} is right in one run and wrong in another. Grade both again by `raml grade RUN --all`."
        )
    return there


def _withhold(trajectory: Trajectory, question: Question) -> Trajectory:
    """Leave out an error that may quote a question which is not to be shown."""
    if not question.redacted or trajectory.error is None:
        return trajectory
    return replace(trajectory, error="the reason is withheld, as the question's terms ask.")


def name_benchmark(question: Question, by: By) -> str:
    """Name the benchmark that a question belongs to; a source's revision or file is no part of the name."""
    if by == "all":
        return "all questions"
    if by == "domain":
        return question.domain or "(no domain)"
    source = question.source or "(no source)"
    named = _NAMED_SOURCE.match(source)
    return named[1] if named else source


def _describe(trajectory: Trajectory, question: Question) -> _Description:
    """List what makes responses comparable, the model's name first; each may become a part of a label."""
    model, sampling, prompt = trajectory.model, trajectory.sampling, trajectory.prompt
    usual, default = resolve_prompt(question, PromptSettings()).instruction, PromptSettings()
    asked = None if prompt is None or prompt.instruction in (None, usual) else prompt.instruction
    delimiter = None if prompt is None or prompt.delimiter == default.delimiter else prompt.delimiter
    drawn = () if sampling is None else astuple(replace(sampling, seed=0))
    engine = trajectory.engine or (None if sampling is None else "transformers")  # files of schema 1 don't say
    weights = (model.weights_sha256 or "")[:8]
    config = (model.config_sha256 or "")[:8]
    return model.name, weights, config, model.dtype, trajectory.mode, engine, asked, delimiter, drawn


def _label(descriptions: Sequence[_Description]) -> dict[_Description, str]:
    """Name each model and, in brackets, what differs among those of that name."""
    labels: dict[_Description, str] = {}
    for description in dict.fromkeys(descriptions):
        rivals = [other for other in dict.fromkeys(descriptions) if other[0] == description[0]]
        differing = [i for i in range(1, len(description)) if len({rival[i] for rival in rivals}) > 1]
        told = [text for i in differing if (text := _tell(i, description[i], [rival[i] for rival in rivals]))]
        label = f"{description[0]} ({', '.join(dict.fromkeys(told))})" if told else str(description[0])
        if label in labels.values():  # what was told is cut off where it does not differ yet
            label = f"{label} #{hash_key(description)[:6]}"
        labels[description] = label
    return labels


def _tell(place: int, value: object, rivals: Sequence[object]) -> str:
    """Put one part of a description into words."""
    if place == 1:
        return f"weights {value or 'unknown'}"
    if place == 2:
        return f"configuration {value or 'unknown'}"
    if place in (6, 7):
        what = "instruction" if place == 6 else "delimiter"
        return f"usual {what}" if value is None else f"{what} {str(value)[:40]!r}"
    if place == 8:
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
