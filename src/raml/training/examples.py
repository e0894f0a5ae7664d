"""Supervised examples: which trajectories are learnt, how often, and on which tokens the loss is taken."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from raml.errors import DataError
from raml.models import LoadedModel
from raml.prompts import (
    continue_prompt,
    decode_text,
    decode_tokens,
    encode_text,
    find_reasoning_len,
    find_turn_end,
    render_prompt,
)
from raml.records import PromptSettings, Question, Trajectory
from raml.training.settings import Balance

NO_LOSS = -100
"""A label that no loss is taken on, as PyTorch's cross-entropy has it."""


@dataclass(frozen=True)
class Example:
    """Token ids of prompt and response, and for each the label: the id itself, or NO_LOSS."""

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]
    group: str = ""
    """Id of the question it belongs to; "" for rows of a file."""

    @property
    def n_targets(self) -> int:
        """Tokens that the loss is taken on."""
        return len(self.labels) - self.labels.count(NO_LOSS)


@dataclass(frozen=True)
class Selection:
    """The right trajectories of some questions, without copies."""

    chosen: dict[str, list[Trajectory]]
    """By question id, in the order of the questions: at most n distinct ones."""
    right: dict[str, list[Trajectory]]
    """All right trajectories of these questions, copies and those that were not chosen among them."""
    n_copies: int
    """Right trajectories that repeat another one of their question word by word."""
    without: tuple[str, ...]
    """Questions that have no right trajectory."""


def select_trajectories(
    questions: Sequence[Question], trajectories: Iterable[Trajectory], n: int | None, seed: int
) -> Selection:
    """Keep right trajectories only (rejection sampling), drop copies, and choose at most n per question by seed.

    Raises:
        DataError: no question has a right trajectory.
    """
    right: dict[str, list[Trajectory]] = {question.id: [] for question in questions}
    for trajectory in trajectories:
        if trajectory.correct is True and trajectory.question_id in right:
            right[trajectory.question_id].append(trajectory)
    chosen, n_copies = {}, 0
    for question_id, found in right.items():
        distinct = list({(t.mode, t.text): t for t in reversed(found)}.values())[::-1]
        n_copies += len(found) - len(distinct)
        if n is not None and len(distinct) > n:
            picked = random.Random(f"{seed} {question_id}").sample(range(len(distinct)), n)
            distinct = [distinct[i] for i in sorted(picked)]
        if distinct:
            chosen[question_id] = distinct
    if not chosen:
        raise DataError(f"None of {len(right)} questions has a right trajectory, so there is nothing to learn from.")
    without = tuple(question_id for question_id in right if question_id not in chosen)
    return Selection(chosen, {question_id: right[question_id] for question_id in chosen}, n_copies, without)


def balance_examples(groups: Sequence[tuple[Sequence[Example], Sequence[Example]]], balance: Balance) -> list[Example]:
    """Repeat each question's examples as a balance says.

    Args:
        groups: For each question the examples of its chosen trajectories and those of all its right ones.
        balance: "once": each chosen one once. "paper": the chosen ones in turn until the question occurs as often as it
            has right trajectories. "tokens": in turn until it has as many loss tokens as all of its right trajectories;
            what one question has too much or too little is made up for by the next, so that the total does not depend
            on how many were chosen, but for half an example.
    """
    made: list[Example] = []
    owed = 0.0  # loss tokens that are still to come
    for chosen, right in groups:
        if balance == "once":
            made += chosen
        elif balance == "paper":
            made += itertools.islice(itertools.cycle(chosen), len(right))
        else:
            owed += sum(example.n_targets for example in right)
            for example in itertools.cycle(chosen):
                if owed < example.n_targets / 2:
                    break
                made.append(example)
                owed -= example.n_targets
    return made


class TrajectoryEncoder:
    """Turns trajectories into a model's token ids, those of its own tokenizer unchanged."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.tokenizer = loaded.tokenizer
        self.end_id = find_turn_end(loaded.tokenizer, loaded.stop_ids)

    def encode(self, question: Question, trajectory: Trajectory) -> tuple[list[int], list[int], int]:
        """Return prompt ids, response ids with the end mark, and how many of the latter are reasoning.

        The prompt is made anew with the model's chat template, in the trajectory's own mode and wording. The response
        keeps its ids if this tokenizer reads them as the same text; otherwise the text is encoded. A response that was
        cut off gets no end mark.
        """
        settings = trajectory.prompt or PromptSettings(mode=trajectory.mode)
        rendered = render_prompt(self.tokenizer, question, settings)
        ids, reasoning_len = trajectory.token_ids, trajectory.reasoning_len
        text = continue_prompt(rendered, trajectory.text)
        known = max(ids, default=0) < len(self.tokenizer)
        if text != trajectory.text or not known or decode_text(self.tokenizer, ids) != text:
            ids = encode_text(self.tokenizer, text)
            reasoning_len = find_reasoning_len(*decode_tokens(self.tokenizer, ids))
        end = [] if trajectory.finish == "length" else [self.end_id]
        return list(encode_text(self.tokenizer, rendered)), [*ids, *end], reasoning_len

    def make_example(
        self, question: Question, trajectory: Trajectory, loss_on: Literal["response", "answer"]
    ) -> Example:
        """Make a supervised example with loss on the response, or on what follows its reasoning."""
        prompt, response, reasoning_len = self.encode(question, trajectory)
        n_read = len(prompt) + (reasoning_len if loss_on == "answer" else 0)
        ids = (*prompt, *response)
        return Example(ids, (NO_LOSS,) * n_read + ids[n_read:], question.id)


def read_row_files(paths: Sequence[Path], vocabulary: int) -> list[Example]:
    """Read tokenised examples from parquet files with the columns `input_ids` and `labels`.

    Raises:
        DataError: a file is missing or no such file, or a row has other lengths, unknown ids or foreign labels.
    """
    examples = []
    for path in paths:
        try:
            table = pq.read_table(path, columns=["input_ids", "labels"])
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{path} can't be read as parquet with input_ids and labels: {error}") from error
        for number, row in enumerate(table.to_pylist(), start=1):
            ids, labels = row["input_ids"] or [], row["labels"] or []
            if not ids or len(ids) != len(labels):
                raise DataError(f"{path} row {number} has {len(ids)} input_ids and {len(labels)} labels.")
            if not all(isinstance(token, int) and 0 <= token < vocabulary for token in ids):
                raise DataError(f"{path} row {number} has a token id outside of 0…{vocabulary - 1}.")
            if any(label not in (token, NO_LOSS) for token, label in zip(ids, labels, strict=True)):
                raise DataError(f"{path} row {number} has a label that is neither its token nor {NO_LOSS}.")
            examples.append(Example(tuple(ids), tuple(labels)))
    if not examples:
        raise DataError(f"{', '.join(map(str, paths))}: no rows to learn from.")
    return examples
