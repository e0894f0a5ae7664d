"""Load questions of a named source: rows from the Hub or from files, made into questions, with a record of how."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raml.errors import DataError
from raml.questions.files import read_rows
from raml.questions.sources.catalog import DATA_SETS, DataSet, count_expected, list_configs, list_files
from raml.questions.sources.gym import PREFIX, make_gym_questions
from raml.questions.sources.hub import fetch_files
from raml.questions.sources.mathematics import make_orz_row
from raml.questions.sources.settings import SourceSettings
from raml.records import Question


@dataclass(frozen=True)
class SourceFiles:
    """The files of a named data set, on this machine."""

    data: DataSet
    paths: tuple[Path, ...]
    labels: tuple[str, ...]
    """What messages call them: as given, or repository and name, wherever the cache lies."""
    source: str
    """For `Question.source`: the repository with the commit, or with the names of the files that were given."""
    config: dict[str, Any]
    """How they came about; for the manifest."""

    def read_rows(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Read one row after the other, each with its place."""
        for path, label in zip(self.paths, self.labels, strict=True):
            for place, row in read_rows(path):
                yield label + place.removeprefix(str(path)), row


@dataclass(frozen=True)
class LoadedSource:
    """The questions of a named source."""

    questions: tuple[Question, ...]
    config: dict[str, Any]
    """Repository, split, revision asked for, commit loaded, seed, wording, terms and the like; for the manifest."""
    notes: tuple[str, ...]
    """What whoever loads them should know, a sentence each."""


def open_source(name: str, settings: SourceSettings) -> SourceFiles:
    """Find the files of a named data set: those given, else those on the Hub.

    Raises:
        DataError: they can't be fetched, or there is no such release.
    """
    data = DATA_SETS[name]
    names = list_files(data, settings)
    config: dict[str, Any] = {"repository": data.repository, "split": data.split}
    config |= {option: getattr(settings, option) for option in data.options if option != "clean"}
    if settings.files:
        given = [path.name for path in settings.files]
        # What a file holds is what it holds, whatever the settings would have fetched.
        config |= {option: None for option in ("language", "release") if option in data.options}
        config |= {"config": None, "revision": None, "commit": None, "files": given}
        paths, labels = settings.files, tuple(map(str, settings.files))
        source = f"{data.repository} from {', '.join(given)}"
    else:
        revision = settings.revision or data.revision
        commit, fetched = fetch_files(data, names, revision)
        paths, labels = tuple(fetched), tuple(f"{data.repository} {path.name}" for path in fetched)
        config |= {"config": list_configs(data, settings), "revision": revision, "commit": commit}
        config["files"] = [path.name for path in paths]
        source = f"{data.repository}@{commit}"
    config |= {"wording": data.wording, "terms": data.terms}
    return SourceFiles(data, paths, labels, source, config)


def load_source(name: str, settings: SourceSettings, advance: Callable[[], None] = lambda: None) -> LoadedSource:
    """Load the questions of a source by name: one of `DATA_SETS`, or "reasoning-gym:NAME".

    Args:
        name: Of the source.
        settings: What is asked for.
        advance: Is called after each question.

    Raises:
        DataError: the source can't be had, a row is not as it should be, or no question is left.
        MissingExtra: a package is not installed.
    """
    if name.startswith(PREFIX):
        made = make_gym_questions(name, settings, advance)
        times = "question" if made.n_repeated == 1 else "questions"
        notes = (f"{made.n_repeated} {times} came again and were left out.",) if made.n_repeated else ()
        return LoadedSource(made.questions, made.config, notes)
    files = open_source(name, settings)
    questions = make_questions(files, settings, advance)
    return LoadedSource(tuple(questions), files.config, note_number(files.data, settings, len(questions)))


def make_questions(files: SourceFiles, settings: SourceSettings, advance: Callable[[], None]) -> list[Question]:
    """Make questions of rows until the limit is reached; rows are read one by one, and only questions are kept.

    Raises:
        DataError: a row is not as it should be, asks what another one asks, or no question is left.
    """
    places: dict[str, str] = {}
    questions: list[Question] = []
    for place, row in files.read_rows():
        question = files.data.make(row, place, files.source, settings)
        if question is None:
            continue
        if question.id in places:
            hint = " --clean keeps the first." if "clean" in files.data.options else ""
            raise DataError(f"{place} has the same question and answer as {places[question.id]}.{hint}")
        places[question.id] = place
        questions.append(question)
        advance()
        if len(questions) == settings.limit:
            break
    if not questions:
        raise DataError(f"{', '.join(files.labels)}: no row is a question that {files.data.name} asks for.")
    return questions


def read_plain_rows(files: SourceFiles) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read the rows of orz-math as `raml.questions.clean_questions` wants them: with prompt and answer."""
    for place, row in files.read_rows():
        yield place, make_orz_row(row, place)


def note_number(data: DataSet, settings: SourceSettings, n: int) -> tuple[str, ...]:
    """Say that there are other than the expected number of questions, if there are."""
    expected = count_expected(data, settings)
    if settings.limit is not None or expected in (None, n):
        return ()
    return (f"{data.name} should have {expected:,} questions; here are {n:,}.",)
