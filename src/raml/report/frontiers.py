"""What shorter reasoning costs → the view of accuracy against tokens."""

from __future__ import annotations

from collections.abc import Sequence

from raml.records import (
    Estimate,
    Frontier,
    FrontierChoice,
    FrontierControl,
    FrontierKey,
    FrontierPoint,
    Method,
    name_point,
)
from raml.report.charts import Axis, Chart, Part, Series, Table, View
from raml.report.looks import choose_line_looks
from raml.report.plain import round_values, shorten_model, write_estimate
from raml.stats import write_p

WIDE = 20
"""Ratio of most to fewest tokens from which on their axis is logarithmic."""
TOKENS = {"thinking": "tokens in context when answering", "generated": "tokens generated, all in all"}
Line = tuple[Method, str]


def describe_frontiers(frontiers: Sequence[Frontier], sentences: Sequence[str] = ()) -> View | None:
    """Describe what answers after less reasoning cost and save; None without frontiers.

    Args:
        frontiers: One a model.
        sentences: What compress.json says of them.
    """
    if not frontiers:
        return None
    looks = choose_line_looks([(point.method, point.variant) for frontier in frontiers for point in frontier.points])
    parts: list[Part] = []
    for place, frontier in enumerate(frontiers):
        parts += _describe_frontier(frontier, f"frontier-{place + 1}", looks, is_named=len(frontiers) > 1)
    paragraphs = [
        "Each mark is a way of answering from less: reasoning cut off, summarised, pruned or stopped early, beside the "
        "full trajectories. Tokens in context are what the model has read when it answers; tokens generated are all "
        "that had to be written for the answer.",
        *sentences,
    ]
    return View(key="frontier", title="Frontier", paragraphs=paragraphs, parts=parts)


def _describe_frontier(frontier: Frontier, key: str, looks: dict[Line, int], *, is_named: bool) -> list[Part]:
    suffix = f", {name_frontier(frontier)}" if is_named or frontier.writer != frontier.model else ""
    chosen = {choice.rule for choice in frontier.choices if choice.rule is not None}
    charts: list[Part] = [
        _draw(frontier, f"{key}-accuracy-{tokens}", tokens, "accuracy", looks, chosen, suffix) for tokens in TOKENS
    ]
    if frontier.n > 1 and any(point.pass_at_n is not None for point in frontier.points):
        charts += [_draw(frontier, f"{key}-pass-{tokens}", tokens, "pass", looks, chosen, suffix) for tokens in TOKENS]
    tables: list[Part] = [_list_points(frontier, f"{key}-points", suffix)]
    if frontier.controls:
        tables.append(_list_controls(frontier.controls, f"{key}-controls", suffix))
    if frontier.choices:
        tables.append(_list_choices(frontier, f"{key}-choices", suffix))
    return [*charts, *tables]


def name_frontier(frontier: Frontier) -> str:
    """Name the model that answers and, where it is another, the one whose trajectories it reads."""
    models = dict.fromkeys((frontier.model, frontier.writer))
    return " after ".join(map(shorten_model, models))


def _draw(
    frontier: Frontier,
    key: str,
    tokens: str,
    measure: str,
    looks: dict[Line, int],
    chosen: set[FrontierKey],
    suffix: str,
) -> Chart:
    """One measure against one count of tokens."""
    lines: dict[Line, list[tuple[FrontierPoint, Estimate]]] = {}
    for point in frontier.points:
        estimate = point.accuracy if measure == "accuracy" else point.pass_at_n
        if estimate is not None:
            lines.setdefault((point.method, point.variant), []).append((point, estimate))
    places = [_count(point, tokens).value for points in lines.values() for point, _ in points]
    is_wide = min(places) >= 1 and max(places) >= WIDE * min(places)
    title = "Accuracy" if measure == "accuracy" else f"Pass@{frontier.n}"
    return Chart(
        key=key,
        title=f"{title} against {TOKENS[tokens].split(' when')[0].split(',')[0]}{suffix}",
        caption=f"Means over questions with {100 * frontier.level:g} % intervals over these; draws are averaged within "
        "a trajectory, trajectories within a question. A line joins the levels of one method.",
        x=Axis(TOKENS[tokens], "log" if is_wide else "linear"),
        y=Axis("share right" if measure == "accuracy" else title, "percent"),
        series=[_draw_line(line, points, tokens, looks[line], chosen) for line, points in lines.items()],
    )


def _draw_line(
    line: Line, points: Sequence[tuple[FrontierPoint, Estimate]], tokens: str, look: int, chosen: set[FrontierKey]
) -> Series:
    ordered = sorted(points, key=lambda pair: pair[0].level)
    return Series(
        name=f"{line[0]}: {line[1]}" if line[1] else line[0],
        look=look,
        x=round_values([_count(point, tokens).value for point, _ in ordered]),
        y=round_values([estimate.value for _, estimate in ordered]),
        low=round_values([estimate.low for _, estimate in ordered]),
        high=round_values([estimate.high for _, estimate in ordered]),
        notes=[
            f"{name_point(point.key)}; {estimate.n_questions} questions"
            + ("; chosen on one half of the questions" if point.key in chosen else "")
            for point, estimate in ordered
        ],
        line=len(ordered) > 1,
    )


def _count(point: FrontierPoint, tokens: str) -> Estimate:
    return point.n_thinking if tokens == "thinking" else point.n_generated


def _list_points(frontier: Frontier, key: str, suffix: str) -> Table:
    headings = ["answered from", "questions", "attempts", "accuracy, %", f"Pass@{frontier.n}, %", "tokens in context"]
    headings += ["tokens generated", "saved in context, %", "saved generated, %", "accuracy lost or won, points"]
    rows = [
        [
            name_point(point.key),
            str(point.n_questions),
            f"{point.n_attempts:,}",
            write_estimate(point.accuracy, unit=100, n_digits=1),
            write_estimate(point.pass_at_n, unit=100, n_digits=1),
            write_estimate(point.n_thinking, n_digits=0),
            write_estimate(point.n_generated, n_digits=0),
            write_estimate(point.saved_context, unit=100, n_digits=1),
            write_estimate(point.saved_generated, unit=100, n_digits=1),
            write_estimate(point.difference, unit=100, n_digits=1, is_signed=True),
            "" if point.p_holm is None else write_p(point.p_holm),
        ]
        for point in frontier.points
    ]
    caption = (
        f"Means over questions, {100 * frontier.level:g} % intervals in brackets. Saved, lost and won: beside the full "
        "trajectories of the same attempts (no-thinking: of the same questions). p: paired sign-flip test over "
        "questions, adjusted for all rows (Holm)."
    )
    return Table(key, f"All points{suffix}", caption, [*headings, "p (Holm)"], rows)


def _list_controls(controls: Sequence[FrontierControl], key: str, suffix: str) -> Table:
    rows = [
        [
            name_point(("prune", control.variant, control.level)),
            str(control.difference.n_questions),
            write_estimate(control.difference, unit=100, n_digits=1, is_signed=True),
            *map(write_p, (control.p, control.p_holm)),
        ]
        for control in controls
    ]
    caption = "How much better answers are after pruning than after as many tokens were dropped by chance."
    headings = ["pruned minus random", "questions", "accuracy, points", "p", "p (Holm)"]
    return Table(key, f"Pruning beside chance{suffix}", caption, headings, rows)


def _list_choices(frontier: Frontier, key: str, suffix: str) -> Table:
    caption = (
        "For each line the rule that saves most tokens on one half of the questions while it costs at most "
        f"{100 * frontier.tolerance:.3g} points of accuracy there; what is said of it was measured on the other half."
    )
    headings = ["line", "rule", "rules tried", "saved, %", "of tokens", "accuracy, points", "questions", "why none"]
    return Table(key, f"Chosen rules{suffix}", caption, headings, [_list_choice(c) for c in frontier.choices])


def _list_choice(choice: FrontierChoice) -> list[str]:
    made = choice.difference
    return [
        f"{choice.method}: {choice.variant}" if choice.variant else choice.method,
        "none" if choice.rule is None else name_point(choice.rule),
        str(choice.n_rules),
        write_estimate(choice.saved, unit=100, n_digits=1),
        choice.counted,
        write_estimate(made, unit=100, n_digits=1, is_signed=True),
        "" if made is None else str(made.n_questions),
        choice.reason or "",
    ]
