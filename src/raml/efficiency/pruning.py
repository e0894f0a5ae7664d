"""Pruning: the sentences that contribute least to an answer are left out, and the model answers from the rest.

What decides whether contribution means anything is the control: sentences left out by chance, to the same length.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from raml.efficiency.contexts import (
    Answered,
    Context,
    Failure,
    Pair,
    answer_contexts,
    describe_readout,
    key_attempt,
    make_attempt,
    plan_job,
    run_apart,
    score_contexts,
)
from raml.efficiency.shortened import Shortened, Span, count_tokens, drop_by_chance, merge_spans, place_spans
from raml.errors import DataError, NumericsError, RamlError
from raml.models import LoadedModel
from raml.probes import check_fit
from raml.probes.task import make_writing
from raml.prompts import split_sentences
from raml.records import Attempt, Method, Question, ReadoutSettings, Trajectory


@dataclass(frozen=True)
class PruneSettings:
    """How much reasoning is left out, and which answer decides what."""

    shares: tuple[float, ...] = (0.75, 0.5, 0.25)
    """Of the reasoning's tokens, how many are kept at most. From the largest down, each goes on from the one before."""
    target: Literal["gold", "own"] = "own"
    """The answer whose likelihood measures a sentence's contribution. "own": the one that the trajectory ended with,
    which is known wherever a trajectory is. "gold" is an oracle: it knows the right answer, so what it reaches is a
    bound for others and no method."""
    n_draws: int = 4
    """Random choices of sentences for each share, the control; 0 for none."""
    seed: int = 0
    """With trajectory, share and draw it fixes a control's random numbers."""
    readout: ReadoutSettings = field(default_factory=ReadoutSettings)
    """Bridge, longest answer and what ends it; span and every mean nothing here."""

    def __post_init__(self) -> None:
        """Refuse settings out of range.

        Raises:
            DataError: there is no share, one is not above 0 and at most 1, or n_draws is negative.
        """
        if not self.shares or not all(0 < share <= 1 for share in self.shares):
            raise DataError(f"Shares of the reasoning to keep are {self.shares}; give at least one, above 0 up to 1.")
        if self.n_draws < 0:
            raise DataError(f"n_draws is {self.n_draws}; it must be at least 0.")


@dataclass(frozen=True)
class _Choice:
    """What of a trajectory is kept for an attempt."""

    pruned: Shortened
    method: Method
    share: float
    draw: int
    spans: tuple[Span, ...]


def key_prune(loaded: LoadedModel, trajectory: Trajectory, question: Question, settings: PruneSettings) -> list[str]:
    """The ids of the attempts that `prune_trajectories` makes of a trajectory: by share, pruned first, then draws."""
    keys = []
    for share in _order_shares(settings):
        keys.append(_key(loaded, (trajectory, question), settings, "prune", share, 0))
        keys += [
            _key(loaded, (trajectory, question), settings, "random", share, draw) for draw in range(settings.n_draws)
        ]
    return keys


def prune_trajectories(
    loaded: LoadedModel,
    pairs: Sequence[Pair],
    settings: PruneSettings | None = None,
    *,
    memory: int | None = None,
    allow_code: bool = False,
) -> tuple[list[Attempt], list[Failure]]:
    """Leave sentences out of each trajectory's reasoning, down to each share, and let the model answer from the rest.

    At each share the sentences that are still there are scored anew (`measure_contributions`), and those that
    contribute least go until what is kept, the opening `<think>` with it, is no longer than the share. One sentence
    always stays: where it is longer than the share, the attempt's n_thinking says so. The control ("random") drops
    sentences in random order, the last of them only in part, until exactly as many tokens are kept. The whole
    trajectory, with its answer, had to be written before anything could be left out, so it counts as generated.

    Args:
        loaded: The model that scores and answers, usually the one that wrote the trajectories.
        pairs: Trajectories and their questions.
        settings: Shares, target and control.
        memory: Bytes that may be used beside the model's weights; by default most of what is free.
        allow_code: As in `raml.answers.grade_response`.

    Returns:
        The attempts, trajectory by trajectory in the order of `key_prune`, and for the other trajectories why there are
        none: no answer of its own to look at, fewer than two sentences, or what `raml.probes.check_fit` says.
    """
    settings = settings or PruneSettings()
    plans: dict[str, Shortened] = {}
    failures: list[Failure] = []
    for pair in pairs:
        try:
            plans[pair[0].id] = _plan(loaded, pair, settings)
        except RamlError as error:
            failures.append((pair[0].id, error))
    able = [pair for pair in pairs if pair[0].id in plans]
    run = partial(_prune, loaded, plans=plans, settings=settings, memory=memory, allow_code=allow_code)
    attempts, failed = run_apart(run, able)
    return attempts, failures + failed


def measure_contributions(
    loaded: LoadedModel,
    contexts: Sequence[tuple[Context, Sequence[Span]]],
    settings: ReadoutSettings | None = None,
    *,
    memory: int | None = None,
) -> list[list[float]]:
    """Measure how much each stretch of each context contributes to its target, by leaving it out.

    Args:
        loaded: The model that scores.
        contexts: Contexts with a target, and stretches (start, stop) of their tokens.
        settings: The bridge.
        memory: As in `answer_contexts`.

    Returns:
        For each context and stretch, L̂ of the target without the stretch minus L̂ with it, in nats: above 0 where the
        stretch makes the target likelier.

    Raises:
        DataError: a context has no target; otherwise as `answer_contexts`.
        ModelError: as `answer_contexts`.
    """
    variants = []
    for context, spans in contexts:
        ids = context.token_ids
        # The last first: each then begins as the one before it did, as far as it can, and the engine reads the rest.
        variants += [context, *(replace(context, token_ids=ids[:start] + ids[stop:]) for start, stop in spans[::-1])]
    losses = iter(score_contexts(loaded, variants, settings, memory=memory))
    contributions = []
    for _, spans in contexts:
        whole = next(losses)
        contributions.append([next(losses) - whole for _ in spans][::-1])
    return contributions


def _plan(loaded: LoadedModel, pair: Pair, settings: PruneSettings) -> Shortened:
    """Find a trajectory's sentences and the answer to look at.

    Raises:
        DataError: there are fewer than two sentences, or there is no answer, or the question asks for a program.
        ModelError: the trajectory does not fit the model.
    """
    trajectory, question = pair
    target = question.answer if settings.target == "gold" else trajectory.answer
    if target is None:
        raise DataError(
            f"Trajectory {trajectory.id} gave no answer of its own, so no sentence of it can contribute to one. "
            "Leave it out, or look at the gold answer (--target gold)."
        )
    sentences = tuple(split_sentences(trajectory))
    if len(sentences) < 2:
        what = "one sentence" if sentences else "no sentences"
        raise DataError(f"Trajectory {trajectory.id} has {what} of reasoning; there is nothing to choose from.")
    check_fit(loaded, trajectory, 0)
    pruned = Shortened(pair, target, sentences, sentences)
    plan_job(
        loaded, pruned.make_context(sentences), settings.readout, make_writing(loaded, settings.readout).max_new_tokens
    )
    return pruned


def _prune(
    loaded: LoadedModel,
    pairs: Sequence[Pair],
    *,
    plans: dict[str, Shortened],
    settings: PruneSettings,
    memory: int | None,
    allow_code: bool,
) -> list[Attempt]:
    """Choose what is kept at all shares, then answer from all of it."""
    pruned = [replace(plans[trajectory.id]) for trajectory, _ in pairs]
    choices: list[_Choice] = []
    for share in _order_shares(settings):
        _shrink(loaded, pruned, share, settings, memory)
        for one in pruned:
            choices.append(_Choice(one, "prune", share, 0, one.left))
            choices += [
                _Choice(one, "random", share, draw, drop_by_chance(one, settings.seed, share, draw))
                for draw in range(settings.n_draws)
            ]
    rank = {id(one): i for i, one in enumerate(pruned)}
    choices.sort(key=lambda choice: rank[id(choice.pruned)])  # stable: by share within a trajectory
    contexts = [choice.pruned.make_context(choice.spans) for choice in choices]
    answers = answer_contexts(loaded, contexts, settings.readout, memory=memory, allow_code=allow_code)
    return [
        _make_attempt(loaded, choice, answered, settings) for choice, answered in zip(choices, answers, strict=True)
    ]


def _shrink(
    loaded: LoadedModel, pruned: Sequence[Shortened], share: float, settings: PruneSettings, memory: int | None
) -> None:
    """Drop what contributes least from every trajectory that is longer than the share.

    Raises:
        NumericsError: a loss is NaN or infinite.
    """
    longer = [one for one in pruned if one.must_shrink(share)]
    asked = [(one.make_context(one.left), place_spans(one.opening, one.left)) for one in longer]
    for one, contributions in zip(
        longer, measure_contributions(loaded, asked, settings.readout, memory=memory), strict=True
    ):
        if not all(map(math.isfinite, contributions)):
            raise NumericsError(
                f"Trajectory {one.pair[0].id}: the loss with or without one of {len(one.left)} sentences is NaN or "
                "infinite, so contributions can't be compared."
            )
        for _, sentence in sorted(zip(contributions, one.left, strict=True)):
            if one.must_shrink(share):
                one.left = tuple(kept for kept in one.left if kept != sentence)


def _make_attempt(loaded: LoadedModel, choice: _Choice, answered: Answered, settings: PruneSettings) -> Attempt:
    pruned = choice.pruned
    kept = merge_spans(((0, pruned.opening), *choice.spans))
    return make_attempt(
        loaded,
        pruned.pair,
        answered.grade,
        key=_key(loaded, pruned.pair, settings, choice.method, choice.share, choice.draw),
        method=choice.method,
        variant=settings.target,
        level=choice.share,
        draw=choice.draw,
        n_thinking=count_tokens(kept),
        n_generated=len(pruned.pair[0].token_ids) + answered.n_written,
        kept=kept,
        loss=answered.loss,
    )


def _key(loaded: LoadedModel, pair: Pair, settings: PruneSettings, method: Method, share: float, draw: int) -> str:
    """An attempt's id: what is left depends on the larger shares before, and so does the control's length."""
    path = [float(other) for other in _order_shares(settings) if other >= share]
    target = (settings.target, None if settings.target == "gold" else pair[0].answer)
    decides = (target, path, describe_readout(settings.readout))
    if method == "random":
        decides = (*decides, settings.seed)
    return key_attempt(method, decides, loaded, pair[0], pair[1].gold_key(), level=share, draw=draw)


def _order_shares(settings: PruneSettings) -> list[float]:
    """Each share once, from the largest down."""
    return sorted(set(settings.shares), reverse=True)
