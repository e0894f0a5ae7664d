"""What makes a question useless for training or measuring, from its text and its gold answer alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from raml.questions.markup import unescape_entities
from raml.questions.signs import OUTSIDE_SIGNS, PICTURE_SIGNS, find_sign

Reason = Literal["incomplete", "no answer", "needs a picture", "needs outside material", "not verifiable", "duplicate"]
REASONS: tuple[Reason, ...] = get_args(Reason)


@dataclass(frozen=True)
class Fault:
    """Why a question is dropped."""

    reason: Reason
    detail: str
    """What was found, for whoever checks the decision."""


def find_prompt_fault(original: str, stripped: str) -> Fault | None:
    """Say what a question lacks; None if it can be answered as it stands.

    Pictures and references show in the text as it came (an image's tag, a link's address) or once it is stripped.
    """
    for text in dict.fromkeys((unescape_entities(original), stripped)):  # mostly the same
        if sign := find_sign(text, PICTURE_SIGNS):
            return Fault("needs a picture", f"it has {_quote(sign)}")
        if sign := find_sign(text, OUTSIDE_SIGNS):
            return Fault("needs outside material", f"it has {_quote(sign)}")
    detail = _find_gap(stripped)
    return Fault("incomplete", detail) if detail else None


def find_answer_fault(answer: str) -> Fault | None:
    """Say why a gold answer is none, or none that a program can compare; what Math-Verify itself says comes on top."""
    if PLACEHOLDER.fullmatch(answer):
        return Fault("no answer", f"the answer is only {_quote(answer)}")
    if _has_parts(answer):
        return Fault("not verifiable", "the gold answer has several parts")
    if PROOF.match(answer) or _is_prose(answer):
        return Fault("not verifiable", "the gold answer is prose")
    return None


def _quote(text: str) -> str:
    return f'"{text[:80]}"'


# --- Questions that break off -----------------------------------------------------------------------------------------

# After a word, dots mean that the rest is missing; after a number, a comma or an operator, that a series goes on.
BROKEN_OFF = re.compile(r"(?<!\bso on)(?<!\betc)(?<=[^\W\d_]{2})\s*(?:\.{3,}|…+|⋯+|。{3,})[\"'”’)*]*$")
# A question may end without a full stop ("Then the area is"), but no sentence ends with these words. Lists of words do.
DANGLING = re.compile(
    r"(?:^|\s)(?:and|or|nor|(?<![,;:]\s)(?:the|an|if|whose|such that|given that|so that|provided that))$"
)
# "The value of x is:" and "Answer:" ask for something, "Solve the equation:" has lost its equation.
OPEN_END = re.compile(
    r"(?:[,，、]|(?<!\bis)(?<!\bare)(?<!\bbe)(?<!\bto)(?<!\bby)(?<!\bequals)(?<!\banswer)(?<!\boutput)(?<!\bresult)"
    r"(?<!\bsolution)(?<!\bvalue)(?<!^a)(?<![=是为于案])\s?[:：])\Z",
    re.IGNORECASE | re.MULTILINE,
)
HEADING = re.compile(r"(?:problem|question|exercise|task|example|no\.?|第)?\s*[#(]?\d*[).:题]*", re.IGNORECASE)
ONE_WORD = re.compile(r"[A-Za-z]+[.:!?]*")

DELIMITER = re.compile(
    r"(?P<skip>\\\\|\\\$)|\\(?P<side>[()\[\]])|\\(?P<edge>begin|end)\s*\{(?P<name>[A-Za-z]+\*?)\}|(?P<dollar>\$\$?)"
)
CURRENCY = re.compile(r"\s*\d[\d.,]*(?=[\s.,;:?!)]|$)")
MATHEMATICAL = re.compile(r"\\[A-Za-z]+|[\^_=]")
PROSE_RUN = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}\s+[A-Za-z]{2,}\b")


def _find_gap(text: str) -> str | None:
    """Say where a question's text is missing."""
    if HEADING.fullmatch(text) or ONE_WORD.fullmatch(text) or not re.search(r"[^\W_]", text):
        return "nothing is asked"
    if match := BROKEN_OFF.search(text):
        return f"it ends in {_quote(match[0].strip())}"
    if match := DANGLING.search(text) or OPEN_END.search(text):
        return f"it ends in {_quote(match[0].strip())}"
    unclosed = _find_unclosed(text)
    return f"its {_quote(unclosed)} is not closed" if unclosed else None


def _find_unclosed(text: str) -> str | None:
    """Find LaTeX that is opened and never closed, by what opens it.

    A `$` may also be money ("a $$50$ bonus" is both), so one that stays open counts only if the text ends inside of a
    formula: what follows it is mathematics without two words in a row.
    """
    opened: dict[str, int] = {}
    dollar: re.Match[str] | None = None
    for match in DELIMITER.finditer(text):
        if match["dollar"]:
            next_to_another = dollar is not None and dollar[0] == "$" and match[0] == "$$"  # `$a$$b$`
            dollar = match if dollar is None or next_to_another else None
        elif match["edge"]:
            name = f"\\begin{{{match['name']}}}"
            opened[name] = max(0, opened.get(name, 0) + (1 if match["edge"] == "begin" else -1))
        elif side := match["side"]:
            opened["\\(" if side in "()" else "\\["] = int(side in "([")
    for name, depth in opened.items():
        if depth:
            return name
    if dollar is None:
        return None
    rest = text[dollar.end() :]
    if CURRENCY.match(rest) or PROSE_RUN.search(rest) or not MATHEMATICAL.search(rest):
        return None
    return dollar[0]


# --- Answers that are none, or that cannot be compared ----------------------------------------------------------------

# Not "None", "no" or "undefined", which are answers.
PLACEHOLDER = re.compile(
    r"N/A|n/a|NULL|[Nn]ull|NaN|nan|TBD|\?+|\.{3,}|…+|-{2,}|[Nn]o answer(?: (?:given|provided|available))?\.?"
    r"|[Nn]ot (?:available|provided|given)\.?|[Aa]nswer not (?:available|provided|given)\.?"
    r"|(?:[Ss]ee|[Rr]efer to) (?:the )?(?:solution|explanation|proof|above|below|figure|graph|answer key)s?\.?"
    r"|(?:答案)?略。?|见解析。?|见答案。?"
)
PROOF = re.compile(r"\W*(?:(?:proof|prove[dn]?|q\.?e\.?d\.?|omitted)\W*$|proof[.:]|证明|证略)", re.IGNORECASE)

# Math-Verify takes the last number of "1) 3; 2) 5": an answer of 5 alone would count as right.
LABELS = (
    *(("(1)", "(2)"), ("1)", "2)"), ("1.", "2."), ("①", "②"), ("(a)", "(b)"), ("a)", "b)"), ("a.", "b.")),
    *(("(A)", "(B)"), ("A)", "B)"), ("(i)", "(ii)"), ("i)", "ii)"), ("(I)", "(II)"), ("I)", "II)")),
)
# "(1) and (2)" names two statements; "(1) x + (2) y" would be one expression.
NO_PART = re.compile(r"(?:and|or|both|和|与|[\W_])*", re.IGNORECASE)

# Names in order and units are words too, and a short sentence ("Ann is a knight, and Bob is a knave") can be compared.
# What argues is a proof, and longer texts nobody repeats word by word.
ARGUMENT = re.compile(
    r"\b(?:because|since|therefore|hence|thus|implies|follows|contradiction|assume|suppose|induction|proof|q\.?e\.?d)\b"
    r"|因为|所以|因此|从而|假设|矛盾|故",
    re.IGNORECASE,
)
MIN_ARGUMENT_WORDS, MIN_PROSE_WORDS = 8, 25
CHINESE_CHARACTERS_PER_WORD = 2


def _has_parts(answer: str) -> bool:
    """Whether a gold answer is several, each with its label."""
    text = re.sub(r"\\(?:text|textbf|mathrm|mbox|quad|qquad)\b\s*|[{}$]|\\[(),;!\[\] ]", " ", answer).strip()
    for first, second in LABELS:
        if not text.startswith(first) or not (first == "①" or text[len(first) :][:1].isspace()):
            continue
        for match in re.finditer(rf"(?<![\w(]){re.escape(second)}", text):
            part, rest = text[len(first) : match.start()].rstrip(" \t\n;,；，"), text[match.end() :]
            if not part.endswith(tuple("+-*/^=(")) and not NO_PART.fullmatch(part) and not NO_PART.fullmatch(rest):
                return True
    return False


def _is_prose(answer: str) -> bool:
    """Whether a gold answer is sentences; only the same sentences would count as right."""
    text = re.sub(r"\\(?:text|textrm|textbf|mathrm|mbox)\s*\{([^{}]*)\}", r" \1 ", answer)
    text = re.sub(r"\$[^$]*\$|\"[^\"]*\"|\\[A-Za-z]+", " ", text)  # formulas and lists of quoted strings
    n_words = len(re.findall(r"[A-Za-z]{2,}", text))
    n_words += len(re.findall(r"[\u4e00-\u9fff]", text)) // CHINESE_CHARACTERS_PER_WORD
    return n_words >= (MIN_ARGUMENT_WORDS if ARGUMENT.search(text) else MIN_PROSE_WORDS)
