"""`raml import`: bring trajectories that were made elsewhere into a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from raml.cli.options import LoadOptions, load
from raml.cli.stage import say, show_progress
from raml.errors import DataError
from raml.interchange import PlainTrajectory, read_plain
from raml.records import PromptSettings, Trajectory
from raml.store import Journal, Run, StageClock, lock_run

if TYPE_CHECKING:
    from raml.models import LoadedModel

ROOM_FOR_PROBE = 32
"""Tokens that must be left in the context after a trajectory, for bridge and answer."""


def import_file(
    format: Literal["plain"],  # the command line's own word for it
    file: Path,
    run: Path,
    *,
    model: str,
    prompt: Annotated[PromptSettings | None, Parameter(name="*")] = None,
    options: Annotated[LoadOptions | None, Parameter(name="*")] = None,
) -> None:
    """Turn text written elsewhere into trajectories of a run.

    Example: `raml import plain mine.jsonl runs/mine --model Qwen/Qwen3-0.6B`

    Parameters
    ----------
    format
        plain: rows (.jsonl, .csv or .parquet) with `question`, gold `answer` and `trajectory`.
    file
        The file to read.
    run
        The run folder; made if need be. Rows that it already holds are left alone.
    model
        Whose tokenizer splits the text and whose chat template makes the prompts; `raml trace` scores with it.
    """
    prompt = prompt or PromptSettings()
    rows = read_plain(file)
    loaded = load(model, options)
    folder = Run(run)
    clock = StageClock(folder, "import", {"format": format, "file": str(file), "model": model, "prompt": prompt})
    with lock_run(run):
        # What the run knows already stays as it is; `write_questions` refuses another question under the same id.
        known = folder.read_questions() if folder.questions_path.is_file() else []
        questions = {question.id: question for question in known}
        for row in rows:
            questions.setdefault(row.question.id, row.question)
            if (questions[row.question.id].prompt, questions[row.question.id].answer) != row.question_text:
                raise DataError(f"{row.place}: question id {row.question.id!r} belongs to another question of {run}.")
        there = folder.read_trajectories()
        new = _make_new(loaded, rows, there, prompt)
        folder.write_questions(list(questions.values()))
        with Journal(folder.trajectories_path) as journal:
            journal.append(new)
        folder.order_trajectories()
        clock.finish(
            inputs=(file,),
            outputs={folder.questions_path: len(questions), folder.trajectories_path: len(there) + len(new)},
            n_units=len(rows),
            n_new=len(new),
            n_errors=sum(t.correct is None for t in new),
            model=loaded.identity,
        )
    say(f"Wrote {len(new)} trajectories ({len(rows) - len(new)} were there) to {folder.trajectories_path}")
    say(f"{sum(t.correct is True for t in new)} of {len(new)} new ones right")
    say(f"Next: raml trace {run}")


def _make_new(
    loaded: LoadedModel, rows: Sequence[PlainTrajectory], there: Sequence[Trajectory], prompt: PromptSettings
) -> list[Trajectory]:
    """Turn the rows that the run does not hold yet into trajectories; repeats go on from those that are there."""
    from raml.probes import check_fit
    from raml.sampling import make_imported

    done = {trajectory.id for trajectory in there}
    repeats = Counter(trajectory.question_id for trajectory in there)
    seen = Counter[tuple[str, str]]()
    new = []
    with show_progress("importing", len(rows)) as bar:
        for row in rows:
            key, repeat = (row.question.id, row.text), repeats[row.question.id]
            made = make_imported(loaded, row.question, row.text, repeat, prompt, occurrence=seen[key])
            seen[key] += 1
            bar.advance()
            if made.id not in done:
                check_fit(loaded, made, len(made.token_ids) + ROOM_FOR_PROBE, place=row.place)
                repeats[row.question.id] += 1
                new.append(made)
    return new
