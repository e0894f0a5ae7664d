"""`raml import`: bring trajectories that were made elsewhere into a run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from raml.cli.help_groups import COLUMNS, LOADING, PROMPT
from raml.cli.intake import Importer, Tally
from raml.cli.options import LoadOptions, check_limit, load
from raml.cli.stage import list_unclear, say, show_progress
from raml.errors import DataError
from raml.interchange import (
    READERS,
    Columns,
    ForeignResponse,
    ForeignRow,
    ReadContext,
    index_questions,
    read_plain,
    stream_foreign,
)
from raml.records import Kind, PromptSettings, Question
from raml.store import Journal, Run, StageClock, lock_run

Format = Literal[
    "plain",
    "trl",
    "trl-preference",
    "trl-completions",
    "verl",
    "verl-rollouts",
    "openai-chat",
    "inspect",
    "verifiers",
    "rollouts",
]


def import_file(
    format: Annotated[Format, Parameter(show_choices=False)],  # the command line's own word for it
    file: Path,
    run: Path,
    *,
    model: str,
    answers: str | None = None,
    limit: int | None = None,
    skip_unusable: bool = False,
    allow_code_execution: bool = False,
    columns: Annotated[Columns | None, Parameter(name="*", group=COLUMNS)] = None,
    prompt: Annotated[PromptSettings | None, Parameter(name="*", group=PROMPT)] = None,
    options: Annotated[LoadOptions | None, Parameter(name="*", group=LOADING)] = None,
) -> None:
    """Take in trajectories that another tool wrote.

    Examples: `raml import plain mine.jsonl runs/mine --model Qwen/Qwen3-0.6B`,
    `raml import inspect logs/gsm8k.eval runs/gsm8k --model Qwen/Qwen3-0.6B --limit 500`

    Responses are graded by raml's own check; where the file has a verdict that differs, that is counted and said. A
    file of `raml export` gives back the same records.

    Parameters
    ----------
    format
        What the file is; `raml help interchange` has the columns of each:

        - plain: rows with `question`, gold `answer` and `trajectory`
        - trl: prompt and completion
        - trl-preference: prompt, chosen and rejected
        - trl-completions: what GRPOTrainer logs
        - verl: training rows, questions above all
        - verl-rollouts: dumps of rollouts or validation
        - openai-chat: `messages`
        - inspect: .eval or .json logs
        - verifiers: results.jsonl or traces.jsonl
        - rollouts: a question and a list of generations, as OpenR1-Math-220k
    file
        The file to read: .jsonl, .csv or .parquet, or a log of inspect.
    run
        The run folder; made if need be. Rows that it already holds are left alone.
    model
        Whose tokenizer splits the text and whose chat template makes the prompts; `raml trace` scores with it.
    answers
        A question file or a run folder whose gold answers (and kinds of question) go before the file's, by prompt.
    limit
        Take only the first so many responses (or questions without any); the rest of the file is not read.
    skip_unusable
        Leave out rows that can't be used (several turns, no gold answer, too long for MODEL, …), and count them.
    allow_code_execution
        Run what the models wrote, where checking needs that (programs; tasks of Reasoning Gym).
    """
    check_limit(limit)
    prompt, columns = prompt or PromptSettings(), columns or Columns()
    _check_options(format, columns, answers)
    folder, tally = Run(run), Tally()
    asked = {"format": format, "file": str(file), "model": model, "prompt": prompt, "columns": columns}
    asked |= {"answers": answers, "limit": limit, "skip_unusable": skip_unusable, "allow_code": allow_code_execution}
    clock = StageClock(folder, "import", asked)
    with lock_run(run):
        # What the run knows already stays as it is; `write_questions` refuses another question under the same id.
        known = folder.read_questions() if folder.questions_path.is_file() else []
        context = _make_context(file, columns, prompt, answers, known)
        rows = _peek(_open_rows(format, file, context, tally if skip_unusable else None))
        there = folder.read_trajectories()
        importer = Importer(
            load(model, options),
            prompt,
            known,
            there,
            tally,
            allow_code=allow_code_execution,
            skip_unusable=skip_unusable,
            drop_copies=format in READERS and READERS[format].has_copies,
        )
        with show_progress("importing", limit) as bar:
            for row in _take(rows, limit):
                importer.take_row(row)
                bar.advance(len(row.responses))
        _check_result(importer, file)
        folder.write_questions(list(importer.questions.values()))
        outputs: dict[Path, int | None] = {folder.questions_path: len(importer.questions)}
        if there or importer.new:
            with Journal(folder.trajectories_path) as journal:
                journal.append(importer.new)
            folder.order_trajectories()
            outputs[folder.trajectories_path] = len(there) + len(importer.new)
        clock.finish(
            inputs=(file,),
            outputs=outputs,
            n_units=tally.n_responses,
            n_new=len(importer.new),
            n_errors=sum(t.correct is None for t in importer.new),
            model=importer.loaded.identity,
        )
    _report(folder, importer, len(importer.questions) - len(known))


def _check_options(format: str, columns: Columns, answers: str | None) -> None:
    """Refuse options that a format has no use for.

    Raises:
        DataError: there is one.
    """
    if format == "plain" and (columns != Columns() or answers is not None):
        raise DataError("plain has columns of its own and gold answers; leave out --answers and the names of columns.")
    if format != "rollouts" and (columns.question_column or columns.responses_column):
        raise DataError(f"--question-column and --responses-column are for rollouts; {format} has names of its own.")


def _make_context(
    file: Path, columns: Columns, prompt: PromptSettings, answers: str | None, known: Sequence[Question]
) -> ReadContext:
    from raml.prompts import INSTRUCTIONS
    from raml.training.sources import read_questions

    # Mathematics comes last, because Reasoning Gym's wording is the same.
    wordings: dict[str, Kind] = {wording: kind for kind, wording in reversed(INSTRUCTIONS.items())}
    if prompt.instruction:
        wordings.setdefault(prompt.instruction, "math")
    given = index_questions(read_questions([answers])) if answers is not None else {}
    return ReadContext(file.name, wordings, columns, given, index_questions(known))


def _open_rows(format: str, file: Path, context: ReadContext, tally: Tally | None) -> Iterator[ForeignRow]:
    """Read a file's rows; with a tally, those that can't be used are noted there and left out."""
    if format == "plain":
        plain = read_plain(file)
        return (ForeignRow(row.question, (ForeignResponse(row.text),), row.place) for row in plain)
    skip = None if tally is None else lambda error: tally.unusable.append(str(error))
    return stream_foreign(format, file, context, skip)


def _peek(rows: Iterator[ForeignRow]) -> Iterator[ForeignRow]:
    """Read the first row now, so that a file of the wrong kind is refused before a model is loaded."""
    first = list(itertools.islice(rows, 1))
    return itertools.chain(first, rows)


def _take(rows: Iterator[ForeignRow], limit: int | None) -> Iterator[ForeignRow]:
    """Stop after so many responses."""
    n_taken = 0
    for row in rows:
        room = None if limit is None else limit - n_taken
        yield replace(row, responses=row.responses[:room])
        n_taken += max(1, len(row.responses))
        if limit is not None and n_taken >= limit:
            return


def _check_result(importer: Importer, file: Path) -> None:
    """Refuse to write a run without anything in it.

    Raises:
        DataError: no row could be used.
    """
    if not importer.questions:
        first = importer.tally.unusable[0] if importer.tally.unusable else "it has none"
        raise DataError(f"No row of {file} could be used. The first one: {first}")


def _report(folder: Run, importer: Importer, n_questions: int) -> None:
    tally, new = importer.tally, importer.new
    if tally.n_responses:
        say(f"Wrote {len(new)} trajectories ({tally.n_there} were there) to {folder.trajectories_path}")
        say(f"{sum(t.correct is True for t in new)} of {len(new)} new ones right")
    else:
        say(f"Wrote {n_questions} questions and no trajectories to {folder.questions_path}")
    if tally.differing:
        say(f"{len(tally.differing)} of {tally.n_labels} labels differ from our check, e.g. {tally.differing[0]}")
    elif tally.n_labels:
        say(f"All {tally.n_labels} labels agree with our check")
    for note, n in tally.notes.items():
        say(f"{n} × {note}")
    if tally.unusable:
        say(f"Left out {len(tally.unusable)} that can't be used, e.g. {tally.unusable[0]}")
    for line in list_unclear(importer.questions.values(), new):
        say(line)
    say(f"Next: raml {'trace' if tally.n_responses else 'sample MODEL'} {folder.path}")
