"""What a run lets one test → the view that lists it, and how often models were right."""

from __future__ import annotations

from collections.abc import Sequence

from raml.records import (
    AlignmentSummary,
    Estimate,
    Evaluation,
    Frontier,
    InfluenceSummary,
    Trace,
    Trajectory,
    Update,
)
from raml.report.charts import Axis, Chart, Part, Series, Table, View
from raml.report.findings import (
    MODES,
    Claim,
    count_right,
    gather_counts,
    judge_modes,
    judge_reading,
    judge_updates,
    list_models,
)
from raml.report.looks import N_LOOKS
from raml.report.plain import round_values, shorten_model
from raml.report.summary_findings import judge_alignments, judge_frontiers, judge_influences
from raml.stats import Metric, estimate_metric

HEADINGS = ("claim", "measured", "interval", "questions", "holds if", "verdict", "tab")


def describe_claims(
    trajectories: Sequence[Trajectory],
    traces: Sequence[Trace],
    updates: Sequence[Update] = (),
    *,
    alignments: Sequence[AlignmentSummary] = (),
    influences: Sequence[InfluenceSummary] = (),
    frontiers: Sequence[Frontier] = (),
    evaluation: Evaluation | None = None,
) -> View | None:
    """Describe what the run's records say to claims about reasoning; None where nothing can be said.

    Args:
        trajectories: All of the run.
        traces: At most one for a trajectory, all made with the same settings; those of gold answers are looked at.
        updates: Of these trajectories.
        alignments: What `raml align` found.
        influences: What `raml influence` found.
        frontiers: What `raml compress` found.
        evaluation: What is drawn instead of the trajectories' own verdicts.
    """
    claims = [
        *judge_reading(trajectories, traces),
        *judge_modes(trajectories),
        *judge_updates(trajectories, updates),
        *judge_alignments(alignments),
        *judge_influences(influences),
        *judge_frontiers(frontiers),
    ]
    parts: list[Part] = []
    if claims:
        parts.append(_list_claims(claims))
    accuracy = _draw_verdicts(trajectories) if evaluation is None else _draw_evaluation(evaluation)
    if accuracy is not None:
        parts.append(accuracy)
    if not parts:
        return None
    paragraphs = [
        "Each row is a claim that this run can test, with the rule that decides it. Intervals and tests are over "
        "questions; nothing is adjusted for reading several rows. Undecided means that the run has too few questions, "
        "or too small an effect, to say; it does not mean that the claim is wrong."
    ]
    return View(key="overview", title="Overview", paragraphs=paragraphs if claims else [], parts=parts)


def _list_claims(claims: Sequence[Claim]) -> Table:
    rows = [
        [claim.text, claim.measured, claim.interval, str(claim.n_questions), claim.border, claim.verdict, claim.tab]
        for claim in claims
    ]
    caption = "Intervals are of 95 % unless the tab that a row names says otherwise."
    return Table("claims-table", "What this run says", caption, HEADINGS, rows)


def _draw_evaluation(evaluation: Evaluation) -> Chart | None:
    """A row a model and benchmark, a mark a metric."""
    names = list(dict.fromkeys(estimate.name for score in evaluation.scores for estimate in score.estimates))
    if not names:
        return None
    has_several = len({score.benchmark for score in evaluation.scores}) > 1
    rows = [score.model + (f", {score.benchmark}" if has_several else "") for score in evaluation.scores]
    series = [
        _draw_estimates(
            name, look % N_LOOKS, [(place, e) for place, s in enumerate(evaluation.scores) for e in s.estimates]
        )
        for look, name in enumerate(names)
    ]
    return _draw_accuracy(rows, series, "From raml evaluate. " + " ".join(evaluation.notes))


def _draw_verdicts(trajectories: Sequence[Trajectory]) -> Chart | None:
    """A row a model and mode: the share of right ones among its decided trajectories."""
    rows: list[str] = []
    estimates: list[tuple[int, Estimate]] = []
    for model in list_models([trajectory.model for trajectory in trajectories]):
        for mode, label in MODES.items():
            counts = count_right(trajectories, model, mode)
            if counts:
                estimates.append((len(rows), estimate_metric(Metric("pass", 1), gather_counts(counts))))
                rows.append(f"{shorten_model(model.name)}, {label}")
    if not rows:
        return None
    series = [_draw_estimates(estimates[0][1].name, 0, estimates)]
    return _draw_accuracy(
        rows, series, "Undecided trajectories are left out. The command raml evaluate estimates more."
    )


def _draw_accuracy(rows: Sequence[str], series: Sequence[Series], more: str) -> Chart:
    return Chart(
        key="claims-accuracy",
        title="How often answers are right",
        caption=f"Means over questions with intervals over these. {more}".strip(),
        x=Axis(series[0].name if len(series) == 1 else "share", "percent"),
        y=Axis(""),
        series=series,
        rows=rows,
    )


def _draw_estimates(name: str, look: int, estimates: Sequence[tuple[int, Estimate]]) -> Series:
    own = [(place, estimate) for place, estimate in estimates if estimate.name == name]
    return Series(
        name=name,
        look=look,
        x=round_values([estimate.value for _, estimate in own]),
        y=[place for place, _ in own],
        low=round_values([estimate.low for _, estimate in own]),
        high=round_values([estimate.high for _, estimate in own]),
        notes=[f"{estimate.n_questions} questions" for _, estimate in own],
    )
