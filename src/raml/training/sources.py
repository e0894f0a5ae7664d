"""Where questions and trajectories come from: run folders and question files, several at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from raml.errors import DataError
from raml.questions import read_question_file
from raml.records import Question, Trajectory
from raml.store import Run


def read_runs(paths: Sequence[Path]) -> tuple[list[Question], list[Trajectory]]:
    """Read the questions and trajectories of several run folders; a question in two of them is one question.

    Raises:
        RunError: a folder is no run.
        DataError: two different questions have the same id.
    """
    runs = [Run(path) for path in paths]
    questions = merge_questions((str(run.path), run.read_questions()) for run in runs)
    return questions, [trajectory for run in runs for trajectory in run.read_trajectories()]


def read_questions(sources: Sequence[str]) -> list[Question]:
    """Read questions from run folders and question files; a question in two of them is one question.

    Raises:
        RunError: a folder is no run.
        DataError: a file is no question file, or two different questions have the same id.
    """
    paths = list(map(Path, sources))
    return merge_questions(
        (str(path), Run(path).read_questions() if path.is_dir() else read_question_file(path)) for path in paths
    )


def merge_questions(sources: Iterable[tuple[str, Sequence[Question]]]) -> list[Question]:
    """Put the questions of several sources together, each id once.

    Raises:
        DataError: an id stands for different questions.
    """
    found: dict[str, Question] = {}
    for source, questions in sources:
        for question in questions:
            first = found.setdefault(question.id, question)
            if (first.prompt, first.gold_key()) != (question.prompt, question.gold_key()):
                raise DataError(
                    f"Question id {question.id!r} of {source} belongs to another question of an earlier source. "
                    "Give the questions ids that differ, or leave them out of the file."
                )
    return list(found.values())


def list_run_files(paths: Sequence[Path]) -> tuple[Path, ...]:
    """List the files of run folders that training reads."""
    runs = [Run(path) for path in paths]
    files = [file for run in runs for file in (run.questions_path, run.trajectories_path)]
    return tuple(file for file in files if file.is_file())


def note_without(question_ids: Sequence[str], what: str) -> str:
    """Say how many questions were left out and why, with the first few ids."""
    shown = ", ".join(question_ids[:3]) + (", …" if len(question_ids) > 3 else "")
    return f"{len(question_ids)} questions left out: {what} ({shown})."
