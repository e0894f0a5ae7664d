"""What curves say as tables: rows of text for the terminal and Markdown, and everything as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from raml.curves.auroc import Auroc
from raml.curves.groups import MODE_NAMES, MODES
from raml.curves.parting import ENDS, PartingSummary
from raml.curves.recognition import Recognition
from raml.curves.sentences import write_estimate, write_sentences, write_share
from raml.curves.settling import SHARES
from raml.curves.summary import CurveSummary
from raml.records import Estimate
from raml.stats import write_p
from raml.store import escape_markdown, write_markdown_table

Table = tuple[list[str], list[list[str]]]
"""Headings, and rows of as many cells."""
NOTHING = "–"


def list_modes(summary: CurveSummary) -> Table:
    """List how curves of the gold answer fall in both modes."""
    headings = ["gold answer", "questions", "thinking", "no-thinking", "no-thinking − thinking", "p", "p (Holm)"]
    rows = []
    for made in summary.modes.contrasts if summary.modes else ():
        is_share = made.measure == "accuracy"
        write = write_share if is_share else write_estimate
        cells = [write(made.think), write(made.nothink), write(made.difference, sign="+")]
        rows.append([made.measure, str(made.difference.n_questions), *cells, write_p(made.p), write_p(made.p_holm)])
    return headings, rows


def list_parting(summary: CurveSummary) -> Table:
    """List where wrong trajectories leave the gold answer."""
    modes = [made for made in summary.parting if made.n_wrong]
    headings = ["wrong trajectories", *(MODE_NAMES[made.mode] for made in modes)]
    rows = [
        ["trajectories", *(str(made.n_wrong) for made in modes)],
        ["questions", *(str(made.parts.n_questions if made.parts else 0) for made in modes)],
        ["part for good", *(_write(made.parts, is_share=True) for made in modes)],
        ["apart from the start", *(_write(made.parted_at_start, is_share=True) for made in modes)],
        ["tokens until they part", *(_write(made.tokens) for made in modes)],
        ["share of the length until they part", *(_write(made.place) for made in modes)],
        ["share until they are first apart", *(_write(made.first_place) for made in modes)],
    ]
    rows += [[f"L̂ of {name}", *(_write(made.losses.get(name)) for made in modes)] for name in ENDS]
    return headings, rows if modes else []


def list_recognition(summary: CurveSummary) -> list[Table]:
    """List how well scores tell right from wrong, a table for all questions and one for the held-out half, by mode."""
    tables: list[Table] = []
    for made in summary.recognition:
        groups = [(f"AUROC, {MODE_NAMES[made.mode]}", made.rows)]
        if made.held_out is not None:
            groups.append((f"AUROC, {MODE_NAMES[made.mode]}, held-out half", made.held_out.rows))
        for title, rows in groups:
            shown = [row for row in rows if row.pooled is not None or row.within is not None]
            kinds = ["all pairs", "p (Holm)", "within questions", "questions", "p (Holm)"]
            cells = [
                [
                    f"{row.score} (baseline)" if row.is_baseline else row.score,
                    *_write_auroc(row.pooled)[::2],
                    *_write_auroc(row.within),
                ]
                for row in shown
            ]
            if cells:
                tables.append(([title, *kinds], cells))
    return tables


def list_settling(summary: CurveSummary) -> list[Table]:
    """List where the model's own answer becomes right, settles and changes for the last time, a table a mode."""
    tables: list[Table] = []
    for mode in MODES:
        rows = [row for row in summary.settling if row.mode == mode]
        names = list(dict.fromkeys(name for row in rows for name in row.means))
        cells = [
            ["trajectories", *(str(row.n_readouts) for row in rows)],
            *([name, *(_write(row.means.get(name), is_share=name in SHARES) for row in rows)] for name in names),
        ]
        if rows:
            tables.append(([f"readout, {MODE_NAMES[mode]}", *(row.group for row in rows)], cells))
    return tables


def list_tables(summary: CurveSummary) -> list[Table]:
    """All tables that have rows."""
    tables = [list_modes(summary), list_parting(summary), *list_recognition(summary), *list_settling(summary)]
    return [table for table in tables if table[1]]


def describe_tables(summary: CurveSummary) -> list[str]:
    """Say what a reader of the tables must know, a line each."""
    settings, level = summary.settings, f"{100 * summary.settings.level:g} %"
    lines = [
        f"Means over questions, in brackets {level} intervals; L̂ in nats per answer token; p: paired sign-flip test "
        "over questions, Holm: for all tests of its table.",
        f"A curve falls if it comes below its start by more than {settings.margin:g} nats anywhere; its fall is that "
        "from the start to the lowest point. Curves part where the own answer's L̂ stays below the gold one's by more "
        "than that to the end.",
    ]
    if summary.modes is not None:
        lines.append(
            "No-thinking has another prompt (an empty thinking block, or a delimiter sentence), so its L̂ at the start "
            'is another one too. "L̂ after as many tokens": thinking cut at the length of the no-thinking reasoning.'
        )
        lines += [
            f"{MODE_NAMES[made.mode]}: {made.n_flat} of {made.n_traced} curves do not fall, {made.n_higher} end above "
            f"their start."
            for made in summary.modes.modes
        ]
        if summary.modes.n_unpaired:
            lines.append(f"{summary.modes.n_unpaired} questions have curves of one mode alone and are left out there.")
    lines += [line for made in summary.parting if (line := _count_parting(made))]
    for made in summary.recognition:
        lines += _describe_recognition(made)
    if summary.settling:
        lines.append(
            "Answers of readouts are the same if both are right, or if neither is and their texts agree without "
            "blanks, dollar signs and the form of a number; positions are shares of the length that was followed."
        )
        n_empty = sum(row.n_empty for row in summary.settling if row.group == "all")
        if n_empty:
            lines.append(f"{n_empty} trajectories have no reasoning; they have no positions.")
    if summary.traced.every != 1:
        every = "where sentences end" if summary.traced.every == "sentence" else f"every {summary.traced.every} tokens"
        lines.append(f"Measured {every} only: positions are upper bounds, and what happened in between is not seen.")
    return [*lines, *summary.missing]


def write_markdown(summaries: Sequence[CurveSummary]) -> str:
    """Write sentences, tables and notes of each set of curves."""
    parts: list[str] = []
    for summary in summaries:
        parts.append(f"# {escape_markdown(name_summary(summary))}\n")
        parts += [f"{escape_markdown(line)}\n" for line in write_sentences(summary)]
        parts += [write_markdown_table(*table) for table in list_tables(summary)]
        parts.append("".join(f"* {escape_markdown(line)}\n" for line in describe_tables(summary)))
    return "\n".join(parts)


def write_json(summaries: Sequence[CurveSummary]) -> str:
    """Write the summaries as a list, each with its sentences; what is unknown, or an end without bound, is null."""
    plain = [{**msgspec.to_builtins(made), "sentences": write_sentences(made)} for made in summaries]
    return msgspec.json.format(msgspec.json.encode(plain), indent=2).decode() + "\n"


def name_summary(summary: CurveSummary) -> str:
    """Name a set of curves by its model and by what is not usual about it."""
    traced, parts = summary.traced, [summary.model]
    parts += [] if summary.writer == summary.model else [f"on trajectories of {summary.writer}"]
    parts += (
        [] if traced.every == 1 else ["by sentence" if traced.every == "sentence" else f"every {traced.every} tokens"]
    )
    parts += [] if traced.span == "reasoning" else ["whole responses"]
    parts += [] if traced.bridge == type(traced)().bridge else [f"bridge {traced.bridge!r}"]
    return ", ".join(parts)


def _count_parting(made: PartingSummary) -> str:
    """What became of trajectories that have no two curves."""
    parts = [
        f"{made.n_right} right ones have the gold answer as their own ({made.n_same_text} of them in its very tokens)"
        if made.n_right
        else "",
        f"{made.n_unanswered} wrong ones gave no answer" if made.n_unanswered else "",
        f"{made.n_untraced} wrong ones lack a trace" if made.n_untraced else "",
        f"{made.n_undecided} are undecided" if made.n_undecided else "",
    ]
    told = "; ".join(part for part in parts if part)
    return f"{MODE_NAMES[made.mode]}, parting: {told}." if told else ""


def _describe_recognition(made: Recognition) -> list[str]:
    name = MODE_NAMES[made.mode]
    lines = [
        f"{name}, AUROC: {made.n_right} right and {made.n_wrong} wrong trajectories; left out: {made.n_unanswered} "
        f"without an answer, {made.n_undecided} undecided, {made.n_untraced} without a trace of their own answer."
    ]
    unknown = {row.score: row.n_unknown for row in made.rows if row.n_unknown}
    lines += [f'{name}: {n} trajectories lack the score "{score}".' for score, n in unknown.items()]
    if made.held_out is None:
        lines.append(f"{name}: no combined score; each half of the questions needs right and wrong trajectories.")
        return lines
    held = made.held_out
    weights = ", ".join(f"{score} {weight:+.2f}" for score, weight in held.weights.items())
    lines.append(
        f"{name}: the combined score is a logistic regression fitted on {held.n_fitted} questions and measured on the "
        f"other {held.n_tested}; log-odds for one standard deviation: {weights}. The best single score on the former: "
        f"{held.best}." + (f" {held.n_unknown} trajectories lack a score." if held.n_unknown else "")
    )
    return lines


def _write(estimate: Estimate | None, *, is_share: bool = False) -> str:
    if estimate is None:
        return NOTHING
    return write_share(estimate) if is_share else write_estimate(estimate)


def _write_auroc(made: Auroc | None) -> list[str]:
    """Estimate, questions, adjusted p."""
    if made is None:
        return [NOTHING] * 3
    p = NOTHING if made.p_holm is None or math.isnan(made.p_holm) else write_p(made.p_holm)
    return [write_estimate(made.estimate), str(made.estimate.n_questions), p]
