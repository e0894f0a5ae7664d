"""How often the intervals of `raml.stats` hold the truth: a simulation, printed as a Markdown table.

A question's success rate is drawn from a beta distribution, its n responses from that rate; the truth is the metric's
mean over all such questions, computed exactly. In a pair both models have the same rate on a question, so the true
difference is 0.

    python benchmarks/interval_coverage.py --questions 30 --simulations 1000
"""

import argparse

import numpy as np
from scipy.stats import beta, betabinom, binom

from raml.stats import Counts, Metric, compare_metric, estimate_metric

SHAPES = {
    "hard": (0.3, 0.9),
    "spread": (1.0, 1.0),
    "two kinds": (0.2, 0.2),
    "easy": (4.0, 1.0),
    "nearly solved": (9.0, 0.5),
}


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=30)
    parser.add_argument("--responses", type=int, default=16)
    parser.add_argument("--k", type=int, default=8)
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=999)
    arguments = parser.parse_args()
    n, k = arguments.responses, arguments.k
    metrics = (Metric("avg"), Metric("pass", k), Metric("mg-pass", k))
    print(f"{arguments.questions} questions, n = {n}, {arguments.simulations} simulations, nominal 95 %\n")
    print("| success rates | metric | true value | coverage | coverage of differences |\n|---|---|---|---|---|")
    for name, shape in SHAPES.items():
        for metric in metrics:
            truth, single, paired = measure_coverage(metric, shape, arguments)
            label = f"{name}: Beta({shape[0]:g}, {shape[1]:g})"
            metric_name = {"avg": f"Avg@{n}", "pass": f"Pass@{k}"}.get(metric.kind, f"mG-Pass@{k}")
            print(f"| {label} | {metric_name} | {truth:.3f} | {single:.1%} | {paired:.1%} |", flush=True)


def measure_coverage(
    metric: Metric, shape: tuple[float, float], arguments: argparse.Namespace
) -> tuple[float, float, float]:
    """Return the true value, and the shares of intervals that hold it and that hold a difference of 0."""
    n, rng = arguments.responses, np.random.default_rng(7)
    chances = betabinom.pmf(np.arange(n + 1), n, *shape)
    truth = sum(float(metric.compute(n, c)) * chance for c, chance in enumerate(chances))
    single = paired = 0
    for i in range(arguments.simulations):
        rates = beta.rvs(*shape, size=arguments.questions, random_state=rng)
        ours, theirs = (Counts(binom.rvs(n, rates, random_state=rng), n) for _ in range(2))
        options = {"n_resamples": arguments.resamples, "seed": i}
        estimate = estimate_metric(metric, ours, **options)
        difference = compare_metric(metric, ours, theirs, **options)
        single += estimate.low <= truth <= estimate.high
        paired += difference.low <= 0 <= difference.high
    return truth, single / arguments.simulations, paired / arguments.simulations


if __name__ == "__main__":
    main()
