"""The records that cross a file boundary, and the hash that keys a unit of work.

All are frozen dataclasses. Axes: T trajectory tokens, P prefixes, A answer tokens. Unknown is None, never 0 or NaN.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

SCHEMA_VERSION = 1
"""Raised when a reader of the old version could misread a file of the new one."""

Mode = Literal["think", "nothink"]
Finish = Literal["stop", "length"]
Target = Literal["gold", "own", "both"]
Scorer = Literal["one-pass", "definition"]


def hash_key(*parts: object) -> str:
    """Hash JSON-able parts (records too) into 16 hexadecimal digits; the same parts give the same key everywhere."""
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()[:16]


@dataclass(frozen=True)
class Question:
    """A task of the outer loop: a prompt with a checkable answer."""

    id: str
    """Unique in its file; by default a hash of prompt and answer."""
    prompt: str
    """What the model is asked, without instruction or chat template."""
    answer: str
    """The gold answer as plain text or LaTeX, without \\boxed{}."""
    domain: str | None = None
    """Such as "arithmetic"; groups questions in tables."""
    source: str | None = None
    """Where it came from: a file name or a data set with its revision."""
    meta: dict[str, Any] = field(default_factory=dict)
    """Whatever else the source said, JSON-able."""


@dataclass(frozen=True)
class ModelIdentity:
    """Which weights, in which arithmetic, produced a record."""

    name: str
    """What the user called it: "tiny", a Hub name, a folder or a .gguf file."""
    revision: str | None
    """Commit on the Hub, None for local files."""
    weights_sha256: str
    """SHA-256 over the weight files in name order."""
    dtype: str
    """Arithmetic of the weights in memory, such as "float32"."""
    device: str
    """Where it ran, such as "cpu" or "cuda:0". No part of a unit's key."""
    config_sha256: str | None = None
    """SHA-256 over configuration and tokenizer; None for a .gguf file, whose weights' hash covers both."""

    def key(self) -> str:
        """Hash what decides the numbers: weights, configuration and arithmetic, not the name or the machine."""
        return hash_key(self.weights_sha256, self.config_sha256, self.dtype)


@dataclass(frozen=True)
class PromptSettings:
    """How a question becomes token ids. The defaults are the paper's wording."""

    instruction: str = "Please reason step by step, and put your final answer within \\boxed{}."
    """Follows the question after a blank line; "" leaves it out."""
    mode: Mode = "think"
    """"nothink" uses the template's own empty thinking block, or the delimiter sentence where there is none."""
    delimiter: str = "Therefore, after all this, I believe the answer is"
    """Put in the model's mouth to stop the thinking of a model whose template has no mode for it."""


@dataclass(frozen=True)
class SamplingSettings:
    """How tokens are drawn. The defaults are the paper's for the trajectories of its Figs. 2 and 3."""

    temperature: float = 0.6
    """0 takes the most likely token."""
    top_p: float = 0.95
    top_k: int = 40
    """0 keeps all tokens."""
    min_p: float = 0.0
    """Drops tokens below this share of the most likely token's probability; 0 keeps all."""
    max_new_tokens: int | None = None
    """None: 2,048, or half of the model's context where that is less. Records hold the number."""
    seed: int = 0
    """With question id and repeat index it fixes a trajectory's random numbers, whatever else is in the batch."""


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


@dataclass(frozen=True)
class Trajectory:
    """One response of a model to a question: the inner loop."""

    id: str
    """Hash of sampling settings, model, prompt, gold answer and repeat: the key of this unit of work."""
    question_id: str
    repeat: int
    """Index among the responses to the same question, from 0."""
    model: ModelIdentity
    """The model that wrote it or, for imported text, whose tokenizer split it."""
    mode: Mode
    prompt_ids: tuple[int, ...]
    """Token ids up to where the response starts, chat template included."""
    token_ids: tuple[int, ...]
    """The response [T], without the end-of-sequence token."""
    reasoning_len: int
    """How many leading tokens are reasoning; the rest states the final answer (`raml.prompts.find_reasoning_len`)."""
    text: str
    """The response as text, special tokens kept."""
    token_ends: tuple[int, ...]
    """Character position in the text where each token ends [T]; a token that completes no character ends where the one
    before it ended."""
    logprobs: tuple[float, ...] | None = None
    """Log-probability in nats of each token under the model at temperature 1 [T]; None for imported text."""
    finish: Finish | None = None
    """"stop": the model ended it; "length": it was cut off; None for imported text."""
    answer: str | None = None
    """Its own final answer; None when it gave none."""
    correct: bool | None = None
    """Whether that answer equals the gold one; False when it gave none, None when it could not be decided."""
    prompt: PromptSettings | None = None
    sampling: SamplingSettings | None = None
    error: str | None = None
    """Why something about this record is unknown."""

    @property
    def pieces(self) -> tuple[str, ...]:
        """The text that each token added [T]; joined they are the text."""
        starts = (0, *self.token_ends)[: len(self.token_ends)]
        return tuple(self.text[start:end] for start, end in zip(starts, self.token_ends, strict=True))


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


@dataclass(frozen=True)
class FileEntry:
    """A file that a stage read or wrote."""

    path: str
    """Relative to the run folder where it lies inside."""
    sha256: str
    rows: int | None = None


@dataclass(frozen=True)
class StageManifest:
    """How one stage's records came about."""

    stage: str
    command: tuple[str, ...]
    """The command line, or the stage's name when it was called from Python."""
    config: dict[str, Any]
    """All settings, defaults filled in."""
    seed: int | None
    model: ModelIdentity | None
    git_commit: str | None
    """Commit of the source tree that ran; None for an installed package."""
    versions: dict[str, str]
    inputs: tuple[FileEntry, ...]
    outputs: tuple[FileEntry, ...]
    n_units: int
    n_new: int
    """Units done by this command; the others were there already."""
    n_errors: int
    wall_s: float
    """Seconds of this command."""


@dataclass(frozen=True)
class Manifest:
    """What a run folder holds and how it came about; written last by each stage."""

    stages: tuple[StageManifest, ...]
    """In the order in which they finished; an execution that changed no file of an earlier one is not listed again."""
    schema_version: int = SCHEMA_VERSION

    def find_last(self, stage: str) -> StageManifest | None:
        """The latest execution of a stage that did something; None if there was none."""
        return next((done for done in reversed(self.stages) if done.stage == stage), None)
