"""What is asked, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from raml.records.base import Kind, Mode, hash_key


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
class PromptSettings:
    """How a question becomes token ids. The defaults are the paper's wording."""

    instruction: str | None = None
    """Follows the question after a blank line; "" leaves it out. By default the question's own or, where it has none,
    that of its kind (`raml help questions` has them). Records hold the text."""
    mode: Mode = "think"
    """"nothink" uses the template's own empty thinking block, or the delimiter sentence where there is none."""
    delimiter: str = "Therefore, after all this, I believe the answer is"
    """Put in the model's mouth to stop the thinking of a model whose template has no mode for it."""
