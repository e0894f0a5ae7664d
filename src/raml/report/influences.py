"""Which tokens move the answer → the view of words, parts, places and sentences."""

from __future__ import annotations

from collections.abc import Sequence

from raml.records import Effect, Family, InfluenceRow, InfluenceSummary
from raml.report.charts import Axis, Chart, Part, Series, Table, View
from raml.report.looks import DIRECTION, MEAN, MEDIAN, SIZE
from raml.report.plain import round_values, shorten_model, write_estimate
from raml.stats import SIGNIFICANT, write_p, write_relation

FAMILIES: dict[Family, str] = {
    "word": "Listed words",
    "part": "Numbers, operators and words",
    "position": "Tenths of the reasoning",
    "sentence": "Sentences",
}
CONTROLS = (
    "Controls are stretches of the same trajectory that are as long, about as frequent and in the same quarter of the "
    "reasoning (tenths: tokens of the other tenths; sentences: others of the same question)."
)


def describe_influences(summaries: Sequence[InfluenceSummary], sentences: Sequence[str] = ()) -> View | None:
    """Describe how far groups of steps move the answer's loss; None where nothing was measured.

    Args:
        summaries: One a model and kind of trace.
        sentences: What influence.json says of them.
    """
    if not summaries:
        return None
    paragraphs = [
        "Which tokens move the answer? Shown is how far a group's steps move L̂ (|Δ log|) and which way (Δ log: below 0 "
        "the answer comes nearer), both beyond matched controls. The paper's own measure, |ΔL̂|/L̂, has no controls, and "
        "a few steps where L̂ is near 0 can make its mean; the median does not follow them.",
        *sentences,
        *(text for summary in summaries if (text := _describe_largest(summary))),
    ]
    parts: list[Part] = []
    for place, summary in enumerate(summaries):
        suffix = f", {name_summary(summary)}" if len(summaries) > 1 else ""
        parts += _describe_summary(summary, f"tokens-{place + 1}", suffix)
    return View(key="tokens", title="Tokens", paragraphs=paragraphs, parts=parts)


def _describe_largest(summary: InfluenceSummary) -> str:
    """An example of what the paper's measure does where L̂ is near 0."""
    step = summary.largest
    if step is None:
        return ""
    what = "a step" if step.text is None else f"“{' '.join(step.text.split())}”"
    return (
        f"The largest |ΔL̂|/L̂ of {shorten_model(summary.model)} is {step.relative:,.4g}: {what} in trajectory "
        f"{step.trajectory_id[:8]} moves L̂ from {step.before:.3g} to {step.after:.3g} nats."
    )


def name_summary(summary: InfluenceSummary) -> str:
    """Name the model that scored, whose trajectories they are if not its own, and where it scored if not everywhere."""
    name = shorten_model(summary.model)
    if summary.writer != summary.model:
        name += f" on trajectories of {shorten_model(summary.writer)}"
    every = summary.trace.every
    return name if every == 1 else f"{name}, {'by sentence' if every == 'sentence' else f'every {every} tokens'}"


def _describe_summary(summary: InfluenceSummary, key: str, suffix: str) -> list[Part]:
    rows = [row for row in summary.rows if row.outcome == "all"]
    parts: list[Part] = []
    for family, title in FAMILIES.items():
        own = [row for row in rows if row.family == family]
        if any(row.size or row.direction for row in own):
            parts.append(_draw_effects(summary, own, f"{key}-{family}", f"{title}{suffix}"))
    measured = [row for row in rows if row.mean_relative is not None]
    if measured:
        parts.append(_draw_relative(measured, f"{key}-relative", suffix))
    return [*parts, _list_rows(summary, rows, f"{key}-groups", suffix)]


def _draw_effects(summary: InfluenceSummary, rows: Sequence[InfluenceRow], key: str, title: str) -> Chart:
    """Both effects of a family's groups; a group without units keeps its row, so that one sees it was looked for."""
    epsilon = summary.settings.epsilon
    return Chart(
        key=key,
        title=title,
        caption=f"Change of log(L̂ + {epsilon:g}) minus that of matched controls, mean over questions, with "
        f"{100 * summary.level:g} % intervals. {CONTROLS}",
        x=Axis("beyond controls", zero=True),
        y=Axis(""),
        series=[
            _draw_effect("|Δ log|: above 0, moves L̂ more", SIZE, [row.size for row in rows]),
            _draw_effect("Δ log: below 0, answer comes nearer", DIRECTION, [row.direction for row in rows]),
        ],
        rows=[f"{row.group} (n = {row.n_units:,})" for row in rows],
    )


def _draw_effect(name: str, look: int, effects: Sequence[Effect | None]) -> Series:
    known = [(place, effect) for place, effect in enumerate(effects) if effect is not None]
    return Series(
        name=name,
        look=look,
        x=round_values([effect.difference.value for _, effect in known]),
        y=[place for place, _ in known],
        low=round_values([effect.difference.low for _, effect in known]),
        high=round_values([effect.difference.high for _, effect in known]),
        notes=[
            f"p {write_relation(effect.p_holm)} (Holm), {effect.difference.n_questions} questions"
            + ("; stands out" if effect.p_holm < SIGNIFICANT else "")
            for _, effect in known
        ],
    )


def _draw_relative(rows: Sequence[InfluenceRow], key: str, suffix: str) -> Chart:
    places = list(range(len(rows)))
    return Chart(
        key=key,
        title=f"The paper's measure |ΔL̂| / L̂{suffix}",
        caption="Over the units of each group, without controls. Where a mean is far above its median, few steps with "
        "L̂ near 0 make it. What is 0 has no place on this axis.",
        x=Axis("|ΔL̂| / L̂ before the step", "log"),
        y=Axis(""),
        series=[
            Series("mean", MEAN, round_values([row.mean_relative for row in rows]), places),
            Series("median", MEDIAN, round_values([row.median_relative for row in rows]), places),
        ],
        rows=[f"{row.group} (n = {row.n_units:,})" for row in rows],
    )


def _list_rows(summary: InfluenceSummary, rows: Sequence[InfluenceRow], key: str, suffix: str) -> Table:
    headings = ["kind", "group", "questions", "n", "no control", "mean |ΔL̂|/L̂", "median"]
    headings += ["|Δ log| beyond controls", "p (Holm)", "Δ log beyond controls", "p (Holm)"]
    caption = (
        f"{summary.n_steps:,} steps of {summary.n_trajectories} trajectories of {summary.n_questions} questions. "
        f"In brackets {100 * summary.level:g} % intervals over questions; p by permutation, adjusted for all groups of "
        "all, right and wrong trajectories (Holm). Units without a control are counted and left out of the effects."
    )
    return Table(key, f"All groups{suffix}", caption, headings, [_list_row(row) for row in rows])


def _list_row(row: InfluenceRow) -> list[str]:
    cells = [row.family, row.group, *(f"{count:,}" for count in (row.n_questions, row.n_units, row.n_unmatched))]
    cells += ["" if value is None else f"{value:.3g}" for value in (row.mean_relative, row.median_relative)]
    for effect in (row.size, row.direction):
        cells += ["", ""] if effect is None else [_write_effect(effect), write_p(effect.p_holm)]
    return cells


def _write_effect(effect: Effect) -> str:
    """Write how much larger a value is than for controls."""
    return write_estimate(effect.difference, is_signed=True)
