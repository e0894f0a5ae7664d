"""Decide whether what a program gave is what its test expects."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,6})?")


def find_difference(printed: str, expected: str) -> str | None:
    """Say where a printed text differs from the expected one, in a phrase; None if it does not.

    Blank lines before and after the text don't count, nor do blanks around a line. Two lines are the same if their
    characters are, or if both hold nothing but numbers, as many, each exactly equal as a decimal ("0.50" and ".5";
    there is no tolerance). This is how LiveCodeBench compares (LiveCodeBench/LiveCodeBench on GitHub, testing_util.py).
    """
    lines, gold_lines = printed.strip().split("\n"), expected.strip().split("\n")
    if len(lines) != len(gold_lines):
        return f"{_count_lines(lines)} printed, {len(gold_lines)} expected"
    for number, (line, gold) in enumerate(zip(lines, gold_lines, strict=True), 1):
        if line.strip() != gold.strip() and not _are_same_numbers(line.split(), gold.split()):
            return f"line {number} is {_quote(line)}, expected {_quote(gold)}"
    return None


def read_value(text: str) -> Any:  # noqa: ANN401
    """Read a JSON value, integers as decimals: a long one then takes no longer to read than to send.

    Raises:
        ValueError: It is no JSON, or nested too deep.
    """
    try:
        return json.loads(text, parse_int=Decimal)
    except RecursionError:
        raise ValueError("nested too deep") from None


def are_same_values(value: object, expected: object) -> bool:
    """Whether two values of `read_value` are equal, as Python compares: 1, 1.0 and true are; there is no tolerance."""
    try:
        return value == expected
    except RecursionError:
        return False


def _are_same_numbers(words: list[str], gold_words: list[str]) -> bool:
    return len(words) == len(gold_words) and all(
        _NUMBER.fullmatch(word) and _NUMBER.fullmatch(gold) and Decimal(word) == Decimal(gold)
        for word, gold in zip(words, gold_words, strict=True)
    )


def _count_lines(lines: list[str]) -> str:
    if lines == [""]:
        return "nothing"
    return f"{len(lines)} line{'' if len(lines) == 1 else 's'}"


def _quote(line: str) -> str:
    stripped = line.strip()
    return repr(stripped if len(stripped) <= 60 else stripped[:60] + "…")
