"""Measure a tiny model on held-out questions along the same path that users take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from raml.models import LoadedModel, load_model
from raml.probes.trace import trace_trajectory
from raml.records import Mode, PromptSettings, Question, SamplingSettings, Trajectory
from raml.sampling import sample_trajectories

BATCH_SIZE = 256
TRACES_PER_QUESTION = 2


def measure_model(name: str, questions: Sequence[Question], n_samples: int) -> dict[str, Any]:
    """Measure pass@1 with and without thinking, and the answer's NLL along right and wrong trajectories.

    Sampled at temperature 1 without filters. Standard errors are over questions, whose samples belong together.
    """
    loaded = load_model(name, dtype="float32", device="cpu")
    measured: dict[str, Any] = {}
    modes: tuple[Mode, ...] = ("think", "nothink")
    for mode in modes:
        trajectories = sample_trajectories(
            loaded,
            questions,
            n=n_samples,
            prompt=PromptSettings(mode=mode),
            settings=SamplingSettings(temperature=1.0, top_p=1.0, top_k=0, max_new_tokens=256),
            batch_size=BATCH_SIZE,
        )
        measured[mode] = summarize_answers(questions, trajectories)
        if mode == "think":
            measured["answer_nll"] = summarize_traces(loaded, questions, trajectories)
        print(f"  {name} {mode}: {measured[mode]}", flush=True)
    print(f"  {name} answer NLL: {measured['answer_nll']}", flush=True)
    return measured


def summarize_answers(questions: Sequence[Question], trajectories: Sequence[Trajectory]) -> dict[str, Any]:
    """Estimate pass@1, overall and for each family, with standard errors; and the mean length in tokens."""
    right: dict[str, list[bool]] = {question.id: [] for question in questions}
    for trajectory in trajectories:
        assert trajectory.correct is not None, f"{trajectory.id}: {trajectory.error}"
        right[trajectory.question_id].append(trajectory.correct)
    summary: dict[str, Any] = {}
    for family in ("all", *sorted({str(question.domain) for question in questions})):
        chosen = [question.id for question in questions if family in ("all", question.domain)]
        rates = [sum(right[i]) / len(right[i]) for i in chosen]
        mean = sum(rates) / len(rates)
        spread = math.sqrt(sum((rate - mean) ** 2 for rate in rates) / max(1, len(rates) - 1))
        summary[family] = {"pass_at_1": round(mean, 4), "standard_error": round(spread / math.sqrt(len(rates)), 4)}
    summary["mean_tokens"] = round(sum(len(t.token_ids) for t in trajectories) / len(trajectories), 1)
    summary["share_ended"] = round(sum(t.finish == "stop" for t in trajectories) / len(trajectories), 4)
    return summary


def summarize_traces(
    loaded: LoadedModel, questions: Sequence[Question], trajectories: Sequence[Trajectory]
) -> dict[str, Any]:
    """Average the gold answer's mean NLL (nats) at eleven even places along right and along wrong trajectories."""
    gold = {question.id: question.answer for question in questions}
    curves: dict[str, list[list[float]]] = {"right": [], "wrong": []}
    for trajectory in trajectories:
        if trajectory.repeat < TRACES_PER_QUESTION and trajectory.reasoning_len > 0:
            nll = trace_trajectory(loaded, trajectory, gold[trajectory.question_id]).mean_nll
            places = [round(i / 10 * (len(nll) - 1)) for i in range(11)]
            curves["right" if trajectory.correct else "wrong"].append([float(nll[place]) for place in places])
    return {
        kind: {
            "trajectories": len(found),
            "mean_by_tenth": [round(sum(curve[i] for curve in found) / len(found), 3) for i in range(11)],
            "share_lower_at_end": round(sum(curve[-1] < curve[0] for curve in found) / len(found), 4),
        }
        for kind, found in curves.items()
        if found
    }
