"""What moves L̂, as tables: rows of text for the terminal and Markdown, and everything as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from raml.influence.groups import EVERY_STEP, EVERY_WORD
from raml.records import Effect, Estimate, Family, InfluenceRow, InfluenceSummary, TraceSettings
from raml.stats import SIGNIFICANT, write_p
from raml.store import escape_markdown, write_markdown_table

Table = tuple[list[str], list[list[str]]]
"""Headings, and rows of as many cells."""
FAMILIES: dict[Family, str] = {
    "word": "Listed words",
    "part": "Parts",
    "position": "Positions in the reasoning",
    "sentence": "Sentences",
}
ANSWERS = {"gold": "the gold answer", "own": "the answer that the trajectory itself ends with"}


def list_rows(summary: InfluenceSummary, family: Family, *, is_short: bool = False) -> Table:
    """List the groups of one family for all, right and wrong trajectories.

    The short list is of all trajectories and without the effects on the paper's measure. A group that occurs nowhere
    has one row, not three.
    """
    headings = [FAMILIES.get(family, "steps").lower(), "trajectories", "questions", "n", "no control"]
    headings += ["mean |ΔL̂|/L̂", "median"]
    for name in ("|Δ log|", "Δ log") if is_short else ("|ΔL̂|/L̂", "|Δ log|", "Δ log"):
        headings += [f"{name} beyond controls", "p (Holm)"]
    families = ("all", family) if family == "word" else (family,)
    rows = [
        _list_row(row, is_short)
        for row in summary.rows
        if row.family in families and (row.outcome == "all" or (not is_short and row.n_units))
    ]
    return headings, rows


def describe_table(summary: InfluenceSummary) -> list[str]:
    """Say what a reader of the tables must know, a line each."""
    epsilon, level = summary.settings.epsilon, f"{100 * summary.level:g} %"
    lines = [
        f"{summary.n_steps:,} steps of {summary.n_trajectories} trajectories ({summary.n_right} right, "
        f"{summary.n_wrong} wrong; {summary.n_questions} questions, mode {summary.mode}); L̂ of "
        f"{ANSWERS[summary.trace.target]}. |ΔL̂|/L̂: the paper's measure, over units.",
        f"Δ log: change of log(L̂ + {epsilon:g}); below 0 the answer came nearer. Beyond controls: a unit's value minus "
        "the mean of its controls, averaged over a question's units and then over questions, with the "
        f"{level} interval over questions.",
        "Controls of a token or word: stretches of as many tokens without it, of the same trajectory, about as "
        "frequent (a factor of 2), in the same quarter of the reasoning; of a tenth: tokens of its other tenths, about "
        "as frequent; of a sentence: others of the same question, about as long, in the same third unless places are "
        "compared.",
        f"p: labels permuted among a unit and its controls ({summary.n_resamples:,} draws), of a tenth, whose tokens "
        "hang together: signs of the questions' differences flipped; Holm: for all groups of these tables, of all, "
        "right and wrong trajectories. Units without any control are counted and left out there.",
    ]
    row = summary.find_row(EVERY_STEP)
    if row is not None and row.n_undefined:
        lines.append(f"At {row.n_undefined:,} steps L̂ before is 0, so |ΔL̂|/L̂ is infinite or undefined; left out of it.")
    if (step := summary.largest) is not None:
        lines.append(
            f"The largest |ΔL̂|/L̂ is {step.relative:,.4g}: {'a step' if step.text is None else repr(step.text)} in "
            f"trajectory {step.trajectory_id} moves L̂ "
            f"from {step.before:.3g} to {step.after:.3g} nats; Δ log is {step.log_change:+.2f} there."
        )
    return lines + _list_gaps(summary)


def judge_words(summary: InfluenceSummary) -> str:
    """Say in a sentence which listed words move L̂ unlike their controls, at a level of 5 % after Holm's correction."""
    if not summary.every_token:
        return (
            f"Words and parts of {name_summary(summary)} can't be measured: L̂ is not known after every token. "
            "Make such traces with `raml trace RUN --every 1`."
        )
    rows = [row for row in summary.rows if row.family == "word" and row.group != EVERY_WORD and row.outcome == "all"]
    found = [row for row in rows if row.n_units]
    if not found:
        return f"None of the listed words occurs in the {summary.n_trajectories} trajectories of {summary.model}."
    told = [text for row in found if (text := _describe_word(row))]
    others = [row.group for row in found if not _describe_word(row)]
    text = f"In {summary.model} {'; '.join(told)}" if told else f"In {summary.model} no listed word is told apart"
    if told and others:
        text += f"; {', '.join(others)} can't be told apart from controls"
    elif others:
        text += f" from its controls ({', '.join(others)})"
    return f"{text}."


def write_markdown(summaries: Sequence[InfluenceSummary]) -> str:
    """Write sentence, tables and notes of each model and kind of trace."""
    parts: list[str] = []
    for summary in summaries:
        parts += [f"# {escape_markdown(name_summary(summary))}\n", f"{escape_markdown(judge_words(summary))}\n"]
        for family, title in FAMILIES.items():
            headings, rows = list_rows(summary, family)
            if rows:
                parts += [f"## {title}\n", write_markdown_table(headings, rows)]
        parts.append("".join(f"* {escape_markdown(line)}\n" for line in describe_table(summary)))
    return "\n".join(parts)


def write_json(summaries: Sequence[InfluenceSummary]) -> str:
    """Write the summaries as a list, each with its sentence; an interval without ends has null there."""
    plain = [{**msgspec.to_builtins(summary), "sentence": judge_words(summary)} for summary in summaries]
    return msgspec.json.format(msgspec.json.encode(plain), indent=2).decode() + "\n"


def name_summary(summary: InfluenceSummary) -> str:
    """Name a summary by its model and by what is not usual about its traces."""
    usual, traced, parts = TraceSettings(), summary.trace, [summary.model]
    parts += [] if summary.writer == summary.model else [f"on trajectories of {summary.writer}"]
    every = "by sentence" if traced.every == "sentence" else f"every {traced.every} tokens"
    parts += [] if traced.every == usual.every else [every]
    parts += [] if traced.span == usual.span else ["whole responses"]
    return ", ".join(parts + ([] if traced.bridge == usual.bridge else [f"bridge {traced.bridge!r}"]))


def find_least_draws(summary: InfluenceSummary) -> int:
    """How many draws a p-value of these tables needs at least to be below the level after Holm's correction.

    The smallest p of n draws is 2/(n + 1), and the smallest of m is multiplied by m.
    """
    n_tests = sum(row.direction is not None for row in summary.rows)
    return math.ceil(2 * n_tests / SIGNIFICANT - 1e-6)


def is_significant(effect: Effect | None) -> bool:
    """Whether a group differs from its controls at a level of 5 % after Holm's correction."""
    return effect is not None and effect.p_holm < SIGNIFICANT


def _list_gaps(summary: InfluenceSummary) -> list[str]:
    """Say what could not be measured, and which words are not there."""
    lines = []
    words = [row for row in summary.rows if row.family == "word" and row.group != EVERY_WORD and row.outcome == "all"]
    if absent := [row.group for row in words if not row.n_units]:
        lines.append(f"Not found in these trajectories: {', '.join(absent)}.")
    if mixed := [f"{row.group} {row.n_mixed} of {row.n_units}" for row in words if row.n_mixed]:
        lines.append(
            f"Words whose tokens hold more than the word, such as a comma, counted with it: {', '.join(mixed)}."
        )
    if summary.n_resamples < (least := find_least_draws(summary)):
        lines.append(
            f"With {summary.n_resamples:,} draws no group of so many can have a p below {SIGNIFICANT:g} after Holm's "
            f"correction; use --n-resamples {least} or more."
        )
    if not summary.every_token:
        lines.append("L̂ is not known after every token: words and parts are missing, and a step is several tokens.")
    if summary.n_sentences_unknown:
        lines.append(
            f"Of {summary.n_sentences:,} sentences {summary.n_sentences_unknown:,} begin or end where L̂ was not "
            "scored; these are left out."
        )
    return lines


def _describe_word(row: InfluenceRow) -> str:
    """What sets a word apart from its controls; empty if nothing does."""
    texts = []
    if row.direction is not None and is_significant(row.direction):
        way = "nearer" if row.direction.difference.value < 0 else "farther away"
        texts.append(
            f"brings the answer {way} (Δ log {_write_estimate(row.direction.difference)}, "
            f"p = {write_p(row.direction.p_holm)})"
        )
    if row.size is not None and is_significant(row.size):
        way = "more" if row.size.difference.value > 0 else "less"
        texts.append(f"moves L̂ {way} (|Δ log| {_write_estimate(row.size.difference)}, p = {write_p(row.size.p_holm)})")
    return f"{row.group} {' and '.join(texts)} than its controls" if texts else ""


def _list_row(row: InfluenceRow, is_short: bool) -> list[str]:
    counts = [f"{count:,}" for count in (row.n_questions, row.n_units, row.n_unmatched)]
    values = [row.mean_relative, row.median_relative]
    cells = [row.group, row.outcome, *counts, *("" if value is None else f"{value:.3g}" for value in values)]
    for effect in (row.size, row.direction) if is_short else (row.relative, row.size, row.direction):
        cells += ["", ""] if effect is None else [_write_estimate(effect.difference), write_p(effect.p_holm)]
    return cells


def _write_estimate(estimate: Estimate) -> str:
    if not math.isfinite(estimate.low):
        return f"{estimate.value:+.3f}"
    return f"{estimate.value:+.3f} [{estimate.low:+.3f}, {estimate.high:+.3f}]"
