"""Prefix scoring in one pass: prompt ⊕ trajectory once, then every branch against its keys and values.

The definition reads about T²/2 tokens for a trajectory of T; this reads (1 + |bridge| + |answer|) · T.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from raml.scoring.attention import send, sharing_prefix
from raml.scoring.engine import Cluster, Job, plan_clusters, prefill, run_clusters
from raml.scoring.head import score_tokens
from raml.scoring.kernels import fast_products
from raml.scoring.memory import choose_chunk_tokens
from raml.scoring.writing import Writing, Written, write_greedily


@torch.inference_mode()
def answer_nll_in_one_pass(
    model: PreTrainedModel,
    prompt_ids: Int[Tensor, " prompt"],
    trajectory_ids: Int[Tensor, " trajectory"],
    bridge_ids: Int[Tensor, " bridge"],
    answer_ids: Int[Tensor, " answer"],
    prefix_lens: Int[Tensor, " prefix"],
    *,
    chunk_tokens: int | None = None,
) -> Float[Tensor, "prefix answer"]:
    """Score the answer after each prefix of a trajectory; equals `answer_nll_by_definition`, which says what comes out.

    `find_obstacle` tells whether a model can be scored this way. `chunk_tokens` is the number of rows of queries in one
    forward pass; by default what the device likes and its free memory holds.

    Raises:
        DataError: prompt, bridge or answer is empty, or a prefix is longer than the trajectory.
        ModelError: a layer does not take its attention from transformers' interface, or memory is short.
    """
    ascending, order = prefix_lens.sort()
    prompt, trajectory, bridge, answer, lens = (
        tuple(ids.tolist()) for ids in (prompt_ids, trajectory_ids, bridge_ids, answer_ids, ascending)
    )
    scores = score_in_one_pass(model, [Job(prompt, trajectory, bridge, (answer,), lens)], chunk_tokens=chunk_tokens)
    return scores[0].nll[0][order.argsort().cpu()]


@dataclass(frozen=True)
class Scores:
    """What came out for one job."""

    nll: tuple[Tensor, ...]
    """For each candidate answer [prefix answer], in nats."""
    written: tuple[Written, ...] | None
    """The model's own greedy continuation after every prefix and bridge, where it was asked for [prefix]."""


@torch.inference_mode()
def score_in_one_pass(
    model: PreTrainedModel,
    jobs: Sequence[Job],
    *,
    writing: Writing | None = None,
    memory: int | None = None,
    chunk_tokens: int | None = None,
) -> list[Scores]:
    """Score candidate answers after the prefixes of several trajectories, all in shared chunks; one result per job.

    Args:
        model: Any model without an obstacle (`find_obstacle`).
        jobs: What to score; equal prompts among them are read once.
        writing: Let the model also write its own answer after every bridge.
        memory: Bytes that may be used beside the model's weights; by default most of what is free.
        chunk_tokens: Rows of queries in one forward pass, if not as many as the device likes and the memory holds.

    Raises:
        ModelError: a layer does not take its attention from transformers' interface, or the memory is too small.
    """
    if chunk_tokens is None:
        longest = 0 if writing is None else writing.max_new_tokens
        chunk_tokens = choose_chunk_tokens(model, jobs, memory=memory, max_new_tokens=longest)
    nll: list[list[Tensor]] = [[] for _ in jobs]
    written: list[list[Written]] = [[] for _ in jobs]
    with sharing_prefix(model, sum(job.n_stored for job in jobs)) as state, fast_products(model):
        places = prefill(model, state, jobs, chunk_tokens)
        for clusters in plan_clusters(jobs, chunk_tokens):
            blocks, hidden = run_clusters(model, state, jobs, places, clusters, keep=writing is not None)
            for cluster, scored in zip(clusters, _score_clusters(model, jobs, clusters, hidden), strict=True):
                nll[cluster.job].append(scored)
            if writing is not None:
                bridge_lens = [len(jobs[cluster.job].bridge_ids) for cluster in clusters]
                texts = write_greedily(model, state, blocks, bridge_lens, hidden, writing)
                for cluster, text in zip(clusters, texts, strict=True):
                    written[cluster.job] += text
    results = []
    for job, parts, texts in zip(jobs, nll, written, strict=True):
        lens = [len(answer) for answer in job.answers]
        scored = torch.cat(parts) if parts else torch.empty(0, sum(lens))
        results.append(Scores(scored.split(lens, dim=1), None if writing is None else tuple(texts)))
    return results


def _score_clusters(
    model: PreTrainedModel, jobs: Sequence[Job], clusters: Sequence[Cluster], hidden: Tensor
) -> list[Tensor]:
    """-log p in nats of the answers' tokens, all answers side by side; [branch, token] for each cluster."""
    rows: list[int] = []
    targets: list[int] = []
    shapes, start = [], 0
    for cluster in clusters:
        branch, n_branches = jobs[cluster.job].branch, cluster.stop - cluster.start
        predicting = [row for answer in branch.rows for row in answer]
        for _ in range(n_branches):
            rows += [start + row for row in predicting]
            start += len(branch.ids)
        targets += [token for answer in branch.targets for token in answer] * n_branches
        shapes.append((n_branches, len(predicting)))
    where, wanted = send(torch.tensor([rows, targets], dtype=torch.long), hidden.device)
    nll = score_tokens(model, hidden[where], wanted) if targets else hidden.new_empty(0)
    parts = nll.split([n_branches * n_tokens for n_branches, n_tokens in shapes])
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
