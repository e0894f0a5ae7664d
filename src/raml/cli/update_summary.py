"""What `raml update` says about the updates that it made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raml.cli.stage import console, say
from raml.cli.units import group_by_model
from raml.records import Question, Trajectory, Update
from raml.stats import PathShape, average_questions, estimate_mean, fit_plane, measure_shape


def summarize_updates(trajectories: Sequence[Trajectory], updates: Sequence[Update]) -> None:
    """Print the certificates' worst values, the paths' shapes, and what the updates do to other questions."""
    from rich.table import Table

    by_id = {trajectory.id: trajectory for trajectory in trajectories}
    models = group_by_model(updates)
    for own in models:
        if len(models) > 1:
            say(own[0].model.name)
        groups = {
            label: [update for update in own if by_id[update.trajectory_id].correct is wanted]
            for label, wanted in (("right", True), ("wrong", False), ("undecided", None))
        }
        columns = {label: describe_group(group, by_id) for label, group in groups.items() if group}
        table = Table("", *columns, box=None, pad_edge=False)
        for name in dict.fromkeys(name for column in columns.values() for name in column):
            table.add_row(name, *(column.get(name, "–") for column in columns.values()))
        console.print(table)
    loose = [update for update in updates if not update.exact]
    if loose:
        say(
            f"Not exact: {len(loose)} of {len(updates)}, such as {loose[0].trajectory_id}: prompt, bridge and answer "
            "have more positions than the feed-forward part has inputs, or dependent activations. Their updates are "
            "the least-squares ones."
        )


def describe_group(updates: Sequence[Update], by_id: dict[str, Trajectory]) -> dict[str, str]:
    """Describe some trajectories' updates, a row each; means are over questions, with 95 % intervals."""
    questions = [by_id[update.trajectory_id].question_id for update in updates]
    shares = np.stack([update.norm[-1] / update.weight_norm for update in updates])
    shapes = [measure_shape(update.gram) for update in updates]
    in_plane = [sum(fit_plane(update.gram).explained) for update in updates]
    row = {
        "trajectories": str(len(updates)),
        "rank": f"{min(u.rank for u in updates)}–{max(u.rank for u in updates)}",
        "logit gap at most": f"{max(u.logit_gap for u in updates):.1e}",
        "prompt gap at most": f"{max(u.prompt_gap for u in updates):.1e}",
        "residual at most": f"{max(float(u.residual.max()) for u in updates):.1e}",
        "condition at most": f"{max(float(u.condition.max()) for u in updates):.1e}",
        "‖ΔD‖ / ‖D‖, median": f"{np.median(shares):.3g} ({shares.min():.2g} to {shares.max():.2g})",
        "L̂": write_mean(questions, [float(update.updated_loss[0]) for update in updates]),
        "L̂ with the update": write_mean(questions, [float(update.updated_loss[-1]) for update in updates]),
        "length / distance": f"{np.median([s.length / max(s.distance, 1e-30) for s in shapes]):.1f}",
        "turn from step to step": f"{np.degrees(np.arccos(_find_middle(shapes))):.0f}°",
        "in the best plane": f"{100 * np.median(in_plane):.0f} %",
    }
    if any(update.other_ids for update in updates):
        row["L̂ of others"] = describe_others(questions, updates)
    return row


def _find_middle(shapes: Sequence[PathShape]) -> float:
    """Median over trajectories of the mean cosine between one step and the next."""
    cosines = [shape.turn_cosines[np.isfinite(shape.turn_cosines)] for shape in shapes]
    means = [float(turns.mean()) for turns in cosines if len(turns)]
    return float(np.median(means)) if means else float("nan")


def describe_others(questions: Sequence[str], updates: Sequence[Update]) -> str:
    """Describe how updates change the loss of questions that they were not made for, over the questions they were."""
    asked = [(q, u.other_change.astype(float)) for q, u in zip(questions, updates, strict=True) if len(u.other_ids)]
    own = [question for question, _ in asked]
    harmed = average_questions(own, [float((change > 0).mean()) for _, change in asked]).mean()
    return f"{write_mean(own, [float(change.mean()) for _, change in asked], '+')}, up in {100 * harmed:.0f} %"


def write_mean(questions: Sequence[str], values: Sequence[float], sign: str = "") -> str:
    """Write a mean over questions with its 95 % interval, where there is one."""
    estimate = estimate_mean("mean", average_questions(questions, values).tolist())
    interval = "" if estimate.method == "none" else f" [{estimate.low:{sign}.2f}, {estimate.high:{sign}.2f}]"
    return f"{estimate.value:{sign}.2f}{interval}"


def describe_certificate(record: Update, question: Question) -> dict[str, object]:
    """What an adapter's folder says about it, beside the weights."""
    return {
        "trajectory_id": record.trajectory_id,
        "question_id": question.id,
        "model": record.model,
        "bridge": record.settings.bridge,
        "n_tokens": int(record.prefix_lens[-1]),
        "rank": record.rank,
        "exact": record.exact,
        "loss_without_trajectory": float(record.loss[0]),
        "loss_with_trajectory": float(record.loss[-1]),
        "loss_with_update": float(record.updated_loss[-1]),
        "largest_logit_difference": record.logit_gap,
        "largest_change_at_the_prompt": record.prompt_gap,
        "residual_by_layer": record.residual[-1].tolist(),
        "norm_by_layer": record.norm[-1].tolist(),
        "relative_norm_by_layer": (record.norm[-1] / record.weight_norm).tolist(),
        "condition_by_layer": record.condition[-1].tolist(),
    }
