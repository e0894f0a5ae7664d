"""The paper's reward of a response: right or wrong, in the right format or not (Eq. 21)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from raml.answers.extract import extract_answer, find_answer_end

ResponseFormat = Literal["conclusion", "boxed", "none"]

REWARDS = {(True, True): 1.0, (False, True): 0.0, (True, False): -0.5, (False, False): -1.0}
"""Reward by (answer right, format right): Eq. 21."""

_TAG = re.compile(r"</?(?:think|conclusion)>")
_ANSWER_IS = "The answer is \\boxed{"


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

    "conclusion" is the paper's: `<think>…</think>`, then `<conclusion>… The answer is \boxed{…} </conclusion>`, with
    nothing but blanks or a full stop between the box and the closing tag; "boxed": `<think>…</think>`, then a
    `\boxed{…}` that is closed; "none": anything. Each tag occurs once, and nothing stands before or between the parts.
    """
    if expected == "none":
        return True
    wanted = ["<think>", "</think>", *(("<conclusion>", "</conclusion>") if expected == "conclusion" else ())]
    if _TAG.findall(text) != wanted or extract_answer(text) is None:
        return False
    before, _, rest = text.partition("<think>")
    after = rest.partition("</think>")[2]
    if expected == "boxed":
        return not before.strip()
    between, _, rest = after.partition("<conclusion>")
    conclusion, _, end = rest.partition("</conclusion>")
    if before.strip() or between.strip() or end.strip():
        return False
    stated = conclusion.rpartition(_ANSWER_IS)[1:]
    content = find_answer_end(stated[1], _ANSWER_IS) if stated[0] else None
    return content is not None and stated[1][content + 1 :].strip() in ("", ".")


def reward_answer(text: str, correct: bool | None, expected: ResponseFormat) -> Reward:
    """Give a graded response its reward by Eq. 21: 1, 0, -0.5 or -1.

    Args:
        text: The whole response, from the opening `<think>` on (also where the prompt holds that tag).
        correct: Whether its answer is right; None if undecided, which leaves the reward open.
        expected: The format asked for; "none" leaves 1 for right and 0 for wrong.
    """
    formatted = has_format(text, expected)
    return Reward(None if correct is None else REWARDS[correct, formatted], correct, formatted)
