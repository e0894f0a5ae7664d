"""Summaries of what was measured → claims, and whether they hold."""

from __future__ import annotations

from collections.abc import Sequence

from raml.records import (
    EQUATION_HOLDS,
    AlignmentSummary,
    Frontier,
    FrontierChoice,
    FrontierControl,
    FrontierKey,
    InfluenceSummary,
    name_point,
)
from raml.report.findings import Claim, Verdict, judge_interval
from raml.report.frontiers import name_frontier
from raml.report.influences import name_summary
from raml.report.plain import shorten_model, write_interval, write_number
from raml.stats import SIGNIFICANT, write_relation


def judge_alignments(summaries: Sequence[AlignmentSummary]) -> list[Claim]:
    """Eq. 4: whether updates are steps along the gradient, and whether they lie nearer to it than null texts' do."""
    claims = []
    for summary in summaries:
        row, name = summary.find_row("right"), _add_name(shorten_model(summary.model), len(summaries))
        if row is None or not {"cosine", "step cosine"} <= row.means.keys():
            continue
        whole, step = row.means["cosine"], row.means["step cosine"]
        verdicts = judge_interval(whole, "above", EQUATION_HOLDS), judge_interval(step, "above", EQUATION_HOLDS)
        claims.append(
            Claim(
                f"The update is a step along the negative gradient (Eq. 4){name}",
                f"cosine {write_number(whole.value, 4)} of whole updates, {write_number(step.value, 4)} of steps",
                " and ".join(filter(None, (write_interval(mean, n_digits=4) for mean in (whole, step)))),
                whole.n_questions,
                f"both intervals lie above {EQUATION_HOLDS:g}; not if one lies below",
                _join_verdicts(verdicts),
                "Updates",
            )
        )
        nulls = [made for made in summary.differences if made.measure == "cosine" and made.against != "wrong"]
        if nulls:
            nearest = min(nulls, key=lambda made: made.difference.value)
            told = [made for made in nulls if made.p_holm < SIGNIFICANT]
            is_above = whole.low > 0 and len(told) == len(nulls) and nearest.difference.value > 0
            is_below = whole.high < 0 or any(made.difference.value < 0 for made in told)
            claims.append(
                Claim(
                    f"A right trajectory's update lies nearer to the negative gradient than null texts' do{name}",
                    f"cosine {write_number(nearest.difference.value, 4, is_signed=True)} beside {nearest.against}, the "
                    f"nearest, p {write_relation(nearest.p_holm)}",
                    write_interval(nearest.difference, n_digits=4, is_signed=True),
                    nearest.difference.n_questions,
                    f"the cosine is above 0, and above that of every null text with p < {SIGNIFICANT:g} (Holm)",
                    "holds" if is_above else "does not hold" if is_below else "undecided",
                    "Updates",
                )
            )
    return claims


def judge_influences(summaries: Sequence[InfluenceSummary]) -> list[Claim]:
    """Whether listed words, all together, move the answer's loss more than their controls do."""
    claims = []
    for summary in summaries:
        words = [row for row in summary.rows if row.family == "word" and row.outcome == "all"]
        together = next((row for row in words if row.group not in summary.settings.words), None)
        if together is None or (size := together.size) is None:
            continue
        told = [
            row.group
            for row in words
            if row is not together
            and any(effect is not None and effect.p_holm < SIGNIFICANT for effect in (row.size, row.direction))
        ]
        is_told, value = size.p_holm < SIGNIFICANT, size.difference.value
        claims.append(
            Claim(
                "Listed words move the answer more than other tokens do"
                + _add_name(name_summary(summary), len(summaries)),
                f"|Δ log| {write_number(value, 3, is_signed=True)} beyond controls, p {write_relation(size.p_holm)}; "
                f"unlike their controls by themselves: {', '.join(told) or 'none'}",
                write_interval(size.difference, is_signed=True),
                size.difference.n_questions,
                f"it is above 0 with p < {SIGNIFICANT:g} (Holm)",
                "undecided" if not is_told else "holds" if value > 0 else "does not hold",
                "Tokens",
            )
        )
    return claims


def judge_frontiers(frontiers: Sequence[Frontier]) -> list[Claim]:
    """Whether pruning beats chance, and which rules save tokens at a small cost."""
    claims = []
    for frontier in frontiers:
        name = _add_name(name_frontier(frontier), len(frontiers))
        by_variant: dict[str, list[FrontierControl]] = {}
        for control in frontier.controls:
            by_variant.setdefault(control.variant, []).append(control)
        claims += [_judge_pruning(variant, controls, name) for variant, controls in by_variant.items()]
        claims += [_judge_choice(choice, frontier, name) for choice in frontier.choices]
    return claims


def _judge_pruning(variant: str, controls: Sequence[FrontierControl], name: str) -> Claim:
    clearest = min(controls, key=lambda control: (control.p_holm, -abs(control.difference.value)))
    told = [control for control in controls if control.p_holm < SIGNIFICANT]
    n_better = sum(control.difference.value > 0 for control in told)
    n_worse = len(told) - n_better
    return Claim(
        f"Pruning by the {variant} answer costs less than dropping as many tokens by chance{name}",
        f"better at {n_better} of {len(controls)} shares kept, worse at {n_worse}; clearest at "
        f"{100 * clearest.level:g} %: {write_number(100 * clearest.difference.value, 1, is_signed=True)} points, "
        f"p {write_relation(clearest.p_holm)}",
        write_interval(clearest.difference, unit=100, n_digits=1, is_signed=True),
        clearest.difference.n_questions,
        f"it is better at one share at least with p < {SIGNIFICANT:g} (Holm), and worse at none",
        "holds" if n_better and not n_worse else "does not hold" if n_worse and not n_better else "undecided",
        "Frontier",
    )


def _judge_choice(choice: FrontierChoice, frontier: Frontier, name: str) -> Claim:
    line = f"{choice.method} by {choice.variant}" if choice.variant else choice.method
    tolerance = frontier.tolerance
    cost = f"{100 * tolerance:.3g} {'point' if tolerance == 0.01 else 'points'} of accuracy"
    text = f"“{line}” saves tokens {choice.counted} at a cost of at most {cost}{name}"
    saved, made = choice.saved, choice.difference
    if choice.rule is None or saved is None or made is None:
        costs = [point.difference for point in frontier.points if _is_of_line(point.key, choice) and point.difference]
        fails = bool(costs) and all(cost.high < -tolerance for cost in costs)
        reason = choice.reason or "no rule qualifies"
        verdict = "does not hold" if fails else "undecided"
        border = "a rule qualifies on one half of the questions; not if each one's interval shows that it costs more"
        return Claim(text, reason, "", choice.n_chosen_on, border, verdict, "Frontier")
    verdicts = judge_interval(saved, "above"), judge_interval(made, "above", -tolerance)
    intervals = (
        write_interval(saved, unit=100, n_digits=1),
        write_interval(made, unit=100, n_digits=1, is_signed=True),
    )
    return Claim(
        text,
        f"{name_point(choice.rule)}: {write_number(100 * saved.value, 1)} % saved, accuracy "
        f"{write_number(100 * made.value, 1, is_signed=True)} points",
        " and ".join(filter(None, intervals)),
        made.n_questions,
        f"both intervals, from the other half of the questions: some saved, at most {cost} lost",
        _join_verdicts(verdicts),
        "Frontier",
    )


def _is_of_line(key: FrontierKey, choice: FrontierChoice) -> bool:
    """Whether a point belongs to what a rule was chosen from; early exits of all variants are one line."""
    method, variant, _ = key
    return method == choice.method and (method == "early-exit" or variant == choice.variant)


def _join_verdicts(verdicts: Sequence[Verdict]) -> Verdict:
    """Judge a claim that several things have to be so for: one that is not decides, then one that can't be told."""
    return "does not hold" if "does not hold" in verdicts else "undecided" if "undecided" in verdicts else "holds"


def _add_name(name: str, n: int) -> str:
    """What tells a claim from the same one about others; nothing if there are none."""
    return f" ({name})" if n > 1 else ""
