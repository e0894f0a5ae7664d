"""The frontier as tables: rows of text for the terminal and Markdown, and everything as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from raml.efficiency.choice import describe_choice, write_points
from raml.records import Estimate, Frontier, FrontierControl, FrontierPoint, name_point
from raml.stats import SIGNIFICANT, write_p
from raml.store import escape_markdown, write_markdown_table

Table = tuple[list[str], list[list[str]]]
"""Headings, and rows of as many cells."""


def list_points(frontier: Frontier) -> Table:
    """List how right and how long each point is, as means over questions with intervals."""
    headings = ["answered from", "questions", "attempts", "left out", "leaked"]
    headings += ["accuracy, %", f"Pass@{frontier.n}, %", "tokens in context", "tokens generated"]
    return headings, [_list_point(point) for point in frontier.points]


def list_differences(frontier: Frontier) -> Table:
    """List what each point saves and costs beside the full trajectories that it has."""
    headings = ["answered from", "context saved, %", "generated saved, %", "accuracy, points", "p", "p (Holm)"]
    return headings, [
        [
            name_point(point.key),
            _write(point.saved_context, 100, 1),
            _write(point.saved_generated, 100, 1),
            _write(point.difference, 100, 1, signed=True),
            *map(_write_p, (point.p, point.p_holm)),
        ]
        for point in frontier.points
        if point.difference is not None
    ]


def list_controls(frontier: Frontier) -> Table:
    """List how much better pruning is than dropping as many tokens by chance."""
    headings = ["pruned minus random", "questions", "accuracy, points", "p", "p (Holm)"]
    return headings, [
        [
            name_point(("prune", control.variant, control.level)),
            str(control.difference.n_questions),
            _write(control.difference, 100, 1, signed=True),
            *map(_write_p, (control.p, control.p_holm)),
        ]
        for control in frontier.controls
    ]


def list_sentences(frontier: Frontier) -> list[str]:
    """Say which rule each line offers and, for each variant of pruning, whether it beats chance."""
    by_variant: dict[str, list[FrontierControl]] = {}
    for control in frontier.controls:
        by_variant.setdefault(control.variant, []).append(control)
    return [
        *(describe_choice(choice) for choice in frontier.choices),
        *(_compare_with_chance(variant, controls) for variant, controls in by_variant.items()),
    ]


def describe_frontier(frontier: Frontier) -> list[str]:
    """Say what a reader of the tables must know, a line each."""
    points = frontier.points
    lines = [
        f"Means over questions, with {100 * frontier.level:g} % intervals over these in brackets; draws are averaged "
        "within a trajectory, trajectories within a question. p: paired sign-flip test over questions; Holm: for all "
        "rows of the table.",
        "Tokens in context: reasoning, or what stands in its place, before the model when it answers. Tokens "
        "generated: all that had to be written for the answer, also reasoning that was left out later, summaries, "
        "answers at probes, and the answer itself.",
        "Saved and lost: beside the full trajectories of the same attempts (no-thinking: of the same questions). Saved "
        "is a share of all their tokens together.",
        "Full and no-thinking answers are sampled, as the trajectories were; those after less reasoning are the "
        "model's most likely ones, after a bridge that is read and not generated.",
        f"A rule may cost {write_points(frontier.tolerance)} of accuracy on the half of the questions on which it is "
        "chosen; what is said of it comes from the other half.",
    ]
    if frontier.n > 1:
        lines.append(f"Pass@{frontier.n}: one of {frontier.n} answers, each from another trajectory, is right.")
    if frontier.writer != frontier.model:
        lines.append(f"{frontier.model} answers; the trajectories, full and no-thinking, are {frontier.writer}'s.")
    if any(point.method in ("prune", "random") for point in points):
        lines.append(
            "Pruned and random attempts need the whole trajectory first, so of tokens generated they save none. Random "
            "drops as many tokens as pruning did, which may be more or fewer than asked for."
        )
    if any(point.method == "prune" and point.variant == "gold" for point in points):
        lines.append("Pruning that looks at the gold answer is an oracle: nobody has that answer beforehand.")
    if any(point.n_attempts > point.n_trajectories for point in points):
        lines.append("Some points have several draws of a trajectory; these count together as one.")
    return lines + _list_gaps(frontier)


def write_markdown(frontiers: Sequence[Frontier]) -> str:
    """Write sentences, tables and notes of each model."""
    parts: list[str] = []
    for frontier in frontiers:
        parts.append(f"# {escape_markdown(name_frontier(frontier))}\n")
        parts += [f"{escape_markdown(sentence)}\n" for sentence in list_sentences(frontier)]
        tables = (list_points(frontier), list_differences(frontier), list_controls(frontier))
        parts += [write_markdown_table(*table) for table in tables if table[1]]
        parts.append("".join(f"* {escape_markdown(line)}\n" for line in describe_frontier(frontier)))
    return "\n".join(parts)


def write_json(frontiers: Sequence[Frontier]) -> str:
    """Write the frontiers as a list, each with its sentences; an interval without ends has null there."""
    plain = [{**msgspec.to_builtins(frontier), "sentences": list_sentences(frontier)} for frontier in frontiers]
    return msgspec.json.format(msgspec.json.encode(plain), indent=2).decode() + "\n"


def name_frontier(frontier: Frontier) -> str:
    """Name the model that answers and, where it is another, the one whose trajectories it reads."""
    return frontier.model if frontier.model == frontier.writer else f"{frontier.model} after {frontier.writer}"


def _list_point(point: FrontierPoint) -> list[str]:
    return [
        name_point(point.key),
        str(point.n_questions),
        f"{point.n_attempts:,}",
        str(point.n_left_out),
        str(point.n_leaked) if point.method == "summary" else "",
        _write(point.accuracy, 100, 1),
        _write(point.pass_at_n, 100, 1),
        _write(point.n_thinking, 1, 0),
        _write(point.n_generated, 1, 0),
    ]


def _list_gaps(frontier: Frontier) -> list[str]:
    """Say what is missing from the tables, and why."""
    lines = [
        f"{name_point((method, variant, level))}: none of {n} attempts counts, so it is not in the tables."
        for method, variant, level, n in frontier.empty
    ]
    if frontier.n_undecided:
        lines.append(
            f"{frontier.n_undecided} thinking trajectories are neither right nor wrong for certain; they and all "
            "attempts of them are left out."
        )
    if frontier.n_cut_off:
        lines.append(
            f"{frontier.n_cut_off} of {frontier.n_trajectories} thinking trajectories were cut off before their end. "
            "They count as they are, mostly without an answer, while after a bridge the model has to give one: that is "
            "a part of what shortening gains."
        )
    n_left_out = sum(point.n_left_out for point in frontier.points if point.method != "full")
    if n_left_out:
        lines.append(f"{n_left_out} attempts, undecided or failed, are left out of their points.")
    n_leaked = sum(point.n_leaked for point in frontier.points)
    if n_leaked:
        lines.append(f"{n_leaked} summaries gave the answer away; the sentences that did were taken out.")
    n_repeated = sum(point.n_repeated for point in frontier.points)
    if n_repeated:
        lines.append(
            f"{n_repeated} attempts were made again with other settings (such as bridge, seed, answer length or "
            "shares); they count as further draws."
        )
    fewer = [name_point(point.key) for point in frontier.points if point.n_questions < frontier.n_questions]
    if fewer:
        lines.append(
            f"On fewer than all {frontier.n_questions} questions, so not to be compared with other rows of the first "
            f"table: {'; '.join(fewer)}."
        )
    if frontier.n_outdated:
        lines.append(
            f"{frontier.n_outdated} attempts were checked against an answer that has been corrected since; they are "
            "left out. Make them anew by naming their METHOD again."
        )
    if frontier.n_elsewhere:
        lines.append(f"{frontier.n_elsewhere} attempts are of trajectories that were not looked at.")
    if frontier.without:
        lines.append(f"Without a thinking trajectory that counts, and so not here: {', '.join(frontier.without)}.")
    return lines


def _compare_with_chance(variant: str, controls: Sequence[FrontierControl]) -> str:
    """Say for each share kept whether pruning is told apart from chance."""
    sorts: dict[str, list[str]] = {"better than": [], "worse than": [], "not told apart from": []}
    for control in controls:
        side = "better than" if control.difference.value > 0 else "worse than"
        sort = side if control.p_holm < SIGNIFICANT else "not told apart from"
        sorts[sort].append(f"{100 * control.level:g} % ({_write(control.difference, 100, 1, signed=True)} points)")
    parts = (f"{sort} random at {', '.join(names)}" for sort, names in sorts.items() if names)
    oracle = ", an oracle" if variant == "gold" else ""
    return f"prune ({variant}{oracle}) beside as many tokens dropped by chance: {'; '.join(parts)}."


def _write(estimate: Estimate | None, unit: float, n_digits: int, *, signed: bool = False) -> str:
    if estimate is None:
        return ""
    form = f"{'+' if signed else ''}z,.{n_digits}f"
    value, low, high = (format(unit * number, form) for number in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]" if math.isfinite(estimate.low) else value


def _write_p(p: float | None) -> str:
    return "" if p is None else write_p(p)
