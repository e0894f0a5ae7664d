"""What a model answered."""

from __future__ import annotations

from dataclasses import dataclass

from raml.records.base import Engine, Finish, Mode, Verdict, hash_key
from raml.records.questions import PromptSettings


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
class SamplingSettings:
    """How tokens are drawn. The defaults are the paper's for the trajectories of its Figs. 2 and 3."""

    temperature: float = 0.6
    """0 takes the most likely token."""
    top_p: float = 0.95
    """Keeps the most likely tokens until their probabilities add up to this; 1 keeps all."""
    top_k: int = 40
    """Keeps so many of the most likely tokens; 0 keeps all."""
    min_p: float = 0.0
    """Drops tokens below this share of the most likely token's probability; 0 keeps all."""
    max_new_tokens: int | None = None
    """Longest response in tokens; by default 2,048, or half of the model's context where that is less. Records hold the
    number."""
    seed: int = 0
    """With question id and repeat index it fixes a trajectory's random numbers, whatever else is in the batch."""


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
