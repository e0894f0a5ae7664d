"""Check an answer with the scorer of its Reasoning Gym task.

Their scorers evaluate what the model wrote as Python or SymPy expressions, so they run where programs run. Loading them
takes seconds: one process loads them and forks for every answer, so an answer never meets what another one has left.
"""

from __future__ import annotations

import atexit
import json
import os
import threading
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.util import find_spec
from typing import Any

from raml.answers.code.isolation import Isolation
from raml.answers.code.limits import CodeResult, Limits, write_detail
from raml.answers.code.probe import find_isolation
from raml.answers.code.sandbox import Outcome, Sandbox
from raml.errors import UndecidedError

SCORE_LIMITS = Limits(cpu_s=10, wall_s=30.0)
RIGHT_SCORE = 0.999
"""Their scores end at 1; a little less allows for sums of fractions."""


class TaskScorer:
    """Owns a process that has loaded the scorers; safe to share between threads."""

    def __init__(self, limits: Limits = SCORE_LIMITS, isolation: Isolation | None = None) -> None:
        self._limits = limits
        self._isolation = isolation
        self._sandbox: Sandbox | None = None
        self._lock = threading.Lock()

    def score(self, task: str, entry: Mapping[str, Any], answer: str) -> Outcome:
        """Let a task's scorer judge an answer; the outcome's value is the score, empty if the scorer failed.

        Raises:
            UndecidedError: The process did not start.
        """
        with self._lock:
            if self._sandbox is None:
                isolation = self._isolation or find_isolation()
                if isolation.name == "none":
                    raise UndecidedError(str(isolation))
                self._sandbox = Sandbox(isolation, self._limits, preload=["reasoning_gym"])
            return self._sandbox.run({"task": task, "entry": entry, "answer": answer})

    def close(self) -> None:
        """End the process; the next answer starts a new one."""
        sandbox, self._sandbox = self._sandbox, None
        if sandbox is not None:
            sandbox.close()


def check_by_task(answer: str, meta: Mapping[str, Any], *, scorer: TaskScorer | None = None) -> CodeResult:
    """Let Reasoning Gym's own scorer decide; right is a score of 1.

    Less counts as wrong only if the entry's own answer, where it has one, scores 1; else the entry is at fault.

    Args:
        answer: What was taken out of the response.
        meta: A question's; "reasoning_gym" holds the "dataset", its name there, and the "entry", JSON-able.
        scorer: In place of the one that this process shares.
    """
    found = meta.get("reasoning_gym")
    if not isinstance(found, Mapping) or not {"dataset", "entry"} <= set(found):
        return CodeResult("undecided", 'The question\'s meta has no "reasoning_gym" with a dataset and an entry.')
    if find_spec("reasoning_gym") is None:
        return CodeResult("undecided", "Scoring needs Reasoning Gym: pip install 'raml[tasks]'.")
    scorer = scorer or _share_scorer(os.getpid())
    task, entry = found["dataset"], found["entry"]
    try:
        outcome = scorer.score(task, entry, answer)
        score = _read_score(outcome)
        if score is not None and score >= RIGHT_SCORE:
            return CodeResult("right", None)
        if entry.get("answer") is not None:
            _check_gold(scorer, task, json.dumps(entry))
    except UndecidedError as error:
        return CodeResult("undecided", write_detail(str(error)))
    if outcome.timed_out:
        return CodeResult("timed out", "The scorer did not come to an end with this answer.")
    if score is not None:
        return CodeResult("wrong", f"The scorer of {task} gives {score:g}.")
    if entry.get("answer") is None:  # nothing shows that this scorer works on this entry at all
        return CodeResult("undecided", write_detail(f"The scorer of {task} fails: {_describe_failure(outcome)}"))
    return CodeResult("wrong", write_detail(f"The scorer of {task} fails on this answer: {_describe_failure(outcome)}"))


@lru_cache(maxsize=4096)
def _check_gold(scorer: TaskScorer, task: str, entry: str) -> None:
    """Raise UndecidedError if an entry's own answer does not score 1."""
    fields = json.loads(entry)
    outcome = scorer.score(task, fields, str(fields["answer"]))
    score = _read_score(outcome)
    if score is None:
        raise UndecidedError(f"The scorer of {task} fails on the entry's own answer: {_describe_failure(outcome)}")
    if score < RIGHT_SCORE:
        raise UndecidedError(f"The scorer of {task} gives {score:g} to the entry's own answer; correct the question.")


def _read_score(outcome: Outcome) -> float | None:
    try:
        return None if outcome.timed_out else float(outcome.value[:40])
    except ValueError:
        return None


def _describe_failure(outcome: Outcome) -> str:
    lines = outcome.error.strip().splitlines()
    if lines and outcome.exit_code > 0:
        return lines[-1]
    return "it timed out." if outcome.timed_out else f"exit status {outcome.exit_code}."


@cache
def _share_scorer(process_id: int) -> TaskScorer:
    """One scorer a process: a fork must not read its parent's replies."""
    scorer = TaskScorer()
    atexit.register(scorer.close)
    return scorer
