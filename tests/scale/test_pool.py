"""Units over this process and over several of this machine."""

import functools
import multiprocessing
import os
import signal
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.errors import DataError, NumericsError, RunError
from raml.scale import LostWorkerError, Workers, choose_accelerator, count_cores, count_sharing, open_pool
from raml.scale.processes import share_machine
from tests.scale.worlds import (
    add_up,
    divide,
    fail,
    hold,
    kill_worker,
    multiply,
    raise_unpicklable,
    refuse,
    run_out_of_memory,
    sleep_long,
)

TWO = Workers(2)
needs_signals = pytest.mark.skipif(os.name != "posix", reason="needs signals")


@pytest.fixture
def pool():
    with open_pool(functools.partial(hold, 3), TWO) as opened:
        yield opened
    assert not multiprocessing.active_children()


@given(st.lists(st.integers(), max_size=6), st.integers(-3, 3))
def test_one_worker_works_here_and_in_order(units, factor):
    with open_pool(functools.partial(hold, factor)) as here:
        expected = [(sign * factor * unit, os.getpid()) for unit in units for sign in (1, -1)]
        assert list(here.map(multiply, units)) == expected
        assert here.is_here


def test_one_worker_does_no_more_than_is_asked_for():
    asked = []
    with open_pool(lambda: asked) as here:
        stream = here.map(lambda state, unit: [state.append(unit)], range(5))
        next(stream)
    assert asked == [0]


def test_several_workers_give_each_result_once_and_serve_again(pool):
    results = list(pool.map(multiply, range(7)))
    assert sorted(value for value, _ in results) == sorted(3 * sign * unit for unit in range(7) for sign in (1, -1))
    places = {place for _, place in results}
    assert os.getpid() not in places
    assert sorted(pool.map(functools.partial(add_up, addend=10), range(3))) == [10, 11, 12]
    assert pool.ask(hold) == 3
    assert len(multiprocessing.active_children()) == 2
    assert not pool.is_here


def test_no_units_start_no_workers(pool):
    assert list(pool.map(multiply, [])) == []
    assert not multiprocessing.active_children()


def test_what_a_worker_raises_is_raised_here_and_the_others_serve_on(pool):
    with pytest.raises(NumericsError, match=r"^unit 2: NaN$"):
        list(pool.map(fail, range(9)))
    assert sorted(pool.map(add_up, range(4))) == [0, 1, 2, 3]


def test_what_the_set_up_raises_is_raised_here():
    with open_pool(refuse, TWO) as broken, pytest.raises(DataError, match="cannot be built"):
        list(broken.map(add_up, [1, 2]))
    assert not multiprocessing.active_children()


def test_errors_that_do_not_travel_are_quoted_and_others_say_where_they_were(pool):
    with pytest.raises(RunError, match="Unpicklable: a and b"):
        list(pool.map(raise_unpicklable, [0]))
    with pytest.raises(ZeroDivisionError) as caught:
        list(pool.map(divide, [0]))
    assert "in divide" in caught.value.__notes__[0]


@needs_signals
def test_a_unit_whose_worker_is_killed_goes_to_another_and_counts_once(tmp_path):
    units = [(number, 2 if number == 3 else number % 2) for number in range(6)]  # unit 3 costs two workers
    with open_pool(functools.partial(hold, tmp_path), TWO) as killed:
        assert sorted(killed.map(kill_worker, units)) == [0, 1, 2, 3, 4, 5]
    begun = {int(note.name): note.read_text().count("begin") for note in tmp_path.iterdir()}
    assert begun == {0: 1, 1: 2, 2: 1, 3: 3, 4: 1, 5: 2}


@needs_signals
def test_a_unit_that_costs_three_workers_is_an_error_that_says_so(tmp_path):
    with (
        open_pool(functools.partial(hold, tmp_path), TWO) as killed,
        pytest.raises(LostWorkerError, match=r"SIGKILL.*too little memory"),
    ):
        list(killed.map(kill_worker, [(0, 9)]))
    assert (tmp_path / "0").read_text().count("begin") == 3
    assert not multiprocessing.active_children()


def test_a_unit_for_which_a_worker_has_too_little_memory_goes_to_another(tmp_path):
    with open_pool(functools.partial(hold, tmp_path), TWO) as pool:
        assert sorted(pool.map(run_out_of_memory, range(3))) == [0, 1, 2]


@needs_signals
def test_ctrl_c_ends_the_workers():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    timer = threading.Timer(1.0, os.kill, [os.getpid(), signal.SIGINT])
    timer.start()
    try:
        with open_pool(functools.partial(hold, 0), TWO) as busy, pytest.raises(KeyboardInterrupt):
            list(busy.map(sleep_long, range(4)))
    finally:
        signal.signal(signal.SIGINT, before)
    assert not multiprocessing.active_children()


def test_a_stream_that_is_closed_ends_its_workers(pool):
    stream = pool.map(multiply, range(100))
    next(stream)
    stream.close()
    assert pool.ask(hold) == 3


def test_workers_are_at_least_one_and_cores_too():
    with pytest.raises(DataError, match="is 0"):
        Workers(0)
    assert count_cores() >= 1


def test_a_worker_takes_its_share_of_the_machine():
    assert (count_sharing(), choose_accelerator(8)) == (1, None)
    with open_pool(functools.partial(hold, 0), TWO) as shared:
        found = shared.ask(find_share)
    assert found[0] == 2
    assert found[1] in (0, 1)  # the first worker that is ready may be the second that was started
    assert found[2] == str(max(1, count_cores() // 2))


def find_share(_state):
    return count_sharing(), choose_accelerator(8), os.environ["OMP_NUM_THREADS"]


def test_more_workers_than_accelerators_share_them(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("raml.scale.processes._n_sharing", 1)
    monkeypatch.setattr("raml.scale.processes._index", None)
    share_machine(1, 5, index=4)
    assert choose_accelerator(2) == 0
    assert choose_accelerator(8) == 4
