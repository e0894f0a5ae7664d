"""The figure of `raml faithfulness`: what records and summary say, as points and rankings."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from raml.figures.faithfulness import Cloud, Ranking, plot_faithfulness
from raml.influence.agreement import PAIRS
from raml.influence.faithfulness import FaithfulnessSummary
from raml.influence.sentences import BASELINES, CONTRAST, FALL, LENGTH, OWN, PLACE, SHARE, measure_sentences
from raml.records import Resampling, Trajectory

_LABELS = {
    SHARE: "change of the share of right continuations",
    CONTRAST: "contrast of the answers after and before",
    FALL: "fall of L̂ of the gold answer (nats)",
    OWN: "|Δ log(L̂ + ε)| of the own answer",
}
_TITLES = {SHARE: "change of the share right", CONTRAST: "contrast of the answers"}
_NAMES = {PLACE: "place: later", LENGTH: "length: longer"}


def draw_faithfulness(
    trajectories: Sequence[Trajectory], resamplings: Sequence[Resampling], summary: FaithfulnessSummary
) -> Figure:
    """Draw sentences and rankings of the two pairs that decide."""
    return plot_faithfulness(_list_clouds(trajectories, resamplings, summary.epsilon), _list_rankings(summary))


def _list_clouds(trajectories: Sequence[Trajectory], resamplings: Sequence[Resampling], epsilon: float) -> list[Cloud]:
    by_id = {trajectory.id: trajectory for trajectory in trajectories}
    sentences = [measure_sentences(by_id[record.trajectory_id], record, epsilon) for record in resamplings]
    clouds = []
    for resampled, measure in PAIRS[:2]:
        points = {}
        for right in (True, False):
            own = [one.values for one in sentences if one.correct is right]
            x, y = ([float(v) for values in own for v in values[name]] for name in (measure, resampled))
            points[right] = x, y
        clouds.append(Cloud(_LABELS[measure], _LABELS[resampled], points))
    return clouds


def _list_rankings(summary: FaithfulnessSummary) -> list[Ranking]:
    ceilings = {row.resampled: row.ceiling for row in summary.reliabilities}
    rankings = []
    for resampled, probe in PAIRS[:2]:
        found = {measure: summary.find_agreement(resampled, measure) for measure in (probe, *BASELINES)}
        shown = {_NAMES.get(name, name): made.spearman for name, made in found.items() if made and made.spearman}
        rankings.append(Ranking(_TITLES[resampled], shown, ceilings.get(resampled)))
    return rankings
