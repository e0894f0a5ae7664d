"""Models trained by different techniques, as the studies of Tables 2 and 3 set them beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from raml.figures.trained import plot_models
from raml.stats import Counts
from raml.studies.answers import METRICS, count_models, show_models
from raml.studies.ingredients import find_model, get_seeds
from raml.studies.plan import Setup

LABELS: Mapping[str, str] = {"base": "base", "sft": "SFT", "zero-grpo": "Zero-GRPO", "sft-grpo": "SFT → GRPO"}
"""What figures call the techniques; Zero-GRPO begins with the base."""
SHORT = "SFT, short"
"""SFT on short trajectories of the same questions."""
BENCHMARKS = ("AIME24", "MATH500-L5", "LiveMathBench-Hard")
PUBLISHED: Mapping[str, Mapping[str, Sequence[float]]] = {
    "Pass@8": {
        SHORT: (20.34, 58.42, 26.77),
        "SFT": (36.69, 82.98, 25.15),
        "Zero-GRPO": (27.37, 71.66, 27.48),
        "SFT → GRPO": (35.87, 82.42, 42.17),
    },
    "mG-Pass@8": {
        SHORT: (7.43, 35.65, 7.43),
        "SFT": (10.29, 45.79, 10.46),
        "Zero-GRPO": (4.08, 30.48, 8.21),
        "SFT → GRPO": (11.23, 44.92, 18.84),
    },
}
"""The paper's Tables 2 and 3 in percent, Qwen2.5-7B; its SFT is that on long trajectories."""


def count_techniques(
    setup: Setup, home: Path, techniques: Sequence[str], test_sets: Sequence[str] | None = None
) -> dict[str, Counts]:
    """Count right responses by technique and seed, on the study's test sets unless told otherwise.

    Raises:
        RunError: as `count_models`.
    """
    seeds = get_seeds(setup)
    sets = test_sets or setup.options["test_sets"]
    return {
        technique: count_models(home, [find_model(setup, technique, seed) for seed in seeds], seeds, sets)
        for technique in techniques
    }


def draw_table(counts: Mapping[str, Counts]) -> Figure:
    """Draw a table's models, by their labels, beside the paper's values of those that it has."""
    published = {
        metric: {name: values for name, values in models.items() if name in counts}
        for metric, models in PUBLISHED.items()
    }
    metrics = {name: METRICS[name] for name in PUBLISHED}
    return plot_models(show_models(metrics, counts), published=published, benchmarks=BENCHMARKS)
