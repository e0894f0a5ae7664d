"""Integer expressions: read, write, evaluate, reduce by one step, and bring into a canonical form.

    sum      product (("+" | "-") product)*
    product  atom ("*" atom)*
    atom     digits | "(" sum ")" | ("max" | "min" | "sum") "[" sum ("," sum)* "]"

Sums and products are flat: 2+3+4 is one operation on three parts, and a reduction combines two neighbours. That gives
the many legal orders that distinct trajectories need. Parentheses that change nothing are dropped on reading.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from raml.errors import DataError

FOLDS = ("max", "min", "sum")
LOWEST, HIGHEST = 0, 60
"""Every value that occurs on any legal order of a question's reduction lies in this range."""
PIECE = re.compile(r"\d+|max|min|sum|[-+*()\[\],]")


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator on two or more parts (a fold may also have one)."""

    operator: str
    """ "+" for a sum with signs, "*" for a product, or the name of a fold over a list."""
    parts: tuple[Expression, ...]
    signs: tuple[int, ...] = ()
    """1 or -1 for each term of a sum, the first always 1; empty for the other operators."""


Expression = int | Operation


@dataclass(frozen=True, slots=True)
class Reduction:
    """One legal step: two neighbouring numbers that can be replaced by one."""

    path: tuple[int, ...]
    """Which part to go into at each level, from the outermost operation."""
    index: int
    """The pair is parts[index] and parts[index + 1] of the operation that the path leads to."""
    text: str
    """The pair as an expression of its own, such as "3+4" or "max[7,2]"."""
    value: int


def parse_expression(text: str) -> Expression:
    """Read an expression.

    Raises:
        DataError: the text is not an expression of this grammar.
    """
    pieces = PIECE.findall(text)
    if "".join(pieces) != text or not text:
        raise DataError(f"{text!r} is not an expression: expected digits, + - * ( ) and max[...], min[...], sum[...].")
    pieces.append("")  # marks the end
    expression, position = _parse_sum(pieces, 0, text)
    if pieces[position]:
        raise DataError(f"{text!r} is not an expression: {pieces[position]!r} was not expected there.")
    return expression


def render_expression(expression: Expression) -> str:
    """Write an expression with as few parentheses as its structure needs."""
    if isinstance(expression, int):
        return str(expression)
    if expression.operator in FOLDS:
        return f"{expression.operator}[{','.join(map(render_expression, expression.parts))}]"
    inner = [_render_part(part) for part in expression.parts]
    if expression.operator == "*":
        return "*".join(inner)
    signs = ("" if i == 0 else "+" if sign > 0 else "-" for i, sign in enumerate(expression.signs))
    return "".join(sign + part for sign, part in zip(signs, inner, strict=True))


def evaluate_expression(expression: Expression) -> int:
    """Return the value of an expression."""
    if isinstance(expression, int):
        return expression
    return _combine_run(expression, [evaluate_expression(part) for part in expression.parts])


def count_operands(expression: Expression) -> int:
    """Count the numbers in an expression: its size."""
    return 1 if isinstance(expression, int) else sum(map(count_operands, expression.parts))


def find_bounded_value(expression: Expression, low: int = LOWEST, high: int = HIGHEST) -> int | None:
    """Return the value if every number that any legal order of reductions can meet is in [low, high], else None.

    The numbers that can occur are exactly the values of runs of neighbours (in a sum: runs that start with a plus).
    """
    if isinstance(expression, int):
        return expression if low <= expression <= high else None
    values = []
    for part in expression.parts:
        value = find_bounded_value(part, low, high)
        if value is None:
            return None
        values.append(value)
    for start in range(len(values) - 1):
        if _can_start(expression, start):
            run = values[start]
            for i in range(start + 1, len(values)):
                run = _combine(expression, run, values[i], i)
                if not low <= run <= high:
                    return None
    return _combine_run(expression, values)


def find_reductions(expression: Expression) -> list[Reduction]:
    """List the legal next steps, outermost operation first; empty for a number."""
    return list(_iterate_reductions(expression, ()))


def apply_reduction(expression: Expression, reduction: Reduction, value: int | None = None) -> Expression:
    """Replace a reduction's pair by its value, or by another one (to write a slip)."""
    return _replace_pair(expression, reduction.path, reduction.index, reduction.value if value is None else value)


def canonicalize(expression: Expression) -> str:
    """Write an expression so that its near-duplicates are written alike.

    Equal up to the order of terms, factors and list items, redundant parentheses, and minus signs moved into or out of
    parentheses, means equal canonical form.
    """
    if isinstance(expression, int):
        return str(expression)
    if expression.operator == "+":
        terms = sorted(("+" if sign > 0 else "-") + term for sign, term in _flatten_terms(expression, 1))
        return f"({''.join(terms)})"
    if expression.operator == "*":
        return f"({'*'.join(sorted(map(canonicalize, expression.parts)))})"
    return f"{expression.operator}[{','.join(sorted(map(canonicalize, expression.parts)))}]"


def make_sum(left: Expression, sign: int, right: Expression) -> Operation:
    """Join two expressions by plus (sign 1) or minus (-1), flat where parentheses would change nothing."""
    parts, signs = _terms(left)
    more, more_signs = _terms(right) if sign > 0 else ((right,), (1,))
    return Operation("+", parts + more, (*signs, sign, *more_signs[1:]))


def make_product(left: Expression, right: Expression) -> Operation:
    """Join two expressions by times, flat where parentheses would change nothing."""
    return Operation("*", _factors(left) + _factors(right))


def _parse_sum(pieces: list[str], position: int, text: str) -> tuple[Expression, int]:
    result, position = _parse_product(pieces, position, text)
    while pieces[position] in ("+", "-"):
        sign = 1 if pieces[position] == "+" else -1
        right, position = _parse_product(pieces, position + 1, text)
        result = make_sum(result, sign, right)
    return result, position


def _parse_product(pieces: list[str], position: int, text: str) -> tuple[Expression, int]:
    result, position = _parse_atom(pieces, position, text)
    while pieces[position] == "*":
        right, position = _parse_atom(pieces, position + 1, text)
        result = make_product(result, right)
    return result, position


def _parse_atom(pieces: list[str], position: int, text: str) -> tuple[Expression, int]:
    piece = pieces[position]
    if piece.isdigit():
        return int(piece), position + 1
    if piece == "(":
        inner, position = _parse_sum(pieces, position + 1, text)
        if pieces[position] == ")":
            return inner, position + 1
    elif piece in FOLDS and pieces[position + 1] == "[":
        items: list[Expression] = []
        position += 1
        while pieces[position] in ("[", ",") and (pieces[position] == ",") == bool(items):
            item, position = _parse_sum(pieces, position + 1, text)
            items.append(item)
        if pieces[position] == "]":
            return Operation(piece, tuple(items)), position + 1
    raise DataError(f"{text!r} is not an expression: it breaks off or goes wrong at {pieces[position] or 'its end'!r}.")


def _render_part(part: Expression) -> str:
    rendered = render_expression(part)
    return f"({rendered})" if isinstance(part, Operation) and part.operator == "+" else rendered


def _terms(expression: Expression) -> tuple[tuple[Expression, ...], tuple[int, ...]]:
    if isinstance(expression, Operation) and expression.operator == "+":
        return expression.parts, expression.signs
    return (expression,), (1,)


def _factors(expression: Expression) -> tuple[Expression, ...]:
    return expression.parts if isinstance(expression, Operation) and expression.operator == "*" else (expression,)


def _flatten_terms(expression: Expression, outer: int) -> Iterator[tuple[int, str]]:
    """Yield sign and canonical form of each term, with the sums inside it dissolved."""
    if isinstance(expression, int) or expression.operator != "+":
        yield outer, canonicalize(expression)
        return
    for sign, part in zip(expression.signs, expression.parts, strict=True):
        yield from _flatten_terms(part, outer * sign)


def _can_start(operation: Operation, index: int) -> bool:
    """Whether the part may be the left one of a pair: in 9-3+2 the pair 3+2 is none."""
    return operation.operator != "+" or operation.signs[index] > 0


def _combine(operation: Operation, left: int, right: int, index: int) -> int:
    """Combine a value with the one of parts[index] to its right."""
    match operation.operator:
        case "+":
            return left + operation.signs[index] * right
        case "*":
            return left * right
        case "sum":
            return left + right
        case "max":
            return max(left, right)
    return min(left, right)


def _combine_run(operation: Operation, values: list[int]) -> int:
    result = values[0]
    for i in range(1, len(values)):
        result = _combine(operation, result, values[i], i)
    return result


def _iterate_reductions(expression: Expression, path: tuple[int, ...]) -> Iterator[Reduction]:
    if isinstance(expression, int):
        return
    for i, (left, right) in enumerate(zip(expression.parts, expression.parts[1:], strict=False)):
        if isinstance(left, int) and isinstance(right, int) and _can_start(expression, i):
            signs = (1, expression.signs[i + 1]) if expression.signs else ()
            text = render_expression(Operation(expression.operator, (left, right), signs))
            yield Reduction(path, i, text, _combine(expression, left, right, i + 1))
    for i, part in enumerate(expression.parts):
        yield from _iterate_reductions(part, (*path, i))


def _replace_pair(expression: Expression, path: tuple[int, ...], index: int, value: int) -> Expression:
    assert isinstance(expression, Operation)
    parts, signs = expression.parts, expression.signs
    if path:
        inner = _replace_pair(parts[path[0]], path[1:], index, value)
        return replace(expression, parts=(*parts[: path[0]], inner, *parts[path[0] + 1 :]))
    if len(parts) == 2:
        return value
    parts = (*parts[:index], value, *parts[index + 2 :])
    return Operation(expression.operator, parts, signs[: index + 1] + signs[index + 2 :])
