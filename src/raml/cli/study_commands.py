"""Whether a study's steps can be run: command lines are parsed, options checked and functions' arguments bound."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from cyclopts import CycloptsError
from cyclopts.config import Toml

from raml.cli.engines import EngineOptions, check_engine
from raml.cli.options import check_limit
from raml.cli.questions import FLAG_OWNERS, questions, refuse_foreign
from raml.cli.sample import sample
from raml.cli.study_sources import Source
from raml.configs import find_config, list_configs
from raml.errors import DataError, MissingExtra, RamlError, RunError
from raml.questions import DATA_SETS, FILE_KINDS, SourceSettings
from raml.questions.sources.catalog import list_files
from raml.records import SamplingSettings
from raml.studies.plan import Step

RUNS = ("run", "runs", "trajectories", "questions")
"""Arguments that name run folders to read."""
FILES = ("file", "files", "rows", "word_file")
"""Arguments that name files to read."""
ANALYSES = ("trace", "influence", "curves", "faithfulness", "compress", "landscape", "update", "align", "adapt")
"""Commands that refuse wrong options before they look for the run."""


@dataclass
class Found:
    """What came of looking at steps."""

    faults: dict[str, str]
    """What keeps a step from being run, by its name."""
    missing_here: dict[str, list[str]]
    """What this machine lacks, a sentence each, and the steps that need it; where they will run, it may be there."""
    models: set[str]
    """Names of models that have to be fetched."""
    sources: list[Source]
    """Data sets that are read, each once."""
    made: list[dict[str, Any]]
    """What was asked of sources that make their questions, each once."""


@dataclass(frozen=True)
class Parsed:
    """A command line, understood."""

    command: Callable[..., Any]
    arguments: Mapping[str, Any]
    """Those given, by parameter; options of a dataclass are in it."""

    def walk(self) -> Iterator[tuple[str, Any]]:
        """Go through all values by name, those inside dataclasses too."""
        todo = list(self.arguments.items())
        while todo:
            name, value = todo.pop()
            if is_dataclass(value):
                todo += [(field.name, getattr(value, field.name)) for field in fields(value)]
            else:
                yield name, value


def check_steps(steps: Sequence[Step], home: Path) -> Found:
    """Look at steps in their order, each after those that it needs, without running one."""
    found = Found({}, {}, set(), [], [])
    made: dict[str, set[str]] = {}
    for step in steps:
        before = set().union(*(made[need] for need in step.needs if need in made))
        made[step.name] = before | ({step.folder} - {""})
        try:
            if step.call:
                _check_call(step, home)
            else:
                _check_command(parse_words(step.words), step, before, home, found)
        except MissingExtra as error:
            found.missing_here.setdefault(str(error), []).append(step.name)
        except (RamlError, CycloptsError) as error:
            found.faults[step.name] = " ".join(str(error).split())
    return found


def parse_words(words: Sequence[str]) -> Parsed:
    """Parse a command line as `raml` does, with its config file, and run nothing.

    Raises:
        CycloptsError: there is no such command or option, or a value is of another kind.
        DataError: the config file can't be read, or settings refuse a value.
    """
    from raml.cli.main import app, find_toml

    _, given, _ = app.meta.parse_args(list(words), exit_on_error=False, print_error=False)
    config = given.kwargs.get("config")
    try:
        app.config = () if config is None else (Toml(find_toml(config)),)
        command, bound, _ = app.parse_args(list(given.args), exit_on_error=False, print_error=False)
    finally:
        app.config = ()
    return Parsed(command, bound.arguments)


def _check_call(step: Step, home: Path) -> None:
    """Find a step's function, and bind its arguments.

    Raises:
        DataError: there is none, or it takes others.
    """
    module, _, name = step.call.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise DataError(f"There is no function {step.call} ({error}).") from error
    try:
        inspect.signature(function).bind(home, **dict(step.arguments))
    except TypeError as error:
        raise DataError(f"{step.call} can't be called so: {error}.") from error


def _check_command(parsed: Parsed, step: Step, before: set[str], home: Path, found: Found) -> None:
    """Check a command's launcher, the folders, files and models that it reads, and its options.

    Raises:
        RamlError: one is missing, or out of range.
    """
    _check_launcher(step.launcher)
    name = parsed.command.__name__
    for key, value in parsed.walk():
        for one in value if isinstance(value, list | tuple) else (value,):
            if isinstance(one, str | Path):
                _check_reading(key, one, before, home, found)
    if parsed.command is questions:
        _check_questions(parsed.arguments, home, found)
    elif parsed.command is sample:
        _check_sample(**parsed.arguments)
    elif name in ANALYSES:
        _try_without_run(parsed)


def _check_reading(key: str, given: str | Path, before: set[str], home: Path, found: Found) -> None:
    """Check that what an argument names is there: a run folder, a file or a model.

    Raises:
        DataError: it is not.
    """
    if key in RUNS and not (str(given) in before or (home / given).exists()):
        raise DataError(f"It reads {given}, which no step before it makes and which is not in {home}.")
    if key in FILES and not (home / given).is_file():
        raise DataError(f"It reads {given}, and there is no such file.")
    if key == "chat_template" and not (home / find_config(Path(given), ".jinja")).is_file():
        raise DataError(f"There is no chat template {given}; raml comes with {', '.join(list_configs('.jinja'))}.")
    if key in ("model", "summarizer") and _is_remote(str(given), before, home):
        found.models.add(str(given))


def _check_launcher(words: Sequence[str]) -> None:
    for word in words:
        if word.endswith((".yaml", ".yml")) and not Path(word).is_file():
            raise DataError(f"The launcher reads {word}, and there is no such file.")
    if words and shutil.which(words[0]) is None:
        raise MissingExtra(f"The launcher {words[0]} is not on the path.")


def _is_remote(name: str, before: set[str], home: Path) -> bool:
    """Say whether a model has to be fetched; False for one that comes with raml, is here or will be made.

    Raises:
        DataError: it is none of these, and no name on the Hub either.
    """
    from raml.models.files import EMBEDDED
    from raml.sampling import ORACLE

    if name in EMBEDDED or name == ORACLE or name in before or (home / name).exists():
        return False
    if name.count("/") != 1 or name.startswith(("/", ".", "~", "models/")):
        raise DataError(f"There is no model {name}: no step before it makes it, and it is no name on the Hub.")
    return True


def _check_questions(given: Mapping[str, Any], home: Path, found: Found) -> None:
    """Check what is asked of a source; of one that makes questions, let it make one.

    Raises:
        RamlError: there is no such source, or it has not what is asked of it.
    """
    source, clean = given["source"], given.get("clean", False)
    flags = {name for name in FLAG_OWNERS if given.get(name.replace("-", "_")) is not None}
    is_file = Path(source).suffix.lower() in FILE_KINDS
    refuse_foreign(source, flags, clean=clean)
    check_limit(given.get("limit"))
    if is_file and not (home / source).is_file():
        raise DataError(f"It reads {source}, and there is no such file.")
    if source in DATA_SETS:
        # How many, and in which order or time window, makes no difference to the columns.
        names = ("revision", "language", "release")
        files = tuple(home / path for path in given.get("file") or ())
        settings = SourceSettings(files=files, **{name: given[name] for name in names if given.get(name) is not None})
        list_files(DATA_SETS[source], settings)
        asked = Source(source, settings, clean)
        if asked not in found.sources:
            found.sources.append(asked)
    elif not is_file and (asked := {**given, "limit": 1, "out": None}) not in found.made:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            questions(**{**asked, "out": Path(folder)})
        found.made.append(asked)


def _check_sample(
    model: str,
    run: Path,
    n: int = 4,
    limit: int | None = None,
    batch_size: int | None = None,
    sampling: SamplingSettings | None = None,
    engine: EngineOptions | None = None,
    **others: object,
) -> None:
    """Check numbers and engine as sampling does.

    Raises:
        DataError: a number is out of range, or an option belongs to another engine.
    """
    from raml.sampling import check_settings

    settings = sampling or SamplingSettings()
    check_settings(
        n, replace(settings, max_new_tokens=1 if settings.max_new_tokens is None else settings.max_new_tokens)
    )
    check_engine(engine or EngineOptions(), batch_size)
    for name, value in (("limit", limit), ("batch-size", batch_size)):
        if value is not None and value < 1:
            raise DataError(f"--{name} is {value}; it must be at least 1.")


def _try_without_run(parsed: Parsed) -> None:
    """Give a command a folder that is not there: it refuses wrong options first, and then the folder.

    Raises:
        RamlError: an option is wrong.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.suppress(RunError),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        parsed.command(**{**parsed.arguments, "run": Path(folder) / "none"})
