"""How often models were right on the test questions of a study, over training seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from raml.errors import RunError
from raml.figures.trained import Shown
from raml.records import Estimate
from raml.stats import Counts, Metric, compare_metric, estimate_metric, measure_questions
from raml.store import Run
from raml.studies.ingredients import name_test
from raml.studies.verdict import Measure
from raml.studies.wording import write_change

METRICS: Mapping[str, Metric] = {
    "Pass@1": Metric("avg"),
    "Pass@8": Metric("pass", k=8),
    "mG-Pass@8": Metric("mg-pass", k=8),
}
"""What tables and figures of trained models show."""


def count_right(home: Path, folders: Sequence[str]) -> Counts:
    """Count right responses by training seed (a run folder each) and question.

    A response whose answer can't be decided counts as not right; test questions here are such as can be decided.

    Raises:
        RunError: a question has fewer or more responses than the others, or the folders have other questions.
    """
    rows, ids, sizes = [], [], set()
    for folder in folders:
        run = Run(home / folder)
        own = [question.id for question in run.read_questions()]
        if ids and own != ids:
            raise RunError(f"{', '.join(folders)} do not hold the same questions in one order. Choose another --out.")
        ids = own
        right, made = dict.fromkeys(ids, 0), dict.fromkeys(ids, 0)
        for trajectory in run.read_trajectories():
            right[trajectory.question_id] += trajectory.correct is True
            made[trajectory.question_id] += 1
        rows.append([right[i] for i in ids])
        sizes |= set(made.values())
    if len(sizes) != 1:
        raise RunError(
            f"Questions in {', '.join(folders)} have {sorted(sizes)} responses; they must have equally many."
        )
    return Counts(np.array(rows), sizes.pop(), question_ids=ids)


def count_models(home: Path, models: Sequence[str], seeds: Sequence[int], test_sets: Sequence[str]) -> Counts:
    """Count right responses of one recipe's models, one a training seed, to the questions of some test sets together.

    Raises:
        RunError: as `count_right`, or the sets have other numbers of responses.
    """
    parts = [
        count_right(home, [name_test(model, test_set, seed) for model, seed in zip(models, seeds, strict=True)])
        for test_set in test_sets
    ]
    sizes = {int(np.max(part.n)) for part in parts}
    if len(sizes) != 1:
        raise RunError(f"Test sets {', '.join(test_sets)} have {sorted(sizes)} responses; they must have equally many.")
    ids = [question_id for part in parts for question_id in part.question_ids or ()]
    return Counts(np.concatenate([part.correct for part in parts], axis=1), sizes.pop(), question_ids=ids)


def show_metric(metric: Metric, counts: Counts) -> Shown:
    """Estimate a metric in percent over questions and seeds, and for each seed alone."""
    by_seed = tuple(100 * float(value) for value in _measure_seeds(metric, counts))
    return Shown(in_points(estimate_metric(metric, counts)), by_seed)


def show_models(metrics: Mapping[str, Metric], counts: Mapping[str, Counts]) -> dict[str, dict[str, Shown]]:
    """Estimate each metric for each model, by its name, as figures take it."""
    return {
        name: {model: show_metric(metric, own) for model, own in counts.items()} for name, metric in metrics.items()
    }


def measure_gain(metric: Metric, ours: Counts, theirs: Counts) -> Measure:
    """Measure how many points a model gains on another one, over the same questions: all seeds, and seed by seed."""
    by_seed = _measure_seeds(metric, ours) - _measure_seeds(metric, theirs)
    return Measure(in_points(compare_metric(metric, ours, theirs)), tuple(100 * float(value) for value in by_seed))


def describe_gain(name: str, ours: Counts, theirs: Counts) -> str:
    """Say how many points models gain on others by each metric, with 95 % intervals."""
    gains = {one: in_points(compare_metric(metric, ours, theirs)) for one, metric in METRICS.items()}
    parts = (f"{metric_name} {write_change(gain, '.1f')}" for metric_name, gain in gains.items())
    return f"{name}, in points: {', '.join(parts)}."


def in_points(estimate: Estimate) -> Estimate:
    """Turn shares of 1 into points of 100."""
    low, high, value = (100 * end for end in (estimate.low, estimate.high, estimate.value))
    return Estimate(estimate.name, value, low, high, estimate.level, estimate.method, estimate.n_questions)


def _measure_seeds(metric: Metric, counts: Counts) -> np.ndarray:
    pairs = zip(np.asarray(counts.correct), np.asarray(counts.n), strict=True)
    return np.array([np.mean(measure_questions(metric, Counts(row, n))) for row, n in pairs])
