"""How often the intervals of `raml.stats` hold the truth: a simulation, printed as a Markdown table.

A question's success rate is drawn from a beta distribution, its n responses from that rate; the truth is the metric's
mean over all such questions, computed exactly. In a pair of equals both models have the same rate on a question, so the
true difference is 0; in the other pair the better model has the square root of that rate.

    python benchmarks/interval_coverage.py --questions 30 --simulations 1000
"""

import argparse

import numpy as np
from scipy.stats import beta, betabinom, binom

from raml.stats import Counts, Metric, compare_metric, estimate_metric

N_GRID = 200_001
"""Rates over which the better model's true value is averaged."""
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
    print("| success rates | metric | true value | coverage | equal pair | better by | unequal pair |")
    print("|---|---|---|---|---|---|---|")
    for name, shape in SHAPES.items():
        for metric in metrics:
            truth, gain, shares = measure_coverage(metric, shape, arguments)
            single, equal, unequal = (f"{share:.1%}" for share in shares)
            label = f"{name}: Beta({shape[0]:g}, {shape[1]:g})"
            metric_name = {"avg": f"Avg@{n}", "pass": f"Pass@{k}"}.get(metric.kind, f"mG-Pass@{k}")
            print(
                f"| {label} | {metric_name} | {truth:.3f} | {single} | {equal} | {gain:.3f} | {unequal} |", flush=True
            )


def measure_coverage(
    metric: Metric, shape: tuple[float, float], arguments: argparse.Namespace
) -> tuple[float, float, list[float]]:
    """Return the true value, how much better the better model is, and the shares of intervals that hold the truth.

    The shares are of one model's intervals, of those for the difference of equals, and for that of unequal models.
    """
    n, rng, other_rng = arguments.responses, np.random.default_rng(7), np.random.default_rng(8)
    values = np.array([float(metric.compute(n, c)) for c in range(n + 1)])
    truth = float(betabinom.pmf(np.arange(n + 1), n, *shape) @ values)
    grid = beta.ppf((np.arange(N_GRID) + 0.5) / N_GRID, *shape)
    gain = float(sum(values[c] * binom.pmf(c, n, np.sqrt(grid)).mean() for c in range(n + 1))) - truth
    held = np.zeros(3)
    for i in range(arguments.simulations):
        rates = beta.rvs(*shape, size=arguments.questions, random_state=rng)
        ours, theirs = (Counts(binom.rvs(n, rates, random_state=rng), n) for _ in range(2))
        better = Counts(binom.rvs(n, np.sqrt(rates), random_state=other_rng), n)
        options = {"n_resamples": arguments.resamples, "seed": i}
        made = (
            (estimate_metric(metric, ours, **options), truth),
            (compare_metric(metric, ours, theirs, **options), 0.0),
            (compare_metric(metric, better, theirs, **options), gain),
        )
        held += [estimate.low <= true <= estimate.high for estimate, true in made]
    return truth, gain, (held / arguments.simulations).tolist()


if __name__ == "__main__":
    main()
