"""The test of Eq. 4 → charts and a table of the view of updates."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from raml.records import Alignment, AlignmentSummary, Estimate, Trajectory
from raml.report.charts import Axis, Chart, Part, Series, Table
from raml.report.looks import ALONE, OUTCOMES, SINGLE, TEXTS
from raml.report.plain import round_values, shorten_model, write_estimate
from raml.stats import average_questions, write_p

MEASURES: dict[str, tuple[str, str]] = {
    "cosine": ("Cosine of the whole update with −∇L", "All layers' down projections as one vector."),
    "step cosine": ("Cosine of the steps with −∇L", "Mean over the steps from one prefix to the next: Eq. 4 itself."),
    "layer cosine": ("Cosine by layer, mean over layers", "No layer counts for more because its update is longer."),
    "similarity": (
        "Similarity to an SGD step's effect on activations",
        "Cosine of what the text and what one SGD step change in a layer's output, mean over layers.",
    ),
}
"""Title and what is meant, by the name that a summary gives it."""
TAKERS: dict[str, Callable[[Alignment], float]] = {
    "cosine": lambda a: float(a.total_cosine[-1]),
    "step cosine": lambda a: _average_known(a.step_cosine),
    "layer cosine": lambda a: _average_known(a.cosine[-1]),
    "similarity": lambda a: _average_known(a.similarity[-1]),
    "predicted": lambda a: float(a.predicted[-1]),
    "true": lambda a: float(a.loss[-1]) - a.base_loss,
}
"""A text's own value, at its last prefix, by the same names."""
Texts = Sequence[tuple[str, str, Alignment]]
"""Kind of text, question and what was measured."""


def list_alignment_parts(
    trajectories: Sequence[Trajectory], alignments: Sequence[Alignment], summaries: Sequence[AlignmentSummary]
) -> list[Part]:
    """Draw each summary's means by kind of text with its questions behind them, and list its differences."""
    by_id = {trajectory.id: trajectory for trajectory in trajectories}
    parts: list[Part] = []
    for place, summary in enumerate(summaries):
        texts = [
            (OUTCOMES[by_id[a.trajectory_id].correct][0] if a.text == "trajectory" else a.text, question, a)
            for a in alignments
            if (a.model.name, a.settings) == (summary.model, summary.settings)
            and a.trajectory_id in by_id
            and (question := by_id[a.trajectory_id].question_id)
        ]
        suffix = f", {shorten_model(summary.model)}" if len(summaries) > 1 else ""
        parts += _describe_summary(summary, texts, f"alignment-{place + 1}", suffix)
    return parts


def _describe_summary(summary: AlignmentSummary, texts: Texts, key: str, suffix: str) -> list[Part]:
    parts: list[Part] = [
        _draw_measure(summary, texts, name, f"{key}-{name.replace(' ', '-')}", suffix)
        for name in MEASURES
        if any(name in row.means for row in summary.rows)
    ]
    if texts:
        parts.append(_draw_changes(texts, f"{key}-loss", suffix))
    if summary.differences:
        parts.append(_list_differences(summary, f"{key}-differences", suffix))
    return parts


def _draw_measure(summary: AlignmentSummary, texts: Texts, name: str, key: str, suffix: str) -> Chart:
    """A row a kind of text: its questions, and their mean."""
    title, meaning = MEASURES[name]
    rows = [(row.text, row.means[name]) for row in summary.rows if name in row.means]
    faint = [
        (place, value)
        for place, (text, _) in enumerate(rows)
        for value in _average_by_question(texts, text, name).values()
    ]
    behind = Series(
        name="one question", look=SINGLE, x=round_values([value for _, value in faint]),
        y=[place for place, _ in faint], faint=True,
    )  # fmt: skip
    extent = f" An update of this form could reach {summary.ceiling:.3g}." if name == "cosine" else ""
    return Chart(
        key=key,
        title=f"{title}{suffix}",
        caption=f"{meaning} Means over questions with 95 % intervals, single questions faint; Eq. 4 requires 1."
        f"{extent}",
        x=Axis("cosine", zero=True),
        y=Axis(""),
        series=[*([behind] if faint else []), _draw_means([estimate for _, estimate in rows])],
        rows=[text for text, _ in rows],
    )


def _draw_means(means: Sequence[Estimate]) -> Series:
    return Series(
        name="mean over questions",
        look=ALONE,
        x=round_values([mean.value for mean in means]),
        y=list(range(len(means))),
        low=round_values([mean.low for mean in means]),
        high=round_values([mean.high for mean in means]),
        notes=[f"{mean.n_questions} questions" for mean in means],
    )


def _draw_changes(texts: Texts, key: str, suffix: str) -> Chart:
    series = []
    for kind in dict.fromkeys(kind for kind, _, _ in texts):
        predicted, true = (_average_by_question(texts, kind, name) for name in ("predicted", "true"))
        known = [question for question in predicted if question in true]
        x, y = ([values[question] for question in known] for values in (predicted, true))
        series.append(Series(kind, TEXTS[kind], round_values(x), round_values(y), notes=known))
    order = list(TEXTS)
    return Chart(
        key=key,
        title=f"Change of the loss: predicted and true{suffix}",
        caption="A mark a question, means over its texts. Were updates small steps, all would lie on the diagonal.",
        x=Axis("ΔL that the gradient predicts, nats", zero=True),
        y=Axis("true ΔL, nats", zero=True),
        series=sorted(series, key=lambda one: order.index(one.name)),
        diagonal=True,
    )


def _list_differences(summary: AlignmentSummary, key: str, suffix: str) -> Table:
    rows = [
        [
            made.measure,
            made.against,
            str(made.difference.n_questions),
            write_estimate(made.difference, n_digits=4, is_signed=True),
            *map(write_p, (made.p, made.p_holm)),
        ]
        for made in summary.differences
    ]
    caption = (
        "How much larger a measure is for right trajectories than for other texts on the same questions, with 95 % "
        "intervals; p: paired sign-flip test over questions, adjusted for all rows (Holm)."
    )
    headings = ["measure", "right minus", "questions", "difference", "p", "p (Holm)"]
    return Table(key, f"Right trajectories beside other texts{suffix}", caption, headings, rows)


def _average_by_question(texts: Texts, kind: str, name: str) -> dict[str, float]:
    """A kind's mean for each question, over those of its texts that have a value."""
    values = [(question, TAKERS[name](a)) for label, question, a in texts if label == kind]
    known = [(question, value) for question, value in values if np.isfinite(value)]
    ids = [question for question, _ in known]
    return dict(zip(dict.fromkeys(ids), average_questions(ids, [value for _, value in known]).tolist(), strict=True))


def _average_known(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean(dtype=float)) if len(known) else float("nan")
