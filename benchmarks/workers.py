"""How much faster several workers are than one, and what a unit of work costs beside its work.

    python benchmarks/workers.py --questions 48 --rounds 5

Traces trajectories of the embedded model with one thread a worker: by one process, by `--workers` processes of this
machine, and by as many workers of a Ray cluster that is started here. What is timed is the work on all batches, with
the workers ready: starting them (importing torch, reading the model) takes seconds once, and is printed beside. Ways
are timed in turn, `--rounds` times; ratios are within a round, and the median is printed with the least and the most.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from functools import partial

os.environ["OMP_NUM_THREADS"] = "1"


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=48)
    parser.add_argument("--n", type=int, default=16, help="trajectories a question")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-ray", action="store_true")
    asked = parser.parse_args()

    from raml.cli.options import LoadOptions, load
    from raml.scale import Workers, count_cores, open_pool

    load_tiny = partial(load, "tiny", LoadOptions(device="cpu", threads=1))
    ways = {"one": Workers(), "processes": Workers(asked.workers)}
    if not asked.no_ray:
        ways["ray"] = Workers(asked.workers, start_cluster(asked.workers))
    pools = {name: open_pool(load_tiny, workers) for name, workers in ways.items()}
    plan = pools["one"].ask(partial(plan_work, asked.questions, asked.n))
    work = partial(trace, plan.scorer)
    print(f"{count_cores()} cores; {sum(map(len, plan.batches))} trajectories in {len(plan.batches)} units")
    for name, pool in pools.items():
        begin = time.perf_counter()
        list(pool.map(wait_a_moment, range(asked.workers)))
        print(f"{name}: ready after {time.perf_counter() - begin:.1f} s")
    rounds = [{name: measure(pool, work, plan.batches) for name, pool in pools.items()} for _ in range(asked.rounds)]
    print(f"one: {statistics.median(made['one'] for made in rounds):.2f} s")
    for name in list(pools)[1:]:
        ratios = sorted(made["one"] / made[name] for made in rounds)
        print(f"{name}: {statistics.median(ratios):.2f} times as fast (from {ratios[0]:.2f} to {ratios[-1]:.2f})")
    for name, pool in pools.items():
        n_units = 1000
        begin = time.perf_counter()
        list(pool.map(do_nothing, range(n_units)))
        print(f"{name}: {(time.perf_counter() - begin) / n_units * 1e3:.3f} ms a unit without work")
        pool.close()


def start_cluster(n_workers: int) -> str:
    """Start a cluster in this process, with as many cores as workers."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": n_workers, "include_dashboard": False})
    return cluster.address


def plan_work(n_questions: int, n: int, loaded):
    """Sample what is to be traced, and cut it into batches."""
    from raml.probes import plan_probes
    from raml.sampling import sample_trajectories
    from raml.tiny import make_questions

    questions = make_questions(n_questions, split="test")
    trajectories = sample_trajectories(loaded, questions, n=n)
    return plan_probes(loaded, trajectories, {question.id: question for question in questions})


def trace(scorer, loaded, batch):
    """A unit of work."""
    from raml.probes import run_batch

    return [run_batch(loaded, batch, scorer)]


def measure(pool, work, batches) -> float:
    """Seconds for all batches."""
    begin = time.perf_counter()
    n_made = sum(len(outcomes) for outcomes in pool.map(work, batches))
    assert n_made == sum(map(len, batches))
    return time.perf_counter() - begin


def wait_a_moment(_loaded, _unit):
    """Long enough that each worker is started."""
    time.sleep(0.5)
    return []


def do_nothing(_loaded, unit):
    """A unit without work."""
    return [unit]


if __name__ == "__main__":
    main()
