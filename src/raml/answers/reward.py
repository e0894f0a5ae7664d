"""The paper's reward of a response: right or wrong, in the right format or not (Eq. 21)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from raml.answers.extract import extract_answer

ResponseFormat = Literal["conclusion", "boxed", "none"]

REWARDS = {(True, True): 1.0, (False, True): 0.0, (True, False): -0.5, (False, False): -1.0}
"""Reward by (answer right, format right): Eq. 21."""

_FORMATS = {
    "conclusion": re.compile(
        r"\s*<think>.*</think>\s*<conclusion>.*The answer is \\boxed\{.*\}.*</conclusion>\s*", re.DOTALL
    ),
    "boxed": re.compile(r"\s*<think>.*</think>.*\\boxed\{.*\}.*", re.DOTALL),
}
_TAG = re.compile(r"</?(?:think|conclusion)>")


@dataclass(frozen=True)
class Reward:
    """What a response earns, and why."""

    value: float | None
    """By Eq. 21; None if it could not be decided whether the answer is right."""
    correct: bool | None
    """None if undecided, or not asked."""
    formatted: bool | None
    """None if not asked."""


def has_format(text: str, expected: ResponseFormat) -> bool:
    r"""Whether a whole response keeps to a format.

    "conclusion" is the paper's: `<think>…</think>`, then `<conclusion>… The answer is \boxed{…} </conclusion>`;
    "boxed": `<think>…</think>`, then a `\boxed{…}` that is closed; "none": anything. Each tag occurs once.
    """
    if expected == "none":
        return True
    tags = _TAG.findall(text)
    return (
        len(tags) == len(set(tags))
        and _FORMATS[expected].fullmatch(text) is not None
        and extract_answer(text) is not None
    )


def reward_answer(text: str, correct: bool | None, expected: ResponseFormat) -> Reward:
    """Give a graded response its reward by Eq. 21: 1, 0, -0.5 or -1.

    Args:
        text: The whole response, from the opening `<think>` on (also where the prompt holds that tag).
        correct: Whether its answer is right; None if undecided, which leaves the reward open.
        expected: The format asked for; "none" leaves 1 for right and 0 for wrong.
    """
    formatted = has_format(text, expected)
    return Reward(None if correct is None else REWARDS[correct, formatted], correct, formatted)
