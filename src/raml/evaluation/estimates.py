"""Estimate metrics for cells of responses, and compare models on the questions that both answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import combinations
from typing import Literal, get_args

from raml.errors import DataError
from raml.evaluation.cells import Cell
from raml.records import Comparison, Estimate, Evaluation, Score, Trajectory, Verdict
from raml.scale import Workers, open_pool
from raml.stats import Counts, Metric, adjust_holm, compare_metric, compute_p_value, estimate_metric

Undecided = Literal["leave-out", "wrong"]

USUAL_K = 8
"""The paper's."""


@dataclass(frozen=True)
class _Resampling:
    level: float
    n_resamples: int
    seed: int


@dataclass(frozen=True)
class _Tally:
    """The decided responses to each question of a cell."""

    cell: Cell
    n: dict[str, int]
    n_right: dict[str, int]
    left_out: tuple[str, ...]
    """Questions with fewer decided responses than a metric draws."""

    def count(self, question_ids: Sequence[str]) -> Counts:
        """Line up the counts of some questions."""
        correct, n = [self.n_right[i] for i in question_ids], [self.n[i] for i in question_ids]
        return Counts(correct, n, question_ids, uneven=True)


def choose_metrics(cells: Sequence[Cell], *, ks: Sequence[int] = (), taus: Sequence[str] = ()) -> list[Metric]:
    """Choose what to estimate: the share of right answers, Pass@k and mG-Pass@k, and G-Pass@k for each τ.

    Without ks, k is 8 where each question has at least 16 responses, else the greatest power of two up to half of them,
    at least 1: with k = n a single undecided response would cost its question. mG-Pass@1 is 0 by definition and left
    out. The share of right answers is Avg@n where n is the same everywhere, and the equal Pass@1 elsewhere.
    """
    for tau in taus:
        Metric("g-pass", 2, tau)  # says so where one is no threshold, also where k is 1 and none is needed
    sizes = [len(responses) for cell in cells for responses in cell.responses.values()]
    if not ks:
        k = 1
        while 2 * k <= min(sizes) // 2 and k < USUAL_K:
            k *= 2
        ks = (k,)
    metrics = [Metric("avg")]
    for k in dict.fromkeys(ks):
        if k > 1:
            metrics += [Metric("pass", k), *(Metric("g-pass", k, tau) for tau in taus), Metric("mg-pass", k)]
    return metrics


def evaluate(
    cells: Sequence[Cell],
    metrics: Sequence[Metric],
    *,
    undecided: Undecided = "leave-out",
    uneven: bool = False,
    baseline: str | None = None,
    level: float = 0.95,
    n_resamples: int = 9999,
    seed: int = 0,
    workers: Workers | None = None,
) -> Evaluation:
    """Estimate each metric for each cell, and the paired differences of models on the same benchmark.

    Args:
        cells: From `collect_cells`.
        metrics: Such as those of `choose_metrics`.
        undecided: Leave out responses that could not be decided, or count them as wrong.
        uneven: Whether questions of a cell may differ in their number of responses.
        baseline: Label of the model that the others are compared with; by default all pairs are compared, the later one
            with the earlier.
        level: Nominal coverage of the intervals.
        n_resamples: Of bootstrap and permutation test.
        seed: Of both.
        workers: Who works; each estimate and comparison is a unit. By default this process.

    Raises:
        DataError: a question has more or fewer responses than the others (unless `uneven`) or fewer than a metric
            draws; no question of a cell is decided; the baseline is none of the models.
    """
    if undecided not in get_args(Undecided):
        raise DataError(f"undecided is {undecided!r}; choose leave-out or wrong.")
    if baseline is not None and baseline not in {cell.model for cell in cells}:
        models = ", ".join(dict.fromkeys(cell.model for cell in cells))
        raise DataError(f"No model {baseline!r} to compare with; there are: {models}.")
    metrics = _replace_average(cells, metrics, undecided)
    tallies = [_tally(cell, metrics, undecided, uneven) for cell in cells]
    settings = _Resampling(level, n_resamples, seed)
    pairs = [
        (a, b)
        for a, b in (_order(pair, baseline) for pair in combinations(tallies, 2))
        if a.cell.benchmark == b.cell.benchmark and baseline in (None, b.cell.model)
    ]
    compared = [(model, other, metric) for model, other in pairs if _share(model, other) for metric in metrics]
    estimates, differences = _estimate_all(tallies, metrics, compared, settings, workers)
    scores = tuple(_score(tally, own) for tally, own in zip(tallies, estimates, strict=True))
    found = [(a, b, *made) for (a, b, _), made in zip(compared, differences, strict=True)]
    adjusted = adjust_holm([p for *_, p in found])
    comparisons = tuple(
        Comparison(a.cell.model, b.cell.model, a.cell.benchmark, difference, p, p_holm)
        for (a, b, difference, p), p_holm in zip(found, adjusted, strict=True)
    )
    notes = _write_notes(tallies, metrics, pairs, undecided, comparisons)
    if baseline is not None:
        without = {tally.cell.benchmark for tally in tallies} - {c.benchmark for c in cells if c.model == baseline}
        notes += tuple(
            f"{baseline} has no responses on {name}, so nothing is compared there." for name in sorted(without)
        )
    return Evaluation(scores, comparisons, undecided, notes)


_Unit = tuple[int, "_Tally", "_Tally | None", Metric]
"""Place in the list, whose responses, with whose they are compared, in what."""


def _estimate_all(
    tallies: Sequence[_Tally],
    metrics: Sequence[Metric],
    compared: Sequence[tuple[_Tally, _Tally, Metric]],
    settings: _Resampling,
    workers: Workers | None,
) -> tuple[list[tuple[Estimate, ...]], list[tuple[Estimate, float]]]:
    """Estimate each metric of each cell, and each difference with its p-value, a unit of work each."""
    alone: list[tuple[_Tally, _Tally | None, Metric]] = [(tally, None, m) for tally in tallies for m in metrics]
    units: list[_Unit] = [(i, a, b, metric) for i, (a, b, metric) in enumerate([*alone, *compared])]
    with open_pool(partial(_hold, settings), workers) as pool:
        made = dict(pool.map(_estimate, units))
    values = [made[i] for i in range(len(alone))]
    per_cell = [values[i : i + len(metrics)] for i in range(0, len(values), len(metrics))]
    estimates = [tuple(estimate for estimate, _ in own) for own in per_cell]
    return estimates, [made[i] for i in range(len(alone), len(units))]


def _hold(settings: _Resampling) -> _Resampling:
    """A worker's state."""
    return settings


def _estimate(settings: _Resampling, unit: _Unit) -> tuple[tuple[int, tuple[Estimate, float]]]:
    place, tally, other, metric = unit
    if other is not None:
        return ((place, _compare(tally, other, metric, settings)),)
    kept = [question for question in tally.n if question not in set(tally.left_out)]
    return ((place, (estimate_metric(metric, tally.count(kept), **asdict(settings)), 1.0)),)


def _replace_average(cells: Sequence[Cell], metrics: Sequence[Metric], undecided: Undecided) -> list[Metric]:
    """Put Pass@1, which is the same share, in the place of Avg@n where n is not one number."""
    sizes = {
        len(responses) if undecided == "wrong" else sum(t.correct is not None for t in responses)
        for cell in cells
        for responses in cell.responses.values()
    }
    replaced = [Metric("pass", 1) if metric.kind == "avg" and len(sizes) > 1 else metric for metric in metrics]
    return list(dict.fromkeys(replaced))


def _tally(cell: Cell, metrics: Sequence[Metric], undecided: Undecided, uneven: bool) -> _Tally:
    total = {question: len(responses) for question, responses in cell.responses.items()}
    try:
        Counts([0] * len(total), list(total.values()), list(total), uneven=uneven)
    except DataError as error:
        raise DataError(f"{cell.model} on {cell.benchmark}: {error}") from None
    n = {q: sum(_counts(t, undecided) for t in responses) for q, responses in cell.responses.items()}
    n_right = {q: sum(t.correct is True for t in responses) for q, responses in cell.responses.items()}
    most_drawn = max(metric.k or 1 for metric in metrics)
    for question, size in total.items():
        if size < most_drawn:
            raise DataError(
                f"{cell.model} on {cell.benchmark}: k = {most_drawn} responses can't be drawn from the {size} of "
                f"question {question}. Choose a smaller --k or sample more."
            )
    left_out = tuple(question for question in n if n[question] < most_drawn)
    if len(left_out) == len(n):
        example = next((t.error for responses in cell.responses.values() for t in responses if t.error), None)
        raise DataError(
            f"{cell.model} on {cell.benchmark}: no question has {most_drawn} decided responses"
            f"{f', for example: {example}' if example else ''} Grade again with `raml grade RUN`, or choose another "
            "--k or --undecided."
        )
    return _Tally(cell, n, n_right, left_out)


def _counts(trajectory: Trajectory, undecided: Undecided) -> bool:
    return trajectory.correct is not None or undecided == "wrong"


def _score(tally: _Tally, estimates: tuple[Estimate, ...]) -> Score:
    kept = [question for question in tally.n if question not in set(tally.left_out)]
    responses = [t for made in tally.cell.responses.values() for t in made]
    found = Counter(t.find_verdict() for t in responses)
    return Score(
        model=tally.cell.model,
        benchmark=tally.cell.benchmark,
        estimates=estimates,
        verdicts={verdict: found[verdict] for verdict in get_args(Verdict)},
        n_cut=sum(t.finish == "length" for t in responses),
        n_min=min(tally.n[question] for question in kept),
        n_max=max(tally.n[question] for question in kept),
        mean_tokens=sum(len(t.token_ids) for t in responses) / len(responses),
        left_out=tally.left_out,
        unanswered=tally.cell.unanswered,
    )


def _order(pair: tuple[_Tally, _Tally], baseline: str | None) -> tuple[_Tally, _Tally]:
    """Put the model before the one that it is compared with: the baseline, else the earlier one."""
    first, second = pair
    return (first, second) if second.cell.model == baseline else (second, first)


def _share(a: _Tally, b: _Tally) -> list[str]:
    """List the questions that both models answered often enough, in the first one's order."""
    out = {*a.left_out, *b.left_out}
    return [question for question in a.n if question in b.n and question not in out]


def _compare(model: _Tally, other: _Tally, metric: Metric, settings: _Resampling) -> tuple[Estimate, float]:
    """Estimate a paired difference, and the p-value of there being none."""
    shared = _share(model, other)
    ours, theirs = model.count(shared), other.count(shared)
    difference = compare_metric(metric, ours, theirs, **asdict(settings))
    p = compute_p_value(metric, ours, theirs, n_resamples=settings.n_resamples, seed=settings.seed)
    return difference, p


def _write_notes(
    tallies: Sequence[_Tally],
    metrics: Sequence[Metric],
    pairs: Sequence[tuple[_Tally, _Tally]],
    undecided: Undecided,
    comparisons: Sequence[Comparison],
) -> tuple[str, ...]:
    notes = []
    for metric in metrics:
        if metric.kind == "mg-pass" and metric.k is not None and metric.k % 2:
            top = f"({metric.k} − 1)/{metric.k}"
            notes.append(f"mG-Pass@{metric.k} is the paper's sum, which for odd k gives a perfect model {top}, not 1.")
    for tally in tallies:
        where = f"{tally.cell.model} on {tally.cell.benchmark}"
        unclear = [t for made in tally.cell.responses.values() for t in made if t.correct is None]
        if unclear:
            treatment = "left out" if undecided == "leave-out" else "counted as wrong"
            reason = next((f", for example: {t.error}" for t in unclear if t.error), ".")
            notes.append(f"{where}: {len(unclear)} responses are not decided and {treatment}{reason}")
        if tally.cell.unanswered:
            notes.append(f"{where}: {len(tally.cell.unanswered)} questions have no response and are left out.")
        if tally.left_out:
            notes.append(f"{where}: {len(tally.left_out)} questions with too few decided responses are left out.")
    for a, b in pairs:
        n_shared = len(_share(a, b))
        if n_shared < max(len(a.n), len(b.n)):
            names = f"{a.cell.model} and {b.cell.model} on {a.cell.benchmark}"
            used = "are compared on these" if n_shared else "so they are not compared"
            notes.append(f"{names} share {n_shared} of {len(a.n)} and {len(b.n)} questions; {used}.")
    few = sorted({score.n_questions for score in (c.difference for c in comparisons) if score.n_questions < 6})
    if few:
        notes.append(f"With {few[0]} questions no paired test can find a difference at the 5 % level.")
    return tuple(notes)
