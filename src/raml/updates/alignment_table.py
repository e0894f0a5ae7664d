"""The test of Eq. 4 as tables: rows of text for the terminal and Markdown, and everything as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from raml.records import AlignmentRow, AlignmentSummary, Estimate
from raml.stats import write_p
from raml.store import escape_markdown, write_markdown_table
from raml.updates.alignment_summary import judge_equation, write_cosine

Table = tuple[list[str], list[list[str]]]
"""Headings, and rows of as many cells."""


def list_rows(summary: AlignmentSummary) -> Table:
    """List how each kind of text aligns, as means over questions with intervals."""
    headings = ["text", "questions", "texts", "cosine", "layer cosine", "step cosine", "similarity"]
    headings += ["predicted ΔL", "true ΔL", "same sign", "Pearson", "Spearman"]
    return headings, [_list_row(row) for row in summary.rows]


def list_differences(summary: AlignmentSummary) -> Table:
    """List how much better right trajectories align than other texts on the same questions."""
    headings = ["right minus", "measure", "questions", "difference", "p", "p (Holm)"]
    rows = [
        [
            made.against,
            made.measure,
            str(made.difference.n_questions),
            write_cosine(made.difference),
            *map(write_p, (made.p, made.p_holm)),
        ]
        for made in summary.differences
    ]
    return headings, rows


def describe_table(summary: AlignmentSummary) -> list[str]:
    """Say what a reader of the tables must know, a line each."""
    share = summary.settings.step_share
    lines = [
        "Means over questions at the whole text (step cosine: over its steps); in brackets 95 % intervals; p: paired "
        "sign-flip test over questions, Holm: for all rows of the table.",
        "cosine: of θ'_n − θ with −∇L(θ), all down projections as one vector; layer cosine: mean of the layers' own. "
        "step cosine: of θ'_i − θ'_{i−1} with −∇L(θ'_{i−1}), Eq. 4 word for word.",
        "similarity: of what the text and what one SGD step on L does to the outputs of layers (step length "
        f"{share:g} of the weights' norm). ΔL in nats per answer token.",
        f"The largest cosine that an update of this form could have is {summary.ceiling:.3f}; random directions in the "
        f"updates' own span have ±{summary.spread:.4f} (root mean square).",
    ]
    if summary.outside is not None:
        n_directions = summary.settings.n_directions
        lines.append(
            f"Of right trajectories {100 * summary.outside:.0f} % have a cosine that is, either way, larger than those "
            f"of all {n_directions} random directions of their own; by chance {100 / (n_directions + 1):.0f} % would. "
            "As many of these directions lie uphill as downhill, so they are a scale and not compared in the mean."
        )
    for estimate, effect in ((summary.lowering, "lower"), (summary.raising, "do not lower")):
        if estimate is not None:
            lines.append(
                f"Null texts that {effect} L have a mean cosine of {write_cosine(estimate)} "
                f"({estimate.n_questions} questions)."
            )
    if summary.n_undefined:
        lines.append(f"{summary.n_undefined} steps began where the loss has no gradient; they are left out.")
    return lines


def write_markdown(summaries: Sequence[AlignmentSummary]) -> str:
    """Write sentence, tables and notes of each model."""
    parts: list[str] = []
    for summary in summaries:
        parts += [f"# {escape_markdown(summary.model)}\n", f"{escape_markdown(judge_equation(summary))}\n"]
        parts += [write_markdown_table(*table) for table in (list_rows(summary), list_differences(summary)) if table[1]]
        parts.append("".join(f"* {escape_markdown(line)}\n" for line in describe_table(summary)))
    return "\n".join(parts)


def write_json(summaries: Sequence[AlignmentSummary]) -> str:
    """Write the summaries as a list, each with its sentence; an interval without ends has null there."""
    plain = [{**msgspec.to_builtins(summary), "sentence": judge_equation(summary)} for summary in summaries]
    return msgspec.json.format(msgspec.json.encode(plain), indent=2).decode() + "\n"


def _list_row(row: AlignmentRow) -> list[str]:
    def write(name: str, n_digits: int = 4) -> str:
        return _write_estimate(row.means[name], n_digits) if name in row.means else ""

    agreement = f"{100 * row.means['agreement'].value:.0f} %" if "agreement" in row.means else ""
    correlations = ["" if value is None else f"{value:.2f}" for value in (row.pearson, row.spearman)]
    return [
        row.text,
        str(row.means["cosine"].n_questions if "cosine" in row.means else 0),
        str(row.n_texts),
        write("cosine"),
        write("layer cosine"),
        write("step cosine"),
        write("similarity", 3),
        write("predicted", 3),
        write("true", 3),
        agreement,
        *correlations,
    ]


def _write_estimate(estimate: Estimate, n_digits: int) -> str:
    if not math.isfinite(estimate.low):
        return f"{estimate.value:z.{n_digits}f}"
    return f"{estimate.value:z.{n_digits}f} [{estimate.low:z.{n_digits}f}, {estimate.high:z.{n_digits}f}]"
