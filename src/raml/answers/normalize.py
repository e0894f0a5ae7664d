"""Write answers so that equal ones have equal text, for counting them; whether one is right is checked elsewhere."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

_NUMBER = re.compile(r"[-+]?\d{1,40}(\.\d{1,40})?(/0*[1-9]\d{0,40})?")
_MARKS = re.compile(r"\s+|\\?\$|\\[,;!: ]|\\left|\\right|(?<=\d),(?=\d{3}(?!\d))|\.(?=[\s$]*$)")
"""What does not tell answers apart: blanks, dollar signs, TeX spacing, commas of thousands, a full stop at the end."""


@lru_cache(maxsize=2**16)  # the same few answers are read after thousands of prefixes
def normalize_answer(answer: str | None) -> str | None:
    """Write an answer so that its plain variants agree: "14", "14.0", "$14$" and "14." are one, "1,000" is "1000".

    Case does not count; None stays None. Other spellings of one value, such as a TeX fraction and a quotient, stay two
    texts.
    """
    if answer is None:
        return None
    plain = _MARKS.sub("", answer.strip()).casefold()
    return str(read_number(plain)) if _NUMBER.fullmatch(plain) else plain


def mark_answer(answer: str | None, correct: bool | None) -> tuple[bool, str | None]:
    """Mark an answer so that those which count as the same have equal marks: right ones one, others one a plain text.

    Having no answer is an answer, too. Without a verdict (None) the text alone decides.
    """
    return (True, None) if correct else (False, normalize_answer(answer))


def read_number(text: str) -> Fraction:
    """Read a decimal number or a quotient of a decimal and a whole number exactly."""
    above, _, below = text.partition("/")
    return Fraction(above) / int(below or 1)
