"""Preference pairs for DPO: a right and a wrong trajectory of the same question."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from raml.errors import DataError
from raml.records import Question, Trajectory
from raml.training.examples import TrajectoryEncoder
from raml.training.settings import PairChoice


@dataclass(frozen=True)
class Pair:
    """Two responses to one prompt, as token ids."""

    prompt_ids: tuple[int, ...]
    chosen_ids: tuple[int, ...]
    """The right response, end mark included."""
    rejected_ids: tuple[int, ...]
    """The wrong one."""
    question_id: str

    def __len__(self) -> int:
        """Tokens of the longer of the two, with the prompt."""
        return len(self.prompt_ids) + max(len(self.chosen_ids), len(self.rejected_ids))


def choose_pairs(
    questions: Sequence[Question], trajectories: Iterable[Trajectory], choice: PairChoice, n: int, seed: int
) -> tuple[list[tuple[Question, Trajectory, Trajectory]], tuple[str, ...]]:
    """Choose at most n pairs (question, right, wrong) per question; no trajectory is in two of them.

    Both trajectories of a pair answer the same prompt: mode and wording are the same.

    Returns:
        The pairs, and the questions that have none for lack of right or of wrong trajectories.

    Raises:
        DataError: no question has both.
    """
    of_question: dict[str, dict[str, Trajectory]] = {question.id: {} for question in questions}
    for trajectory in trajectories:
        if trajectory.correct is not None and trajectory.question_id in of_question:
            of_question[trajectory.question_id].setdefault(f"{trajectory.mode} {trajectory.text}", trajectory)
    pairs, without = [], []
    for question in questions:
        found = list(of_question[question.id].values())
        made: list[tuple[Trajectory, Trajectory]] = []
        for prompt in dict.fromkeys((t.mode, t.prompt) for t in found):
            right = [t for t in found if t.correct and (t.mode, t.prompt) == prompt]
            wrong = [t for t in found if not t.correct and (t.mode, t.prompt) == prompt]
            made += _match(right, wrong, choice, random.Random(f"{seed} {question.id}"))
        pairs += [(question, right, wrong) for right, wrong in made[:n]]
        if not made:
            without.append(question.id)
    if not pairs:
        raise DataError(
            f"None of {len(questions)} questions has both a right and a wrong trajectory, so there are no pairs. "
            "Sample more (--n), or at a higher temperature."
        )
    return pairs, tuple(without)


def encode_pairs(encoder: TrajectoryEncoder, pairs: Iterable[tuple[Question, Trajectory, Trajectory]]) -> list[Pair]:
    """Turn chosen pairs into a model's token ids."""
    made = []
    for question, right, wrong in pairs:
        prompt, chosen, _ = encoder.encode(question, right)
        _, rejected, _ = encoder.encode(question, wrong)
        made.append(Pair(tuple(prompt), tuple(chosen), tuple(rejected), question.id))
    return made


def _match(
    right: list[Trajectory], wrong: list[Trajectory], choice: PairChoice, rng: random.Random
) -> list[tuple[Trajectory, Trajectory]]:
    rng.shuffle(right)
    rng.shuffle(wrong)
    if choice == "random":
        return list(zip(right, wrong, strict=False))
    if choice == "shortest":
        return list(zip(sorted(right, key=_count_tokens), wrong, strict=False))
    # The nearest two first, over all that are still free.
    gaps = sorted(
        (abs(_count_tokens(a) - _count_tokens(b)), i, j) for i, a in enumerate(right) for j, b in enumerate(wrong)
    )
    matched, free_right, free_wrong = [], set(range(len(right))), set(range(len(wrong)))
    for _, i, j in gaps:
        if i in free_right and j in free_wrong:
            matched.append((right[i], wrong[j]))
            free_right.remove(i)
            free_wrong.remove(j)
    return matched


def _count_tokens(trajectory: Trajectory) -> int:
    return len(trajectory.token_ids)
