"""What is read off a trajectory. Axes: P prefixes, A answer tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from raml.records.base import Scorer, Target
from raml.records.notebook import show_trace
from raml.records.trajectories import ModelIdentity


@dataclass(frozen=True)
class TraceSettings:
    """What is scored after each prefix. The defaults are the paper's."""

    bridge: str = "\n\n**Final Answer**\n\\boxed{"
    """Text between prefix and answer; it is read, never scored."""
    target: Target = "gold"
    """Score the question's gold answer, the answer that the trajectory itself ended with, or both, in one pass. A
    trace holds one of them, and its record says which."""
    span: Literal["reasoning", "all"] = "reasoning"
    """Follow the trajectory up to its final answer statement, or through it."""
    every: int | Literal["sentence"] = 1
    """Score after every so many tokens, or where sentences end. Prefix 0 and the span's end are always scored, and
    nothing is filled in between: a record says which prefixes were measured."""


@dataclass(frozen=True)
class ReadoutSettings:
    """What the model writes by itself after each prefix. The first three are as in TraceSettings."""

    bridge: str = TraceSettings.bridge
    span: Literal["reasoning", "all"] = "reasoning"
    every: int | Literal["sentence"] = 1
    max_new_tokens: int = 32
    """Longest answer that the model may write after a prefix, in tokens."""
    stop: tuple[str, ...] = ()
    """Texts that end its answer. By default it ends with the brace that the bridge left open, or with the line."""


@dataclass(frozen=True, eq=False)
class Trace:
    """The answer's negative log-likelihood after each prefix of a trajectory: L̂ of the paper's Algorithm 3."""

    id: str
    """Hash of trace settings, scoring model, trajectory and scored answer: the key of this unit of work."""
    trajectory_id: str
    model: ModelIdentity
    """The model that scored, usually the one that wrote the trajectory."""
    settings: TraceSettings
    scorer: Scorer
    """"one-pass": the engine; "definition": one forward pass per prefix, for models the engine can't serve."""
    bridge_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]
    """The scored answer [A]."""
    prefix_lens: NDArray[np.int32]
    """Number of trajectory tokens before the bridge [P], ascending, 0 first and the span's length last."""
    nll: NDArray[np.float32]
    """-log p in nats of answer token j after prefix i [P, A]."""

    @property
    def mean_nll(self) -> NDArray[np.float64]:
        """The paper's L̂ after each prefix: mean over the answer's tokens, in nats [P]."""
        return self.nll.astype(np.float64).mean(axis=1)

    def _repr_html_(self) -> str:
        return show_trace(self)


@dataclass(frozen=True, eq=False)
class Readout:
    """The model's own greedy answer after each prefix of a trajectory: what it would say if it had to stop there."""

    id: str
    """Hash of settings, model, trajectory and gold answer: the key of this unit of work."""
    trajectory_id: str
    model: ModelIdentity
    """The model that answered, usually the one that wrote the trajectory."""
    settings: ReadoutSettings
    scorer: Scorer
    """"one-pass": all prefixes together; "definition": one `generate()` for each, where the engine can't serve."""
    bridge_ids: tuple[int, ...]
    prefix_lens: NDArray[np.int32]
    """Number of trajectory tokens before the bridge [P], ascending, 0 first and the span's length last."""
    token_ids: tuple[tuple[int, ...], ...]
    """What was written after each prefix, the token that ended it included [P]."""
    answers: tuple[str | None, ...]
    """The answer in it; None where it wrote none or did not come to an end [P]."""
    correct: tuple[bool | None, ...]
    """Whether the answer equals the gold one; False without an answer, None where that could not be decided [P]."""
    mean_logprob: NDArray[np.float32]
    """Mean log-probability of the tokens written, in nats [P]."""
    margin: NDArray[np.float32]
    """Least lead of a written token's log-probability over the second most likely token's, in nats [P]."""

    def find_settled(self) -> int | None:
        """The shortest prefix from which on every answer that was read is right; None if the last one is not."""
        settled = None
        for prefix_len, right in zip(self.prefix_lens[::-1], self.correct[::-1], strict=True):
            if right is not True:
                break
            settled = int(prefix_len)
        return settled
