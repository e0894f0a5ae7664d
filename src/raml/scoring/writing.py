"""The model's own greedy answer after every prefix and bridge, written by all branches together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel, StoppingCriteria, StoppingCriteriaList

from raml.scoring.attention import Block, Chunk, Pass, send
from raml.scoring.definition import widen
from raml.scoring.engine import run_chunk
from raml.scoring.head import choose_tokens


@dataclass(frozen=True)
class Writing:
    """When a greedy continuation ends."""

    is_done: Callable[[Sequence[int]], bool]
    """Whether the tokens written so far end with the last one, the model's own end marks included."""
    max_new_tokens: int


@dataclass
class Written:
    """A greedy continuation."""

    ids: list[int] = field(default_factory=list)
    """The token that ended it included."""
    logprobs: list[float] = field(default_factory=list)
    """Of each token, in nats."""
    leads: list[float] = field(default_factory=list)
    """By how many nats each token was ahead of the second most likely one."""
    stopped: bool = False
    """Whether it ended by itself; otherwise it was cut off."""

    def add(self, token: int, logprob: float, lead: float, writing: Writing) -> bool:
        """Take up a token; whether the continuation goes on."""
        self.ids.append(token)
        self.logprobs.append(logprob)
        self.leads.append(lead)
        self.stopped = writing.is_done(self.ids)
        return not self.stopped and len(self.ids) < writing.max_new_tokens


@dataclass
class _Alive:
    """Branches of a block that are still being written."""

    block: Block
    texts: list[Written]
    n_own: int
    """Tokens that each branch has read, bridge included."""

    def take(self, tokens: Sequence[int], logprobs: Sequence[float], leads: Sequence[float], writing: Writing) -> None:
        """Add a token to every text, and drop the branches that have ended."""
        goes_on = [
            text.add(token, logprob, lead, writing)
            for text, token, logprob, lead in zip(self.texts, tokens, logprobs, leads, strict=True)
        ]
        going = [i for i, more in enumerate(goes_on) if more]
        block, kept = self.block, self.block.kept
        assert kept is not None
        if len(going) < len(self.texts):
            places = torch.tensor(going, dtype=torch.long)
            where = {device: send(places, device) for device in {keys.device for keys, _ in kept.values()}}
            kept = {i: (k[:, where[k.device]], v[:, where[v.device]]) for i, (k, v) in kept.items()}
        lens = [block.shared_lens[i] for i in going]
        sees_all = torch.ones(1, self.n_own + 1, dtype=torch.bool)
        self.block = Block(0, block.slot, lens, [self.n_own], sees_all, range(self.n_own + 1), kept)
        self.texts = [self.texts[i] for i in going]
        self.n_own += 1


def write_greedily(
    model: PreTrainedModel,
    state: Pass,
    blocks: Sequence[Block],
    bridge_lens: Sequence[int],
    hidden: Tensor,
    writing: Writing,
) -> list[list[Written]]:
    """Continue every branch of some blocks after its bridge, one token of all branches at a time.

    The blocks have run with their keys and values kept; hidden [rows, width] is what came out. What the blocks read
    after the bridge is forgotten. Returns the continuations of each block's branches.
    """
    written = [[Written() for _ in block.shared_lens] for block in blocks]
    alive, bridge_ends = [], []
    for block, texts, n_bridge in zip(blocks, written, bridge_lens, strict=True):
        bridge_ends += range(block.start + n_bridge - 1, block.stop, len(block.depths))
        assert block.kept is not None
        block.kept = {i: (k[:, :, :n_bridge], v[:, :, :n_bridge]) for i, (k, v) in block.kept.items()}
        alive.append(_Alive(block, texts, n_bridge))
    rows = hidden[send(torch.tensor(bridge_ends), hidden.device)]
    while True:
        tokens, logprobs, leads = choose_tokens(model, rows)
        chosen = (tokens.tolist(), *torch.stack([logprobs, leads]).tolist())
        start = 0
        for branches in alive:
            places = slice(start, start + len(branches.texts))
            branches.take(*(part[places] for part in chosen), writing)
            start = places.stop
        alive = [branches for branches in alive if branches.texts]
        if not alive:
            return written
        ids: list[int] = []
        positions: list[int] = []
        for branches in alive:
            branches.block.start = len(ids)
            ids += [text.ids[-1] for text in branches.texts]
            positions += [shared + branches.n_own - 1 for shared in branches.block.shared_lens]
        rows = run_chunk(model, state, Chunk([branches.block for branches in alive]), ids, positions)


@torch.inference_mode()
def write_by_definition(
    model: PreTrainedModel,
    prompt_ids: Sequence[int],
    trajectory_ids: Sequence[int],
    bridge_ids: Sequence[int],
    prefix_lens: Sequence[int],
    writing: Writing,
) -> list[Written]:
    """What `write_greedily` computes, by transformers' own `generate()` from each prefix by itself [prefix]."""
    config = GenerationConfig(
        do_sample=False, max_new_tokens=writing.max_new_tokens, output_logits=True, return_dict_in_generate=True
    )
    results = []
    for length in prefix_lens:
        ids = torch.tensor([[*prompt_ids, *trajectory_ids[:length], *bridge_ids]], device=model.device)
        output = model.generate(  # type: ignore[operator]
            inputs=ids,
            attention_mask=torch.ones_like(ids),
            generation_config=config,
            stopping_criteria=StoppingCriteriaList([_StopWhenDone(writing, ids.shape[1])]),
        )
        written = Written()
        new_ids = output.sequences[0, ids.shape[1] :].tolist()
        for token, logits in zip(new_ids, output.logits, strict=True):
            logprobs = widen(logits[0]).log_softmax(dim=-1)
            best, second = logprobs.topk(2).values.tolist()
            written.add(token, best, best - second, writing)
        results.append(written)
    return results


class _StopWhenDone(StoppingCriteria):
    """Ends generation where the continuation of a prompt is done."""

    def __init__(self, writing: Writing, prompt_len: int) -> None:
        self.writing, self.prompt_len = writing, prompt_len

    def __call__(self, input_ids: Tensor, scores: object, **kwargs: object) -> Tensor:  # type: ignore[override]
        done = [self.writing.is_done(row[self.prompt_len :].tolist()) for row in input_ids]
        return torch.tensor(done, device=input_ids.device)
