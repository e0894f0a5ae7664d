"""Run a model over sequences that are branched: prompts and trajectories once, then branches after their prefixes."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from raml.errors import DataError, ModelError
from raml.scoring.attention import Block, Chunk, Pass, send
from raml.scoring.branches import Branch, build_branch
from raml.scoring.definition import check_parts

PREFILL_ROWS = {"cpu": 128}
"""Most rows of prompt ⊕ trajectory in a block by kind of device: their own scores, half of them masked, are the square
of it, but a GPU wants few and large calls."""
PREFILL_ROWS_ELSEWHERE = 512
WIDEST_BAND = 128
"""Most stored positions in which the prefixes of a block may differ: masked scores must not outweigh the dense ones."""


@dataclass(frozen=True)
class Job:
    """A trajectory, and what to read after which of its prefixes."""

    prompt_ids: tuple[int, ...]
    trajectory_ids: tuple[int, ...]
    bridge_ids: tuple[int, ...]
    """Read between prefix and answer."""
    answers: tuple[tuple[int, ...], ...]
    """Candidates, each scored by itself; none where only the bridge is read."""
    prefix_lens: tuple[int, ...]
    """Numbers of trajectory tokens, ascending."""

    def __post_init__(self) -> None:
        """Refuse what can't be scored.

        Raises:
            DataError: prompt, bridge or an answer is empty, or prefixes do not ascend within the trajectory.
        """
        for answer in self.answers or ((0,),):
            check_parts(self.prompt_ids, self.trajectory_ids, self.bridge_ids, answer, self.prefix_lens)
        if list(self.prefix_lens) != sorted(self.prefix_lens):
            raise DataError("The prefix lengths do not ascend.")

    @functools.cached_property
    def branch(self) -> Branch:
        """What is read after every prefix."""
        return build_branch(self.bridge_ids, self.answers)

    @functools.cached_property
    def stem_ids(self) -> tuple[int, ...]:
        """The trajectory up to the longest prefix."""
        return self.trajectory_ids[: max(self.prefix_lens, default=0)]

    @property
    def n_stored(self) -> int:
        """Positions whose keys and values are stored."""
        return len(self.prompt_ids) + len(self.stem_ids)

    @property
    def n_read(self) -> int:
        """Tokens that go through the model."""
        return self.n_stored + len(self.prefix_lens) * len(self.branch.ids)


@dataclass(frozen=True)
class Cluster:
    """Branches of one job that run as a block: those after `prefix_lens[start:stop]`."""

    job: int
    start: int
    stop: int


def prefill(model: PreTrainedModel, state: Pass, jobs: Sequence[Job], n_rows: int) -> list[int]:
    """Store keys and values of all prompts and trajectories; returns where each job's begin.

    What a job begins alike with an earlier one is read once and copied: the prompt of a question's trajectories, or
    most of a trajectory that comes again with something left out.
    """
    places = [0, *itertools.accumulate(job.n_stored for job in jobs)][:-1]
    texts = [job.prompt_ids + job.stem_ids for job in jobs]
    shared = find_shared_beginnings(texts)
    rounds: list[int] = []
    for earlier, _ in shared:
        rounds.append(0 if earlier is None else rounds[earlier] + 1)
    for now in range(max(rounds, default=-1) + 1):
        stretches = []
        for i, (earlier, n_shared) in enumerate(shared):
            if rounds[i] == now:
                if earlier is not None:
                    state.copy(places[earlier], places[i], n_shared)
                stretches.append((texts[i][n_shared:], places[i], n_shared))
        _run_stretches(model, state, stretches, n_rows)
    return places


def find_shared_beginnings(texts: Sequence[Sequence[int]]) -> list[tuple[int | None, int]]:
    """Find for each text an earlier one that it begins alike with the longest, and for how many tokens; None and 0."""
    root: dict[int, tuple[int, dict]] = {}
    found: list[tuple[int | None, int]] = []
    for i, text in enumerate(texts):
        node, earlier, n_shared = root, None, 0
        while n_shared < len(text) and text[n_shared] in node:
            earlier, node = node[text[n_shared]]
            n_shared += 1
        found.append((earlier, n_shared))
        for token in text[n_shared:]:
            node[token] = (i, {})
            node = node[token][1]
    return found


def _run_stretches(
    model: PreTrainedModel, state: Pass, stretches: Sequence[tuple[tuple[int, ...], int, int]], n_rows: int
) -> None:
    """Run stretches of text (ids, first place of its sequence, position of the first id) and store what comes out."""
    even = _divide_evenly(sum(len(tokens) for tokens, _, _ in stretches), n_rows)
    most = PREFILL_ROWS.get(model.device.type, PREFILL_ROWS_ELSEWHERE)
    ids: list[int] = []
    positions: list[int] = []
    chunk = Chunk([])
    for tokens, place, begin in stretches:
        done = 0
        while done < len(tokens):
            n = min(len(tokens) - done, most, even - len(ids))
            start, position = len(ids), begin + done
            depths = range(n)
            causal = torch.ones(n, n, dtype=torch.bool).tril_()
            chunk.blocks.append(Block(start, place, (position,), depths, causal, depths))
            chunk.stores.append((start, start + n, place + position))
            ids += tokens[done : done + n]
            positions += range(position, position + n)
            done += n
            if len(ids) == even:
                run_chunk(model, state, chunk, ids, positions)
                ids, positions, chunk = [], [], Chunk([])
    if ids:
        run_chunk(model, state, chunk, ids, positions)


def plan_clusters(jobs: Sequence[Job], n_rows: int) -> Iterator[list[Cluster]]:
    """Cut the jobs' branches into clusters whose prefixes lie close together, and those into chunks of equal size."""
    total = sum(len(job.prefix_lens) * len(job.branch.ids) for job in jobs)
    even = _divide_evenly(total, n_rows)
    chunk: list[Cluster] = []
    free = even
    for i, job in enumerate(jobs):
        lens, size, start = job.prefix_lens, len(job.branch.ids), 0
        while start < len(lens):
            if free < size and chunk:
                yield chunk
                chunk, free = [], even
            stop = start + 1
            while stop < min(len(lens), start + free // size) and lens[stop] - lens[start] <= WIDEST_BAND:
                stop += 1
            chunk.append(Cluster(i, start, stop))
            free -= (stop - start) * size
            start = stop
    if chunk:
        yield chunk


def _divide_evenly(total: int, most: int) -> int:
    """The size of equal parts of a whole, none above a limit: no part is a small rest that costs a pass of its own."""
    return -(-total // -(-total // most)) if total else most


def run_clusters(
    model: PreTrainedModel,
    state: Pass,
    jobs: Sequence[Job],
    places: Sequence[int],
    clusters: Sequence[Cluster],
    *,
    keep: bool = False,
) -> tuple[list[Block], Tensor]:
    """Run the branches of some clusters; returns a block for each cluster, and hidden states [rows, width].

    With `keep` the blocks hold on to their own keys and values, so that more tokens can follow.
    """
    ids: list[int] = []
    positions: list[int] = []
    blocks = []
    for cluster in clusters:
        job = jobs[cluster.job]
        branch = job.branch
        lens = [len(job.prompt_ids) + n for n in job.prefix_lens[cluster.start : cluster.stop]]
        block = Block(len(ids), places[cluster.job], lens, branch.depths, branch.visible, branch.depths)
        block.kept = {} if keep else None
        blocks.append(block)
        ids += branch.ids * len(lens)
        positions += [shared + depth for shared in lens for depth in branch.depths]
    return blocks, run_chunk(model, state, Chunk(blocks), ids, positions)


def run_chunk(model: PreTrainedModel, state: Pass, chunk: Chunk, ids: list[int], positions: list[int]) -> Tensor:
    """Run all layers without the output layer, and make sure that each asked for our attention; [rows, width]."""
    state.chunk = chunk
    state.windows_called.clear()
    both = send(torch.tensor([ids, positions]), model.device)
    output = model.base_model(input_ids=both[:1], position_ids=both[1:], use_cache=False)
    _check_layers(model, state)
    return output.last_hidden_state[0]


def _check_layers(model: PreTrainedModel, state: Pass) -> None:
    """Refuse a model whose layers did not all ask for our attention, or kept their sliding window to themselves.

    Raises:
        ModelError: such a layer was found; its result would be wrong without a word.
    """
    config = model.config.get_text_config()
    called = state.windows_called
    if sorted(called) != list(range(config.num_hidden_layers)):
        raise ModelError(
            f"Only layers {sorted(called)} of {config.num_hidden_layers} take their attention from the interface."
        )
    kinds = getattr(config, "layer_types", None)
    has_window = getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True)
    if kinds is not None:
        silent = [i for i, kind in enumerate(kinds) if (kind == "sliding_attention") != (called[i] is not None)]
    else:
        silent = sorted(called) if has_window and not any(called.values()) else []
    if silent:
        raise ModelError(f"Layers {silent} do not tell the attention interface about their sliding window.")
