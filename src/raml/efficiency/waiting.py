"""Longer reasoning: where a trajectory would end it, it goes on after a word such as "Wait", up to a budget.

The budget forcing of s1 (Muennighoff et al. 2025, arXiv 2501.19393): the end of the thinking is taken away, a word is
put in its place, and the model writes on; what is longer than the budget is cut off there, and the bridge asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from raml.efficiency.contexts import (
    Context,
    Failure,
    Pair,
    answer_contexts,
    describe_readout,
    key_attempt,
    make_attempt,
    run_apart,
)
from raml.errors import DataError, NumericsError
from raml.models import LoadedModel
from raml.probes import check_fit
from raml.prompts import decode_tokens, encode_text, find_reasoning_len
from raml.records import Attempt, PromptSettings, Question, ReadoutSettings, Trajectory
from raml.sampling import BATCH_SIZE, SampleUnit, stream_trajectories


@dataclass(frozen=True)
class WaitSettings:
    """How reasoning is made longer."""

    budgets: tuple[int, ...]
    """Lengths up to which reasoning goes on, in tokens."""
    word: str = "Wait"
    """What stands where reasoning would end, at the beginning of a line."""
    max_waits: int = 2
    """How often at most a trajectory is made to go on."""
    readout: ReadoutSettings = field(default_factory=ReadoutSettings)
    """How the answer is asked for: bridge, longest answer and what ends it."""

    @property
    def variant(self) -> str:
        """What tells its line of the figure from that of the usual word and number of waits."""
        usual = (WaitSettings.word, WaitSettings.max_waits)
        times = f"{self.max_waits} time{'s' * (self.max_waits > 1)}"
        return "" if (self.word, self.max_waits) == usual else f"{self.word!r} at most {times}"


@dataclass
class _Growth:
    """A trajectory's reasoning as it grows up to a budget."""

    trajectory: Trajectory
    question: Question
    budget: int
    ids: list[int]
    n_generated: int
    has_ended: bool
    """Whether reasoning came to an end by itself, so that only the word makes the model go on."""
    n_waits: int = 0

    @property
    def n_left(self) -> int:
        """Tokens up to the budget."""
        return self.budget - len(self.ids)


def choose_longer_budgets(trajectories: Sequence[Trajectory]) -> tuple[int, ...]:
    """Choose budgets that most reasoning has to be made longer for: 1.5, 2 and 3 times its median length."""
    usual = median(trajectory.reasoning_len for trajectory in trajectories)
    return tuple(sorted({max(1, round(factor * usual)) for factor in (1.5, 2, 3)}))


def key_wait(loaded: LoadedModel, trajectory: Trajectory, question: Question, settings: WaitSettings) -> list[str]:
    """The ids of the attempts that `wait` makes of a trajectory, one for each budget.

    Raises:
        DataError: the settings make no sense, or nobody knows how the trajectory was drawn.
        ModelError: with the largest budget, the trajectory does not fit the model.
    """
    _check_settings(settings)
    if trajectory.sampling is None:
        raise DataError(
            f"Trajectory {trajectory.id} was imported: how its tokens were drawn is not known, so it can't be written "
            "on in the same way. Draw trajectories with `raml sample`."
        )
    longest = max(settings.budgets)
    n_bridge = len(encode_text(loaded.tokenizer, settings.readout.bridge))
    place = f"Trajectory {trajectory.id}, a budget of {longest}"
    check_fit(loaded, trajectory, longest + n_bridge + settings.readout.max_new_tokens, place=place)
    return [_key(loaded, (trajectory, question), settings, budget) for budget in settings.budgets]


def wait(
    loaded: LoadedModel,
    pairs: Sequence[Pair],
    settings: WaitSettings,
    *,
    memory: int | None = None,
    allow_code: bool = False,
) -> tuple[list[Attempt], list[Failure]]:
    """Make trajectories' reasoning longer, and answer at each budget.

    A trajectory goes on as it was drawn, with random numbers of its own that follow from its seed, the same for all
    budgets. Reasoning that is longer than a budget is cut there. One whose waits are used up before is answered from
    as it is. The word is read and not generated; what the model wrote after the end of its reasoning, before it was
    made to go on, was generated and is not read.

    Args:
        loaded: The model that wrote the trajectories.
        pairs: Trajectories with their questions.
        settings: Budgets, word and bridge.
        memory: Bytes that may be used beside the model's weights while answering; by default most of what is free.
        allow_code: As in `raml.answers.grade_response`.

    Returns:
        An attempt for each trajectory and budget; trajectories of which there is none, and why.
    """
    return run_apart(lambda some: _wait(loaded, some, settings, memory, allow_code), pairs)


def _wait(
    loaded: LoadedModel, pairs: Sequence[Pair], settings: WaitSettings, memory: int | None, allow_code: bool
) -> list[Attempt]:
    for trajectory, question in pairs:
        key_wait(loaded, trajectory, question, settings)  # raises what speaks against it
    growths = [_begin(*pair, budget) for pair in pairs for budget in settings.budgets]
    while waiting := [growth for growth in growths if _goes_on(growth, settings)]:
        for growth in waiting:
            if growth.has_ended:
                growth.ids += _encode_word(loaded, growth, settings.word)[: growth.n_left]
                growth.n_waits += 1
        for batch in _plan_batches(loaded, [growth for growth in waiting if growth.n_left]):
            _write_on(loaded, batch)
    contexts = [Context(growth.trajectory.prompt_ids, tuple(growth.ids), growth.question) for growth in growths]
    answers = answer_contexts(loaded, contexts, settings.readout, memory=memory, allow_code=allow_code)
    return [
        make_attempt(
            loaded,
            pair := (growth.trajectory, growth.question),
            answered.grade,
            key=_key(loaded, pair, settings, growth.budget),
            method="wait",
            variant=settings.variant,
            level=growth.budget,
            n_thinking=len(growth.ids),
            n_generated=growth.n_generated + answered.n_written,
            kept=((0, n_kept),) if (n_kept := min(growth.budget, growth.trajectory.reasoning_len)) else (),
            text=decode_tokens(loaded.tokenizer, growth.ids[growth.trajectory.reasoning_len :])[0] or None,
        )
        for growth, answered in zip(growths, answers, strict=True)
    ]


def _check_settings(settings: WaitSettings) -> None:
    if not settings.budgets or min(settings.budgets) < 1:
        raise DataError(f"Budgets are {settings.budgets}; at least one is needed, each of at least 1 token.")
    if not settings.word.strip():
        raise DataError("The word that makes reasoning go on is empty; take one such as Wait.")
    if settings.max_waits < 1:
        raise DataError(f"max_waits is {settings.max_waits}; it must be at least 1.")


def _key(loaded: LoadedModel, pair: Pair, settings: WaitSettings, budget: int) -> str:
    decisive = (settings.word, settings.max_waits, describe_readout(settings.readout))
    trajectory, question = pair
    return key_attempt("wait", decisive, loaded, trajectory, question.gold_key(), level=budget)


def _begin(trajectory: Trajectory, question: Question, budget: int) -> _Growth:
    n, n_all = trajectory.reasoning_len, len(trajectory.token_ids)
    return _Growth(
        trajectory,
        question,
        budget,
        ids=list(trajectory.token_ids[: min(n, budget)]),
        n_generated=n_all if n < budget else budget,
        has_ended=not (trajectory.finish == "length" and n == n_all),
    )


def _goes_on(growth: _Growth, settings: WaitSettings) -> bool:
    return growth.n_left > 0 and (not growth.has_ended or growth.n_waits < settings.max_waits)


def _encode_word(loaded: LoadedModel, growth: _Growth, word: str) -> tuple[int, ...]:
    text, _ = decode_tokens(loaded.tokenizer, growth.ids[-8:])
    return encode_text(loaded.tokenizer, word if not text or text.endswith("\n") else f"\n{word}")


def _plan_batches(loaded: LoadedModel, growths: Sequence[_Growth]) -> Iterator[list[_Growth]]:
    """Put those together that are drawn alike and fit the context window with what the neediest of them may write."""
    left = sorted(growths, key=lambda growth: -growth.n_left)
    while left:
        first = left[0]
        fit = [g for g in left if g.trajectory.sampling == first.trajectory.sampling and _fits(loaded, g, first.n_left)]
        batch = fit[:BATCH_SIZE]
        yield batch
        left = [growth for growth in left if not any(growth is member for member in batch)]


def _fits(loaded: LoadedModel, growth: _Growth, n_new: int) -> bool:
    length = len(growth.trajectory.prompt_ids) + len(growth.ids) + n_new
    return loaded.context_len is None or length <= loaded.context_len


def _write_on(loaded: LoadedModel, growths: Sequence[_Growth]) -> None:
    """Let the model continue some texts that are drawn alike, each up to its budget or the end of its reasoning.

    Raises:
        NumericsError: the model's probabilities break down on the way.
    """
    sampling = growths[0].trajectory.sampling
    assert sampling is not None, "checked before"
    settings = replace(sampling, max_new_tokens=max(growth.n_left for growth in growths))
    units = [
        SampleUnit(
            str(i),
            replace(growth.question, id=growth.trajectory.id),  # its random numbers
            growth.n_waits,
            growth.trajectory.prompt or PromptSettings(),
            (*growth.trajectory.prompt_ids, *growth.ids),
        )
        for i, growth in enumerate(growths)
    ]
    for batch in stream_trajectories(loaded, units, settings=settings, batch_size=len(units)):
        for more in batch:
            _take(growths[int(more.id)], more)


def _take(growth: _Growth, more: Trajectory) -> None:
    """Add a continuation, of which what a longer one of its batch made it write beyond its budget does not count."""
    ids, ends = more.token_ids[: growth.n_left], more.token_ends[: growth.n_left]
    if more.finish is None and len(ids) == len(more.token_ids):
        raise NumericsError(f"Trajectory {growth.trajectory.id}, written on: {more.error}")
    n_reasoning = find_reasoning_len(more.text[: ends[-1]] if ends else "", ends)
    growth.n_generated += len(ids)
    growth.has_ended = n_reasoning < len(ids) or len(ids) < growth.n_left
    growth.ids += ids[:n_reasoning]
