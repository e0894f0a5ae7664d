"""Questions of a Reasoning Gym task, made by its generator."""

from __future__ import annotations

import difflib
import json
import numbers
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from raml.errors import DataError, MissingExtra
from raml.questions.sources.settings import SourceSettings
from raml.records import Question, hash_key

PREFIX = "reasoning-gym:"
DEFAULT_SIZE = 100
PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?")
"""Answers that are checked as mathematics. One with leading zeros may be a string of digits, and is not."""


@dataclass(frozen=True)
class GymQuestions:
    """What a task's generator made."""

    questions: tuple[Question, ...]
    config: dict[str, Any]
    """How; for the manifest."""
    n_repeated: int
    """How many came again and were left out."""


def make_gym_questions(source: str, settings: SourceSettings, advance: Callable[[], None]) -> GymQuestions:
    """Make questions of the task "reasoning-gym:NAME", as many as the limit says or 100.

    A plain number is checked as mathematics, another answer by the task's own scorer, for which `meta` keeps the entry.
    The answer is "" where the task has no single one.

    Raises:
        DataError: there is no such task, or it doesn't take these options.
        MissingExtra: reasoning_gym is not installed.
    """
    try:
        import reasoning_gym
        from reasoning_gym.factory import DATASETS
    except ImportError as error:
        raise MissingExtra("Reasoning Gym tasks need reasoning_gym: pip install 'raml[tasks]'") from error
    name = source.removeprefix(PREFIX)
    if name not in DATASETS:
        raise DataError(f"Reasoning Gym has no task {name!r}; {_suggest(name, list(DATASETS))}")
    if taken := settings.task_options.keys() & {"size", "seed"}:
        raise DataError(f"--task-option {min(taken)} has a flag of its own: --limit for size, --seed for seed.")
    size = settings.limit or DEFAULT_SIZE
    revision = version("reasoning_gym")
    questions: dict[str, Question] = {}
    try:
        task = reasoning_gym.create_dataset(name, size=size, seed=settings.seed, **settings.task_options)
        for i in range(size):
            question = _make_question(name, task[i], f"{source}@{revision}")
            questions.setdefault(question.id, question)
            advance()
    except (TypeError, ValueError, AssertionError) as error:
        fields = ", ".join(key for key in DATASETS[name][1].__dataclass_fields__ if key not in {"size", "seed"})
        raise DataError(
            f"Reasoning Gym can't make {name} with these options: {error or type(error).__name__}. It has: {fields}."
        ) from error
    config = {
        "package": "reasoning_gym",
        "task": name,
        "revision": revision,
        "size": size,
        "seed": settings.seed,
        "task_options": dict(settings.task_options),
    }
    return GymQuestions(tuple(questions.values()), config, size - len(questions))


def parse_options(options: list[str]) -> dict[str, Any]:
    """Read options written as key=value; a value is JSON where it can be read as such, else text.

    Raises:
        DataError: one has no key or no "=".
    """
    parsed = {}
    for option in options:
        key, sign, value = option.partition("=")
        if not (key.isidentifier() and sign):
            raise DataError(f"--task-option {option!r} is not of the form key=value, such as min_terms=3.")
        try:
            parsed[key] = json.loads(value)
        except (ValueError, RecursionError):
            parsed[key] = value
    return parsed


def _make_question(name: str, entry: Mapping[str, Any], source: str) -> Question:
    """Make a question of an entry."""
    # Tuples become lists, numbers as keys text, and so do numbers that JSON has no form for.
    kept = json.loads(json.dumps(entry, default=_write_number))
    prompt, answer = kept["question"].strip(), kept["answer"]
    is_number = answer is not None and PLAIN_NUMBER.fullmatch(answer) is not None
    return Question(
        hash_key(prompt, answer or ""),
        prompt,
        answer or "",
        domain=name,
        source=source,
        meta={"reasoning_gym": {"dataset": name, "entry": kept}},
        kind="math" if is_number else "reasoning-gym",
    )


def _write_number(value: object) -> str:
    """Write a fraction, say, as text; gsm_symbolic has some in its metadata, which no scorer reads."""
    if isinstance(value, numbers.Number):
        return str(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _suggest(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=3)
    return f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(sorted(names))}."
