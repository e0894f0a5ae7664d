"""What an update made for one question does to others."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from raml.models import LoadedModel
from raml.prompts import encode_answer, encode_text
from raml.records import Question, Trajectory
from raml.scoring import Job, answer_nll_by_definition, find_obstacle, score_in_one_pass
from raml.updates.equivalent import applying
from raml.updates.factors import LowRank


def plan_bare(
    loaded: LoadedModel, questions: Sequence[Question], trajectories: Sequence[Trajectory], bridge: str
) -> dict[str, Job]:
    """For each question with a trajectory: its prompt as it was sampled, bridge and gold answer, and no trajectory.

    Questions that ask for programs are left out.

    Raises:
        DataError: the bridge or an answer is empty.
    """
    prompts: dict[str, tuple[int, ...]] = {}
    for trajectory in trajectories:
        prompts.setdefault(trajectory.question_id, trajectory.prompt_ids)
    bridge_ids = tuple(encode_text(loaded.tokenizer, bridge))
    return {
        question.id: Job(
            prompts[question.id], (), bridge_ids, (encode_answer(loaded.tokenizer, bridge, question.answer),), (0,)
        )
        for question in questions
        if question.id in prompts and question.kind != "code"
    }


def choose_others(question_ids: Sequence[str], own: str, n: int) -> list[str]:
    """The n questions that follow a question in a circle, without itself; fewer where there are not so many."""
    place = question_ids.index(own)
    return [*question_ids[place + 1 :], *question_ids[:place]][:n]


@torch.inference_mode()
def score_bare(
    loaded: LoadedModel, jobs: Sequence[Job], updates: Sequence[LowRank] | None = None
) -> Float[Tensor, " question"]:
    """L̂ of answers without trajectory, in nats, of the model as it is or with an update of its weights."""
    if updates is not None:
        with applying(loaded.model, updates):
            return score_bare(loaded, jobs)
    if not find_obstacle(loaded.model):
        return torch.stack([scores.nll[0].mean().cpu() for scores in score_in_one_pass(loaded.model, jobs)])
    losses = []
    for job in jobs:
        parts = (job.prompt_ids, job.trajectory_ids, job.bridge_ids, job.answers[0], job.prefix_lens)
        ids = (torch.tensor(part, dtype=torch.long, device=loaded.device) for part in parts)
        losses.append(answer_nll_by_definition(loaded.model, *ids).mean().cpu())
    return torch.stack(losses)
