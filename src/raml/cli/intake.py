"""What `raml import` does with each row: make or adopt trajectories, and keep count of what is not as it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from raml.errors import DataError, ModelError
from raml.interchange import ForeignResponse, ForeignRow
from raml.records import PromptSettings, Question, Trajectory

if TYPE_CHECKING:
    from raml.models import LoadedModel

ROOM_FOR_PROBE = 32
"""Tokens that must be left in the context after a trajectory, for bridge and answer."""
RESPLIT = "another tokenizer than MODEL's made its record, so its text was read and not the record"
COPY = "repeats a response of a row above"


@dataclass
class Tally:
    """What happened to the rows of a file."""

    n_responses: int = 0
    n_there: int = 0
    """Those that the run holds already."""
    notes: Counter[str] = field(default_factory=Counter)
    """What is not in the records, with the number of rows."""
    unusable: list[str] = field(default_factory=list)
    """Why rows were left out."""
    n_labels: int = 0
    """Verdicts of the other tool on answers that we could check too."""
    differing: list[str] = field(default_factory=list)
    """Where ours is another one."""


class Importer:
    """Makes trajectories out of rows; repeats go on from those that are there."""

    def __init__(
        self,
        loaded: LoadedModel,
        prompt: PromptSettings,
        known: Sequence[Question],
        there: Sequence[Trajectory],
        tally: Tally,
        *,
        allow_code: bool,
        skip_unusable: bool,
        drop_copies: bool,
    ) -> None:
        self.loaded, self.prompt, self.tally = loaded, prompt, tally
        self.allow_code, self.skip_unusable, self.drop_copies = allow_code, skip_unusable, drop_copies
        self.questions = {question.id: question for question in known}
        self.new: list[Trajectory] = []
        self._texts = {trajectory.id: trajectory.text for trajectory in there}
        self._repeats = Counter(trajectory.question_id for trajectory in there)
        self._seen = Counter[tuple[str, str, str | None]]()

    def take_row(self, row: ForeignRow) -> None:
        """Take a question and its responses in.

        Raises:
            DataError: its id belongs to another question or trajectory.
            ModelError: a response is too long for the model.
        """
        question = self.questions.setdefault(row.question.id, row.question)
        if (question.prompt, question.gold_key()) != (row.question.prompt, row.question.gold_key()):
            raise DataError(f"{row.place}: question id {question.id!r} belongs to another question of the run or file.")
        self.tally.notes.update(row.notes)
        for response in row.responses:
            self._take_response(question, response, row.place)

    def _take_response(self, question: Question, response: ForeignResponse, place: str) -> None:
        from raml.probes import check_fit

        made = self._make(question, response, place)
        if made is None:
            self.tally.notes[COPY] += 1
            return
        self.tally.n_responses += 1
        _compare_label(self.tally, response, made, place, is_withheld=question.redacted)
        if made.id in self._texts:
            if self._texts[made.id] != made.text:
                raise DataError(f"{place}: trajectory id {made.id!r} belongs to another trajectory of the run or file.")
            self.tally.n_there += 1
            return
        room = ROOM_FOR_PROBE if made.engine is None else 0  # a model's own response fitted when it was written
        try:
            check_fit(self.loaded, made, len(made.token_ids) + room, place=place)
        except ModelError as error:
            if not self.skip_unusable:
                raise
            self.tally.unusable.append(str(error))
            return
        self._texts[made.id] = made.text
        self._repeats[question.id] += 1
        self.new.append(made)

    def _make(self, question: Question, response: ForeignResponse, place: str) -> Trajectory | None:
        """Make the trajectory; None for a copy of one that was there before."""
        from raml.sampling.imported import adopt_trajectory, make_imported

        if response.record is not None:
            adopted = adopt_trajectory(self.loaded, question, response.record, allow_code=self.allow_code, place=place)
            if adopted is not None:
                return adopted
            self.tally.notes[RESPLIT] += 1
        prompt = self.prompt
        if prompt.instruction is None and response.instruction is not None:
            prompt = replace(prompt, instruction=response.instruction)
        key = (question.id, response.text, prompt.instruction)
        if self.drop_copies and self._seen[key]:
            return None
        made = make_imported(
            self.loaded,
            question,
            response.text,
            self._repeats[question.id],
            prompt,
            occurrence=self._seen[key],
            finish=response.finish,
            label=response.label,
            allow_code=self.allow_code,
        )
        self._seen[key] += 1
        return made


def _compare_label(tally: Tally, response: ForeignResponse, made: Trajectory, place: str, *, is_withheld: bool) -> None:
    """Note whether the other tool's verdict is ours; a score between wrong and right is no verdict."""
    label = response.label
    if label is None or made.correct is None or 0 < label < 1:
        return
    tally.n_labels += 1
    if (label >= 1) != made.correct:
        words = {True: "right", False: "wrong"}
        tally.differing.append(
            f"{place} is labelled {words[label >= 1]}, and we find {words[made.correct]} ({made.verdict}; "
            f"answer {'withheld' if is_withheld else repr(str(made.answer)[:40])})"
        )
