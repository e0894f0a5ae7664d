"""Muon for the matrices inside a model's layers, AdamW for everything else, as one optimiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

MUON_MOMENTUM = 0.95


class MuonAdamW(torch.optim.Optimizer):
    """PyTorch's Muon and AdamW behind one interface, so that a scheduler and a checkpoint see a single optimiser.

    Embeddings, the output layer, norms and biases go to AdamW (Jordan et al. 2024, "Muon").
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        learning_rate: float,
        muon_learning_rate: float,
        weight_decay: float,
        adam_beta2: float,
    ) -> None:
        outside = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
        output = getattr(model, "get_output_embeddings", lambda: None)()
        outside |= {id(p) for p in output.parameters()} if output is not None else set()
        trained = [p for p in model.parameters() if p.requires_grad]
        matrices = [p for p in trained if p.ndim == 2 and id(p) not in outside]
        others = [p for p in trained if p.ndim != 2 or id(p) in outside]
        muon = torch.optim.Muon(
            matrices, lr=muon_learning_rate, momentum=MUON_MOMENTUM, weight_decay=weight_decay, adjust_lr_fn="original"
        )
        adamw = torch.optim.AdamW(others, lr=learning_rate, betas=(0.9, adam_beta2), weight_decay=0.0)
        self._parts = (muon, adamw)
        super().__init__([{"params": matrices, "lr": muon_learning_rate}, {"params": others, "lr": learning_rate}], {})
        # The parts' own groups are the ones shown, so that a scheduler that sets "lr" reaches them.
        self.param_groups = [*muon.param_groups, *adamw.param_groups]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take a step with both."""
        assert closure is None, "neither part evaluates the loss again"
        for part in self._parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of both."""
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of both."""
        for part, state in zip(self._parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [*self._parts[0].param_groups, *self._parts[1].param_groups]
