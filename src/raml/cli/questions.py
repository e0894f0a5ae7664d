"""`raml questions`: bring questions into a run folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from raml.cli.stage import ProgressBar, say, show_progress
from raml.errors import DataError
from raml.questions import Cleaned, Dropped, clean_questions, read_question_file, read_rows
from raml.records import SCHEMA_VERSION
from raml.store import Run, StageClock, lock_run, write_atomically, writing


def questions(
    source: str,
    *,
    out: Path,
    limit: int | None = None,
    clean: bool = False,
    family: Literal["arithmetic", "lists"] | None = None,
    split: Literal["train", "validation", "test"] = "test",
    seed: int = 0,
) -> None:
    """Bring questions into a run folder, from a file or from the embedded world.

    Example: `raml questions my.jsonl --out runs/my --clean` or `raml questions tiny --limit 8 --out runs/tiny`

    A file is .jsonl, .csv or .parquet with the columns `prompt` (or `question`, `problem`) and `answer`, and
    optionally `id` and `domain`.

    Parameters
    ----------
    source
        "tiny" or a file.
    out
        The run folder; made if need be.
    limit
        Take only the first so many, with --clean the first so many that stay; "tiny" makes 8 unless told otherwise.
    clean
        Strip links and HTML from the questions of a file, and drop those that break off, have no answer, need a
        picture or other material, can't be verified or repeat another one. RUN/dropped_questions.jsonl says which and
        why.
    family
        tiny only: one operation family instead of both.
    split
        tiny only: which part of the fixed split.
    seed
        tiny only: which questions of the split.
    """
    clock = StageClock(Run(out), "questions", {k: v for k, v in locals().items() if k != "out"})
    if limit is not None and limit < 1:
        raise DataError(f"--limit is {limit}; it must be at least 1.")
    cleaned = None
    if source == "tiny":
        if clean:
            raise DataError('--clean is for files; the questions of "tiny" have nothing to clean.')
        from raml.tiny import make_questions

        found = make_questions(8 if limit is None else limit, split=split, family=family, seed=seed)
    elif clean:
        cleaned = _clean_file(Path(source), limit)
        found = cleaned.kept
    else:
        found = read_question_file(Path(source))[:limit]
    run = clock.run
    with lock_run(run.path):
        run.write_questions(found)
        outputs: dict[Path, int | None] = {run.questions_path: len(found)}
        if cleaned is None:
            with writing(run.dropped_path):
                run.dropped_path.unlink(missing_ok=True)  # those of other questions
        else:
            write_atomically(run.dropped_path, b"".join(map(_encode_dropped, cleaned.dropped)))
            outputs[run.dropped_path] = len(cleaned.dropped)
        inputs = () if source == "tiny" else (Path(source),)
        clock.finish(inputs=inputs, outputs=outputs, n_units=len(found), n_new=len(found))
    say(f"Wrote {len(found)} questions to {run.questions_path}")
    if cleaned is not None:
        _say_dropped(cleaned, run.dropped_path)
    say(f"Next: raml sample MODEL {out}   (MODEL: tiny, a Hub name, a folder or a .gguf file)")


def _clean_file(path: Path, limit: int | None) -> Cleaned:
    """Clean the questions of a file, with a progress bar: Math-Verify takes its time over formulas.

    Raises:
        DataError: no question is left.
    """
    rows = list(read_rows(path))
    if not rows:
        raise DataError(f"{path} has no questions. It needs one row with 'prompt' and 'answer' for each.")
    with show_progress("cleaning", len(rows)) as bar:
        cleaned = clean_questions(_walk(rows, path, bar), source=path.name, limit=limit)
    if not cleaned.kept:
        counts = ", ".join(f"{n} {reason}" for reason, n in cleaned.count_reasons().items())
        raise DataError(
            f"All {len(rows)} rows of {path} were dropped: {counts}. The first one: {cleaned.dropped[0].detail}."
        )
    return cleaned


def _walk(rows: list[tuple[str, dict[str, Any]]], path: Path, bar: ProgressBar) -> Iterator[tuple[str, dict[str, Any]]]:
    """Go through rows, with places that don't depend on where the file lies."""
    for place, row in rows:
        yield path.name + place.removeprefix(str(path)), row
        bar.advance()


def _encode_dropped(dropped: Dropped) -> bytes:
    return msgspec.json.encode({"v": SCHEMA_VERSION, **msgspec.to_builtins(dropped)}) + b"\n"


def _say_dropped(cleaned: Cleaned, path: Path) -> None:
    say(f"Dropped {len(cleaned.dropped)} of {len(cleaned.kept) + len(cleaned.dropped)} rows, listed in {path}")
    for reason, n in cleaned.count_reasons().items():
        say(f"  {n:6,}  {reason}")
    say(f"Took links or HTML out of {cleaned.n_changed} of the questions that stay")
