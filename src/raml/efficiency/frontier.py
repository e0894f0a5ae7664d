"""Accuracy against tokens: the paper's Fig. 11, with intervals, paired differences and the control by chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from raml.efficiency.choice import choose_rules
from raml.efficiency.outcomes import (
    FULL,
    ByQuestion,
    Cell,
    Outcome,
    Resamples,
    average,
    collect_cells,
    compare_shares,
    compute_passes,
    estimate_saving,
    estimate_share,
    estimate_tokens,
    get_generated,
    get_right,
    get_thinking,
    pair_outcomes,
)
from raml.errors import DataError
from raml.records import (
    Attempt,
    Estimate,
    Frontier,
    FrontierControl,
    FrontierKey,
    FrontierPoint,
    ModelIdentity,
    Question,
    Trajectory,
)
from raml.stats import adjust_holm


def build_frontier(
    questions: Sequence[Question],
    trajectories: Sequence[Trajectory],
    attempts: Sequence[Attempt],
    *,
    level: float = 0.95,
    n_resamples: int = 9999,
    seed: int = 0,
    tolerance: float = 0.01,
) -> Frontier:
    """Estimate accuracy and tokens of full trajectories, of no-thinking ones, and of attempts from less reasoning.

    Args:
        questions: Of the trajectories; domain and source part them for the choice of rules.
        trajectories: Of one model, thinking and no-thinking; those of mode "think" are the "full" ones.
        attempts: By one model, of such trajectories, in any order; those of others are counted as `n_elsewhere`.
        level: Nominal coverage of the intervals.
        n_resamples: Of bootstrap and permutation tests.
        seed: Of both, and of the split of the questions for the choice of rules.
        tolerance: Loss of accuracy that a rule may cost, a share of answers.

    Raises:
        DataError: trajectories or attempts are of several models (see `build_frontiers`); an attempt is "full" or
            "no-thinking", which trajectories are; no thinking trajectory is decided; level or tolerance are no shares.
    """
    _check(trajectories, attempts)
    resamples = Resamples(level, n_resamples, seed)
    current = _take_current(questions, attempts)
    cells = collect_cells(trajectories, current)
    full = cells.get(FULL)
    if full is None or not full.outcomes:
        raise _refuse(trajectories)
    sizes = Counter(outcome.question_id for outcome in full.outcomes)
    n = min(sizes.values())
    points = [_estimate(cell, full, n, resamples) for cell in cells.values() if cell.outcomes]
    counted, ids = {outcome.trajectory_id for outcome in full.outcomes}, {t.id for t in trajectories}
    elsewhere = {a.id for a in attempts if a.trajectory_id not in ids}
    return Frontier(
        model=attempts[0].model.name if attempts else trajectories[0].model.name,
        writer=trajectories[0].model.name,
        n=n,
        n_questions=len(sizes),
        n_trajectories=len(full.outcomes),
        n_undecided=full.n_left_out,
        n_cut_off=sum(t.finish == "length" for t in trajectories if t.id in counted),
        n_elsewhere=len(elsewhere),
        n_outdated=len({a.id for a in attempts if a.trajectory_id in ids} - {a.id for a in current}),
        tolerance=tolerance,
        points=_adjust_points(points),
        empty=tuple((*key, cell.n_left_out) for key, cell in cells.items() if not cell.outcomes),
        controls=_list_controls(cells, resamples),
        choices=choose_rules(questions, cells, tolerance=tolerance, resamples=resamples),
        level=level,
    )


def build_frontiers(
    questions: Sequence[Question],
    trajectories: Sequence[Trajectory],
    attempts: Sequence[Attempt],
    *,
    level: float = 0.95,
    n_resamples: int = 9999,
    seed: int = 0,
    tolerance: float = 0.01,
) -> list[Frontier]:
    """Build a frontier for each model that wrote trajectories and each that answered after less of them.

    Args and errors as `build_frontier`. A model without a decided thinking trajectory has none and is named in
    `without` of the others; if no model has one, that is an error.
    """
    writers: dict[object, list[Trajectory]] = {}
    for trajectory in trajectories:
        writers.setdefault(_tell(trajectory.model), []).append(trajectory)
    frontiers: list[Frontier] = []
    without: list[str] = []
    for own in writers.values():
        if len(writers) > 1 and not any(t.mode == "think" and t.correct is not None for t in own):
            without.append(own[0].model.name)
            continue
        ids = {trajectory.id for trajectory in own}
        answerers: dict[object, list[Attempt]] = {}
        for attempt in attempts:
            if attempt.trajectory_id in ids:
                answerers.setdefault(_tell(attempt.model), []).append(attempt)
        frontiers += [
            build_frontier(questions, own, made, level=level, n_resamples=n_resamples, seed=seed, tolerance=tolerance)
            for made in list(answerers.values()) or [[]]
        ]
    if not frontiers:
        raise _refuse(trajectories)
    known = {trajectory.id for trajectory in trajectories}
    n_elsewhere = len({attempt.id for attempt in attempts if attempt.trajectory_id not in known})
    return [replace(made, without=tuple(without), n_elsewhere=n_elsewhere) for made in frontiers]


def _refuse(trajectories: Sequence[Trajectory]) -> DataError:
    n_thinking = sum(trajectory.mode == "think" for trajectory in trajectories)
    return DataError(
        f"There is nothing to shorten: of {len(trajectories)} trajectories {n_thinking} think, and none of these is "
        "known to be right or wrong. Sample some with `raml sample MODEL RUN`, or grade them with `raml grade RUN`."
    )


def _tell(model: ModelIdentity) -> object:
    """What tells a model from others: its weights or, where these are not known, its name too."""
    return (model.key(), model.name if model.weights_sha256 is None else None)


def _check(trajectories: Sequence[Trajectory], attempts: Sequence[Attempt]) -> None:
    for noun, records in (("trajectories", trajectories), ("attempts", attempts)):
        models = {_tell(record.model): record.model.name for record in records}
        if len(models) > 1:
            names = ", ".join(sorted(models.values()))
            raise DataError(f"The {noun} are of {len(models)} models ({names}); look at each alone (build_frontiers).")
    for attempt in attempts:
        if attempt.method in ("full", "no-thinking"):
            raise DataError(
                f"Attempt {attempt.id} is {attempt.method!r}, which trajectories are as they are; give those alone."
            )


def _take_current(questions: Sequence[Question], attempts: Sequence[Attempt]) -> list[Attempt]:
    """Leave out attempts that were checked against an answer that their question no longer has."""
    golds = {question.id: question.gold_key() for question in questions}
    return [a for a in attempts if a.gold is None or a.gold == golds.get(a.question_id, a.gold)]


def _estimate(cell: Cell, full: Cell, n: int, resamples: Resamples) -> FrontierPoint:
    """Estimate everything of a point but what depends on the others."""
    right = average(cell.outcomes, get_right)
    passes = compute_passes(cell.outcomes, n)
    thinking, generated = average(cell.outcomes, get_thinking), average(cell.outcomes, get_generated)
    point = FrontierPoint(
        *cell.key,
        n_questions=len(right),
        n_trajectories=len(cell.outcomes),
        n_attempts=sum(outcome.n_draws for outcome in cell.outcomes),
        n_left_out=cell.n_left_out,
        n_leaked=cell.n_leaked,
        n_repeated=cell.n_repeated,
        accuracy=estimate_share(_name_accuracy(cell.outcomes), right, resamples),
        pass_at_n=estimate_share(f"Pass@{n}", passes, resamples) if passes else None,
        n_thinking=estimate_tokens("tokens in context", thinking, resamples),
        n_generated=estimate_tokens("tokens generated", generated, resamples),
        saved_context=None,
        saved_generated=None,
        difference=None,
        p=None,
        p_holm=None,
    )
    if cell.key == FULL:
        return point
    own, theirs = pair_outcomes(cell, full)
    compared: Mapping[str, tuple[ByQuestion, ByQuestion]] = {
        "accuracy": (average(own, get_right), average(theirs, get_right)),
        "context": (average(own, get_thinking), average(theirs, get_thinking)),
        "generated": (average(own, get_generated), average(theirs, get_generated)),
    }
    difference, p = compare_shares("accuracy difference", *compared["accuracy"], resamples)
    return replace(
        point,
        saved_context=estimate_saving("tokens in context saved", *compared["context"], resamples),
        saved_generated=estimate_saving("tokens generated saved", *compared["generated"], resamples),
        difference=difference,
        p=p,
    )


def _name_accuracy(outcomes: Sequence[Outcome]) -> str:
    """Avg@n where all questions have n trajectories; where they differ, Pass@1 is the same share."""
    sizes = set(Counter(outcome.question_id for outcome in outcomes).values())
    return f"Avg@{sizes.pop()}" if len(sizes) == 1 else "Pass@1"


def _adjust_points(points: Sequence[FrontierPoint]) -> tuple[FrontierPoint, ...]:
    adjusted = iter(adjust_holm([point.p for point in points if point.p is not None]))
    return tuple(point if point.p is None else replace(point, p_holm=next(adjusted)) for point in points)


def _list_controls(cells: Mapping[FrontierKey, Cell], resamples: Resamples) -> tuple[FrontierControl, ...]:
    """Compare each point of pruning with the random one of the same variant and level, on trajectories of both."""
    found: list[tuple[str, float, Estimate, float]] = []
    for (method, variant, level), cell in cells.items():
        chance = cells.get(("random", variant, level))
        if method != "prune" or chance is None:
            continue
        own, theirs = pair_outcomes(cell, chance)
        if own:
            right = average(own, get_right), average(theirs, get_right)
            found.append((variant, level, *compare_shares("accuracy difference", *right, resamples)))
    adjusted = adjust_holm([p for *_, p in found])
    return tuple(FrontierControl(*made, p_holm) for made, p_holm in zip(found, adjusted, strict=True))
