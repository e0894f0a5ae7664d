"""Texts that stand in a trajectory's place: what does alignment look like where no reasoning could cause it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from raml.errors import DataError
from raml.models import LoadedModel
from raml.probes.spans import find_span_len
from raml.records import AlignmentSettings, Question, Text, Trajectory, hash_key

NULLS: tuple[Text, ...] = ("shuffled", "random tokens", "other question")
"""From the nearest to the trajectory to the farthest, but for the one that needs a second question."""


@dataclass(frozen=True)
class NullText:
    """A text that is read in a trajectory's place."""

    kind: Text
    ids: tuple[int, ...]
    """As many as the trajectory has up to the end of its span."""


def make_null(
    kind: Text,
    loaded: LoadedModel,
    trajectory: Trajectory,
    settings: AlignmentSettings,
    questions: Mapping[str, Question],
    others: Sequence[Trajectory],
) -> NullText:
    """Make a text as long as a trajectory; the same trajectory and seed give the same text.

    Args:
        kind: "shuffled": the trajectory's own tokens in random order. "random tokens": drawn evenly from the
            vocabulary without special and added tokens. "other question": the beginning of another question's
            trajectory, by preference of a right one and one with another gold answer; where one is too short, the next
            follows.
        loaded: The model that reads it.
        trajectory: Whose place it takes.
        settings: Span and seed.
        questions: All questions by id.
        others: Trajectories of these questions; those of this question or of another model are passed over.

    Raises:
        DataError: the kind is none of these, no other question has a trajectory, or the text would be the trajectory
            itself, as where the span has but one token to shuffle.
    """
    own = trajectory.token_ids[: find_span_len(trajectory, settings.span)]
    random = np.random.default_rng(int(hash_key("null", settings.seed, trajectory.id, kind), 16))
    if kind == "shuffled":
        ids = [own[i] for i in random.permutation(len(own))]
        while tuple(ids) == own and len(set(own)) > 1:
            ids = [own[i] for i in random.permutation(len(own))]
    elif kind == "random tokens":
        vocabulary = list_plain_tokens(loaded)
        ids = [vocabulary[i] for i in random.integers(len(vocabulary), size=len(own))]
    elif kind == "other question":
        ids = _continue_others(trajectory, settings, _order_others(trajectory, settings.seed, questions, others))
    else:
        raise DataError(f"{kind!r} is no text in a trajectory's place; choose {', '.join(NULLS)}.")
    if own and tuple(ids) == own:
        raise DataError(
            f"Trajectory {trajectory.id}: {kind!r} in its place would be the trajectory itself, {len(own)} tokens up "
            "to the end of its span; that says nothing."
        )
    return NullText(kind, tuple(ids))


def list_plain_tokens(loaded: LoadedModel) -> list[int]:
    """List the tokens that stand for text, ascending: neither special nor added to the vocabulary later."""
    tokenizer = loaded.tokenizer
    added = {*tokenizer.added_tokens_decoder, *tokenizer.all_special_ids}
    n_known = loaded.model.config.get_text_config().vocab_size
    return sorted(token for token in set(tokenizer.get_vocab().values()) - added if token < n_known)


def _order_others(
    trajectory: Trajectory, seed: int, questions: Mapping[str, Question], others: Sequence[Trajectory]
) -> list[Trajectory]:
    """Sort other questions' trajectories: right with another answer, right, with another answer, the rest.

    Within each sort the order is random, and stays when a trajectory comes in.
    """
    gold = questions[trajectory.question_id].answer

    def rank(other: Trajectory) -> tuple[bool, bool, str]:
        same_answer = questions[other.question_id].answer == gold
        return not other.correct, same_answer, hash_key("other", seed, trajectory.id, other.id)

    usable = (
        other
        for other in others
        if other.question_id != trajectory.question_id and other.model.key() == trajectory.model.key()
    )
    return sorted(usable, key=rank)


def _continue_others(trajectory: Trajectory, settings: AlignmentSettings, others: Sequence[Trajectory]) -> list[int]:
    """Put others' texts behind each other up to the trajectory's length."""
    length = find_span_len(trajectory, settings.span)
    texts = [other.token_ids[: find_span_len(other, settings.span)] for other in others]
    if length and not any(texts):
        raise DataError(
            f"Trajectory {trajectory.id}: no other question has a trajectory of the same model that could stand in "
            "its place. Sample more questions, or leave the null texts out (--no-nulls)."
        )
    ids: list[int] = []
    while len(ids) < length:
        for text in texts:
            ids += text[: length - len(ids)]
    return ids
