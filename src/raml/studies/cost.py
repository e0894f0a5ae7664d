"""What studies need, estimated before they run: tokens, hours and bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from raml.errors import DataError
from raml.studies.plan import Cost, Step

READ, LEARN = 2, 6
"""Operations per parameter and token: a forward pass, and one with its backward pass (Kaplan et al. 2020,
arXiv 2001.08361, section 2.1). Attention over long contexts comes on top."""
SECONDS, TERA = 3600, 1e12


@dataclass(frozen=True)
class Machine:
    """A processor (an accelerator, or a core of a CPU), as scales.toml describes it."""

    unit: str
    """What an hour of it is called, such as "GPU"."""
    tflops: float
    """Its peak, in 10¹² operations a second."""
    generate_utilization: float
    """Share of the peak that sampling reaches, from above 0 to 1."""
    score_utilization: float
    train_utilization: float
    step_s: float
    """Seconds of a step that are none of these: start, loading, grading, drawing."""

    def __post_init__(self) -> None:
        """Refuse what no hours can be computed from.

        Raises:
            DataError: a number is out of range; the message names it.
        """
        if not 0 < self.tflops < float("inf"):
            raise DataError(f"machine.tflops is {self.tflops}; it must be above 0.")
        if not 0 <= self.step_s < float("inf"):
            raise DataError(f"machine.step_s is {self.step_s}; it must be at least 0.")
        for name in ("generate_utilization", "score_utilization", "train_utilization"):
            if not 0 < getattr(self, name) <= 1:
                raise DataError(f"machine.{name} is {getattr(self, name)}; it must be above 0 and at most 1.")


@dataclass(frozen=True)
class Bill:
    """What steps need together."""

    n_steps: int
    generated: float
    """Tokens."""
    scored: float
    trained: float
    hours: float
    """Of one processor, whether or not several share the work."""
    n_bytes: float


def read_machine(shared: Mapping[str, Any]) -> Machine:
    """Read a scale's machine.

    Raises:
        DataError: something is missing or out of range.
    """
    table = shared.get("machine", {})
    names = [field.name for field in fields(Machine)]
    if set(table) != set(names):
        raise DataError(f"A scale's machine has {', '.join(table) or 'nothing'}; it needs {', '.join(names)}.")
    return Machine(**table)


def estimate_hours(cost: Cost, machine: Machine) -> float:
    """Estimate the hours of one processor: operations over the rate that each kind of work reaches."""
    seconds_at_peak = (
        READ * cost.generated / machine.generate_utilization
        + READ * cost.scored / machine.score_utilization
        + LEARN * cost.trained / machine.train_utilization
    ) * (cost.parameters / (machine.tflops * TERA))
    return (seconds_at_peak + machine.step_s) / SECONDS


def add_up(steps: Sequence[Step], machine: Machine) -> Bill:
    """Add up what steps need; steps of one name count once."""
    costs = [step.cost for step in {step.name: step for step in steps}.values()]
    return Bill(
        n_steps=len(costs),
        generated=sum(cost.generated for cost in costs),
        scored=sum(cost.scored for cost in costs),
        trained=sum(cost.trained for cost in costs),
        hours=sum(estimate_hours(cost, machine) for cost in costs),
        n_bytes=sum(cost.n_bytes for cost in costs),
    )
