"""The answers' loss of several questions without trajectory, in as few forward passes as memory allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel

from raml.errors import DataError, ModelError
from raml.models import LoadedModel
from raml.prompts import build_prompt, encode_answer, encode_text
from raml.records import PromptSettings, Question, TraceSettings
from raml.scoring.head import score_tokens
from raml.scoring.kernels import fast_products

TOKENS_AT_A_TIME = {"cpu": 4096}
"""Of a forward pass, padding included, by device."""
TOKENS_AT_A_TIME_ELSEWHERE = 16384


@dataclass(frozen=True)
class AnswerRow:
    """A question's prompt, the bridge, and the answer that is scored, as token ids."""

    question_id: str
    prompt_ids: tuple[int, ...]
    bridge_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]


def make_answer_rows(
    loaded: LoadedModel,
    questions: Sequence[Question],
    settings: PromptSettings | None = None,
    *,
    bridge: str = TraceSettings.bridge,
) -> list[AnswerRow]:
    """Turn questions and their gold answers into what a landscape scores, in the model's own prompt format.

    Raises:
        DataError: an answer is empty.
        ModelError: the model has no chat template, or a row is longer than its context.
    """
    bridge_ids, rows = encode_text(loaded.tokenizer, bridge), []
    for question in questions:
        prompt_ids = build_prompt(loaded.tokenizer, question, settings or PromptSettings())
        answer_ids = encode_answer(loaded.tokenizer, bridge, question.answer)
        n = len(prompt_ids) + len(bridge_ids) + len(answer_ids)
        if loaded.context_len is not None and n > loaded.context_len:
            raise ModelError(
                f"Question {question.id} has {n:,} tokens with bridge and answer; "
                f"{loaded.identity.name} accepts {loaded.context_len:,}. Leave it out, or choose another model."
            )
        rows.append(AnswerRow(question.id, prompt_ids, bridge_ids, answer_ids))
    return rows


class LossBatch:
    """L̂ without trajectory of several questions, ready to be measured again and again.

    Rows are filled up at the end, where no earlier token looks, so they need no mask. Which rows share a forward pass
    is fixed here, so that the same weights give the same losses.
    """

    def __init__(
        self, model: PreTrainedModel, rows: Sequence[AnswerRow], *, tokens_at_a_time: int | None = None
    ) -> None:
        """Put the rows in groups of at most `tokens_at_a_time`, by default what suits the device.

        Raises:
            DataError: there are no rows, or prompt, bridge or answer of one is empty.
            ModelError: the model reads in both directions, and has no next token to score.
        """
        if model.config.is_encoder_decoder:
            raise ModelError(f"{type(model).__name__} is an encoder-decoder; a landscape needs a causal model.")
        if not rows:
            raise DataError("A landscape needs at least one question.")
        for row in rows:
            if not (row.prompt_ids and row.bridge_ids and row.answer_ids):
                raise DataError(f"Question {row.question_id}: prompt, bridge and answer need at least one token each.")
        self.model = model
        self.question_ids = tuple(row.question_id for row in rows)
        limit = tokens_at_a_time or TOKENS_AT_A_TIME.get(model.device.type, TOKENS_AT_A_TIME_ELSEWHERE)
        self._groups = [_Group.make(rows, chosen, model.device) for chosen in _group(rows, limit)]

    @property
    def n_tokens(self) -> int:
        """Tokens that one measurement reads, padding included."""
        return sum(group.ids.numel() for group in self._groups)

    @torch.inference_mode()
    def measure(self) -> Float[Tensor, " question"]:
        """Mean NLL in nats of each question's answer tokens right after prompt and bridge, in the order of the rows."""
        loss = torch.empty(len(self.question_ids), device=self.model.device)
        with fast_products(self.model):
            for group in self._groups:
                states = self.model.base_model(input_ids=group.ids, use_cache=False).last_hidden_state
                nll = score_tokens(self.model, states.flatten(0, 1)[group.places], group.targets).to(loss)
                sums = torch.zeros(len(group.rows), device=nll.device).index_add_(0, group.owners, nll)
                loss[group.rows] = sums / group.answer_lens
        return loss


@dataclass(frozen=True, eq=False)
class _Group:
    """Rows of one forward pass."""

    rows: Tensor
    """Their numbers [row]."""
    ids: Tensor
    """[row token]"""
    places: Tensor
    """Of the states that predict an answer token, among rows × tokens [target]."""
    targets: Tensor
    owners: Tensor
    """The row of the group that each target belongs to [target]."""
    answer_lens: Tensor
    """[row]"""

    @staticmethod
    def make(rows: Sequence[AnswerRow], chosen: Sequence[int], device: torch.device) -> _Group:
        texts = [rows[i].prompt_ids + rows[i].bridge_ids + rows[i].answer_ids for i in chosen]
        ids = pad_sequence([torch.tensor(text[:-1]) for text in texts], batch_first=True)
        lens = torch.tensor([len(rows[i].answer_ids) for i in chosen])
        ends = torch.tensor([len(text) - 1 for text in texts]) + torch.arange(len(texts)) * ids.shape[1]
        places = torch.cat([torch.arange(end - n, end) for end, n in zip(ends.tolist(), lens.tolist(), strict=True)])
        targets = torch.tensor([token for i in chosen for token in rows[i].answer_ids])
        owners = torch.arange(len(texts)).repeat_interleave(lens)
        return _Group(*(part.to(device) for part in (torch.tensor(chosen), ids, places, targets, owners, lens)))


def _group(rows: Sequence[AnswerRow], limit: int) -> list[list[int]]:
    """Share rows out among forward passes: the longest first, those of like length together."""
    lens = [len(row.prompt_ids) + len(row.bridge_ids) + len(row.answer_ids) - 1 for row in rows]
    groups: list[list[int]] = []
    for i in sorted(range(len(rows)), key=lambda i: -lens[i]):
        if not groups or lens[groups[-1][0]] * (len(groups[-1]) + 1) > limit:
            groups.append([])
        groups[-1].append(i)
    return groups
