"""`raml import`: bring trajectories that were made elsewhere into a run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from raml.cli.options import LoadOptions, load
from raml.cli.stage import StageClock, say
from raml.interchange import read_plain
from raml.records import PromptSettings
from raml.store import Journal, Run


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
    from raml.probes import check_fit
    from raml.sampling import make_imported

    prompt = prompt or PromptSettings()
    rows = read_plain(file)
    loaded = load(model, options)
    folder = Run(run)
    clock = StageClock(folder, "import", {"format": format, "file": str(file), "model": model, "prompt": prompt})
    known = folder.read_questions() if folder.questions_path.is_file() else []
    questions = {question.id: question for question in known} | {row.question.id: row.question for row in rows}
    repeats = Counter[str]()
    trajectories = []
    for row in rows:
        trajectory = make_imported(loaded, row.question, row.text, repeats[row.question.id], prompt)
        check_fit(loaded, trajectory, len(trajectory.token_ids), place=row.place)
        repeats[row.question.id] += 1
        trajectories.append(trajectory)
    done = {trajectory.id for trajectory in folder.read_trajectories()}
    new = [trajectory for trajectory in trajectories if trajectory.id not in done]
    folder.write_questions(list(questions.values()))
    with Journal(folder.trajectories_path) as journal:
        journal.append(new)
    folder.order_trajectories()
    clock.finish(
        inputs=(file,),
        outputs={
            folder.questions_path: len(questions),
            folder.trajectories_path: len(folder.read_trajectories()),
        },
        n_units=len(rows),
        n_new=len(new),
        n_errors=sum(t.correct is None for t in new),
        model=loaded.identity,
    )
    say(f"Wrote {len(new)} trajectories ({len(rows) - len(new)} were there) to {folder.trajectories_path}")
    say(f"{sum(t.correct is True for t in trajectories)} of {len(trajectories)} right")
    say(f"Next: raml trace {run}")
