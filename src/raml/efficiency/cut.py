"""Budget forcing (arXiv 2505.19815, Fig. 11): reasoning is cut off at a budget, and the bridge asks for the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from raml.efficiency.contexts import (
    Answered,
    Context,
    Failure,
    Pair,
    check_written,
    describe_readout,
    grade_own,
    key_attempt,
    make_attempt,
    plan_job,
    run_apart,
    run_in_batches,
)
from raml.errors import DataError, RamlError
from raml.models import LoadedModel
from raml.probes import check_fit
from raml.probes.task import make_writing
from raml.records import Attempt, Question, ReadoutSettings, Trajectory
from raml.scoring import Job, Scores

USUAL_LONG_LEN = 0.9
"""Share of the trajectories whose reasoning is no longer than the largest budget chosen by default."""
SHARES_OF_IT = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1)


@dataclass(frozen=True)
class CutSettings:
    """Where reasoning is cut off."""

    budgets: tuple[int, ...]
    """Tokens of reasoning that are let through; 0 asks for the answer at once."""
    readout: ReadoutSettings = field(default_factory=ReadoutSettings)
    """Bridge, longest answer and what ends it; span and every mean nothing here."""

    def __post_init__(self) -> None:
        """Refuse budgets that can't be kept.

        Raises:
            DataError: there is none, or one is negative.
        """
        if not self.budgets or min(self.budgets) < 0:
            raise DataError(f"Budgets are {self.budgets}; give at least one, none below 0 tokens.")


def choose_budgets(trajectories: Sequence[Trajectory]) -> tuple[int, ...]:
    """Choose budgets from 1/16 up to a usual long reasoning, the 90th percentile, to two digits.

    Raises:
        DataError: there is no trajectory with any reasoning.
    """
    lens = [trajectory.reasoning_len for trajectory in trajectories if trajectory.reasoning_len]
    if not lens:
        raise DataError("No trajectory has any reasoning, so there is nothing to cut off.")
    longest = float(np.quantile(lens, USUAL_LONG_LEN))
    return tuple(sorted({max(1, int(float(f"{share * longest:.2g}"))) for share in SHARES_OF_IT}))


def key_cut(loaded: LoadedModel, trajectory: Trajectory, question: Question, settings: CutSettings) -> list[str]:
    """The ids of the attempts that `cut_trajectories` makes of a trajectory, one for each budget."""
    decides, gold = describe_readout(settings.readout), question.gold_key()
    return [key_attempt("cut", decides, loaded, trajectory, gold, level=budget) for budget in settings.budgets]


def cut_trajectories(
    loaded: LoadedModel,
    pairs: Sequence[Pair],
    settings: CutSettings,
    *,
    memory: int | None = None,
    allow_code: bool = False,
) -> tuple[list[Attempt], list[Failure]]:
    """Cut each trajectory's reasoning off at each budget and let the model answer; all budgets in one pass.

    Reasoning that is no longer than a budget ended by itself: the trajectory's own answer counts, with all its tokens.
    One that was cut off while it was sampled never ended; it is answered after what there is of it.

    Args:
        loaded: The model that answers, usually the one that wrote the trajectories.
        pairs: Trajectories and their questions.
        settings: Budgets and bridge.
        memory: Bytes that may be used beside the model's weights; by default most of what is free.
        allow_code: As in `raml.answers.grade_response`.

    Returns:
        The attempts, by trajectory and budget, and for the other trajectories why there are none.
    """
    jobs: dict[str, Job] = {}
    failures: list[Failure] = []
    for trajectory, question in pairs:
        try:
            jobs[trajectory.id] = _plan(loaded, trajectory, question, settings)
        except RamlError as error:
            failures.append((trajectory.id, error))
    able = [pair for pair in pairs if pair[0].id in jobs]
    run = partial(_cut, loaded, jobs=jobs, settings=settings, memory=memory, allow_code=allow_code)
    attempts, failed = run_apart(run, able)
    return attempts, failures + failed


def _plan(loaded: LoadedModel, trajectory: Trajectory, question: Question, settings: CutSettings) -> Job:
    """Plan what is read of a trajectory: the prefixes at which it has not ended, perhaps none."""
    writing = make_writing(loaded, settings.readout)
    check_fit(loaded, trajectory, 0)
    ends = [_find_end(trajectory, budget) for budget in settings.budgets]
    lens = tuple(sorted({end for end in ends if end is not None}))
    before = Context(trajectory.prompt_ids, trajectory.token_ids[: max(lens, default=0)], question)
    return replace(plan_job(loaded, before, settings.readout, writing.max_new_tokens), prefix_lens=lens)


def _find_end(trajectory: Trajectory, budget: int) -> int | None:
    """The prefix after which the bridge follows; None if the trajectory states its answer before."""
    if budget < trajectory.reasoning_len:
        return budget
    never_ended = trajectory.finish == "length" and trajectory.reasoning_len == len(trajectory.token_ids)
    return trajectory.reasoning_len if never_ended else None


def _cut(
    loaded: LoadedModel,
    pairs: Sequence[Pair],
    *,
    jobs: dict[str, Job],
    settings: CutSettings,
    memory: int | None,
    allow_code: bool,
) -> list[Attempt]:
    asked = [jobs[trajectory.id] for trajectory, _ in pairs if jobs[trajectory.id].prefix_lens]
    writing = make_writing(loaded, settings.readout)
    scores = iter(run_in_batches(loaded, asked, writing=writing, memory=memory))
    attempts = []
    for pair in pairs:
        job = jobs[pair[0].id]
        answered = _check(loaded, job, next(scores), pair, settings, allow_code) if job.prefix_lens else {}
        attempts += _make_attempts(loaded, pair, answered, settings)
    return attempts


def _check(
    loaded: LoadedModel, job: Job, scores: Scores, pair: Pair, settings: CutSettings, allow_code: bool
) -> dict[int, Answered]:
    """Check the answers of a trajectory, by prefix."""
    assert scores.written is not None
    return {
        end: check_written(loaded, written, pair[1], settings.readout, allow_code=allow_code)
        for end, written in zip(job.prefix_lens, scores.written, strict=True)
    }


def _make_attempts(
    loaded: LoadedModel, pair: Pair, answered: dict[int, Answered], settings: CutSettings
) -> list[Attempt]:
    trajectory, question = pair
    attempts = []
    for key, budget in zip(key_cut(loaded, trajectory, question, settings), settings.budgets, strict=True):
        end = _find_end(trajectory, budget)
        n_thinking = trajectory.reasoning_len if end is None else end
        attempts.append(
            make_attempt(
                loaded,
                pair,
                grade_own(trajectory) if end is None else answered[end].grade,
                key=key,
                method="cut",
                level=budget,
                n_thinking=n_thinking,
                n_generated=len(trajectory.token_ids) if end is None else end + answered[end].n_written,
                kept=((0, n_thinking),) if n_thinking else (),
            )
        )
    return attempts
