"""`raml grade`: check a run's answers again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from raml.answers import NEEDS_CODE, Grade, find_isolation, grade_response
from raml.answers.code import count_usable_cpus
from raml.cli.stage import list_unclear, say, show_progress
from raml.errors import DataError, RunError
from raml.records import Question, Trajectory
from raml.store import Run, StageClock, lock_run

SECONDS_BETWEEN_WRITES = 60.0


def grade(run: Path, *, all: bool = False, allow_code_execution: bool = False, workers: int | None = None) -> None:
    """Check the answers of a run's trajectories again.

    Example: `raml grade runs/code --allow-code-execution`

    Those that are not decided are checked, or all of them.

    Parameters
    ----------
    run
        A run folder with trajectories.
    all
        Check decided ones too, after a question's answer or tests were corrected.
    allow_code_execution
        Run programs that a model wrote, for questions that are checked that way.
    workers
        Programs that run at the same time; by default one for each CPU that this process may use.
    """
    if workers is not None and workers < 1:
        raise DataError(f"--workers is {workers}; it must be at least 1.")
    folder = Run(run)
    questions = {question.id: question for question in folder.read_questions()}
    clock = StageClock(folder, "grade", {"all": all, "allow_code_execution": allow_code_execution})
    with lock_run(run):
        trajectories = {t.id: t for t in folder.read_trajectories()}
        if not trajectories:
            raise RunError(f"{run} has no trajectories. Make some with `raml sample MODEL {run}` or `raml import`.")
        before = dict(trajectories)
        todo = [t for t in trajectories.values() if _is_due(t, questions, all, allow_code_execution)]
        if allow_code_execution and any(questions[t.question_id].kind in NEEDS_CODE for t in todo):
            say(str(find_isolation()))
        try:
            _check_all(folder, todo, questions, trajectories, allow_code_execution, workers)
        finally:  # what was checked before an interrupt is kept
            folder.write_trajectories(list(trajectories.values()))
        n_changed = sum(before[i].verdict != t.verdict for i, t in trajectories.items())
        clock.finish(
            inputs=(folder.questions_path,),
            outputs={folder.trajectories_path: len(trajectories)},
            n_units=len(todo),
            n_new=n_changed,
            n_errors=sum(trajectories[t.id].correct is None for t in todo),
        )
    say(f"Checked {len(todo)} of {len(trajectories)} trajectories again; {n_changed} came out differently")
    counts = Counter(trajectories[t.id].verdict for t in todo)
    if counts:
        say(", ".join(f"{n} {verdict}" for verdict, n in counts.most_common()))
    n_code = sum(questions[t.question_id].kind in NEEDS_CODE for t in trajectories.values())
    if n_code and not allow_code_execution:
        say(f"{n_code} are checked by running what the model wrote, which needs --allow-code-execution")
    for line in list_unclear(questions.values(), (trajectories[t.id] for t in todo)):
        say(line)
    say(f"Next: raml evaluate {run}")


def _check_all(
    folder: Run,
    todo: Sequence[Trajectory],
    questions: dict[str, Question],
    trajectories: dict[str, Trajectory],
    allow_code: bool,
    workers: int | None,
) -> None:
    """Check responses, several at a time, and put them among the run's; write these down now and then."""
    told = time.monotonic()
    pool = ThreadPoolExecutor(workers or count_usable_cpus())

    def check(t: Trajectory) -> Grade:
        return grade_response(t.text, questions[t.question_id], allow_code=allow_code)

    try:
        with show_progress("grading", len(todo)) as bar:
            for trajectory, made in zip(todo, pool.map(check, todo), strict=True):
                trajectories[trajectory.id] = _apply(trajectory, made)
                bar.advance()
                if time.monotonic() - told > SECONDS_BETWEEN_WRITES:
                    folder.write_trajectories(list(trajectories.values()))
                    told = time.monotonic()
    finally:
        pool.shutdown(cancel_futures=True)


def _is_due(trajectory: Trajectory, questions: dict[str, Question], everything: bool, allow_code: bool) -> bool:
    """Whether to check a response: not where its numbers broke down, nor a program that may not be run."""
    question = questions.get(trajectory.question_id)
    if question is None:
        raise DataError(f"Trajectory {trajectory.id} answers question {trajectory.question_id}, which is not here.")
    if trajectory.finish is None and trajectory.sampling is not None:
        return False
    if question.kind in NEEDS_CODE and not allow_code:
        return False
    return everything or trajectory.correct is None or trajectory.verdict is None


def _apply(trajectory: Trajectory, made: Grade) -> Trajectory:
    return replace(trajectory, answer=made.answer, correct=made.correct, verdict=made.verdict, error=made.error)
