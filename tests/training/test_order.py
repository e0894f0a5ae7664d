from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.errors import DataError
from raml.training.order import count_updates, drop_long, hash_ids, order_examples

lens_lists = st.lists(st.integers(1, 300), min_size=1, max_size=200)


@given(lens_lists, st.integers(1, 16), st.floats(0.1, 3), st.integers(0, 5))
def test_every_example_comes_once_before_any_comes_again(lens, batch_size, epochs, seed):
    _, n_total = count_updates(len(lens), batch_size, epochs, None)
    order = order_examples(lens, batch_size, n_total, seed)
    assert len(order) == n_total
    for end in (*range(len(lens), n_total, len(lens)), n_total):
        counts = Counter(order[:end])
        assert max(counts.values()) - min(counts.get(i, 0) for i in range(len(lens))) <= 1


@given(st.integers(8, 60), st.integers(1, 8), st.integers(1, 4), st.integers(0, 5))
def test_no_batch_holds_an_example_twice(n, batch_size, epochs, seed):
    order = order_examples([5] * n, batch_size, epochs * n, seed)
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        assert len(set(batch)) == len(batch)


@pytest.mark.parametrize("n_distinct", [1, 4, 16])
def test_batches_hold_different_questions_however_often_a_question_comes(n_distinct):
    # 128 questions, each 16 times, as n_distinct different trajectories of lengths of their own.
    groups = [question for question in range(128) for _ in range(16)]
    lens = [40 + (7 * question + 3 * (k % n_distinct)) % 50 for question in range(128) for k in range(16)]
    order = order_examples(lens, 24, len(lens), 0, groups)
    assert sorted(order) == list(range(len(lens)))
    different = [len({groups[i] for i in order[start : start + 24]}) for start in range(0, len(order) - 24, 24)]
    assert sum(different) / len(different) > 22


def test_the_order_follows_the_seed():
    lens = list(range(1, 101))
    assert order_examples(lens, 8, 200, 1) == order_examples(lens, 8, 200, 1)
    assert order_examples(lens, 8, 200, 1) != order_examples(lens, 8, 200, 2)


def test_batches_hold_examples_of_similar_length_in_random_order():
    lens = [(i * 37) % 256 + 1 for i in range(256)]  # 1 to 256, once each
    order = order_examples(lens, 16, 256, 0)
    batches = [[lens[i] for i in order[start : start + 16]] for start in range(0, 256, 16)]
    assert all(max(batch) - min(batch) == 15 for batch in batches)  # sorted into sixteens: no spread beyond that
    firsts = [min(batch) for batch in batches]
    assert firsts != sorted(firsts)


def test_updates_are_counted_from_epochs_or_given():
    assert count_updates(100, 16, 1.0, None) == (7, 100)
    assert count_updates(100, 16, 2.5, None) == (16, 250)
    assert count_updates(100, 16, 1.0, 3) == (3, 48)
    assert count_updates(100, 16, 1.0, None, whole=True) == (6, 96)
    assert count_updates(10, 16, 1.0, None, whole=True) == (1, 16)


def test_what_is_too_long_is_left_out_and_nothing_left_is_an_error():
    assert drop_long([5, 9, 7], 7, "examples") == [0, 2]
    assert drop_long([5, 9, 7], None, "examples") == [0, 1, 2]
    with pytest.raises(DataError, match="All 3 examples are longer than 4 tokens; the shortest has 5"):
        drop_long([5, 9, 7], 4, "examples")


def test_the_fingerprint_tells_apart_what_differs():
    prints = {hash_ids(rows) for rows in ([[1, 2], [3]], [[1], [2, 3]], [[1, 2, 3]], [[3], [1, 2]], [])}
    assert len(prints) == 5
