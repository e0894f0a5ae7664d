"""A trajectory as an update of weights, and the explicit inner loop beside it.

Axes: P prefixes, L layers, O other questions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from raml.records.base import Text
from raml.records.evaluation import Estimate
from raml.records.probes import TraceSettings
from raml.records.trajectories import ModelIdentity

EQUATION_HOLDS = 0.9
"""A cosine of an update with −∇L from which on Eq. 4 is said to hold."""


@dataclass(frozen=True)
class UpdateSettings:
    """Which prefixes of a trajectory become updates, and what the model is to say with them."""

    bridge: str = TraceSettings.bridge
    """Text between prompt and answer."""
    span: Literal["reasoning", "all"] = "reasoning"
    """Follow the trajectory up to its final answer statement, or through it."""
    n_prefixes: int = 100
    """Most prefixes on the path, evenly spaced; prefix 0 and the span's end are always among them."""
    n_others: int = 8
    """How many other questions of the run are asked with the last update, to see what it does to them."""


@dataclass(frozen=True, eq=False)
class Update:
    """The path θ'_i that a trajectory takes in weight space, and how exactly each point stands for its prefix."""

    id: str
    """Hash of settings, model, trajectory and gold answer: the key of this unit of work."""
    trajectory_id: str
    model: ModelIdentity
    settings: UpdateSettings
    bridge_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]
    prefix_lens: NDArray[np.int32]
    """Number of trajectory tokens that each update stands for [P], ascending, 0 first and the span's length last."""
    rank: int
    """Rank of each layer's update at most: the number of tokens of bridge and answer."""
    exact: bool
    """Whether the update reaches its target; otherwise it is the least-squares solution, and `residual` says how far
    off that is."""
    loss: NDArray[np.float32]
    """L̂ of the original model with the prefix in its context, in nats [P]."""
    updated_loss: NDArray[np.float32]
    """L̂ of the updated model without trajectory, in nats [P]."""
    logit_gap: float
    """Largest difference of an answer logit after the last prefix: updated model without trajectory, run by itself,
    against the original model with it."""
    prompt_gap: float
    """Largest change of a hidden state at the prompt's positions by the last update, relative to the largest state."""
    residual: NDArray[np.float32]
    """Norm of what a layer's output at bridge and answer still lacks, relative to the target's norm [P L]."""
    norm: NDArray[np.float32]
    """Frobenius norm of the update of a layer's down projection [P L]."""
    weight_norm: NDArray[np.float32]
    """Frobenius norm of that weight itself [L]."""
    condition: NDArray[np.float32]
    """What inverting a layer's feed-forward activations amplifies: the largest singular value of those at bridge and
    answer over the smallest of their part outside the span of the prompt's [P L]."""
    gram: NDArray[np.float64]
    """Inner products of the updates of all layers together, ⟨θ'_i − θ, θ'_j − θ⟩ [P P]."""
    other_ids: tuple[str, ...]
    """Other questions that were asked without trajectory, before and with the last update [O]."""
    other_change: NDArray[np.float32]
    """Change of their L̂ by the update, in nats; above 0 where it harms [O]."""


@dataclass(frozen=True)
class AlignmentSettings:
    """What Eq. 4 is tested on."""

    bridge: str = TraceSettings.bridge
    """Text between prompt and answer, where the loss is measured."""
    span: Literal["reasoning", "all"] = "reasoning"
    """Follow the trajectory up to its final answer statement, or through it."""
    n_prefixes: int = 8
    """Most prefixes that are measured, evenly spaced, the span's end among them; prefix 0 moves nothing."""
    n_directions: int = 16
    """Random directions in the span of each update, as a scale."""
    step_share: float = 1e-5
    """Length of the SGD step whose effect on activations is compared, as a share of the weights' norm: so short that
    the loss falls as its gradient says."""
    seed: int = 0
    """Of the null texts and directions."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """How the update that a text stands for lies to the negative gradient of the answer's loss (the paper's Eq. 4).

    Axes besides P and L: D random directions.
    """

    id: str
    """Hash of settings, model, trajectory, kind of text and gold answer: the key of this unit of work."""
    trajectory_id: str
    """The trajectory whose question is asked; a null text stands in its place."""
    model: ModelIdentity
    settings: AlignmentSettings
    text: Text
    """What was in the context: the trajectory itself, or a null of equal length."""
    base_loss: float
    """L̂ without any text, in nats: L at θ."""
    prefix_lens: NDArray[np.int32]
    """Number of the text's tokens [P], ascending, above 0."""
    loss: NDArray[np.float32]
    """L̂ with that prefix, in nats: L at θ'_i [P]."""
    norm: NDArray[np.float32]
    """Length of the update θ'_i − θ over all layers [P]."""
    cosine: NDArray[np.float32]
    """Of a layer's update with −∇L at θ [P L]."""
    total_cosine: NDArray[np.float32]
    """The same over all layers' weights together [P]."""
    predicted: NDArray[np.float32]
    """First-order change of L from θ to θ'_i, ⟨∇L(θ), θ'_i − θ⟩, in nats [P]."""
    step_cosine: NDArray[np.float32]
    """Of the step θ'_i − θ'_{i−1} with −∇L at θ'_{i−1}, over all layers: Eq. 4 word for word [P]. The first step starts
    at θ. NaN where the loss has no gradient to rounding, as where the answer has become certain."""
    step_predicted: NDArray[np.float32]
    """First-order change of L by that step, in nats [P]."""
    similarity: NDArray[np.float32]
    """Cosine of the change of a layer's output at bridge and answer with the change that one SGD step on the answer's
    loss makes there (after SimAOU of Dai et al. 2023, arXiv 2212.10559) [P L]."""
    span_cosine: NDArray[np.float32]
    """Total cosines with −∇L at θ of random directions in the update's own span [P D]."""
    ceiling: NDArray[np.float32]
    """The largest total cosine that any change could have which, like the update, leaves alone what the prompt's
    positions do: the share of ∇L's length that lies in the span of the update's right factors [P]."""


@dataclass(frozen=True)
class AdaptSettings:
    """The explicit inner loop: gradient steps on the trajectory as text."""

    optimizer: Literal["sgd", "adam"] = "sgd"
    """What takes the steps: plain SGD, or Adam with its usual moments."""
    rate: float | None = None
    """Step size; by default what models of this size bear: 0.1 (SGD) and 3e-4 (Adam) below ten million weights, 1e-3
    and 1e-5 above. Records hold the number."""
    n_steps: int = 8
    """Each on all of the trajectory's tokens."""
    bridge: str = TraceSettings.bridge
    """Text between prompt and answer, where the answer is asked without the trajectory."""
    span: Literal["reasoning", "all"] = "reasoning"
    """Learn the trajectory up to its final answer statement, or through it."""
    weights: str = ""
    """Move only weights with this in their name."""


@dataclass(frozen=True, eq=False)
class Adaptation:
    """An answer's loss along gradient steps on a trajectory as text (test-time training). Axis: K steps."""

    id: str
    """Hash of settings, model, trajectory and gold answer: the key of this unit of work."""
    trajectory_id: str
    model: ModelIdentity
    settings: AdaptSettings
    loss: NDArray[np.float32]
    """L̂ without trajectory after k steps, in nats; before the first step too [K + 1]."""
    text_loss: NDArray[np.float32]
    """What the steps descend: mean NLL of the trajectory's tokens after the prompt, in nats [K + 1]."""
    distance: NDArray[np.float32]
    """Length of the way from the starting weights, straight [K + 1]."""
    in_context_loss: float
    """L̂ of the unchanged model with the trajectory in its context, in nats."""


@dataclass(frozen=True)
class AlignmentRow:
    """How one kind of text aligns, over questions."""

    text: str
    """One of GROUPS: right and wrong trajectories, null texts of all of them, and, as a scale, random directions in the
    span of the right trajectories' updates."""
    n_texts: int
    means: dict[str, Estimate]
    """By name: "cosine" of the whole update with −∇L; "layer cosine", mean of the layers' own, in which no layer counts
    for more because its update is longer; "step cosine", mean over steps; "similarity" of activations, mean over
    layers; change of L, "predicted" to first order and "true", in nats; "agreement", the share of texts where the two
    have one sign. Of random directions the cosine alone."""
    pearson: float | None
    """Correlation of predicted and true change over questions; None for fewer than three or without variation."""
    spearman: float | None


@dataclass(frozen=True)
class AlignmentDifference:
    """How much better right trajectories align than other texts on the same questions."""

    measure: str
    against: str
    difference: Estimate
    p: float
    """Of a paired sign-flip test over questions, two-sided."""
    p_holm: float
    """Adjusted for all differences of the summary (Holm)."""


@dataclass(frozen=True)
class AlignmentSummary:
    """The test of Eq. 4 for one model."""

    model: str
    settings: AlignmentSettings
    rows: tuple[AlignmentRow, ...]
    differences: tuple[AlignmentDifference, ...]
    ceiling: float
    """The largest cosine that an update of this form could have, mean over questions of the trajectories' own."""
    spread: float
    """Root mean square of the cosines of random directions in the span of the trajectories' updates: what is large
    there."""
    outside: float | None
    """Share of right trajectories whose cosine is, either way, larger than those of all random directions in the span
    of their own updates, mean over questions; None without right ones. By chance one in n_directions + 1."""
    lowering: Estimate | None
    """Mean cosine of the null texts that lower L, over the questions that have such: what any text that happens to help
    has, reasoning or not. None where there is none."""
    raising: Estimate | None
    """The same of those that do not."""
    n_undefined: int
    """Steps without a cosine: the loss had no gradient there."""

    def find_row(self, text: str) -> AlignmentRow | None:
        """The row of one kind of text, if there is one."""
        return next((row for row in self.rows if row.text == text), None)
