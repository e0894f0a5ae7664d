r"""Take the letter of an option out of a response to a multiple-choice question."""

from __future__ import annotations

import re

from raml.answers.extract import extract_answer, find_statement

_FONT = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mathsf|boldsymbol|bf|it|rm)\b\s*|[{}$*`_]")
_SPACE = re.compile(r"\\[(),;:!\[\] ]|~|\\q?quad\b")
_IS = r"(?:\s+(?:is|would be|should be|must be)(?:\s*:)?|\s*[:=])"
_STATED = re.compile(rf"\b(?:answer|option|choice){_IS}\s*", re.IGNORECASE)
_LEAD = re.compile(
    rf"(?:(?:the\s+)?(?:(?:final|correct|right)\s+)*answer{_IS}\s*)?(?:(?:option|choice)\s+)?", re.IGNORECASE
)
_QUOTES = "\"'“”‘’"
_OPTION = re.compile(
    rf"[{_QUOTES}]*(?:[(\[]\s*(?P<bracketed>[A-Za-z])\s*[)\]]|(?P<bare>[A-Z])(?![A-Za-z0-9]|['’][a-z]))[{_QUOTES}]*"
)
_ANOTHER = re.compile(r"\s*[)\]]?\s*(?:,|/|&|\band\b|\bor\b)\s*(?:(?:and|or|not)\s+)*[\"'“‘(\[]*[A-Z](?![A-Za-z'’])")
# What may follow a bare letter: nothing, a mark, or words that can't go on with "A" or "I" as a word.
_END = re.compile(r"\s*(?:$|[.,:;!?)\]\n]|[-–—(]|(?:because|since|as|is\s+(?:correct|right))\b)")


def extract_choice(text: str) -> str | None:
    r"""Return what a response gives as its choice: the last `\boxed{…}`, else the letter of its last "answer is B".

    If the response closes its thinking, only what follows counts. None if there is neither, or several letters.
    """
    boxed = extract_answer(text)
    if boxed is not None:
        return boxed
    statement = _strip_markup(find_statement(text))
    stated = [_read_option(statement[match.end() :]) for match in _STATED.finditer(statement)]
    return next((letter for letter in reversed(stated) if letter is not None), None)


def read_choice(answer: str) -> str | None:
    r"""Read an answer such as `B`, `(b)`, `\text{B}` or `B. 3 m` as an option's capital letter; None if it is none."""
    text = _strip_markup(answer).strip()
    if len(text) == 1 and text.isascii() and text.isalpha():
        return text.upper()
    return _read_option(text)


def _strip_markup(text: str) -> str:
    return _FONT.sub("", _SPACE.sub(" ", text))


def _read_option(text: str) -> str | None:
    """Read the letter with which a text begins, if it stands for an option and for that one alone."""
    lead = _LEAD.match(text)
    match = _OPTION.match(text, lead.end() if lead else 0)
    if match is None or _ANOTHER.match(text, match.end()):
        return None
    if match["bracketed"]:
        return match["bracketed"].upper()
    return match["bare"] if _END.match(text, match.end()) else None
