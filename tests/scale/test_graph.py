"""Units of which some need others, over real processes."""

import functools
import multiprocessing
import os
import signal
import time

import pytest

from raml.errors import DataError, NumericsError, RunError
from raml.scale import run_graph


def refuse():
    raise DataError("cannot be built")


def note(folder):
    """Set up: units are (name, seconds, whether it goes wrong), each noted at its beginning and end."""
    served = []

    def work(unit):
        name, seconds, fault = unit
        served.append(name)
        with (folder / "log").open("a") as log:
            log.write(f"{name} begins\n")
        time.sleep(seconds)
        if fault == "raise":
            raise NumericsError(f"{name}: NaN")
        if fault == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        with (folder / "log").open("a") as log:
            log.write(f"{name} ends\n")
        return os.getpid(), len(served)

    return work


def run_noted(folder, needs, *, faults=(), seconds=0.0, **options):
    """Run units of these names and needs; returns results by name, and what was noted."""
    units = {name: (name, seconds, dict(faults).get(name)) for name in needs}
    results = dict(run_graph(functools.partial(note, folder), units, needs, **options))
    assert not multiprocessing.active_children()
    log = folder / "log"
    return results, log.read_text().splitlines() if log.exists() else []


def test_a_unit_begins_when_all_that_it_needs_have_ended(tmp_path):
    needs = {"d": ["b", "c"], "b": ["a"], "c": ["a"], "a": ["what was done before"]}
    results, log = run_noted(tmp_path, needs, n_workers=2)
    assert set(results) == set(needs)
    for name, own in needs.items():
        for need in set(own) & set(needs):
            assert log.index(f"{need} ends") < log.index(f"{name} begins")


def test_one_worker_takes_what_may_begin_in_the_order_given(tmp_path):
    results, log = run_noted(tmp_path, {"c": [], "b": ["c"], "a": []}, n_workers=1)
    assert [line for line in log if "begins" in line] == ["c begins", "b begins", "a begins"]
    assert len({process for process, _ in results.values()}) == 1
    assert [served for _, served in results.values()] == [1, 2, 3]


def test_each_beginning_is_told_before_the_unit_begins(tmp_path):
    told = []

    def tell(name):
        log = tmp_path / "log"
        assert not log.exists() or f"{name} begins" not in log.read_text()
        told.append(name)

    run_noted(tmp_path, {"a": [], "b": ["a"]}, on_begin=tell)
    assert told == ["a", "b"]


def test_units_that_hold_the_same_thing_never_run_together(tmp_path):
    held = {"a": "x", "b": "x", "c": "x", "d": "y"}
    _, log = run_noted(tmp_path, dict.fromkeys("abcd", ()), exclusive=held, seconds=0.05, n_workers=3)
    of_x = [line for line in log if line[0] in "abc"]
    assert of_x == [f"{name} {what}" for name in (line[0] for line in of_x[::2]) for what in ("begins", "ends")]
    assert log.index("d begins") < log.index(of_x[-1])


def test_an_error_is_yielded_and_stops_only_what_needs_it(tmp_path):
    needs = {"bad": [], "after": ["bad"], "later": ["after"], "good": [], "better": ["good"]}
    results, log = run_noted(tmp_path, needs, faults={"bad": "raise"}, n_workers=1)
    assert set(results) == {"bad", "good", "better"}
    assert isinstance(results["bad"], NumericsError)
    assert str(results["bad"]) == "bad: NaN"
    assert "after begins" not in log
    assert "better ends" in log


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_a_process_that_the_system_ends_is_an_error_of_its_unit_alone(tmp_path):
    results, _ = run_noted(tmp_path, {"bad": [], "after": ["bad"], "good": []}, faults={"bad": "die"}, n_workers=1)
    assert set(results) == {"bad", "good"}
    assert isinstance(results["bad"], RunError)
    assert "SIGKILL" in str(results["bad"])


def test_a_worker_that_can_t_be_set_up_fails_each_unit(tmp_path):
    results = dict(run_graph(refuse, {"a": 1, "b": 2}, {}, n_workers=2))
    assert {name: str(error) for name, error in results.items()} == dict.fromkeys("ab", "cannot be built")


def test_fresh_units_have_a_process_each(tmp_path):
    results, _ = run_noted(tmp_path, {"a": [], "b": [], "c": ["a"]}, fresh=True, n_workers=2)
    assert len({process for process, _ in results.values()}) == 3
    assert [served for _, served in results.values()] == [1, 1, 1]


def test_a_graph_without_units_or_with_a_circle_ends(tmp_path):
    assert run_noted(tmp_path, {}) == ({}, [])
    assert run_noted(tmp_path, {"a": ["b"], "b": ["a"]}) == ({}, [])
    with pytest.raises(DataError, match="is 0"):
        list(run_graph(refuse, {"a": 1}, {}, n_workers=0))


def test_a_graph_that_is_left_early_ends_its_workers(tmp_path):
    units = {name: (name, 0 if name == "a" else 600, None) for name in "abc"}
    stream = run_graph(functools.partial(note, tmp_path), units, {}, n_workers=2)
    assert next(stream)[0] == "a"
    stream.close()
    assert not multiprocessing.active_children()


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_a_worker_ends_amid_its_work_when_the_process_that_started_it_is_killed(tmp_path):
    place = tmp_path / "worker"
    parent = multiprocessing.get_context("spawn").Process(target=start_long_work, args=(place,))
    parent.start()
    assert wait_until(place.exists)
    worker = int(place.read_text())
    parent.kill()
    parent.join()
    assert wait_until(lambda: not is_running(worker))


def start_long_work(place):
    list(run_graph(functools.partial(work_long, place), {"a": 1}, {}))


def work_long(place):
    def work(_):
        beside = place.with_suffix(".new")
        beside.write_text(str(os.getpid()))
        beside.rename(place)
        time.sleep(600)

    return work


def wait_until(holds, within_s=60):
    """Say whether something comes to hold in time."""
    end = time.monotonic() + within_s
    while not (held := holds()) and time.monotonic() < end:
        time.sleep(0.05)
    return held


def is_running(process_id):
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True
