"""Questions of the tiny world: expressions to calculate, in two families and three fixed splits.

A question's split is decided by a hash of its canonical form, so neither the same expression nor a near-duplicate
(commuted, other parentheses, other list order) can be in two splits, whatever the seeds.
"""

from __future__ import annotations

import random
from typing import Literal, get_args

from raml.errors import DataError
from raml.records import Question, hash_key
from raml.tiny.expressions import (
    FOLDS,
    Expression,
    Operation,
    canonicalize,
    count_operands,
    evaluate_expression,
    find_bounded_value,
    make_product,
    make_sum,
    parse_expression,
    render_expression,
)

Family = Literal["arithmetic", "lists"]
Split = Literal["train", "validation", "test"]
TRAINED_SIZE = (4, 6)
"""Fewest and most operands of the questions that the embedded models were trained on."""
SMALLEST, LARGEST = 2, 12
MAX_TRIES = 10_000
"""How many expressions to draw for one more question before giving up."""
SPLIT_PARTS = 20
"""The hash falls into one of so many parts: one is for test, one for validation, the others for training."""


def make_questions(
    n: int,
    *,
    split: Split,
    family: Family | None = None,
    size: tuple[int, int] | None = None,
    seed: int = 0,
) -> list[Question]:
    """Make n questions, no two with the same canonical form.

    Args:
        n: How many.
        split: Which of the fixed parts of the world they come from.
        family: "arithmetic" (such as 3+4*(2-1)), "lists" (such as max[3+4,2*5,9-1]), or None for both in turn.
        size: Fewest and most operands; None for the sizes that the embedded models were trained on.
        seed: Which questions; the same arguments give the same ones everywhere.

    Raises:
        DataError: an argument is out of range, or the world has too few such questions.
    """
    low, high = TRAINED_SIZE if size is None else size
    _check_arguments(n, split, family, (low, high))
    families = get_args(Family) if family is None else (family,)
    rng = random.Random(f"{seed} {split} {family} {low} {high}")
    questions: list[Question] = []
    seen: set[str] = set()
    tries = 0
    while len(questions) < n:
        if tries == MAX_TRIES:
            raise DataError(
                f"Found only {len(questions)} of {n} distinct questions (family {family or 'any'}, sizes {low} to "
                f"{high}, split {split}); {tries} tries brought no new one. Ask for fewer, or for more operands."
            )
        tries += 1
        kind = families[len(questions) % len(families)]
        expression = _draw_expression(rng, kind, rng.randint(low, high))
        if find_bounded_value(expression) is None:
            continue
        canonical = canonicalize(expression)
        if canonical not in seen and _split_of(canonical) == split:
            seen.add(canonical)
            questions.append(_make_question(expression, kind, split))
            tries = 0
    return questions


def read_expression(question: Question) -> Expression:
    """Return the expression that a question of the tiny world asks for.

    Raises:
        DataError: it is no question of this world.
    """
    prompt = question.prompt
    if not (prompt.startswith("Calculate ") and prompt.endswith(".")):
        raise DataError(f"Question {question.id} is not of the tiny world, which asks 'Calculate ….': {prompt[:60]!r}")
    return parse_expression(prompt.removeprefix("Calculate ").removesuffix("."))


def find_split(expression: Expression) -> Split:
    """Return the split that an expression and all its near-duplicates belong to."""
    return _split_of(canonicalize(expression))


def _split_of(canonical: str) -> Split:
    part = int(hash_key("tiny-split", canonical), 16) % SPLIT_PARTS
    return "test" if part == 0 else "validation" if part == 1 else "train"


def _check_arguments(n: int, split: str, family: str | None, size: tuple[int, int]) -> None:
    if n < 0:
        raise DataError(f"Can't make {n} questions; expected 0 or more.")
    if split not in get_args(Split):
        raise DataError(f"No split {split!r} in the tiny world; choose one of {', '.join(get_args(Split))}.")
    if family is not None and family not in get_args(Family):
        raise DataError(f"No family {family!r} in the tiny world; choose one of {', '.join(get_args(Family))}.")
    low, high = size
    if not SMALLEST <= low <= high <= LARGEST:
        raise DataError(f"Size {low} to {high} is out of range; expected {SMALLEST} <= low <= high <= {LARGEST}.")


def _make_question(expression: Expression, family: Family, split: Split) -> Question:
    prompt, answer = f"Calculate {render_expression(expression)}.", str(evaluate_expression(expression))
    return Question(
        id=hash_key(prompt, answer),
        prompt=prompt,
        answer=answer,
        domain=family,
        source="tiny",
        meta={"size": count_operands(expression), "family": family, "split": split},
    )


def _draw_expression(rng: random.Random, family: Family, size: int) -> Expression:
    return _draw_arithmetic(rng, size) if family == "arithmetic" else _draw_list(rng, size)


def _draw_arithmetic(rng: random.Random, size: int) -> Expression:
    """Draw a random binary tree; its leaves are 1 to 9, as a 0 would make much of a product trivial."""
    if size == 1:
        return rng.randint(1, 9)
    n_left = rng.randint(1, size - 1)
    left, right = _draw_arithmetic(rng, n_left), _draw_arithmetic(rng, size - n_left)
    operator = rng.choice("+-*")
    return make_product(left, right) if operator == "*" else make_sum(left, 1 if operator == "+" else -1, right)


def _draw_list(rng: random.Random, size: int) -> Expression:
    """Draw a fold over two to four items; items of one operand, which would be easy to guess by, only where needed."""
    n_items = rng.randint(2, max(2, min(4, size // 2)))
    sizes = [max(1, min(2, size // n_items))] * n_items
    for _ in range(size - sum(sizes)):
        sizes[rng.randrange(n_items)] += 1
    return Operation(rng.choice(FOLDS), tuple(_draw_arithmetic(rng, n) for n in sizes))
