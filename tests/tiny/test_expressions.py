import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.errors import DataError
from raml.tiny.expressions import (
    FOLDS,
    Expression,
    Operation,
    apply_reduction,
    canonicalize,
    count_operands,
    evaluate_expression,
    find_bounded_value,
    find_reductions,
    make_product,
    make_sum,
    parse_expression,
    render_expression,
)


def _join(children: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    return st.one_of(
        st.builds(make_sum, children, st.sampled_from([1, -1]), children),
        st.builds(make_product, children, children),
        st.builds(Operation, st.sampled_from(FOLDS), st.lists(children, min_size=2, max_size=4).map(tuple)),
    )


expressions = st.recursive(st.integers(0, 99), _join, max_leaves=8)


@given(expressions)
def test_an_expression_is_read_back_from_what_it_is_written_as(expression):
    assert parse_expression(render_expression(expression)) == expression


@given(expressions)
def test_the_value_is_that_of_python(calculate, expression):
    assert evaluate_expression(expression) == calculate(render_expression(expression))


@given(expressions, st.randoms(use_true_random=False))
def test_every_step_is_true_and_keeps_the_value_down_to_a_number(calculate, expression, rng):
    value, n_steps = evaluate_expression(expression), 0
    expected_steps = count_operands(expression) - 1
    while steps := find_reductions(expression):
        step = rng.choice(steps)
        assert calculate(step.text) == step.value
        expression = apply_reduction(expression, step)
        assert evaluate_expression(expression) == value
        n_steps += 1
    assert expression == value
    assert n_steps == expected_steps


@given(expressions)
def test_the_bound_holds_exactly_when_no_order_leaves_it(expression):
    def reach(now: Expression) -> set[int]:
        found = {now} if isinstance(now, int) else set(_leaves(now))
        for step in find_reductions(now):
            found |= reach(apply_reduction(now, step))
        return found

    if count_operands(expression) <= 5:
        stays = all(0 <= number <= 60 for number in reach(expression))
        assert (find_bounded_value(expression, 0, 60) is not None) == stays


def _leaves(expression: Expression) -> list[int]:
    return [expression] if isinstance(expression, int) else [n for part in expression.parts for n in _leaves(part)]


@given(expressions, expressions)
def test_commuted_expressions_share_a_canonical_form(left, right):
    assert canonicalize(make_sum(left, 1, right)) == canonicalize(make_sum(right, 1, left))
    assert canonicalize(make_product(left, right)) == canonicalize(make_product(right, left))
    assert canonicalize(Operation("max", (left, right))) == canonicalize(Operation("max", (right, left)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2+3*4", "(4*3)+2"),
        ("2+(3+4)", "4+2+3"),
        ("9-(3+2)", "9-2-3"),
        ("9-(3-2)", "9+2-3"),
        ("sum[1*2,3]", "sum[3,(2*1)]"),
    ],
)
def test_near_duplicates_share_a_canonical_form(one, other):
    assert canonicalize(parse_expression(one)) == canonicalize(parse_expression(other))


@pytest.mark.parametrize(("one", "other"), [("2+3", "2*3"), ("9-3", "3-9"), ("max[1,2]", "min[1,2]"), ("12+3", "1+23")])
def test_different_expressions_have_different_canonical_forms(one, other):
    assert canonicalize(parse_expression(one)) != canonicalize(parse_expression(other))


def test_in_a_sum_only_numbers_after_a_plus_can_be_combined_with_the_next():
    # 9-3+2: 9-3 is a step, 3+2 is none (9-5 would be another value).
    assert [step.text for step in find_reductions(parse_expression("9-3+2"))] == ["9-3"]
    assert [step.text for step in find_reductions(parse_expression("9+3-2"))] == ["9+3", "3-2"]


@pytest.mark.parametrize("text", ["", "3+", "(3", "3)", "max[", "max[]", "max[1,]", "3 + 4", "2**3", "-3", "x"])
def test_what_is_no_expression_is_refused(text):
    with pytest.raises(DataError, match="is not an expression"):
        parse_expression(text)
