import functools
import multiprocessing
import os
import signal
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.errors import DataError, NumericsError, RunError
from raml.scale import count_cores, map_units


def multiply(factor):
    """Set up: the function returned holds what was built."""
    built_in = os.getpid()
    return lambda unit: (factor * unit, built_in == os.getpid())


def fail_at(wanted, error):
    def work(unit):
        if unit == wanted:
            raise error
        return unit

    return work


def end_at(wanted):
    def work(unit):
        if unit == wanted:
            os.kill(os.getpid(), signal.SIGKILL)
        return unit

    return work


def sleep_long():
    def work(unit):
        time.sleep(600)

    return work


def refuse():
    raise DataError("cannot be built")


class Unpicklable(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


@given(st.lists(st.integers(), max_size=6), st.integers(-3, 3))
def test_one_worker_works_here_and_in_order(units, factor):
    assert list(map_units(functools.partial(multiply, factor), units)) == [(factor * unit, True) for unit in units]


def test_one_worker_does_no_more_than_is_asked_for():
    asked = []
    stream = map_units(lambda: lambda unit: asked.append(unit), range(5))
    next(stream)
    assert asked == [0]


def test_several_workers_give_each_result_once_and_end():
    results = list(map_units(functools.partial(multiply, 3), range(7), n_workers=2))
    assert sorted(results) == [(3 * unit, True) for unit in range(7)]
    assert not multiprocessing.active_children()


def test_no_units_start_no_workers():
    assert not list(map_units(refuse, [], n_workers=3))


def test_what_a_worker_raises_is_raised_here():
    stream = map_units(functools.partial(fail_at, 2, NumericsError("unit 2: NaN")), range(9), n_workers=2)
    with pytest.raises(NumericsError, match=r"^unit 2: NaN$"):
        list(stream)
    assert not multiprocessing.active_children()
    with pytest.raises(DataError, match="cannot be built"):
        list(map_units(refuse, [1], n_workers=2))


def test_errors_that_do_not_travel_are_quoted_and_others_say_where_they_were():
    with pytest.raises(RunError, match="Unpicklable: a and b"):
        list(map_units(functools.partial(fail_at, 0, Quoted()), [0], n_workers=2))
    with pytest.raises(ZeroDivisionError) as caught:
        list(map_units(functools.partial(fail_at, 0, ZeroDivisionError("no")), [0], n_workers=2))
    assert "in work" in caught.value.__notes__[0]


class Quoted(Exception):
    """Travels to the worker, and there is another that doesn't travel back."""

    def __reduce__(self):
        return make_unpicklable, ()


def make_unpicklable():
    return Unpicklable("a", "b")


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_a_worker_that_the_system_ends_is_an_error_that_says_so():
    with pytest.raises(RunError, match="SIGKILL"):
        list(map_units(functools.partial(end_at, 1), range(4), n_workers=2))
    assert not multiprocessing.active_children()


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_ctrl_c_ends_the_workers():
    timer = threading.Timer(1.0, os.kill, [os.getpid(), signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        list(map_units(sleep_long, range(4), n_workers=2))
    assert not multiprocessing.active_children()


def test_a_stream_that_is_closed_ends_its_workers():
    stream = map_units(functools.partial(multiply, 1), range(100), n_workers=2)
    next(stream)
    stream.close()
    assert not multiprocessing.active_children()


def test_workers_are_at_least_one_and_cores_too():
    with pytest.raises(DataError, match="is 0"):
        list(map_units(refuse, [1], n_workers=0))
    assert count_cores() >= 1
