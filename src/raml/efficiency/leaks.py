r"""Find the sentences of a text that give an answer away, and take them out.

Numbers are compared as numbers, options by their letters where these are named as an answer, all else as whole words.
What stays unseen: a number in words ("twelve"), with a power of ten (1.2e3) or rounded (0.33 for 1/3), and another form
of an expression (x+1 for 1+x).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from fractions import Fraction

from raml.answers import extract_answer, extract_choice, read_choice
from raml.prompts import SENTENCE_END
from raml.records import Kind

_UNSIGNED = r"(?:(?:\d{1,3}(?:,\d{3})+(?!,?\d)|\d+)(?:\.\d+)?|(?<!\w)\.\d+)"
_RATIO = rf"(?P<top>{_UNSIGNED})(?:\s*/\s*(?P<bottom>{_UNSIGNED}))?"
_NUMBER = re.compile(_RATIO)
_QUANTITY = re.compile(
    rf"(?:[A-Za-z]\w*\s*=\s*)?(?P<sign>[-+]?)\s*{_RATIO}"
    r"(?:\s*[%°]|\s*[A-Za-z]{2,}[A-Za-z ]*(?:\^ ?\d)?|\s+[A-Za-z])?\.?"
)
"""A number by itself, with a name in front or a unit behind; 2x is none."""
_FRACTION = re.compile(r"\\[dt]?frac\s*(?:\{([^{}]*)\}|(\d))\s*(?:\{([^{}]*)\}|(\d))")
_FONT = re.compile(r"\\(?:text|mathrm|mathbf|mathit|mathsf|textbf|textit|boldsymbol|boxed|left|right)\b")
_ROOT = re.compile(r"\\sqrt\s*(\w)")
_SIGNS = {"{,}": ",", "\N{MINUS SIGN}": "-", "\N{EN DASH}": "-", "\N{SQUARE ROOT}": r"\sqrt "}
_SIGNS |= {"\N{GREEK SMALL LETTER PI}": r"\pi ", "\N{MULTIPLICATION SIGN}": r"\times ", "\N{MIDDLE DOT}": r"\cdot "}
"""Other ways to write some of LaTeX's marks."""
_NAMED = re.compile(
    r"\b(?:answer|option|choice|choose|chose|select|pick|letter)(?:s|ed|en)?\b|\b(?:correct|right)\b|\\boxed\{",
    re.IGNORECASE,
)
_STANDING = re.compile(
    r"(?<!\w)\((?P<bracketed>[A-Za-z])\)"
    r"|\*\*(?P<bold>[A-Z])\*\*"
    r"|(?<!\w)(?P<right>[A-Z])\s+(?:is|must be)\s+(?:the\s+)?(?:correct|right|answer)\b"
    r"|\b(?:[Ii]t(?:['’]s| is| must be)|[Oo]ne is|(?:[Tt]herefore|[Tt]hus|[Hh]ence),?)\s+(?P<told>[A-Z])(?=[.!]|\s*$)"
)
"""An option's letter by itself, or one that is said to be right."""


def cut_leaks(text: str, answers: Sequence[str], kind: Kind = "math") -> tuple[str, bool]:
    """Take every sentence or line that gives one of some answers away out of a text.

    Two neighbours that do so only together both go. Whatever still gives one away as a whole is given up as a whole.

    Args:
        text: Such as a summary.
        answers: What must not be in it.
        kind: How these are checked; those to a choice are letters.

    Returns:
        The rest, without white space around it, and whether anything was taken out.
    """

    def tells(part: str) -> bool:
        return any(gives_away(part, answer, kind) for answer in answers)

    borders = sorted({0, *(match.end() for match in SENTENCE_END.finditer(text)), len(text)})
    parts = [text[start:end] for start, end in itertools.pairwise(borders)]
    told = {i for i, part in enumerate(parts) if tells(part)}
    for i in range(len(parts) - 1):
        if not told & {i, i + 1} and tells(parts[i] + parts[i + 1]):
            told |= {i, i + 1}
    rest = "".join(part for i, part in enumerate(parts) if i not in told).strip()
    return ("", True) if tells(rest) else (rest, bool(told))


def gives_away(text: str, answer: str, kind: Kind = "math") -> bool:
    r"""Whether a text holds an answer.

    A number is there where one of equal value is: 1,234 and 1234.0 and \frac{2468}{2} are the same, $12 holds 12, and
    12 is neither in 123 nor in 3.12. An option's letter is there in a box, by itself in brackets or bold, beside
    "correct", or after "answer", "option", "choose" and the like. Anything else is there as whole words, whatever the
    case and the LaTeX around it.
    """
    letter = read_choice(answer) if kind == "choice" else None
    if letter is not None:
        return letter in _list_choices(text)
    sought, plain = strip_latex(answer), strip_latex(text)
    number = _read_quantity(sought)
    if number is not None:
        return number in _list_numbers(plain)
    words = _close_up(sought.rstrip(". "))
    return bool(words) and _hold_words(_close_up(plain), words)


def strip_latex(text: str) -> str:
    r"""Write a text without LaTeX's marks: \frac{1}{2} as 1/2, 1{,}234 as 1,234, \text{m} as m, \pi as pi."""
    for sign, plain in _SIGNS.items():
        text = text.replace(sign, plain)
    text = re.sub(r"(?<=\d)(?:\\[,!;: ]|[~\u2009\u202f])(?=\d{3}(?!\d))", "", text)
    text = _ROOT.sub(r"\\sqrt{\1}", text)
    text = _FRACTION.sub(lambda match: f" {match[1] or match[2]}/{match[3] or match[4]} ", text)
    text = re.sub(r"\\[,!;:\s()\[\]]|[~{}*`]", " ", _FONT.sub("", text))
    return " ".join(re.sub(r"[\\$€£]", "", text).split())


def _read_quantity(text: str) -> Fraction | None:
    """The number that a text is; None if it is something else."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return None
    bottom = _read_number(match["bottom"] or "1")
    if not bottom:
        return None
    return _read_number(match["top"]) / bottom * (-1 if match["sign"] == "-" else 1)


def _list_numbers(text: str) -> set[Fraction]:
    """All numbers in a text; of a/b: a, b and their ratio. A minus that may join two numbers counts both ways."""
    found: set[Fraction] = set()
    for match in _NUMBER.finditer(text):
        values = {_read_number(match["top"])}
        if match["bottom"] and (bottom := _read_number(match["bottom"])):
            values.add(_read_number(match["top"]) / bottom)
            found.add(bottom)
        may_be_plus, may_be_minus = _read_sign(text[: match.start()])
        found |= {value for value in values if may_be_plus} | {-value for value in values if may_be_minus}
    return found


def _read_sign(before: str) -> tuple[bool, bool]:
    """Whether a number may be positive, and whether negative, by what stands before it."""
    left = before.rstrip()
    if not left.endswith("-"):
        return True, False
    operand = left[:-1].rstrip()[-1:]
    if not operand.isalnum() and operand != ")":
        return False, True
    stands_off = left[:-1] != left[:-1].rstrip() and left == before  # as in "8 -5"
    return True, stands_off or operand.isalpha()


def _read_number(text: str) -> Fraction:
    return Fraction(text.replace(",", ""))


def _list_choices(text: str) -> set[str]:
    """Letters of options that a text names."""
    starts = [match.start() for match in _NAMED.finditer(text)]
    letters = {letter.upper() for match in _STANDING.finditer(text) for letter in match.groups() if letter}
    for start, stop in itertools.pairwise([*starts, len(text)]):
        piece = text[start:stop].strip()
        bare = _NAMED.sub("", piece, count=1).strip(" :=\n")
        readings = (
            read_choice(piece),
            read_choice(bare),
            extract_choice(piece),
            read_choice(extract_answer(piece) or ""),
        )
        letters |= {letter for letter in readings if letter is not None}
    return letters


def _hold_words(text: str, words: str) -> bool:
    """Whether words are in a text and no part of longer ones; a mark at either end of them ends a word by itself.

    Between a number and a name after it a blank means nothing: 2 x is 2x.
    """
    before, after = (r"(?<!\w)" if words[0].isalnum() else "", r"(?!\w)" if words[-1].isalnum() else "")
    pattern = " ?".join(map(re.escape, re.split(r"(?<=\d) ?(?=[A-Za-z])", words)))
    return re.search(f"{before}{pattern}{after}", text, re.IGNORECASE) is not None


def _close_up(text: str) -> str:
    """Leave out blanks around marks, so that x + 1 is x+1."""
    return re.sub(r"\s*([^\w\s])\s*", r"\1", text)
