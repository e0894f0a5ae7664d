"""Which tokens move the answer. Axes: P prefixes, so P − 1 steps between them; B sentence borders."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from raml.records.base import Mode
from raml.records.evaluation import Estimate
from raml.records.probes import TraceSettings
from raml.records.trajectories import ModelIdentity, SamplingSettings

Family = Literal["all", "word", "part", "position", "sentence"]
Correctness = Literal["all", "right", "wrong"]


@dataclass(frozen=True)
class InfluenceSettings:
    """How steps are measured and sorted into groups."""

    words: tuple[str, ...] = (
        "wait",
        "retry",
        "recheck",
        "however",
        "alternatively",
        "hold on",
        "since",
        "therefore",
    )
    """Words to look at, by default the paper's. Found with and without a blank in front, whatever the case."""
    epsilon: float = 0.01
    """Added to L̂ before its logarithm is taken, in nats: changes far below it count as none."""


@dataclass(frozen=True, eq=False)
class Influence:
    """How far each step along a trajectory moved the loss of an answer."""

    id: str
    """Hash of settings and trace: the key of this unit of work."""
    trajectory_id: str
    model: ModelIdentity
    """The model that scored."""
    settings: InfluenceSettings
    trace_id: str
    """The trace that these are the steps of."""
    prefix_lens: NDArray[np.int32]
    """Number of trajectory tokens before each measurement [P]."""
    change: NDArray[np.float32]
    """L̂ after a step minus L̂ before it, in nats; below 0 where the answer became likelier [P − 1]."""
    relative: NDArray[np.float32]
    """The paper's measure, |change| / L̂ before; infinite or NaN where L̂ before is 0 [P − 1]."""
    log_change: NDArray[np.float32]
    """Change of log(L̂ + ε), which does not explode where L̂ is near 0 [P − 1]."""
    parts: tuple[str, ...]
    """What the step's text is: "number", "operator", "word" or "other" [P − 1]."""
    words: tuple[str | None, ...]
    """The word of the list that the step belongs to [P − 1]."""


@dataclass(frozen=True)
class ResamplingSettings:
    """How often, and how, a trajectory is written again from the borders of its sentences."""

    n: int = 10
    """Continuations from each border."""
    max_borders: int = 16
    """Most borders of a trajectory that are looked at, evenly spread; the first and the last are among them."""
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    """How continuations are drawn."""
    trace: TraceSettings = field(default_factory=lambda: TraceSettings(every="sentence"))
    """The probe that resampling is compared with."""


@dataclass(frozen=True, eq=False)
class Resampling:
    """What a model answers when it writes on from each border between the sentences of a trajectory."""

    id: str
    """Hash of settings, model, trajectory and gold answer: the key of this unit of work."""
    trajectory_id: str
    model: ModelIdentity
    """The model that wrote on, usually the one that wrote the trajectory."""
    settings: ResamplingSettings
    prefix_lens: NDArray[np.int32]
    """Number of trajectory tokens before each border [B], ascending."""
    loss: NDArray[np.float32]
    """L̂ of the gold answer at each border, in nats [B]."""
    own_loss: NDArray[np.float32]
    """L̂ of the trajectory's own answer there, NaN if it gave none [B]."""
    answers: tuple[tuple[str | None, ...], ...]
    """Final answers of the continuations, None where one gave none [B n]."""
    correct: tuple[tuple[bool | None, ...], ...]
    """Whether they are right, None where that could not be decided [B n]."""
    n_written: tuple[tuple[int, ...], ...] = ()
    """Tokens of the continuations [B n]; nothing in records from before these were kept."""


@dataclass(frozen=True)
class Effect:
    """How much larger a value is for a group's units than for their controls."""

    difference: Estimate
    """Mean over questions of the mean, over a question's units, of value minus the mean of its stratum's controls."""
    p: float
    """Of the test of labels or of signs, two-sided."""
    p_holm: float
    """Adjusted for all groups of the table (Holm)."""
    n_units: int
    """Units that have controls."""


@dataclass(frozen=True)
class InfluenceRow:
    """How far the units of one group move L̂."""

    family: Family
    group: str
    outcome: Correctness
    n_units: int
    n_trajectories: int
    n_questions: int
    n_mixed: int
    """Units whose tokens hold more than the listed word."""
    n_unmatched: int
    """Units without any control, which the effects leave out."""
    mean_relative: float | None
    """The paper's measure |ΔL̂|/L̂, mean over units; None where none has it."""
    median_relative: float | None
    n_undefined: int
    """Units where L̂ before is 0 and |ΔL̂|/L̂ infinite or NaN; left out of its mean, median and effect."""
    mean_size: float | None
    """|Δ log(L̂+ε)|, mean over units."""
    mean_direction: float | None
    """Δ log(L̂+ε), mean over units; below 0 where the answer came nearer."""
    size: Effect | None
    """How much larger |Δ log(L̂+ε)| is than for matched controls; None where no unit has a control."""
    direction: Effect | None
    """The same for Δ log(L̂+ε): below 0 where the group brings the answer nearer than its controls do."""
    relative: Effect | None
    """The same for the paper's measure."""


@dataclass(frozen=True)
class LargestStep:
    """The step with the largest finite |ΔL̂|/L̂: an example of what that measure does where L̂ is near 0."""

    trajectory_id: str
    text: str | None
    """None where it must not be shown in public."""
    before: float
    after: float
    """L̂ in nats."""
    relative: float
    log_change: float


@dataclass(frozen=True)
class InfluenceSummary:
    """What moves an answer's L̂ in one model."""

    model: str
    """What scored."""
    writer: str
    settings: InfluenceSettings
    trace: TraceSettings
    """Of the traces whose steps these are."""
    mode: Mode
    n_trajectories: int
    n_right: int
    n_wrong: int
    n_questions: int
    n_steps: int
    every_token: bool
    """Whether L̂ is known after every token; otherwise words and parts can't be measured."""
    n_sentences: int
    n_sentences_unknown: int
    """Sentences at whose ends L̂ was not scored; left out."""
    largest: LargestStep | None
    level: float
    n_resamples: int
    rows: tuple[InfluenceRow, ...]

    def find_row(self, group: str, outcome: Correctness = "all") -> InfluenceRow | None:
        """The row of one group, if there is one."""
        return next((row for row in self.rows if (row.group, row.outcome) == (group, outcome)), None)
