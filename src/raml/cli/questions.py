"""`raml questions`: bring questions into a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from raml.cli.stage import StageClock, say
from raml.errors import DataError
from raml.questions import read_question_file
from raml.store import Run, lock_run


def questions(
    source: str,
    *,
    out: Path,
    limit: int | None = None,
    family: Literal["arithmetic", "lists"] | None = None,
    split: Literal["train", "validation", "test"] = "test",
    seed: int = 0,
) -> None:
    """Bring questions into a run folder, from a file or from the embedded world.

    Example: `raml questions my.jsonl --out runs/my` or `raml questions tiny --limit 8 --out runs/tiny`

    A file is .jsonl, .csv or .parquet with the columns `prompt` (or `question`, `problem`) and `answer`, and
    optionally `id` and `domain`.

    Parameters
    ----------
    source
        "tiny" or a file.
    out
        The run folder; made if need be.
    limit
        Take only the first so many; "tiny" makes 8 unless told otherwise.
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
    if source == "tiny":
        from raml.tiny import make_questions

        found = make_questions(8 if limit is None else limit, split=split, family=family, seed=seed)
    else:
        found = read_question_file(Path(source))[:limit]
    run = clock.run
    with lock_run(run.path):
        run.write_questions(found)
        inputs = () if source == "tiny" else (Path(source),)
        clock.finish(inputs=inputs, outputs={run.questions_path: len(found)}, n_units=len(found), n_new=len(found))
    say(f"Wrote {len(found)} questions to {run.questions_path}")
    say(f"Next: raml sample MODEL {out}   (MODEL: tiny, a Hub name, a folder or a .gguf file)")
