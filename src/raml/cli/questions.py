"""`raml questions`: bring questions into a run folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import Parameter

from raml.cli.help_groups import DATA_SET, LIVECODEBENCH, LIVEMATHBENCH, REASONING_GYM, TINY
from raml.cli.options import check_limit
from raml.cli.stage import ProgressBar, say, show_progress
from raml.errors import DataError
from raml.prompts import INSTRUCTIONS
from raml.questions import FILE_KINDS, Cleaned, Dropped, clean_questions, is_record, read_question_file, read_rows
from raml.questions.sources import (
    DATA_SETS,
    DEFAULT_SIZE,
    PREFIX,
    Language,
    SourceSettings,
    count_expected,
    load_source,
    open_source,
    parse_options,
    read_plain_rows,
)
from raml.records import SCHEMA_VERSION, Question
from raml.store import Run, StageClock, lock_run, write_atomically, writing

Row = tuple[str, dict[str, Any]]
FLAG_OWNERS = {
    "file": "data sets by name",
    "revision": "data sets by name, without --file",
    "seed": "tiny, gpqa-diamond and reasoning-gym",
    "language": "livemathbench-hard, without --file",
    "release": "livecodebench, without --file",
    "since": "livecodebench",
    "until": "livecodebench",
    "task-option": "reasoning-gym",
    "family": "tiny",
    "size": "tiny",
    "split": "tiny",
}
"""What each flag that not all sources have is for."""


@dataclass(frozen=True)
class Found:
    """What a source gave."""

    questions: tuple[Question, ...]
    inputs: tuple[Path, ...] = ()
    cleaned: Cleaned | None = None
    config: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def questions(
    source: str,
    *,
    out: Path,
    limit: int | None = None,
    clean: bool = False,
    file: Annotated[list[Path] | None, Parameter(negative="", group=DATA_SET)] = None,
    revision: Annotated[str | None, Parameter(group=DATA_SET)] = None,
    seed: int | None = None,
    language: Annotated[Language | None, Parameter(group=LIVEMATHBENCH)] = None,
    release: Annotated[str | None, Parameter(group=LIVECODEBENCH)] = None,
    since: Annotated[date | None, Parameter(group=LIVECODEBENCH)] = None,
    until: Annotated[date | None, Parameter(group=LIVECODEBENCH)] = None,
    task_option: Annotated[list[str] | None, Parameter(negative="", group=REASONING_GYM)] = None,
    family: Annotated[Literal["arithmetic", "lists"] | None, Parameter(group=TINY)] = None,
    size: Annotated[str | None, Parameter(group=TINY)] = None,
    split: Annotated[Literal["train", "validation", "test"] | None, Parameter(group=TINY)] = None,
) -> None:
    """Put questions into a run folder: a benchmark or a file.

    Examples: `raml questions tiny --out runs/tiny`, `raml questions aime24 --out runs/aime24`,
    `raml questions my.jsonl --out runs/my --clean`

    By name: tiny (the embedded world), aime24, aime25, math500, math500-l5, livemathbench-hard, gpqa-diamond,
    livecodebench, orz-math, reasoning-gym:TASK.

    A file is .jsonl, .csv, .parquet or a .json list, with the columns `prompt` (or `question`, `problem`) and `answer`,
    and optionally `id` and `domain`. Those of another run's questions.jsonl stay as they are.

    Parameters
    ----------
    source
        A name or a file.
    out
        The run folder; made if need be.
    limit
        Take only the first so many, with --clean the first so many that stay. tiny makes 8 and reasoning-gym 100
        unless told otherwise.
    clean
        For files and orz-math: strip links and HTML, and drop questions that break off, have no answer, need a picture
        or other material, can't be verified or repeat another one. RUN/dropped_questions.jsonl says which and why.
    file
        The data set's own file where the Hub can't be reached; once more for each further file.
    revision
        Branch, tag or commit of the data set on the Hub, in place of the one that `raml help questions` lists.
    seed
        tiny, reasoning-gym: which questions. gpqa-diamond: the order of the options. 0 unless told otherwise.
    language
        One of its languages; both unless told otherwise.
    release
        v1 to v6 are the problems that an update added, release_v1 to release_v6 all up to it. v6 unless told otherwise.
    since
        No contest before this day, such as 2025-02-01.
    until
        No contest after this day.
    task_option
        key=value for the task's generator; once more for each further one.
    family
        One operation family; both unless told otherwise.
    size
        Fewest and most operands, such as 7-8; one number for both. 4-6, as the embedded models were trained on, unless
        told otherwise.
    split
        Which part of the fixed split; test unless told otherwise.
    """
    config: dict[str, Any] = {"source": source, "limit": limit, "clean": clean}
    clock = StageClock(Run(out), "questions", config)
    check_limit(limit)
    flags = {
        **{"file": file, "revision": revision, "seed": seed, "language": language, "release": release},
        **{"since": since, "until": until, "task-option": task_option, "family": family, "size": size},
        "split": split,
    }
    refuse_foreign(source, {name for name, value in flags.items() if value is not None}, clean=clean)
    if source == "tiny":
        found = _make_tiny(limit, size, {"family": family, "split": split or "test", "seed": seed or 0})
    elif source in DATA_SETS or source.startswith(PREFIX):
        settings = SourceSettings(
            files=tuple(file or ()),
            revision=revision,
            limit=limit,
            seed=seed or 0,
            language=language or SourceSettings.language,
            release=release or SourceSettings.release,
            since=since,
            until=until,
            task_options=parse_options(task_option or []),
        )
        found = _clean_source(source, settings) if clean else _load_source(source, settings)
    else:
        found = _read_file(Path(source), limit, clean=clean)
    config |= found.config
    _write(clock, found)
    say(f"Next: raml sample MODEL {out}   (MODEL: tiny, a Hub name, a folder or a .gguf file)")


def refuse_foreign(source: str, given: set[str], *, clean: bool) -> None:
    """Refuse a source that there is not, and flags that it has not.

    Raises:
        DataError: it is or has such a one.
    """
    data = DATA_SETS.get(source)
    is_file = Path(source).suffix.lower() in FILE_KINDS or Path(source).exists()
    if data is not None:
        own = {"file", *data.options} | ({"revision"} if "file" not in given else set())
        own -= {"language", "release"} if "file" in given else set()
    elif source == "tiny":
        own = {"family", "size", "split", "seed"}
    elif source.startswith(PREFIX):
        own = {"seed", "task-option"}
    elif is_file:
        own = {"clean"}
    else:
        names = ", ".join(("tiny", *DATA_SETS, f"{PREFIX}TASK"))
        raise DataError(f"There is no source {source!r}. It can be {names}, or a {', '.join(FILE_KINDS)} file.")
    if clean and "clean" not in own:
        raise DataError(f'--clean is for files; the questions of "{source}" have nothing to clean.')
    if foreign := sorted(given - own):
        raise DataError(f"--{foreign[0]} is for {FLAG_OWNERS[foreign[0]]}; {source} has no use for it here.")


def _make_tiny(limit: int | None, size: str | None, config: dict[str, Any]) -> Found:
    from raml.tiny import TRAINED_SIZE, make_questions

    config["size"] = TRAINED_SIZE if size is None else _parse_size(size)
    return Found(tuple(make_questions(8 if limit is None else limit, **config)), config=config)


def _parse_size(text: str) -> tuple[int, int]:
    """Read fewest and most operands, such as 7-8, or 7 for both.

    Raises:
        DataError: it is no such range.
    """
    match = re.fullmatch(r"([0-9]{1,4})(?:-([0-9]{1,4}))?", text)
    if match is None:
        raise DataError(f"--size is {text!r}; expected fewest and most operands, such as 7-8, or one number for both.")
    return int(match[1]), int(match[2] or match[1])


def _read_file(path: Path, limit: int | None, *, clean: bool) -> Found:
    if not clean:
        return Found(tuple(read_question_file(path)[:limit]), (path,))
    rows = [(path.name + place.removeprefix(str(path)), row) for place, row in read_rows(path)]
    if not rows:
        raise DataError(f"{path} has no questions. It needs one row with 'prompt' and 'answer' for each.")
    if path.suffix.lower() == ".jsonl" and any(is_record(row) for _, row in rows):
        raise DataError(f"{path} holds a run's questions, which stay as they are. Clean the file that they came from.")
    cleaned = _clean(rows, str(path), path.name, limit)
    return Found(cleaned.kept, (path,), cleaned)


def _load_source(source: str, settings: SourceSettings) -> Found:
    """Load questions of a source by name, with a progress bar: hidden tests take their time."""
    data = DATA_SETS.get(source)
    total = DEFAULT_SIZE if data is None else count_expected(data, settings)
    with show_progress("loading", settings.limit or total) as bar:
        loaded = load_source(source, settings, bar.advance)
    terms = (f"Terms: {data.terms}",) if data else ()
    return Found(loaded.questions, settings.files, None, loaded.config, (*loaded.notes, *terms))


def _clean_source(source: str, settings: SourceSettings) -> Found:
    """Clean the questions of a source by name."""
    files = open_source(source, settings)
    rows = list(read_plain_rows(files))
    if not rows:
        raise DataError(f"{', '.join(files.labels)} has no rows.")
    cleaned = _clean(rows, ", ".join(files.labels), files.source, settings.limit)
    return Found(cleaned.kept, settings.files, cleaned, files.config, (f"Terms: {files.data.terms}",))


def _clean(rows: list[Row], label: str, source: str, limit: int | None) -> Cleaned:
    """Clean questions, with a progress bar: Math-Verify takes its time over formulas.

    Raises:
        DataError: no question is left.
    """
    with show_progress("cleaning", len(rows)) as bar:
        cleaned = clean_questions(_walk(rows, bar), source=source, limit=limit)
    if not cleaned.kept:
        counts = ", ".join(f"{n} {reason}" for reason, n in cleaned.count_reasons().items())
        raise DataError(
            f"All {len(rows)} rows of {label} were dropped: {counts}. The first one: {cleaned.dropped[0].detail}."
        )
    return cleaned


def _walk(rows: Iterable[Row], bar: ProgressBar) -> Iterator[Row]:
    for row in rows:
        yield row
        bar.advance()


def _write(clock: StageClock, found: Found) -> None:
    """Write questions and, if they were cleaned, the list of those dropped; say how many."""
    run, cleaned = clock.run, found.cleaned
    instructions = {INSTRUCTIONS[q.kind] if q.instruction is None else q.instruction for q in found.questions}
    clock.config = {**clock.config, "instructions": sorted(instructions)}
    with lock_run(run.path):
        run.write_questions(found.questions)
        outputs: dict[Path, int | None] = {run.questions_path: len(found.questions)}
        if cleaned is None:
            with writing(run.dropped_path):
                run.dropped_path.unlink(missing_ok=True)  # those of other questions
        else:
            write_atomically(run.dropped_path, b"".join(map(_encode_dropped, cleaned.dropped)))
            outputs[run.dropped_path] = len(cleaned.dropped)
        n = len(found.questions)
        clock.finish(inputs=found.inputs, outputs=outputs, n_units=n, n_new=n, seed=found.config.get("seed"))
    say(f"Wrote {len(found.questions)} questions to {run.questions_path}")
    if cleaned is not None:
        _say_dropped(cleaned, run.dropped_path)
    for note in found.notes:
        say(note)


def _encode_dropped(dropped: Dropped) -> bytes:
    return msgspec.json.encode({"v": SCHEMA_VERSION, **msgspec.to_builtins(dropped)}) + b"\n"


def _say_dropped(cleaned: Cleaned, path: Path) -> None:
    say(f"Dropped {len(cleaned.dropped)} of {len(cleaned.kept) + len(cleaned.dropped)} rows, listed in {path}")
    for reason, n in cleaned.count_reasons().items():
        say(f"  {n:6,}  {reason}")
    say(f"Took links or HTML out of {cleaned.n_changed} of the questions that stay")
