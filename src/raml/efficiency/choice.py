"""Which shortening to use: chosen on one half of the questions, reported on the other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from raml.efficiency.outcomes import (
    FULL,
    Cell,
    Outcome,
    Resamples,
    average,
    compare_shares,
    compute_saving,
    estimate_saving,
    get_generated,
    get_right,
    get_thinking,
    pair_outcomes,
)
from raml.errors import DataError
from raml.records import Counted, FrontierChoice, FrontierKey, Method, Question, hash_key, name_point

IN_CONTEXT: tuple[Method, ...] = ("prune", "summary")
"""Methods that need the whole reasoning first: they can save tokens in context alone."""
MIN_QUESTIONS = 2
"""On each half, for a choice."""
MIN_COVERED = 0.9
"""Share of the questions of its line's most tried rule that a rule has to be tried on to be chosen from."""


@dataclass(frozen=True)
class _Trial:
    """A rule on the half on which one is chosen."""

    key: FrontierKey
    saving: Fraction
    difference: Fraction
    n_questions: int


def split_questions(questions: Sequence[Question], seed: int = 0) -> tuple[list[str], list[str]]:
    """Split questions into two halves by chance, in their order, each domain and source as evenly as can be.

    The same seed and ids give the same halves, whatever the order. Within a domain and source questions are ordered by
    a hash of seed and id; dealt out in turn, over all of them, the halves differ by one question at most.
    """
    ordered = sorted(questions, key=lambda q: (q.domain or "", q.source or "", hash_key(seed, q.id), q.id))
    first = {question.id for question in ordered[::2]}
    ids = [question.id for question in questions]
    return [i for i in ids if i in first], [i for i in ids if i not in first]


def choose_rules(
    questions: Sequence[Question], cells: Mapping[FrontierKey, Cell], *, tolerance: float, resamples: Resamples
) -> tuple[FrontierChoice, ...]:
    """Choose a rule for each line on one half of the questions, and estimate on the other what it does.

    Each method and variant is a line; early exits of all variants are one. Its rule is the point that saves the largest
    share of tokens among those that save any and whose accuracy is at most `tolerance` below that of the full
    trajectories: tokens generated or, for pruning and summaries, which need the whole reasoning first, tokens in
    context. "full" and the control "random" are no lines. A rule that was tried on fewer questions than others of its
    line (`MIN_COVERED`), as by an earlier run with --limit, is not chosen from: on few questions it is soon lucky.

    Args:
        questions: With domain and source, for the split.
        cells: From `collect_cells`.
        tolerance: Share of answers, such as 0.01.
        resamples: Of the estimates; its seed also splits the questions.

    Raises:
        DataError: the tolerance is not from 0 to 1.
    """
    if not 0 <= tolerance <= 1:
        raise DataError(f"The tolerance is {tolerance}; it is a share of answers from 0 to 1, such as 0.01.")
    known = {outcome.question_id for outcome in cells[FULL].outcomes}
    halves = split_questions([question for question in questions if question.id in known], resamples.seed)
    lines: dict[tuple[Method, str], list[FrontierKey]] = {}
    for key in cells:
        if key[0] not in ("full", "random"):
            lines.setdefault((key[0], "" if key[0] == "early-exit" else key[1]), []).append(key)
    return tuple(_choose(line, keys, cells, halves, tolerance, resamples) for line, keys in lines.items())


def describe_choice(choice: FrontierChoice) -> str:
    """Say in a sentence what was chosen and what it does on the other half, or why nothing was."""
    if choice.rule is None or choice.saved is None or choice.difference is None:
        line = f"{choice.method} ({choice.variant})" if choice.variant else choice.method
        return f"{line}: no rule qualifies. {choice.reason}"
    saved, made = choice.saved, choice.difference
    sign = 1 if saved.value >= 0 else -1
    text = f"{name_point(choice.rule)}: {100 * abs(saved.value):.0f} % {'fewer' if sign > 0 else 'more'} tokens "
    text += choice.counted
    if saved.method != "none":
        low, high = sorted((100 * sign * saved.low, 100 * sign * saved.high))
        text += f" [{low:z.0f}, {high:z.0f}]"
    text += f", accuracy {100 * made.value:+z.1f} points [{100 * made.low:z.1f}, {100 * made.high:z.1f}]"
    plural = "rules" if choice.n_rules > 1 else "rule"
    return (
        f"{text} on the other half ({made.n_questions} questions); chosen from {choice.n_rules} {plural} on "
        f"{choice.n_chosen_on} questions, where it had {100 * (choice.saved_when_chosen or 0):.0f} % and "
        f"{100 * (choice.difference_when_chosen or 0):+z.1f} points."
    )


def write_points(share: float) -> str:
    """Write a share of answers as points."""
    points = f"{100 * share:.3g}"
    return f"{points} point" if points == "1" else f"{points} points"


def _choose(
    line: tuple[Method, str],
    keys: Sequence[FrontierKey],
    cells: Mapping[FrontierKey, Cell],
    halves: tuple[Sequence[str], Sequence[str]],
    tolerance: float,
    resamples: Resamples,
) -> FrontierChoice:
    method, variant = line
    counted: Counted = "in context" if method in IN_CONTEXT else "generated"
    trials = [trial for key in keys if (trial := _try(cells[key], cells[FULL], halves, counted)) is not None]
    most = max((trial.n_questions for trial in trials), default=0)
    trials = [trial for trial in trials if trial.n_questions >= MIN_COVERED * most]
    within = [trial for trial in trials if trial.difference >= -Fraction(str(tolerance))]
    useful = [trial for trial in within if trial.saving > 0]
    best = max(useful, key=lambda trial: (trial.saving, trial.difference), default=None)
    if best is None:
        n_questions = most or len(halves[0])
        reason = _explain(trials, within, (n_questions, len(halves[1])), counted, tolerance)
        return FrontierChoice(method, variant, len(trials), counted, None, reason, n_questions, None, None)
    own, full = _restrict(pair_outcomes(cells[best.key], cells[FULL]), halves[1])
    tokens = [(average(own, measure), average(full, measure)) for measure in (get_generated, get_thinking)]
    difference, _ = compare_shares("accuracy difference", average(own, get_right), average(full, get_right), resamples)
    return FrontierChoice(
        method,
        variant,
        n_rules=len(trials),
        counted=counted,
        rule=best.key,
        reason=None,
        n_chosen_on=best.n_questions,
        saved_when_chosen=float(best.saving),
        difference_when_chosen=float(best.difference),
        saved_generated=estimate_saving("tokens generated saved", *tokens[0], resamples),
        saved_context=estimate_saving("tokens in context saved", *tokens[1], resamples),
        difference=difference,
    )


def _try(cell: Cell, full: Cell, halves: tuple[Sequence[str], Sequence[str]], counted: Counted) -> _Trial | None:
    """Look at a rule on the first half; None where too few questions of either half have it."""
    pairs = pair_outcomes(cell, full)
    own, theirs = _restrict(pairs, halves[0])
    n_questions, n_others = (len({o.question_id for o in _restrict(pairs, half)[0]}) for half in halves)
    if min(n_questions, n_others) < MIN_QUESTIONS:
        return None
    measure = get_generated if counted == "generated" else get_thinking
    saving = compute_saving(average(own, measure), average(theirs, measure))
    if saving is None:
        return None
    right, right_full = average(own, get_right), average(theirs, get_right)
    difference = sum((right[q] - right_full[q] for q in right), Fraction(0)) / n_questions
    return _Trial(cell.key, saving, difference, n_questions)


def _restrict(
    pairs: tuple[tuple[Outcome, ...], tuple[Outcome, ...]], question_ids: Collection[str]
) -> tuple[tuple[Outcome, ...], tuple[Outcome, ...]]:
    known = set(question_ids)
    own, theirs = (tuple(o for o in side if o.question_id in known) for side in pairs)
    return own, theirs


def _explain(
    trials: Sequence[_Trial], within: Sequence[_Trial], sizes: tuple[int, int], counted: Counted, tolerance: float
) -> str:
    if not trials:
        return (
            f"A choice needs {MIN_QUESTIONS} questions on each half that have such attempts and tokens to save; the "
            f"halves have {sizes[0]} and {sizes[1]} questions in all."
        )
    where = f"on the half of {sizes[0]} questions where one was sought"
    if within:
        best = max(within, key=lambda trial: trial.saving)
        costs = "costs as many" if best.saving == 0 else f"costs {-100 * float(best.saving):.1f} % more"
        return (
            f"None that keeps accuracy within {write_points(tolerance)} saves tokens {counted} {where}; the cheapest, "
            f"{name_point(best.key)}, {costs}."
        )
    best = max(trials, key=lambda trial: (trial.difference, trial.saving))
    loss = write_points(-float(best.difference))
    if len(trials) == 1:
        return f"It costs {loss} of accuracy {where}, more than {write_points(tolerance)}."
    limit = write_points(tolerance)
    return f"Each costs more than {limit} of accuracy {where}; the mildest, {name_point(best.key)}, {loss}."
