"""A worker that Ray ends because its machine runs out of memory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/meminfo")]


@pytest.fixture
def address():
    """A cluster that ends workers when 1.5 GB more than now are in use; its settings reach it by the environment."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    sizes = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total, free = (int(sizes[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    if free < 8 << 30:
        pytest.skip("needs 8 GB of free memory")
    share = (total - free + (1.5 * 2**30)) / total
    settings = {"RAY_memory_usage_threshold": f"{share:.4f}", "RAY_memory_monitor_refresh_ms": "100"}
    before = dict(os.environ)
    os.environ.update(settings)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    yield cluster.address
    cluster.shutdown()
    os.environ.clear()
    os.environ.update(before)


def test_the_unit_of_a_worker_that_is_out_of_memory_goes_to_another(address, tmp_path):
    """In a process of its own, as this one may be connected to another cluster."""
    code = (
        "import functools\n"
        "from raml.scale import Workers, open_pool\n"
        "from tests.scale.worlds import hold, take_memory\n"
        f"with open_pool(functools.partial(hold, {str(tmp_path)!r}), Workers(1, {address!r})) as pool:\n"
        "    print(sorted(pool.map(take_memory, [7])))\n"
    )
    root = Path(__file__).parents[2]
    made = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=root, timeout=300
    )
    assert made.stdout.strip().splitlines()[-1:] == ["[7]"], made.stderr[-2000:]
