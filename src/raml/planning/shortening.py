"""What `raml compress` will take: answers after less reasoning, or more, by whatever method."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from raml.models import LoadedModel
from raml.planning.assembly import Work, assemble
from raml.planning.load import Load, add_up, read_text
from raml.planning.memory import count_generation_bytes, count_pass_bytes
from raml.planning.record import Part, Plan
from raml.planning.rehearsal import Piece, shorten
from raml.planning.standing import rehearse_closing, take_standing
from raml.prompts import encode_text
from raml.records import Question, ReadoutSettings, Trajectory
from raml.sampling import BATCH_SIZE
from raml.scoring import Job
from raml.store import Run

Pair = tuple[Trajectory, Question]
SIZES = ((1, 16), (1, 48), (2, 96), (4, 192), (8, 10**6))
"""Trajectories, and tokens of each, of the rehearsal's pieces."""


def plan_attempts(
    loaded: LoadedModel,
    pairs: Sequence[Pair],
    run: Callable[[Sequence[Pair]], object],
    readout: ReadoutSettings,
    *,
    n_attempts: int,
    longest_written: int,
    at_a_time: int,
    memory: int | None,
    close: Callable[[Run], object],
) -> Plan:
    """Plan the attempts of several methods together.

    How many tokens methods read depends on sentences, on how often the model goes on, and on what it answers; so time
    is measured on shortened trajectories and taken to grow with the number of trajectories, their tokens and the square
    of these.

    Args:
        loaded: The model that answers.
        pairs: Trajectories that have attempts missing, with their questions.
        run: Makes all attempts of some trajectories.
        readout: How answers are asked for.
        n_attempts: How many are missing.
        longest_written: Most tokens by which a text is made longer; 0 if none is.
        at_a_time: Trajectories that are worked on together.
        memory: Bytes that may be used beside the model's weights.
        close: Makes tables and figures in a run's folder.
    """
    standing = take_standing(loaded)
    loads = [_load(trajectory) for trajectory, _ in pairs]
    work = Work(
        stage="compress",
        n_units=n_attempts,
        unit="attempts",
        loads=loads,
        parts=_list_parts(loaded, pairs, readout, longest_written, at_a_time, memory),
        tokens_read=None,
        tokens_written=None,
        most_written=n_attempts * (readout.max_new_tokens + longest_written),
        notes=("How many tokens are read depends on what the model answers; time is from shortened trajectories.",),
    )
    return assemble(loaded, standing, work, _list_pieces(pairs, run), lambda: rehearse_closing(close))


def _load(trajectory: Trajectory) -> Load:
    return read_text(len(trajectory.prompt_ids) + trajectory.reasoning_len)


def _list_pieces(pairs: Sequence[Pair], run: Callable[[Sequence[Pair]], object]) -> Iterator[Piece]:
    for n, n_tokens in SIZES:
        some = [(shorten(trajectory, n_tokens), question) for trajectory, question in pairs[:n]]
        load = add_up([_load(trajectory) for trajectory, _ in some])

        def run_some(some: Sequence[Pair] = some, load: Load = load) -> Load:
            run(some)
            return load

        if some:
            yield Piece(load, run_some)


def _list_parts(
    loaded: LoadedModel,
    pairs: Sequence[Pair],
    readout: ReadoutSettings,
    longest_written: int,
    at_a_time: int,
    memory: int | None,
) -> tuple[Part, ...]:
    """Memory of the longest trajectories that can meet in one batch, read or made longer."""
    ordered = sorted((trajectory for trajectory, _ in pairs), key=lambda trajectory: -trajectory.reasoning_len)
    bridge = encode_text(loaded.tokenizer, readout.bridge)
    jobs = [
        Job(t.prompt_ids, t.token_ids[: t.reasoning_len], bridge, (), (t.reasoning_len,)) for t in ordered[:at_a_time]
    ]
    kinds = [count_pass_bytes(loaded.model, jobs, memory=memory, max_new_tokens=readout.max_new_tokens)] if jobs else []
    if longest_written and jobs:
        lens = [job.n_stored for job in jobs] * BATCH_SIZE
        kinds.append(count_generation_bytes(loaded.model, lens[:BATCH_SIZE], longest_written))
    return max(kinds, key=lambda parts: sum(part.n_bytes for part in parts), default=())
