"""Prefix scoring in one pass: prompt ⊕ trajectory once, then every branch against its keys and values.

The definition reads about T²/2 tokens for a trajectory of T; this reads (1 + |bridge| + |answer|) · T.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from raml.errors import ModelError
from raml.scoring.attention import Chunk, Pass, sharing_prefix
from raml.scoring.definition import check_ids, widen

CHUNK_TOKENS = 256
"""Rows of queries in one forward pass: enough to keep matrix products busy, few enough to keep scores small."""
HEAD_ROWS = 128
"""Rows of the output layer at a time: the logits of a whole chunk would take 300 MB with 152k words."""


@torch.inference_mode()
def answer_nll_in_one_pass(
    model: PreTrainedModel,
    prompt_ids: Int[Tensor, " prompt"],
    trajectory_ids: Int[Tensor, " trajectory"],
    bridge_ids: Int[Tensor, " bridge"],
    answer_ids: Int[Tensor, " answer"],
    prefix_lens: Int[Tensor, " prefix"],
    *,
    chunk_tokens: int = CHUNK_TOKENS,
) -> Float[Tensor, "prefix answer"]:
    """Score the answer after each prefix of a trajectory; equals `answer_nll_by_definition`, which says what comes out.

    Prefix lengths should ascend, so that neighbours share a chunk; the rows come back in the order given.
    `find_obstacle` tells whether a model can be scored this way.

    Raises:
        DataError: prompt, bridge or answer is empty, or a prefix is longer than the trajectory.
        ModelError: a layer does not take its attention from transformers' interface.
    """
    check_ids(prompt_ids, trajectory_ids, bridge_ids, answer_ids, prefix_lens)
    longest = int(prefix_lens.max()) if len(prefix_lens) else 0
    shared_ids = torch.cat([prompt_ids, trajectory_ids[:longest]])
    # The last answer token is predicted but never read.
    branch_ids = torch.cat([bridge_ids, answer_ids[:-1]])
    n_branches = max(1, chunk_tokens // len(branch_ids))
    rows = []
    with sharing_prefix(model, len(shared_ids)) as state:
        _prefill(model, state, shared_ids, chunk_tokens)
        for lens in prefix_lens.split(n_branches):
            hidden = _run_branches(model, state, branch_ids, len(prompt_ids) + lens)
            answer_hidden = hidden[:, len(bridge_ids) - 1 :]
            nll = _score_tokens(model, answer_hidden.flatten(0, 1), answer_ids.repeat(len(lens)))
            rows.append(nll.view(len(lens), -1))
    return torch.cat(rows) if rows else torch.empty(0, len(answer_ids))


def _prefill(model: PreTrainedModel, state: Pass, ids: Tensor, chunk_tokens: int) -> None:
    """Run the model over the shared ids and keep the keys and values of every layer."""
    for start in range(0, len(ids), chunk_tokens):
        positions = torch.arange(start, min(start + chunk_tokens, len(ids)), device=ids.device)
        state.chunk = Chunk(positions, torch.full_like(positions, start), n_shared=start, branch=None)
        _run_layers(model, state, ids[positions], positions)


def _run_branches(model: PreTrainedModel, state: Pass, branch_ids: Tensor, starts: Tensor) -> Tensor:
    """Run one copy of the branch after each of several positions; returns hidden states [branch, token, width]."""
    n_tokens = len(branch_ids)
    offsets = torch.arange(n_tokens, device=branch_ids.device)
    positions = (starts[:, None] + offsets[None]).flatten()
    branch = torch.arange(len(starts), device=branch_ids.device).repeat_interleave(n_tokens)
    state.chunk = Chunk(positions, starts.repeat_interleave(n_tokens), n_shared=int(starts.max()), branch=branch)
    return _run_layers(model, state, branch_ids.repeat(len(starts)), positions).view(len(starts), n_tokens, -1)


def _run_layers(model: PreTrainedModel, state: Pass, ids: Tensor, positions: Tensor) -> Tensor:
    """Run all layers without the output layer, and make sure that each asked for our attention; [rows, width]."""
    state.windows_called.clear()
    output = model.base_model(input_ids=ids[None], position_ids=positions[None], use_cache=False)
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


def _score_tokens(model: PreTrainedModel, hidden: Tensor, targets: Tensor) -> Tensor:
    """-log p of each target under the output layer on its row's hidden state, in nats [rows]."""
    head = model.get_output_embeddings()
    assert head is not None
    cap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
    nll = []
    for rows, wanted in zip(hidden.split(HEAD_ROWS), targets.split(HEAD_ROWS), strict=True):
        logits = widen(head(rows))
        if cap is not None:
            logits = (logits / cap).tanh() * cap
        nll.append(torch.nn.functional.cross_entropy(logits, wanted, reduction="none"))
    return torch.cat(nll)
