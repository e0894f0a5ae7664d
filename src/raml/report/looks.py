"""Which of the page's looks, a colour with a shape and dashes each, means what."""

from __future__ import annotations

from collections.abc import Sequence

from raml.records import Method

N_LOOKS = 8
RIGHT, WRONG, UNDECIDED = 0, 1, 7
"""Of trajectories; the landscape's paths have the same."""
OUTCOMES: dict[bool | None, tuple[str, int]] = {
    True: ("right", RIGHT),
    False: ("wrong", WRONG),
    None: ("undecided", UNDECIDED),
}
"""Name and look of a trajectory by whether it is right."""
ALONE, SINGLE = 5, 7
"""Of a mean that is of no outcome, and of the single values behind it."""
END = 6
"""Of the last point of a path."""
SIZE, DIRECTION = 2, 3
"""Of how far steps move the answer's loss, and which way."""
MEAN, MEDIAN = 4, 6
"""Of the paper's measure over a group's units."""
TEXTS: dict[str, int] = {
    "right": RIGHT,
    "wrong": WRONG,
    "undecided": UNDECIDED,
    "other question": 2,
    "shuffled": 3,
    "random tokens": 4,
    "random direction": 6,
}
"""Of what stood in the context when Eq. 4 was tested."""
METHODS: dict[Method, int] = {
    "cut": 0,
    "no-thinking": 1,
    "early-exit": 2,
    "prune": 3,
    "summary": 4,
    "wait": 5,
    "full": 6,
    "random": 7,
}
"""Of ways to answer from less."""


def choose_line_looks(lines: Sequence[tuple[Method, str]]) -> dict[tuple[Method, str], int]:
    """Choose a look for each line, a method and variant.

    The first variant of a method has the method's own look. Others have those of methods that are not there, as long as
    there are any, then the method's own too: their names tell them apart.
    """
    distinct = list(dict.fromkeys(lines))
    free = [look for method, look in METHODS.items() if method not in {method for method, _ in distinct}]
    looks: dict[tuple[Method, str], int] = {}
    for method, variant in distinct:
        is_first = all(other != method for other, _ in looks)
        looks[method, variant] = METHODS[method] if is_first or not free else free.pop(0)
    return looks
