"""Trajectories as updates of weights → the view of certificates, paths and the test of Eq. 4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from raml.records import Alignment, AlignmentSummary, Trajectory, Update
from raml.report.alignments import list_alignment_parts
from raml.report.charts import Axis, Chart, Part, Series, Table, View
from raml.report.looks import END, OUTCOMES
from raml.report.plain import round_values, shorten_model, spread_places, take_turns
from raml.stats import fit_plane, measure_shape

N_LINES = 40
"""Most single trajectories in a chart."""
N_POINTS = 60
"""Most points of a line."""
N_PLANES = 4
"""Paths that are drawn in planes of their own."""
HEADINGS = (
    "model",
    "trajectories",
    "how many",
    "questions",
    "tokens",
    "rank",
    "exact",
    "logit gap at most",
    "prompt gap at most",
    "residual at most",
    "condition at most",
    "‖ΔD‖ / ‖D‖, median",
)
Correct = Mapping[str, bool | None]


def describe_updates(
    trajectories: Sequence[Trajectory],
    updates: Sequence[Update],
    alignments: Sequence[Alignment] = (),
    summaries: Sequence[AlignmentSummary] = (),
    sentences: Sequence[str] = (),
) -> View | None:
    """Describe the updates that trajectories stand for, and how they lie to the gradient; None where there are none.

    Args:
        trajectories: Those of the updates and alignments; what belongs to others is left out.
        updates: Of one model or more.
        alignments: For the single questions behind the summaries' means.
        summaries: Of the test of Eq. 4, one a model.
        sentences: What alignment.json says of them.
    """
    correct = {trajectory.id: trajectory.correct for trajectory in trajectories}
    by_model: dict[str, list[Update]] = {}
    for update in updates:
        if update.trajectory_id in correct:
            by_model.setdefault(update.model.key(), []).append(update)
    parts: list[Part] = []
    if by_model:
        parts.append(_certify(list(by_model.values()), trajectories))
    for place, own in enumerate(by_model.values()):
        suffix = f", {shorten_model(own[0].model.name)}" if len(by_model) > 1 else ""
        parts += _draw_updates(own, correct, f"updates-{place + 1}", suffix)
    parts += list_alignment_parts(trajectories, alignments, summaries)
    if not parts:
        return None
    paragraphs = []
    if by_model:
        paragraphs.append(
            "What a prefix does to the answer, an update of the weights does without the prefix. The certificate says "
            "how exactly: the logit gap is the largest difference of an answer's logit between the updated model "
            "without the trajectory and the original one with it."
        )
    if summaries:
        paragraphs.append(
            "Eq. 4 says that the update is a step along the negative gradient of the answer's loss: a cosine of 1 with "
            "−∇L. The other texts are nulls, as long as the trajectories that they stand beside, right or wrong; "
            "what they reach, any text does. Differences are to those beside right ones."
        )
    return View(key="updates", title="Updates", paragraphs=[*paragraphs, *sentences], parts=parts)


def _certify(models: Sequence[Sequence[Update]], trajectories: Sequence[Trajectory]) -> Table:
    by_id = {trajectory.id: trajectory for trajectory in trajectories}
    rows = []
    for own in models:
        for wanted, (label, _) in OUTCOMES.items():
            group = [update for update in own if by_id[update.trajectory_id].correct is wanted]
            if group:
                n_questions = len({by_id[update.trajectory_id].question_id for update in group})
                rows.append([shorten_model(own[0].model.name), label, *_certify_group(group, n_questions)])
    return Table(
        key="updates-certificates",
        title="How exactly updates stand for trajectories",
        caption="Largest values over the trajectories. Prompt gap: change of a hidden state at the prompt, relative to "
        "the largest one. Residual: what a layer's output still lacks, relative to the target. Condition: what "
        "inverting a layer's activations amplifies. An update that is not exact is the least-squares one.",
        headings=HEADINGS,
        rows=rows,
    )


def _certify_group(group: Sequence[Update], n_questions: int) -> list[str]:
    tokens = [int(update.prefix_lens[-1]) for update in group]
    ranks = [update.rank for update in group]
    shares = np.stack([update.norm[-1] / update.weight_norm for update in group])
    return [
        str(len(group)),
        str(n_questions),
        f"{min(tokens)} to {max(tokens)}",
        f"{min(ranks)} to {max(ranks)}",
        f"{sum(update.exact for update in group)} of {len(group)}",
        f"{max(update.logit_gap for update in group):.1e}",
        f"{max(update.prompt_gap for update in group):.1e}",
        f"{max(float(update.residual.max()) for update in group):.1e}",
        f"{max(float(update.condition.max()) for update in group):.1e}",
        f"{np.median(shares):.3g}",
    ]


def _draw_updates(updates: Sequence[Update], correct: Correct, key: str, suffix: str) -> list[Part]:
    # Two points are a straight line whatever lies between them.
    paths = [update for update in updates if len(update.prefix_lens) > 2]
    planes = take_turns(paths, N_PLANES, lambda update: correct[update.trajectory_id] is True)
    return [
        *([_draw_distances(paths, correct, f"{key}-distance", suffix)] if paths else []),
        _draw_layers(updates, correct, f"{key}-layers", suffix),
        *(_draw_plane(update, correct, f"{key}-plane-{place + 1}", suffix) for place, update in enumerate(planes)),
    ]


def _draw_distances(updates: Sequence[Update], correct: Correct, key: str, suffix: str) -> Chart:
    """The distance from the weights along the trajectory: the mean of each kind, single ones behind it."""
    single: list[Series] = []
    means: list[Series] = []
    shown = {update.id for update in take_turns(updates, N_LINES, lambda update: correct[update.trajectory_id] is True)}
    shares = np.linspace(0, 1, N_POINTS)
    for wanted, (label, look) in OUTCOMES.items():
        group = [update for update in updates if correct[update.trajectory_id] is wanted]
        if not group:
            continue
        curves = [(_find_positions(update), _measure_distances(update)) for update in group]
        for update, (position, distance) in zip(group, curves, strict=True):
            if update.id in shown:
                kept = spread_places(len(position), N_POINTS)
                x, y = round_values(position[kept]), round_values(distance[kept])
                single.append(Series(f"{label}, single", look, x, y, line=True, marks=False, faint=True))
        mean = np.mean([np.interp(shares, *curve) for curve in curves], axis=0)
        name = f"{label}, mean of {len(group)}"
        means.append(Series(name, look, round_values(shares), round_values(mean), line=True, marks=False))
    n_left_out = len(updates) - len(shown)
    more = f" {n_left_out} single ones are not drawn." if n_left_out else ""
    return Chart(
        key=key,
        title=f"Distance from the weights{suffix}",
        caption="‖θ'ᵢ − θ‖ over all layers after a share of the trajectory: means over trajectories, faint lines "
        f"single ones.{more}",
        x=Axis("position in the trajectory", "percent"),
        y=Axis("‖θ'ᵢ − θ‖", zero=True),
        series=[*single, *means],
    )


def _find_positions(update: Update) -> np.ndarray:
    return update.prefix_lens / max(1, int(update.prefix_lens[-1]))


def _measure_distances(update: Update) -> np.ndarray:
    return np.sqrt(np.clip(np.diag(update.gram), 0, None))


def _draw_layers(updates: Sequence[Update], correct: Correct, key: str, suffix: str) -> Chart:
    """The update's norm relative to the weight's by layer: the mean, and where the middle 80 % lie."""
    series = []
    for wanted, (label, look) in OUTCOMES.items():
        group = [update for update in updates if correct[update.trajectory_id] is wanted]
        if group:
            shares = np.stack([update.norm[-1] / update.weight_norm for update in group])
            low, high = np.quantile(shares, (0.1, 0.9), axis=0)
            layers, mean = list(range(shares.shape[1])), round_values(shares.mean(axis=0))
            name = f"{label}, mean of {len(group)}"
            series.append(Series(name, look, layers, mean, round_values(low), round_values(high), line=True))
    return Chart(
        key=key,
        title=f"Size of the update by layer{suffix}",
        caption="‖ΔD‖ / ‖D‖ of a layer's down projection after the whole trajectory, mean over trajectories; bars span "
        "the middle 80 % of them.",
        x=Axis("layer"),
        y=Axis("‖ΔD‖ / ‖D‖", "log"),
        series=series,
    )


def _draw_plane(update: Update, correct: Correct, key: str, suffix: str) -> Chart:
    """A path in the plane through the weights that fits it best."""
    plane, shape = fit_plane(update.gram), measure_shape(update.gram)
    label, look = OUTCOMES[correct[update.trajectory_id]]
    kept = spread_places(len(update.prefix_lens), N_POINTS)
    points = plane.coordinates[kept]
    x, y = round_values(points[:, 0]), round_values(points[:, 1])
    notes = [f"{n} tokens" for n in update.prefix_lens[kept].tolist()]
    ratio = f", and its length is {shape.length / shape.distance:.1f} times that way" if shape.distance > 0 else ""
    return Chart(
        key=key,
        title=f"A path in its best plane: {label}, {update.trajectory_id[:8]}{suffix}",
        caption=f"The trajectory's {int(update.prefix_lens[-1])} tokens, from the weights at (0, 0) to the whole "
        f"trajectory. {100 * sum(plane.explained):.0f} % of the squared distances lie in this plane. The path ends "
        f"{shape.distance:.3g} from where it began{ratio}. The axes have scales of their own.",
        x=Axis("along the direction in which it moves most"),
        y=Axis("along the second"),
        series=[
            Series("path", look, x, y, notes=notes, line=True),
            Series("the whole trajectory", END, x[-1:], y[-1:], notes=notes[-1:]),
        ],
    )
