"""Numbers as views carry and write them, and which of many things are shown."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from raml.records import Estimate
from raml.report.charts import Number

T = TypeVar("T")
N_DIGITS = 6
"""Significant digits of what is drawn: more than a screen shows, and a third of the size of all of them."""


def round_values(values: ArrayLike | Sequence[Number]) -> list[Number]:
    """Round values to six significant digits; None where one is unknown, NaN or infinite."""
    numbers = np.asarray(values, dtype=float).ravel().tolist()
    return [float(f"{number:.{N_DIGITS}g}") if math.isfinite(number) else None for number in numbers]


def spread_places(n: int, most: int) -> list[int]:
    """Choose at most so many of n places, evenly, the first and the last among them."""
    return list(range(n)) if n <= most else np.linspace(0, n - 1, most).round().astype(int).tolist()


def take_turns(items: Sequence[T], most: int, is_right: Callable[[T], bool]) -> list[T]:
    """Take the first of the right ones and of the others in equal numbers, as far as there are both, in their order."""
    right = [item for item in items if is_right(item)]
    others = [item for item in items if not is_right(item)]
    n_right = max(most // 2, most - len(others))
    taken = [*right[:n_right], *others][:most]
    return [item for item in items if any(item is one for one in taken)]


def write_estimate(estimate: Estimate | None, *, unit: float = 1.0, n_digits: int = 3, is_signed: bool = False) -> str:
    """Write a mean with its interval, where it has one; nothing for None.

    Args:
        estimate: What to write.
        unit: What it is multiplied by, such as 100 for percent.
        n_digits: After the decimal point.
        is_signed: Whether a plus is written.
    """
    if estimate is None:
        return ""
    value = write_number(unit * estimate.value, n_digits, is_signed=is_signed)
    interval = write_interval(estimate, unit=unit, n_digits=n_digits, is_signed=is_signed)
    return f"{value} {interval}" if interval else value


def write_interval(estimate: Estimate, *, unit: float = 1.0, n_digits: int = 3, is_signed: bool = False) -> str:
    """Write an interval in brackets; nothing where it has no ends."""
    if not (math.isfinite(estimate.low) and math.isfinite(estimate.high)):
        return ""
    ends = (write_number(unit * end, n_digits, is_signed=is_signed) for end in (estimate.low, estimate.high))
    return f"[{', '.join(ends)}]"


def write_number(value: float, n_digits: int, *, is_signed: bool = False) -> str:
    """Write a number with so many digits after the decimal point, a true minus, and no minus before zero."""
    return f"{value:{'+' if is_signed else ''}z,.{n_digits}f}".replace("-", "\N{MINUS SIGN}")


def shorten_model(name: str) -> str:
    """The last part of a model's name or folder."""
    return name.rstrip("/").split("/")[-1]
