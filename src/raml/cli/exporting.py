"""`raml export`: write a run's trajectories for another tool."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from raml.cli.help_groups import PREFERENCE
from raml.cli.stage import say
from raml.errors import DataError, RunError
from raml.interchange import (
    ExportedResponse,
    write_inspect,
    write_openai_chat,
    write_rollouts,
    write_trl,
    write_trl_completions,
    write_trl_preference,
    write_verifiers,
    write_verl,
    write_verl_rollouts,
)
from raml.records import PromptSettings, Question, Trajectory
from raml.store import Run, writing
from raml.training.settings import PairChoice

Format = Literal[
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
WRITERS = {
    "trl-completions": write_trl_completions,
    "verl-rollouts": write_verl_rollouts,
    "openai-chat": write_openai_chat,
    "inspect": write_inspect,
    "verifiers": write_verifiers,
    "rollouts": write_rollouts,
}


def export_file(
    format: Annotated[Format, Parameter(show_choices=False)],  # the command line's own word for it
    run: Path,
    file: Path,
    *,
    overwrite: bool = False,
    limit: int | None = None,
    only_right: bool = False,
    writer: str | None = None,
    records: bool = True,
    chat: bool = True,
    pairs: Annotated[PairChoice, Parameter(group=PREFERENCE)] = "random",
    n: Annotated[int, Parameter(group=PREFERENCE)] = 4,
    seed: Annotated[int, Parameter(group=PREFERENCE)] = 0,
    include_redacted: bool = False,
) -> None:
    """Write a run's trajectories for another tool.

    Examples: `raml export trl runs/mine sft.parquet --only-right`, `raml export inspect runs/mine mine.eval`

    The file also keeps each trajectory whole, in a column or field `raml`, so that `raml import` gets back the same
    records.

    Parameters
    ----------
    format
        What is written; `raml help interchange` has the columns of each:

        - trl: prompt and completion, for SFTTrainer
        - trl-preference: pairs of a right and a wrong trajectory, for DPOTrainer
        - trl-completions: a table like GRPOTrainer's log
        - verl: the questions, for training
        - verl-rollouts: a dump of rollouts
        - openai-chat: `messages`
        - inspect: a log
        - verifiers: results.jsonl
        - rollouts: a row a question with its generations
    run
        The run folder to read.
    file
        The file to write: .jsonl or .parquet; .eval or .json for inspect. Its folder is made if need be.
    overwrite
        Replace the file if it exists.
    limit
        Take only the first so many questions.
    only_right
        Leave out trajectories that are wrong or undecided.
    writer
        Take only the trajectories of this model, by the name that their records have.
    records
        Keep the field `raml`; `--no-records` makes a smaller file with nothing but what the other tool knows.
    chat
        Write chat messages; `--no-chat` writes text (trl and trl-preference).
    pairs
        Which right and wrong ones make a pair; see `raml train dpo`.
    n
        Most pairs per question; no trajectory is in two of them.
    seed
        Chooses the pairs.
    include_redacted
        Write questions, and responses to them, whose terms ask that they are not shown in public.
    """
    for name, number in (("limit", limit), ("n", n)):
        if number is not None and number < 1:
            raise DataError(f"--{name} is {number}; it must be at least 1.")
    if file.exists() and not overwrite:
        raise RunError(f"{file} exists. Choose another name, or replace it with --overwrite.")
    questions, n_redacted = _choose_questions(Run(run), limit, include_redacted=include_redacted)
    if format == "verl":
        _make_folder(file)
        write_verl(file, [(question, _write_message(question, None)) for question in questions], records=records)
        n_rows, notes = len(questions), []
    else:
        responses = _choose_responses(Run(run), questions, only_right=only_right, writer=writer)
        _make_folder(file)
        if format == "trl-preference":
            made, notes = _choose_pairs(questions, responses, pairs, n, seed)
            write_trl_preference(file, made, records=records, chat=chat)
            n_rows = 2 * len(made)
        else:
            if format == "trl":
                write_trl(file, responses, records=records, chat=chat)
            else:
                WRITERS[format](file, responses, records=records)
            n_rows, notes = len(responses), []
    say(f"Wrote {n_rows} {'questions' if format == 'verl' else 'trajectories'} to {file}")
    if n_redacted:
        say(f"Left out {n_redacted} questions that must not be shown in public (--include-redacted writes them)")
    for note in notes:
        say(note)
    say(f"Next: raml import {format} {file} RUN --model MODEL   (reads it back)")


def _make_folder(file: Path) -> None:
    with writing(file.parent):
        file.parent.mkdir(parents=True, exist_ok=True)


def _choose_questions(run: Run, limit: int | None, *, include_redacted: bool) -> tuple[list[Question], int]:
    """Read the questions that may be written, and count those that may not.

    Raises:
        DataError: none is left.
    """
    found = run.read_questions()[:limit]
    kept = [question for question in found if include_redacted or not question.redacted]
    if not kept:
        raise DataError(
            f"{run.path} has {len(found)} questions, and none that may be shown in public. --include-redacted writes "
            "them all the same."
        )
    return kept, len(found) - len(kept)


def _choose_responses(
    run: Run, questions: Sequence[Question], *, only_right: bool, writer: str | None
) -> list[ExportedResponse]:
    """Read the trajectories that are to be written.

    Raises:
        DataError: there are none.
    """
    of_question = {question.id: question for question in questions}
    there = [t for t in run.read_trajectories() if t.question_id in of_question]
    found = [t for t in there if writer in (None, t.model.name) and (t.correct is True or not only_right)]
    if not found:
        if not there:
            raise DataError(f"{run.path} has no trajectories of these questions. Make some with `raml sample`.")
        writers = ", ".join(sorted({t.model.name for t in there}))
        raise DataError(
            f"None of {len(there)} trajectories of {run.path} is left by --writer and --only-right. They are by "
            f"{writers}; {sum(t.correct is True for t in there)} are right."
        )
    return [_join(of_question[trajectory.question_id], trajectory) for trajectory in found]


def _choose_pairs(
    questions: Sequence[Question], responses: Sequence[ExportedResponse], choice: PairChoice, n: int, seed: int
) -> tuple[list[tuple[ExportedResponse, ExportedResponse]], list[str]]:
    """Pair right and wrong trajectories as `raml train dpo` does."""
    from raml.training.pairs import choose_pairs
    from raml.training.sources import note_without

    chosen, without = choose_pairs(questions, [response.trajectory for response in responses], choice, n, seed)
    made = [(_join(question, right), _join(question, wrong)) for question, right, wrong in chosen]
    return made, [note_without(without, "no right or no wrong trajectory")] if without else []


def _join(question: Question, trajectory: Trajectory) -> ExportedResponse:
    return ExportedResponse(question, trajectory, _write_message(question, trajectory.prompt))


def _write_message(question: Question, prompt: PromptSettings | None) -> str:
    from raml.prompts import write_message

    return write_message(question, prompt or PromptSettings())
