"""Early exits: reasoning stops once the same answer has been read several times in a row, and surely enough.

A readout holds what a model would answer after every prefix of a trajectory, so any rule can be simulated from it
exactly (compare Yang et al. 2025, arXiv 2504.15895). `raml.efficiency.exit_check` decodes again and really stops.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Literal

import numpy as np

from raml.answers import Grade, grade_answer, normalize_answer
from raml.efficiency.contexts import Pair, grade_own
from raml.errors import DataError
from raml.prompts import BARE_MARK, find_opening, find_sentence_ends
from raml.records import Attempt, Question, Readout, Trajectory, hash_key

Every = int | Literal["sentence"]


@dataclass(frozen=True)
class ExitRule:
    """When thinking may stop."""

    n_stable: int = 2
    """How many probes in a row have to give the same answer."""
    confidence: float = 0.9
    """Least geometric mean of the probabilities of the last answer's tokens."""

    def __post_init__(self) -> None:
        """Refuse a rule out of range.

        Raises:
            DataError: n_stable is below 1, or the confidence is not between 0 and 1.
        """
        if self.n_stable < 1 or not 0 <= self.confidence <= 1:
            raise DataError(
                f"An exit after {self.n_stable} equal answers at confidence {self.confidence} makes no sense; "
                "n_stable is at least 1, and the confidence lies between 0 and 1."
            )

    def is_met(self, answers: Sequence[str | None], confidence: float) -> bool:
        """Whether thinking may stop after these answers, the last of which was given with this confidence."""
        last = answers[-self.n_stable :]
        if not confidence >= self.confidence or len(last) < self.n_stable or any(answer is None for answer in last):
            return False
        return len({normalize_answer(answer) for answer in last}) == 1


def find_exit(readout: Readout, rule: ExitRule) -> int | None:
    """Find the first of a readout's prefixes at which thinking may stop; its index, or None."""
    for i, mean_logprob in enumerate(readout.mean_logprob.tolist()):
        if rule.is_met(readout.answers[max(0, i + 1 - rule.n_stable) : i + 1], math.exp(mean_logprob)):
            return i
    return None


def thin_readout(readout: Readout, trajectory: Trajectory, every: Every) -> Readout:
    """Keep the prefixes at which a model that probes after every so many tokens, or every sentence, would do so.

    Those are prefix 0 and then every so many tokens, or the ends of sentences (`find_probe_ends`), within the
    reasoning. The end of the reasoning is among them only where it is due: whoever is writing does not know it
    beforehand. That a sentence has ended is mostly known one token later (`count_ahead`); where none followed, because
    the trajectory was cut off there, no probe is due.

    Raises:
        DataError: `every` is not positive, the readout is another trajectory's, or it lacks one of these prefixes.
    """
    if readout.trajectory_id != trajectory.id:
        raise DataError(f"Readout {readout.id} is of trajectory {readout.trajectory_id}, not of {trajectory.id}.")
    due = _list_due(trajectory, every)
    place = {int(length): i for i, length in enumerate(readout.prefix_lens)}
    lacking = next((length for length in due if length not in place), None)
    if lacking is not None:
        raise DataError(
            f"Readout {readout.id} of trajectory {trajectory.id} has no answer after {lacking} tokens, which probes "
            f"{write_spacing(every)} need. Read out more finely (`raml trace --readout --every 1`)."
        )
    kept = [place[length] for length in due]
    return replace(
        readout,
        id=hash_key("thin", readout.id, every),
        settings=replace(readout.settings, every=every, span="reasoning"),
        prefix_lens=np.array(due, dtype=np.int32),
        token_ids=tuple(readout.token_ids[i] for i in kept),
        answers=tuple(readout.answers[i] for i in kept),
        correct=tuple(readout.correct[i] for i in kept),
        mean_logprob=readout.mean_logprob[kept],
        margin=readout.margin[kept],
    )


def find_probe_ends(text: str, token_ends: Sequence[int]) -> list[int]:
    """List the prefix lengths that end with a sentence or line that says something, an opening `<think>` apart.

    Unlike `raml.prompts.split_sentences` it needs no more than the text so far: what comes later takes no end away,
    unless the text stops amid the blank lines after a sentence.
    """
    start = find_opening(text)
    kept = []
    for length in find_sentence_ends(text, token_ends):
        end = token_ends[length - 1]
        if end > start and not BARE_MARK.fullmatch(text, start, end):
            kept.append(length)
            start = end
    return kept


def key_exits(readout: Readout, question: Question, rules: Sequence[ExitRule], every: Every) -> list[str]:
    """The ids of the attempts that `simulate_exits` makes of a readout, one for each rule."""
    return [hash_key("attempt", "early-exit", rule, every, readout.id, question.gold_key()) for rule in rules]


def simulate_exits(
    readouts: Sequence[tuple[Trajectory, Question, Readout]],
    rules: Sequence[ExitRule],
    *,
    every: Every = "sentence",
    allow_code: bool = False,
) -> list[Attempt]:
    """Say where each rule would have stopped each trajectory, and with which answer; no model runs.

    An exit counts as reasoning what came before it, and as generated that and the answers of all probes so far. Without
    one the trajectory's own answer counts, with all its tokens and all probes. Answers are checked anew: the question
    may have been corrected since the readout was made.

    Args:
        readouts: Trajectories, their questions, and what the model answered along them.
        rules: When to stop.
        every: How often the model is probed: after so many tokens, or where sentences end.
        allow_code: As in `raml.answers.grade_response`.

    Returns:
        Attempts by readout and rule.

    Raises:
        DataError: as `thin_readout`.
    """
    attempts = []
    for trajectory, question, readout in readouts:
        probes = thin_readout(readout, trajectory, every)
        check = cache(partial(grade_answer, question=question, allow_code=allow_code))
        for key, rule in zip(key_exits(readout, question, rules, every), rules, strict=True):
            attempts.append(_simulate((trajectory, question), probes, rule, every, key, check))
    return attempts


def write_variant(rule: ExitRule, every: Every) -> str:
    """Name a line of the figure, such as "2 probes, every sentence"."""
    return f"{rule.n_stable} probe{'s' * (rule.n_stable > 1)}, {write_spacing(every)}"


def write_spacing(every: Every) -> str:
    """Say how often a model is probed."""
    if every == "sentence":
        return "every sentence"
    return "every token" if every == 1 else f"every {every} tokens"


def count_ahead(trajectory: Trajectory, prefix_len: int, every: Every) -> int:
    """Tokens written beyond a prefix before it is known that a probe is due: 0 or 1.

    A sentence's end shows in what follows it, which is the next token, unless the last one holds some of it already.
    After a newline more of them may follow.
    """
    if every != "sentence" or prefix_len == 0:
        return 0
    ends = trajectory.token_ends[:prefix_len]
    text = trajectory.text[: ends[-1]]
    return int(text.endswith("\n") or prefix_len not in find_probe_ends(text, ends))


def _list_due(trajectory: Trajectory, every: Every) -> list[int]:
    """List the prefixes of a trajectory's reasoning after which a model is probed, ascending.

    Raises:
        DataError: `every` is not positive.
    """
    end = trajectory.reasoning_len
    if every == "sentence":
        ends = [n for n in find_probe_ends(trajectory.text, trajectory.token_ends) if n <= end]
        n_seen = len(trajectory.token_ids) + (trajectory.finish != "length")  # after the others an end mark follows
        return [0, *(n for n in ends if n + count_ahead(trajectory, n, every) <= n_seen)]
    if every < 1:
        raise DataError(f"Probing every {every} tokens makes no sense; every must be at least 1.")
    return [*range(0, end + 1, every)]


def _simulate(
    pair: Pair, probes: Readout, rule: ExitRule, every: Every, key: str, check: Callable[[str | None], Grade]
) -> Attempt:
    trajectory, question = pair
    place = find_exit(probes, rule)
    written = [len(ids) for ids in probes.token_ids]
    if place is None:
        grade = grade_own(trajectory)
        n_thinking = trajectory.reasoning_len
        n_generated = len(trajectory.token_ids) + sum(written)
    else:
        grade = check(probes.answers[place])
        n_thinking = int(probes.prefix_lens[place])
        n_generated = n_thinking + count_ahead(trajectory, n_thinking, every) + sum(written[: place + 1])
    return Attempt(
        id=key,
        trajectory_id=trajectory.id,
        question_id=question.id,
        model=probes.model,
        method="early-exit",
        variant=write_variant(rule, every),
        level=float(rule.confidence),
        draw=0,
        n_thinking=n_thinking,
        n_generated=n_generated,
        answer=grade.answer,
        correct=grade.correct,
        verdict=grade.verdict,
        kept=((0, n_thinking),) if n_thinking else (),
        error=grade.error if grade.correct is None else None,
        gold=question.gold_key(),
    )
