"""An evaluation as tables: rows of text for the terminal, Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import get_args

import msgspec

from raml.records import Comparison, Estimate, Evaluation, Score, Verdict
from raml.stats import write_p
from raml.store import escape_markdown, write_markdown_table

Table = tuple[list[str], list[list[str]]]
"""Headings, and rows of as many cells."""


def list_scores(evaluation: Evaluation) -> Table:
    """List how each model did: questions, decided responses to each, metrics in percent with intervals."""
    metrics = _name_metrics(evaluation)
    return ["benchmark", "model", "questions", "n", *metrics], [_list_score(s, metrics) for s in evaluation.scores]


def list_verdicts(evaluation: Evaluation) -> Table:
    """List how many responses came out how, how many were cut off before their end, and their mean length."""
    headings = ["benchmark", "model", *get_args(Verdict), "cut off", "tokens"]
    rows = []
    for score in evaluation.scores:
        counts = [score.verdicts[verdict] for verdict in get_args(Verdict)]
        numbers = [f"{count:,}" for count in (*counts, score.n_cut, round(score.mean_tokens))]
        rows.append([score.benchmark, score.model, *numbers])
    return headings, rows


def list_comparisons(evaluation: Evaluation) -> Table:
    """List the paired differences, in percentage points."""
    headings = ["benchmark", "model", "against", "questions", "metric", "difference", "p", "p (Holm)"]
    return headings, [_list_comparison(comparison) for comparison in evaluation.comparisons]


def write_markdown(evaluation: Evaluation) -> str:
    """Write the tables and the notes as Markdown."""
    parts = [write_markdown_table(*list_scores(evaluation)), write_markdown_table(*list_verdicts(evaluation))]
    if evaluation.comparisons:
        parts.append(write_markdown_table(*list_comparisons(evaluation)))
    notes = [describe_intervals(evaluation), *evaluation.notes]
    return "\n".join([*parts, *(f"* {escape_markdown(note)}" for note in notes)]) + "\n"


def write_csv(evaluation: Evaluation) -> str:
    """Write one row an estimate, differences too, as numbers from 0 to 1 at full precision."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    counts = [verdict.replace(" ", "_") for verdict in get_args(Verdict)]
    shared = ["metric", "value", "low", "high", "level", "method", "n_questions"]
    writer.writerow(["benchmark", "model", "baseline", *shared, "p", "p_holm", "n_min", "n_max", *counts, "cut_off"])
    for score in evaluation.scores:
        tail = [score.n_min, score.n_max, *(score.verdicts[verdict] for verdict in get_args(Verdict)), score.n_cut]
        for estimate in score.estimates:
            writer.writerow([score.benchmark, score.model, "", *_list_numbers(estimate), "", "", *tail])
    for made in evaluation.comparisons:
        numbers = _list_numbers(made.difference)
        blanks = [""] * (len(counts) + 3)
        writer.writerow([made.benchmark, made.model, made.baseline, *numbers, made.p, made.p_holm, *blanks])
    return sink.getvalue()


def write_json(evaluation: Evaluation) -> str:
    """Write the record as it is, as JSON."""
    return msgspec.json.format(msgspec.json.encode(evaluation), indent=2).decode() + "\n"


def describe_intervals(evaluation: Evaluation) -> str:
    """Say in a line what the brackets are."""
    estimates = [estimate for score in evaluation.scores for estimate in score.estimates]
    methods = " or ".join(dict.fromkeys(estimate.method for estimate in estimates))
    text = f"Percent; in brackets {100 * estimates[0].level:g} % intervals over questions ({methods})"
    if evaluation.comparisons:
        text += "; p: paired permutation test over questions, Holm: for all rows of the table"
    return f"{text}."


def _name_metrics(evaluation: Evaluation) -> list[str]:
    """List the metrics' names in order; Avg@n of several n is one column each."""
    return list(dict.fromkeys(estimate.name for score in evaluation.scores for estimate in score.estimates))


def _list_score(score: Score, metrics: Sequence[str]) -> list[str]:
    by_name = {estimate.name: estimate for estimate in score.estimates}
    n = f"{score.n_min}" if score.n_min == score.n_max else f"{score.n_min}–{score.n_max}"
    cells = [_write_percent(by_name[name]) if name in by_name else "" for name in metrics]
    return [score.benchmark, score.model, str(score.estimates[0].n_questions), n, *cells]


def _list_comparison(made: Comparison) -> list[str]:
    name = made.difference.name.removesuffix(" difference")
    difference = _write_percent(made.difference, signed=True)
    tested = [write_p(made.p), write_p(made.p_holm)]
    return [made.benchmark, made.model, made.baseline, str(made.difference.n_questions), name, difference, *tested]


def _list_numbers(estimate: Estimate) -> list[object]:
    return [
        estimate.name,
        estimate.value,
        estimate.low,
        estimate.high,
        estimate.level,
        estimate.method,
        estimate.n_questions,
    ]


def _write_percent(estimate: Estimate, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    value, low, high = (format(100 * number, f"{sign}.1f") for number in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]"
