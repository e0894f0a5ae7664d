"""Groups of steps, words and sentences, each with the other stretches that it is compared with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raml.influence.tokens import PARTS, WordPlace, find_words
from raml.influence.units import Measured, Span, UnitMaker, Units, concatenate_units, find_stretch
from raml.prompts import split_sentences
from raml.records import Family

EVERY_STEP, EVERY_WORD = "all steps", "all listed words"
N_TENTHS, N_QUARTERS, N_THIRDS = 10, 4, 3
CALCULATION = re.compile(
    r"""
      ^(?=[^\n]*\d)[^\n]*[=≈]
    | \d[^\w+*/×÷·−^-]*(?:[-+*/×÷·−^]|\\(?:times|cdot|div)\b)\W*\d
    | \\[dt]?frac\W*\d
    """,
    re.VERBOSE | re.MULTILINE,
)
"""A line with a number and an equals sign, or an operator between two numbers. Each part of it is read once from each
digit or line on, so that a long row of dashes takes no longer than other text."""


@dataclass(frozen=True, eq=False)
class Group:
    """Units of one kind, and the others that may be their controls."""

    family: Family
    name: str
    units: Units
    """Members and controls."""
    is_member: NDArray[np.bool_]
    """The rest are controls [U]."""
    is_mixed: NDArray[np.bool_]
    """Members whose tokens hold more than the listed word [U]."""
    n_stretches: int
    """Controls start in the same one of so many equal stretches of the reasoning; 1: anywhere in it."""


def list_groups(measured: Sequence[Measured]) -> Iterator[Group]:
    """Sort what was measured into all groups that can be, one at a time: a word's controls are nearly all steps.

    Words and parts need L̂ after every token and are missing without; positions take steps as they are; sentences need
    L̂ at both their ends. All trajectories are of one model, and traced and measured with the same settings.
    """
    maker = UnitMaker(measured)
    words = measured[0].influence.settings.words
    places = [find_words(own.trajectory, words) for own in measured]
    steps = maker.make_steps()
    yield _make_group("all", EVERY_STEP, steps, np.ones(len(steps), dtype=bool))
    if has_every_token(measured):
        yield from _group_words(maker, places, words)
        part = np.array([part for own in measured for part in own.influence.parts])
        for name in PARTS:
            yield _make_group("part", name, steps, part == name, N_QUARTERS)
    tenth = find_stretch(steps.share, N_TENTHS)
    for i in range(N_TENTHS):
        yield _make_group("position", f"{10 * i}–{10 * (i + 1)} %", steps, tenth == i)
    yield from _group_sentences(maker, places)


def has_every_token(measured: Sequence[Measured]) -> bool:
    """Whether every step is one token."""
    return all((np.diff(own.trace.prefix_lens) == 1).all() for own in measured)


def list_sentences(measured: Sequence[Measured]) -> Iterator[tuple[Span, int, int]]:
    """All sentences, each with its place among those of its trajectory and how many these are."""
    for i, own in enumerate(measured):
        sentences = split_sentences(own.trajectory)
        for k, (start, stop) in enumerate(sentences):
            yield (i, start, stop), k, len(sentences)


def _group_words(maker: UnitMaker, places: Sequence[Sequence[WordPlace]], words: Sequence[str]) -> Iterator[Group]:
    """Each listed word and all of them; controls are stretches of as many tokens that touch no listed word."""
    free: list[NDArray[np.bool_]] = []
    found: list[tuple[int, WordPlace]] = []
    for i, own in enumerate(maker.measured):
        n_tokens = int(own.trace.prefix_lens[-1])
        free.append(np.ones(n_tokens, dtype=bool))
        for place in places[i]:
            free[i][place.start : place.stop] = False
            if place.stop <= n_tokens:
                found.append((i, place))
    windows = {n: _make_windows(maker, free, n) for n in {place.stop - place.start for _, place in found}}
    for name in (EVERY_WORD, *words):
        yield _make_word_group(maker, name, [(i, p) for i, p in found if name in (EVERY_WORD, p.word)], windows)


def _make_windows(maker: UnitMaker, free: Sequence[NDArray[np.bool_]], n: int) -> Units:
    """All stretches of n tokens without a listed word; they may overlap."""
    spans: list[Span] = []
    for i, own in enumerate(free):
        n_free = np.concatenate([[0], np.cumsum(own)])
        spans += [(i, start, start + n) for start in np.flatnonzero(n_free[n:] - n_free[:-n] == n).tolist()]
    return maker.make_stretches(spans)


def _make_word_group(
    maker: UnitMaker, name: str, places: Sequence[tuple[int, WordPlace]], windows: dict[int, Units]
) -> Group:
    # A token that holds two listed words is one unit.
    spans = {(i, place.start, place.stop): place.is_mixed for i, place in places}
    members = maker.make_stretches(list(spans))
    units = concatenate_units([members, *(windows[n] for n in sorted({stop - start for _, start, stop in spans}))])
    is_mixed = np.zeros(len(units), dtype=bool)
    is_mixed[: len(members)] = list(spans.values())
    return Group("word", name, units, np.arange(len(units)) < len(members), is_mixed, N_QUARTERS)


def _group_sentences(maker: UnitMaker, places: Sequence[Sequence[WordPlace]]) -> Iterator[Group]:
    """Sentences by what they hold and by where they stand; controls are the other sentences."""
    spans: list[Span] = []
    labels: list[set[str]] = []
    for span, k, n in list_sentences(maker.measured):
        if maker.has_ends(span):
            i, start, stop = span
            order = "first sentence" if k == 0 else "last sentence" if k + 1 == n else "between them"
            own = {order, _name_content(maker.measured[i].read(start, stop))}
            if any(start <= place.start and place.stop <= stop for place in places[i]):
                own.add("with a listed word")
            spans.append(span)
            labels.append(own)
    units = maker.make_sentences(spans)
    by_content = "with a listed word", "with a calculation", "with other numbers", "without numbers"
    for name in (*by_content, "first sentence", "between them", "last sentence"):
        is_member = np.array([name in own for own in labels], dtype=bool)
        yield _make_group("sentence", name, units, is_member, N_THIRDS if name in by_content else 1)


def _name_content(sentence: str) -> str:
    if CALCULATION.search(sentence):
        return "with a calculation"
    return "with other numbers" if any(character.isdigit() for character in sentence) else "without numbers"


def _make_group(family: Family, name: str, units: Units, is_member: NDArray[np.bool_], n_stretches: int = 1) -> Group:
    return Group(family, name, units, is_member, np.zeros(len(units), dtype=bool), n_stretches)
