r"""Take the letter of an option out of a response to a multiple-choice question."""

from __future__ import annotations

import re

from raml.answers.extract import extract_answer, find_statement

_MARKUP = re.compile(r"\\(?:text|textbf|textrm|mathrm|mathbf|mathsf|boldsymbol|bf|rm)\b|[{}$*`_]|\\[(),;!\[\] ]")
# The letter alone, in brackets, or before the option's own text: "B", "(B)", "B) 3 m", "B. 3 m", "Option B".
_LETTER = re.compile(
    r"(?:(?:option|choice|answer)\s*:?\s*)?[(\[]?([A-Za-z])(?:[)\].:]+(?:\s.*)?)?", re.IGNORECASE | re.DOTALL
)
_STATED = re.compile(
    r"\b(?:final\s+)?answer(?:\s+is)?\s*[:=]?\s*(?:option\s+|choice\s+)?[(\[]?([A-Z])\b(?!['’])", re.IGNORECASE
)


def extract_choice(text: str) -> str | None:
    r"""Return what a response gives as its choice: the last `\boxed{…}`, else the letter of its last "answer is B".

    If the response closes its thinking, only what follows counts. None if there is neither.
    """
    boxed = extract_answer(text)
    if boxed is not None:
        return boxed
    stated = _STATED.findall(_MARKUP.sub("", find_statement(text)))
    return stated[-1].upper() if stated else None


def read_choice(answer: str) -> str | None:
    r"""Read an answer such as `B`, `(b)`, `\text{B}` or `B. 3 m` as an option's capital letter; None if it is none."""
    match = _LETTER.fullmatch(_MARKUP.sub(" ", answer).strip())
    return match[1].upper() if match else None
