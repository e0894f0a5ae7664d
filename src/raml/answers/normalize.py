"""Write answers so that equal ones have equal text, for counting them; whether one is right is checked elsewhere."""

from __future__ import annotations

import re
from fractions import Fraction

_NUMBER = re.compile(r"[-+]?\d{1,40}(\.\d{1,40})?(/0*[1-9]\d{0,40})?")
_MARKS = re.compile(r"\s+|\\?\$|\\[,;!: ]|\\left|\\right|(?<=\d),(?=\d{3}(?!\d))|\.(?=[\s$]*$)")
"""What does not tell answers apart: blanks, dollar signs, TeX spacing, commas of thousands, a full stop at the end."""


def normalize_answer(answer: str | None) -> str | None:
    """Write an answer so that its plain variants agree: "14", "14.0", "$14$" and "14." are one, "1,000" is "1000".

    Case does not count; None stays None. Other spellings of one value, such as a TeX fraction and a quotient, stay two
    texts.
    """
    if answer is None:
        return None
    plain = _MARKS.sub("", answer.strip()).casefold()
    return str(read_number(plain)) if _NUMBER.fullmatch(plain) else plain


def read_number(text: str) -> Fraction:
    """Read a decimal number or a quotient of a decimal and a whole number exactly."""
    above, _, below = text.partition("/")
    return Fraction(above) / int(below or 1)
