"""Units over a real Ray cluster on this machine."""

import functools
import os
import sys

import pytest

from raml.errors import DataError, MissingExtra, NumericsError, RunError
from raml.scale import LostWorkerError, Workers, open_pool
from tests.scale.worlds import add_up, fail, hold, kill_worker, multiply, raise_unpicklable, refuse, sleep_and_note

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a cluster is started for the test, on Linux")


@pytest.fixture(scope="module")
def cluster():
    """A cluster of two nodes, the second of which can be taken away; in this process, as Ray's own tests do."""
    from ray.cluster_utils import Cluster

    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    started.add_node(num_cpus=1)
    yield started
    ray.shutdown()
    started.shutdown()


@pytest.fixture
def address(cluster):
    return cluster.address


def test_units_are_shared_and_results_come_once(address):
    with open_pool(functools.partial(hold, 3), Workers(ray=address)) as pool:
        results = list(pool.map(multiply, range(7)))
        assert sorted(value for value, _ in results) == sorted(3 * s * unit for unit in range(7) for s in (1, -1))
        assert os.getpid() not in {place for _, place in results}
        assert sorted(pool.map(functools.partial(add_up, addend=5), [1, 2])) == [6, 7]
        assert pool.ask(hold) == 3


def test_errors_travel(address):
    with open_pool(functools.partial(hold, 3), Workers(2, address)) as pool:
        with pytest.raises(NumericsError, match=r"^unit 2: NaN$"):
            list(pool.map(fail, range(5)))
        with pytest.raises(RunError, match="Unpicklable: a and b"):
            list(pool.map(raise_unpicklable, [0]))
        assert sorted(pool.map(add_up, range(3))) == [0, 1, 2]
    with open_pool(refuse, Workers(1, address)) as pool, pytest.raises(DataError, match="cannot be built"):
        list(pool.map(add_up, [1]))


def test_a_killed_actor_s_unit_goes_to_another(address, tmp_path):
    units = [(number, 1 if number in (1, 4) else 0) for number in range(6)]
    with open_pool(functools.partial(hold, str(tmp_path)), Workers(2, address)) as pool:
        assert sorted(pool.map(kill_worker, units)) == [0, 1, 2, 3, 4, 5]
    begun = {int(note.name): note.read_text().count("begin") for note in tmp_path.iterdir()}
    assert begun == {0: 1, 1: 2, 2: 1, 3: 1, 4: 2, 5: 1}


def test_a_unit_that_costs_three_actors_is_an_error(address, tmp_path):
    with (
        open_pool(functools.partial(hold, str(tmp_path)), Workers(2, address)) as pool,
        pytest.raises(LostWorkerError, match="ended by the system"),
    ):
        list(pool.map(kill_worker, [(0, 9)]))
    assert (tmp_path / "0").read_text().count("begin") == 3


def test_a_node_that_goes_away_takes_no_unit_with_it(cluster, tmp_path):
    lost = cluster.add_node(num_cpus=1)
    units = [(number, 0.3) for number in range(12)]
    with open_pool(functools.partial(hold, str(tmp_path)), Workers(3, cluster.address)) as pool:
        stream = pool.map(sleep_and_note, units)
        results = [next(stream), next(stream)]
        cluster.remove_node(lost, allow_graceful=False)
        results += list(stream)
    assert sorted(results) == list(range(12))
    assert len(list(tmp_path.iterdir())) >= 12  # those that the node had begun were begun again


def test_more_workers_than_the_cluster_has_room_for_wait_their_turn(address):
    with open_pool(functools.partial(hold, 3), Workers(5, address)) as pool:
        assert sorted(pool.map(add_up, range(8))) == list(range(8))


def test_more_cores_a_worker_than_any_machine_has_are_refused(address):
    with pytest.raises(DataError, match="--threads is 64; no machine"):
        open_pool(functools.partial(hold, 3), Workers(ray=address, threads=64))


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ("127.0.0.1:1", RunError, "No Ray cluster can be reached at '127.0.0.1:1': "),
        ("127.0.0.1:99999999", RunError, "No Ray cluster can be reached"),
        ("ray://127.0.0.1:10001", DataError, "must be auto or HOST:PORT"),
        ("somewhere", DataError, "must be auto or HOST:PORT"),
    ],
)
def test_an_address_where_nobody_is_is_an_error_in_one_line(monkeypatch, wrong, error, message):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(error, match=message) as caught:
        open_pool(int, Workers(ray=wrong))
    assert "\n" not in str(caught.value)


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"raml\[scale\]"):
        open_pool(int, Workers(ray="auto"))
