"""How far each step along a trajectory moves L̂, what the step's text is, and where listed words stand."""

from __future__ import annotations

import bisect
import itertools
import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from raml.errors import DataError, NumericsError
from raml.records import Influence, InfluenceSettings, Trace, Trajectory, hash_key

Part = Literal["number", "operator", "word", "other"]
PARTS: tuple[Part, ...] = ("number", "operator", "word", "other")

# What comes first wins: tags, list marks, emphasis and commands of a formula's layout are none of the three, and a
# hyphen or slash between letters joins words.
_TEXT = re.compile(
    r"""
      </?\w+>
    | ^[ \t]*(?:[-*+]|\d+[.)])[ ]
    | (?P<number>(?<!\d,)\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:\.\d+)?)
    | (?P<operator>\\(?:times|cdot|div|[dt]?frac|sqrt|pm|leq?|geq?|neq?|approx|equiv)(?![A-Za-z])
        | (?<=[\d)])[ ]?\*\*[ ]?(?=[\d(]) | (?<![*])[*](?![*]) | (?<![^\W\d_])[-/](?![^\W\d_]) | [+=<>×÷·−±≤≥≠≈^%])
    | \\[A-Za-z]+
    | (?P<word>[^\W\d_]+)
    """,
    re.VERBOSE | re.MULTILINE,
)


@dataclass(frozen=True)
class WordPlace:
    """Where a listed word stands in a trajectory."""

    word: str
    """As in the list, in small letters."""
    start: int
    """Its first token."""
    stop: int
    """The token after its last."""
    is_mixed: bool
    """Whether these tokens hold more than the word and white space, such as a comma."""


def clean_words(words: Iterable[str]) -> tuple[str, ...]:
    """Put a list of words into small letters and single blanks, each once, in the order given.

    Raises:
        DataError: there is none, or one is empty or has no letter.
    """
    cleaned = dict.fromkeys(" ".join(word.split()).lower() for word in words)
    for word in cleaned:
        if not any(character.isalpha() for character in word):
            raise DataError(f"{word!r} is no word to look for: it has no letter. Give words such as wait or hold on.")
    if not cleaned:
        raise DataError("There is no word to look for; give at least one, such as wait.")
    return tuple(cleaned)


def find_words(trajectory: Trajectory, words: Sequence[str]) -> list[WordPlace]:
    """Find listed words in a trajectory's text and say which tokens hold them, in the order of the text.

    Case does not count, white space inside a word of several may be any, and only whole words are found: letters,
    digits, marks that combine with letters, and apostrophes with a letter behind belong to a word. Where two listed
    words begin at one place the longer one is found, and what is found does not overlap, except that one token may
    hold two.

    Args:
        trajectory: Its text is searched as a whole, whatever its tokens are.
        words: From `clean_words`.
    """
    longest_first = sorted(words, key=len, reverse=True)
    alternatives = "|".join("(" + r"\s+".join(map(re.escape, word.split())) + ")" for word in longest_first)
    pattern = re.compile(rf"(?<!\w)(?<!\w['’])(?:{alternatives})(?!['’]?\w)", re.IGNORECASE)
    places = []
    for match in pattern.finditer(trajectory.text):
        if _is_mark(trajectory.text, match.start() - 1) or _is_mark(trajectory.text, match.end()):
            continue  # the accent or vowel sign of a letter: more of the word follows, or came before
        start, stop = _find_tokens(trajectory.token_ends, *match.span())
        begins = trajectory.token_ends[start - 1] if start else 0
        whole = trajectory.text[begins : trajectory.token_ends[stop - 1]]
        assert match.lastindex is not None
        word = longest_first[match.lastindex - 1]
        places.append(WordPlace(word, start, stop, is_mixed=whole.strip() != match[0]))
    return places


def find_parts(trajectory: Trajectory) -> list[frozenset[Part]]:
    """Say for each token which of number, operator and word it belongs to; none for punctuation and white space.

    They are found in the text, so that all tokens of a long number, a LaTeX command or a word belong to it.
    """
    parts: list[set[Part]] = [set() for _ in trajectory.token_ids]
    for match in _TEXT.finditer(trajectory.text):
        for part in PARTS:
            if part != "other" and match[part]:
                for token in range(*_find_tokens(trajectory.token_ends, *match.span(part))):
                    parts[token].add(part)
    return [frozenset(own) for own in parts]


def key_influence(trace: Trace, settings: InfluenceSettings) -> str:
    """The id that the influence of a trace's steps will have: a hash of settings and trace."""
    return hash_key("influence", settings, trace.id)


def check_settings(settings: InfluenceSettings) -> InfluenceSettings:
    """Put the settings' words into the form that is searched for.

    Raises:
        DataError: a word is none, or ε is not a positive number.
    """
    if not (settings.epsilon > 0 and math.isfinite(settings.epsilon)):
        raise DataError(f"--epsilon is {settings.epsilon:g}; it must be above 0, such as 0.01.")
    return InfluenceSettings(clean_words(settings.words), settings.epsilon)


def measure_influence(trajectory: Trajectory, trace: Trace, settings: InfluenceSettings | None = None) -> Influence:
    """Measure how far each step of a trace moved L̂ (arXiv 2505.19815, Fig. 6, and a measure that does not explode).

    A step leads from one scored prefix to the next: a token where every prefix was scored. A word of the list is
    noted on its steps where L̂ is known right before and right after it. A step whose text holds two of number,
    operator and word, or none, is "other".

    Raises:
        DataError: the trace is not of this trajectory, it has no step, or a setting is out of range.
        NumericsError: L̂ is NaN or infinite somewhere.
    """
    settings = check_settings(settings or InfluenceSettings())
    check_trace(trajectory, trace)
    loss, borders = trace.mean_nll, trace.prefix_lens.tolist()
    before, after = loss[:-1], loss[1:]
    at = {border: place for place, border in enumerate(borders)}
    words: list[str | None] = [None] * (len(borders) - 1)
    for place in find_words(trajectory, settings.words):
        if place.start in at and place.stop in at:
            for step in range(at[place.start], at[place.stop]):
                words[step] = words[step] or place.word
    by_token = find_parts(trajectory)
    parts = [_join(by_token[start:stop]) for start, stop in itertools.pairwise(borders)]
    return Influence(
        id=key_influence(trace, settings),
        trajectory_id=trajectory.id,
        model=trace.model,
        settings=settings,
        trace_id=trace.id,
        prefix_lens=trace.prefix_lens,
        change=(after - before).astype(np.float32),
        relative=measure_relative(before, after).astype(np.float32),
        log_change=np.log((after + settings.epsilon) / (before + settings.epsilon)).astype(np.float32),
        parts=tuple(parts),
        words=tuple(words),
    )


def measure_relative(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The paper's measure |L̂ after − L̂ before| / L̂ before; infinite or NaN where L̂ before is 0."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # Rounded to 32 bits, as records hold it, so that what is infinite there is infinite everywhere.
        return (np.abs(after - before) / before).astype(np.float32).astype(np.float64)


def check_trace(trajectory: Trajectory, trace: Trace) -> None:
    """Refuse a trace whose steps can't be measured along this trajectory.

    Raises:
        DataError: it is of another trajectory, or has no step.
        NumericsError: L̂ is NaN or infinite somewhere.
    """
    if trace.trajectory_id != trajectory.id:
        raise DataError(f"Trace {trace.id} is of trajectory {trace.trajectory_id}, not of {trajectory.id}.")
    n_tokens, last = len(trajectory.token_ids), int(trace.prefix_lens[-1]) if len(trace.prefix_lens) else 0
    if last > n_tokens:
        raise DataError(
            f"Trace {trace.id} goes to token {last}; trajectory {trajectory.id} has {n_tokens}. Trace it again."
        )
    if len(trace.prefix_lens) < 2:
        raise DataError(
            f"Trajectory {trajectory.id} has no reasoning before its final answer, so its trace has no step to measure."
        )
    known = np.isfinite(trace.mean_nll)
    if not known.all():
        place = int(trace.prefix_lens[int(known.argmin())])
        raise NumericsError(f"Trace {trace.id} of trajectory {trajectory.id}: L̂ after {place} tokens is not finite.")


def _join(parts: Iterable[frozenset[Part]]) -> Part:
    """The one part that tokens belong to; "other" where they belong to several or none."""
    found = frozenset[Part]().union(*parts)
    return next(iter(found)) if len(found) == 1 else "other"


def _is_mark(text: str, place: int) -> bool:
    """Whether a character combines with the one before it, as accents and vowel signs do."""
    return 0 <= place < len(text) and unicodedata.category(text[place]).startswith("M")


def _find_tokens(token_ends: Sequence[int], begin: int, end: int) -> tuple[int, int]:
    """The tokens (start, stop) that hold the characters from begin to end, not empty.

    A token that completes no character belongs to the one that its successors complete.
    """
    start = bisect.bisect_right(token_ends, begin)
    while start > 1 and token_ends[start - 1] == begin == token_ends[start - 2]:
        start -= 1
    if begin == 0:
        start = 0
    return start, bisect.bisect_left(token_ends, end) + 1
