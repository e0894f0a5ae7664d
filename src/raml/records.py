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

SCHEMA_VERSION = 2
"""Raised when a reader of the old version could misread a file of the new one. 2: questions that are not checked as
mathematics, model identities without a hash."""

Mode = Literal["think", "nothink"]
Finish = Literal["stop", "length"]
Target = Literal["gold", "own", "both"]
Scorer = Literal["one-pass", "definition"]
Engine = Literal["transformers", "vllm", "server"]
Kind = Literal["math", "choice", "code", "reasoning-gym"]
Verdict = Literal["right", "wrong", "no answer", "unparsed", "timed out", "undecided"]
IntervalMethod = Literal["BCa+t", "percentile+t", "bound"]


def hash_key(*parts: object) -> str:
    """Hash JSON-able parts (records too) into 16 hexadecimal digits; the same parts give the same key everywhere."""
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()[:16]


@dataclass(frozen=True)
class CodeTests:
    """What a program has to do: give the right output for each input."""

    inputs: tuple[str, ...]
    """For a program, what it reads from standard input; for a function, its arguments as JSON, one a line."""
    outputs: tuple[str, ...]
    """For a program, what it has to print; for a function, the value as JSON."""
    function: str | None = None
    """Name of the function, or of the method of a class `Solution`; None for a program."""


@dataclass(frozen=True)
class Question:
    """A task of the outer loop: a prompt with a checkable answer."""

    id: str
    """Unique in its file; by default a hash of prompt and answer."""
    prompt: str
    """What the model is asked, without instruction or chat template."""
    answer: str
    """The gold answer as plain text or LaTeX, without \\boxed{}; the right option's letter; "" where tests decide."""
    domain: str | None = None
    """Such as "arithmetic"; groups questions in tables."""
    source: str | None = None
    """Where it came from: a file name or a data set with its revision."""
    meta: dict[str, Any] = field(default_factory=dict)
    """Whatever else the source said, JSON-able."""
    kind: Kind = "math"
    """How an answer is checked: by Math-Verify, as one of several options, by running it against `tests`, or by the
    scorer of the Reasoning Gym task whose entry is in `meta`."""
    instruction: str | None = None
    """Wording of its own in place of the kind's; see PromptSettings.instruction."""
    tests: CodeTests | None = None
    """For code."""
    redacted: bool = False
    """Its terms ask that neither it nor responses to it are shown in public: pages and exports leave their text out."""

    def public_prompt(self) -> str:
        """What may be shown of it to anybody."""
        return f"Question {self.id}: text withheld, as its terms ask" if self.redacted else self.prompt

    def gold_key(self) -> str:
        """What decides whether an answer is right, as a part of a unit's key."""
        return self.answer if self.tests is None else hash_key(self.answer, self.tests)


@dataclass(frozen=True)
class ModelIdentity:
    """Which weights, in which arithmetic, produced a record."""

    name: str
    """What the user called it: "tiny", a Hub name, a folder or a .gguf file."""
    revision: str | None
    """Commit on the Hub, None for local files."""
    weights_sha256: str | None
    """SHA-256 over the weight files in name order; None where a server holds them."""
    dtype: str
    """Arithmetic of the weights in memory, such as "float32"; "auto" where a server chose it."""
    device: str
    """Where it ran, such as "cpu", "cuda:0" or "served". No part of a unit's key."""
    config_sha256: str | None = None
    """SHA-256 over configuration and tokenizer; None for a .gguf file, whose weights' hash covers both."""

    def key(self) -> str:
        """Hash what decides the numbers: weights, configuration and arithmetic, not the name or the machine."""
        return hash_key(self.weights_sha256, self.config_sha256, self.dtype)


@dataclass(frozen=True)
class PromptSettings:
    """How a question becomes token ids. The defaults are the paper's wording."""

    instruction: str | None = None
    """Follows the question after a blank line; "" leaves it out. None: the question's own or, if it has none, its
    kind's (`raml.prompts.INSTRUCTIONS`). Records hold the text."""
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
    """Log-probability in nats of each token under the model at temperature 1 [T]; None for imported text, and where a
    server does not say."""
    finish: Finish | None = None
    """"stop": the model ended it; "length": it was cut off; None where that is not known."""
    answer: str | None = None
    """Its own final answer; None when it gave none."""
    correct: bool | None = None
    """Whether that answer equals the gold one; False when it gave none, None when it could not be decided."""
    verdict: Verdict | None = None
    """How that came out: "no answer" was found in the response; it was "unparsed", text that nothing can be compared
    with; checking it "timed out" (`correct` is then False for a program that ran too long, None for a comparison), or
    it is "undecided" for a fault of the question, the model's numbers or the checker. None in files of schema 1."""
    prompt: PromptSettings | None = None
    sampling: SamplingSettings | None = None
    engine: Engine | None = None
    """What drew the tokens; None for imported text, and in files of schema 1."""
    error: str | None = None
    """Why something about this record is unknown, or what a program did wrong."""
    label: float | None = None
    """The verdict of the tool that an imported response comes from: 1 and above is right, 0 and below wrong."""

    def find_verdict(self) -> Verdict:
        """Say how the response came out, also where a file of schema 1 says no more than right, wrong or unknown."""
        if self.verdict is not None:
            return self.verdict
        if self.correct is None:
            return "undecided"
        return "right" if self.correct else "wrong" if self.answer is not None else "no answer"

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
class Estimate:
    """A metric over a set of questions, or its difference between two models, with an interval."""

    name: str
    """Such as "Pass@8" or "Pass@8 difference"."""
    value: float
    """Mean over the questions, from 0 to 1; a difference from −1 to 1."""
    low: float
    high: float
    """The interval is for the mean over all questions of which these are a sample; training seeds are as given."""
    level: float
    """The interval's nominal coverage, such as 0.95."""
    method: IntervalMethod
    """How the interval was made, see `raml.stats.estimate_metric`."""
    n_questions: int


@dataclass(frozen=True)
class Score:
    """How a model did on a benchmark."""

    model: str
    """Its label: the model's name, with what else tells it apart from the others."""
    benchmark: str
    estimates: tuple[Estimate, ...]
    """One for each metric."""
    verdicts: dict[Verdict, int]
    """How many responses came out how; all six are named."""
    n_cut: int
    """Responses that were cut off before their end."""
    n_min: int
    n_max: int
    """Fewest and most decided responses to a question."""
    mean_tokens: float
    """Mean length of a response, in tokens."""
    left_out: tuple[str, ...]
    """Ids of questions that have too few decided responses for a metric."""


@dataclass(frozen=True)
class Comparison:
    """How much better a model is than a baseline on the questions that both answered."""

    model: str
    baseline: str
    benchmark: str
    difference: Estimate
    p: float
    """Of a paired permutation test, two-sided."""
    p_holm: float
    """Adjusted for all comparisons of the evaluation (Holm)."""


@dataclass(frozen=True)
class Evaluation:
    """Models on benchmarks, and their paired differences."""

    scores: tuple[Score, ...]
    comparisons: tuple[Comparison, ...]
    undecided: Literal["leave-out", "wrong"]
    """Whether responses that could not be decided are left out, or counted as wrong."""
    notes: tuple[str, ...]
    """What a reader must know, a line each."""
    schema_version: int = SCHEMA_VERSION


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
