"""A short piece of a stage's own work, run here, so that seconds are those of this machine and this model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from raml.errors import RamlError
from raml.planning.load import Costs, Load, fit_costs
from raml.planning.process import measure_time
from raml.planning.record import Duration
from raml.records import Trajectory

BUDGET_S = 8.0
"""Seconds of a processor, for each of its threads, that the pieces of one model may take together."""
FEWEST = 2
"""Pieces that are run however long they take: fixed and growing costs can't be told apart with fewer."""


@dataclass(frozen=True)
class Piece:
    """Some of a stage's work."""

    expected: Load
    """How much it is, as far as that is known beforehand."""
    run: Callable[[], Load]
    """Does it, and says how much it was."""


@dataclass(frozen=True)
class Rehearsal:
    """What was measured."""

    costs: Costs
    once: Duration
    """What the first piece took longer than its like will later: trials of kernels, late imports."""
    n_pieces: int


def rehearse(pieces: Iterable[Piece], whole: Load, budget_s: float = BUDGET_S) -> Rehearsal | None:
    """Run pieces in their order, as long as time is left; None if none of them could be run.

    The first is run twice: what comes only once does not count as its cost. A piece that, by those before it, would
    take longer than what is left, or that can't be run, is left out.

    Args:
        pieces: Of a stage.
        whole: The stage's work, as far as it is known.
        budget_s: Seconds of a processor.
    """
    measured: list[tuple[Load, Duration]] = []
    first: Duration | None = None
    started = time.process_time()
    for piece in pieces:
        left = budget_s - (time.process_time() - started)
        if len(measured) >= FEWEST and _expect(measured, piece) > left:
            continue
        try:
            if first is None:
                first = _measure(piece)[1]
            measured.append(_measure(piece))
        except RamlError:
            continue
    if first is None or not measured:
        return None
    again = measured[0][1]
    once = Duration(max(0.0, first.wall_s - again.wall_s), max(0.0, first.cpu_s - again.cpu_s))
    return Rehearsal(fit_costs(measured, whole), once, len(measured))


def _expect(measured: Sequence[tuple[Load, Duration]], piece: Piece) -> float:
    """Seconds of a processor that a piece will take, by those before it."""
    return fit_costs(measured, piece.expected).predict(piece.expected).cpu_s


def _measure(piece: Piece) -> tuple[Load, Duration]:
    done: list[Load] = []
    duration = measure_time(lambda: done.append(piece.run()))
    return done[0], duration


def shorten(trajectory: Trajectory, n_tokens: int) -> Trajectory:
    """The first so many tokens of a trajectory, with an id of its own; all of it if it has no more."""
    n = min(n_tokens, len(trajectory.token_ids))
    return replace(
        trajectory,
        id=f"{trajectory.id}-{n}",
        token_ids=trajectory.token_ids[:n],
        token_ends=trajectory.token_ends[:n],
        text=trajectory.text[: trajectory.token_ends[n - 1] if n else 0],
        reasoning_len=min(trajectory.reasoning_len, n),
        logprobs=None if trajectory.logprobs is None else trajectory.logprobs[:n],
    )


def lengthen(trajectory: Trajectory, n_tokens: int) -> Trajectory:
    """A trajectory of so many tokens, which are its own again and again; none of none."""
    if not trajectory.token_ids:
        return trajectory
    times = -(-n_tokens // len(trajectory.token_ids))
    ends = [i * len(trajectory.text) + end for i in range(times) for end in trajectory.token_ends][:n_tokens]
    return replace(
        trajectory,
        token_ids=(trajectory.token_ids * times)[:n_tokens],
        token_ends=tuple(ends),
        text=(trajectory.text * times)[: ends[-1] if ends else 0],
        reasoning_len=n_tokens,
        logprobs=None if trajectory.logprobs is None else (trajectory.logprobs * times)[:n_tokens],
    )
