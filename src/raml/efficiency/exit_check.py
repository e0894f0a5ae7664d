"""Early exits for real: trajectories are decoded again, probed on the way, and stopped where the rule says.

Nothing of the readout is used while decoding, and each probe is a `generate()` of its own without any shared cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from raml.answers import normalize_answer
from raml.efficiency.contexts import Answered, Context, Failure, Pair, check_written, grade_own, make_attempt, plan_job
from raml.efficiency.early_exit import (
    Every,
    ExitRule,
    find_exit,
    find_probe_ends,
    key_exits,
    thin_readout,
    write_variant,
)
from raml.errors import NumericsError, RamlError
from raml.models import LoadedModel
from raml.probes import check_fit
from raml.probes.task import make_writing
from raml.prompts import SENTENCE_END, UNDECODED, decode_text, decode_tokens, encode_text
from raml.records import Attempt, Question, Readout, ReadoutSettings, Trajectory
from raml.sampling import ReproducibleDraw, draw_uniforms
from raml.scoring import write_by_definition

NEARBY = 16
"""Tokens in which a sentence's end mark, closing quotes and brackets, and the blank after them are looked for."""


@dataclass(frozen=True)
class Agreement:
    """How an exit for real compares with the simulated one."""

    trajectory_id: str
    drawn: bool
    """Whether its tokens were drawn again, by its own random numbers. Else the recorded ones were replayed: it was
    imported, or another engine or model drew it."""
    n_different: int
    """Tokens drawn that were not the recorded ones. The recorded ones were taken instead, so that exits can still be
    compared. They come from rounding in batches of another shape, most of all at low precision."""
    simulated: int | None
    """Tokens of reasoning before the simulated exit, None without one."""
    real: int | None
    """Tokens of reasoning before the exit for real."""
    same_answer: bool
    """Whether both gave the same answer; without an exit that is the trajectory's own."""

    @property
    def same_exit(self) -> bool:
        """Whether both stopped at the same place, or neither did."""
        return self.simulated == self.real


@dataclass
class _Probes(StoppingCriteria):
    """Asks for the answer at every prefix that is due, and stops where the rule is met."""

    loaded: LoadedModel
    pair: Pair
    settings: ReadoutSettings
    rule: ExitRule
    every: Every
    answered: list[Answered] = field(default_factory=list)
    last_len: int = -1
    """Tokens before the last probe."""
    exit_len: int | None = None
    n_seen: int = 0
    """Tokens that were there when it stopped."""

    @property
    def n_written(self) -> int:
        """Tokens of all answers so far."""
        return sum(answered.n_written for answered in self.answered)

    def __call__(self, input_ids: Tensor, scores: object, **kwargs: object) -> Tensor:  # type: ignore[override]
        """Look at the tokens so far [1, prompt + token]; whether to stop [1]."""
        self.look(input_ids[0, len(self.pair[0].prompt_ids) :].tolist())
        return torch.tensor([self.exit_len is not None], device=input_ids.device)

    def look(self, token_ids: Sequence[int]) -> None:
        """Probe the prefixes that have become due.

        Raises:
            NumericsError: the model's probabilities are NaN or infinite.
        """
        due = (n for n in self._list_due(token_ids) if self.last_len < n <= self.pair[0].reasoning_len)
        for length in due:
            if self.exit_len is None:
                self._probe(token_ids, length)
        self.n_seen = len(token_ids)

    def _list_due(self, token_ids: Sequence[int]) -> list[int]:
        n = len(token_ids)
        if self.every != "sentence":
            return [n] if n % self.every == 0 else []
        if n == 0:
            return [0]
        if not self._may_be_due(token_ids):
            return []
        text, ends = decode_tokens(self.loaded.tokenizer, token_ids)
        found = find_probe_ends(text, ends)
        if text.endswith("\n"):  # more newlines may follow
            return [length for length in found if ends[length - 1] < len(text)]
        return found

    def _may_be_due(self, token_ids: Sequence[int]) -> bool:
        """Whether the last token can have shown a sentence's end; spares decoding everything after every token."""
        tokenizer = self.loaded.tokenizer
        if UNDECODED in decode_text(tokenizer, token_ids[-2:]):
            return True
        before, now = decode_text(tokenizer, token_ids[-NEARBY:-1]), decode_text(tokenizer, token_ids[-NEARBY:])
        return any(match.end() >= len(before) for match in SENTENCE_END.finditer(now))

    def _probe(self, token_ids: Sequence[int], length: int) -> None:
        trajectory, question = self.pair
        bridge_ids = encode_text(self.loaded.tokenizer, self.settings.bridge)
        writing = make_writing(self.loaded, self.settings)
        ids = (trajectory.prompt_ids, token_ids, bridge_ids, [length])
        [written] = write_by_definition(self.loaded.model, *ids, writing)
        answered = check_written(self.loaded, written, question, self.settings)
        if not answered.confidence >= 0:
            raise NumericsError(f"Trajectory {trajectory.id}: the answer after prefix {length} is NaN or infinite.")
        self.answered.append(answered)
        self.last_len = length
        if self.rule.is_met([one.grade.answer for one in self.answered], answered.confidence):
            self.exit_len = length


class _Follow(LogitsProcessor):
    """Draws each token as it was drawn; where another one comes out, counts that and takes the recorded one."""

    def __init__(self, trajectory: Trajectory, draw: ReproducibleDraw | None, stop_ids: Sequence[int]) -> None:
        """Prepare for one trajectory; `draw` is None where nothing is known about how it was drawn."""
        self.recorded, self.prompt_len = trajectory.token_ids, len(trajectory.prompt_ids)
        self.draw, self.stop_ids = draw, stop_ids
        self.n_different = 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores [1, word] that leave one choice."""
        step = input_ids.shape[1] - self.prompt_len
        possible = self.recorded[step : step + 1] or tuple(self.stop_ids)
        chosen = possible[0]
        if self.draw is not None:
            drawn = int(self.draw(input_ids, scores).argmax())
            if drawn in possible:
                chosen = drawn
            else:
                self.n_different += 1
        only = torch.full_like(scores, -torch.inf)
        only[0, chosen] = 0.0
        return only


def verify_exits(
    loaded: LoadedModel,
    readouts: Sequence[tuple[Trajectory, Question, Readout]],
    rule: ExitRule,
    *,
    every: Every = "sentence",
) -> tuple[list[Attempt], list[Agreement], list[Failure]]:
    """Decode trajectories again, token by token, stop where a rule is met, and compare with what was simulated.

    Tokens are drawn from each trajectory's prompt by its own settings and random numbers. Where the reasoning ends, and
    so how far it is probed, is taken from the record.

    Args:
        loaded: The model that wrote the trajectories and the readouts.
        readouts: Trajectories, their questions and readouts. Bridge and longest answer are taken from the readout, and
            the exit to compare with; nothing else.
        rule: When to stop.
        every: How often the model is probed.

    Returns:
        The attempts, with the ids that the simulated ones have, how each compares with its simulation, and for the
        other trajectories why there are none.
    """
    attempts: list[Attempt] = []
    agreements: list[Agreement] = []
    failures: list[Failure] = []
    for trajectory, question, readout in readouts:
        try:
            probes, follow = _decode(loaded, (trajectory, question), readout.settings, rule, every)
            agreement = _compare(trajectory, thin_readout(readout, trajectory, every), rule, probes, follow)
        except RamlError as error:
            failures.append((trajectory.id, error))
            continue
        agreements.append(agreement)
        [key] = key_exits(readout, question, [rule], every)
        attempts.append(_make_attempt(loaded, probes, key))
    return attempts, agreements, failures


def _decode(
    loaded: LoadedModel, pair: Pair, settings: ReadoutSettings, rule: ExitRule, every: Every
) -> tuple[_Probes, _Follow]:
    """Decode a trajectory until the rule is met or it ends."""
    trajectory, question = pair
    longest = make_writing(loaded, settings).max_new_tokens
    check_fit(loaded, trajectory, 0)
    reasoning = trajectory.token_ids[: trajectory.reasoning_len]
    plan_job(loaded, Context(trajectory.prompt_ids, reasoning, question), settings, longest)
    stops = loaded.stop_ids
    n_steps = len(trajectory.token_ids) + (trajectory.finish != "length")
    follow = _Follow(trajectory, _prepare_draw(loaded, trajectory, n_steps), stops)
    probes = _Probes(loaded, pair, settings, rule, every)
    probes.look(())
    if probes.exit_len is not None or n_steps == 0:
        return probes, follow
    prompt = torch.tensor([trajectory.prompt_ids], device=loaded.device)
    with torch.inference_mode():
        loaded.model.generate(  # type: ignore[operator]
            inputs=prompt,
            attention_mask=torch.ones_like(prompt),
            logits_processor=LogitsProcessorList([follow]),
            stopping_criteria=StoppingCriteriaList([probes]),
            do_sample=False,
            max_new_tokens=n_steps,
            eos_token_id=stops,
            pad_token_id=stops[0],
        )
    return probes, follow


def _prepare_draw(loaded: LoadedModel, trajectory: Trajectory, n_steps: int) -> ReproducibleDraw | None:
    """The trajectory's own random numbers, if this package's engine drew it with this model."""
    sampling = trajectory.sampling
    if sampling is None or trajectory.engine not in (None, "transformers"):
        return None
    if trajectory.model.key() != loaded.identity.key():
        return None
    uniforms = draw_uniforms(sampling.seed, trajectory.question_id, trajectory.repeat, n_steps)
    return ReproducibleDraw(sampling, uniforms[None])


def _compare(trajectory: Trajectory, readout: Readout, rule: ExitRule, probes: _Probes, follow: _Follow) -> Agreement:
    place = find_exit(readout, rule)
    simulated = trajectory.answer if place is None else readout.answers[place]
    real = trajectory.answer if probes.exit_len is None else probes.answered[-1].grade.answer
    both = [normalize_answer(answer) for answer in (simulated, real)]
    return Agreement(
        trajectory_id=trajectory.id,
        drawn=follow.draw is not None,
        n_different=follow.n_different,
        simulated=None if place is None else int(readout.prefix_lens[place]),
        real=probes.exit_len,
        same_answer=both[0] == both[1],
    )


def _make_attempt(loaded: LoadedModel, probes: _Probes, key: str) -> Attempt:
    trajectory, _ = probes.pair
    stopped = probes.exit_len is not None
    n_thinking = probes.exit_len if probes.exit_len is not None else trajectory.reasoning_len
    return make_attempt(
        loaded,
        probes.pair,
        probes.answered[-1].grade if stopped else grade_own(trajectory),
        key=key,
        method="early-exit",
        variant=write_variant(probes.rule, probes.every),
        level=probes.rule.confidence,
        n_thinking=n_thinking,
        n_generated=(probes.n_seen if stopped else len(trajectory.token_ids)) + probes.n_written,
        kept=((0, n_thinking),) if n_thinking else (),
    )
