"""From a trajectory and its question to the token ids that an update is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from raml.models import LoadedModel
from raml.probes.task import plan_task
from raml.records import Question, TraceSettings, Trajectory


@dataclass(frozen=True)
class Probe:
    """What is read before a trajectory, of it, and after it."""

    prompt_ids: tuple[int, ...]
    trajectory_ids: tuple[int, ...]
    """Up to the end of the span that is followed."""
    bridge_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]
    """The gold answer."""

    @property
    def ids(self) -> tuple[int, ...]:
        """Bridge and answer: the positions at which the updated model does as the original does after the text."""
        return self.bridge_ids + self.answer_ids


def plan_probe(
    loaded: LoadedModel, trajectory: Trajectory, question: Question, bridge: str, span: Literal["reasoning", "all"]
) -> Probe:
    """Turn a trajectory and its question's gold answer into token ids.

    Raises:
        DataError: bridge or answer is empty, or the question asks for a program.
        ModelError: prompt, trajectory, bridge and answer exceed the model's context, or the ids are not this model's.
    """
    settings = TraceSettings(bridge=bridge, span=span, every=max(1, len(trajectory.token_ids)))
    job = plan_task(loaded, trajectory, question.answer, [settings], None, kind=question.kind).job
    return Probe(job.prompt_ids, job.stem_ids, job.bridge_ids, job.answers[0])


def space_prefixes(n_tokens: int, n_prefixes: int) -> tuple[int, ...]:
    """Space prefixes evenly from 0 to a whole text: at most so many, at least those two."""
    n_steps = max(1, min(n_tokens, n_prefixes - 1))
    return tuple(sorted({round(step * n_tokens / n_steps) for step in range(n_steps + 1)}))
