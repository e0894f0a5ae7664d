import ast
import operator

import pytest

OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul}
FUNCTIONS = {"max": max, "min": min, "sum": lambda *items: sum(items)}


@pytest.fixture(scope="session")
def calculate():
    """Work out an expression through Python's own parser: nothing in common with the code under test."""
    return lambda text: _walk(ast.parse(text.replace("[", "(").replace("]", ")"), mode="eval").body)


def _walk(node):
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_walk(operand)
        case ast.BinOp(left, op, right):
            return OPERATORS[type(op)](_walk(left), _walk(right))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return FUNCTIONS[name](*map(_walk, arguments))
    raise AssertionError(ast.dump(node))
