"""What `raml sample` will take, and whatever else writes with `generate()`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from raml.models import LoadedModel
from raml.planning.assembly import Work, assemble
from raml.planning.load import Load, read_text
from raml.planning.memory import count_generation_bytes
from raml.planning.record import Duration, Part, Plan
from raml.planning.rehearsal import Piece, lengthen
from raml.planning.standing import MOST_CLOSED, Closing, rehearse_closing, take_standing
from raml.records import SamplingSettings, Trajectory
from raml.sampling import BATCH_SIZE, SampleUnit, cut_batches, stream_trajectories
from raml.store.lines import encode_line

STEPS_OF_ONE = (2, 12)
"""Tokens that one response alone writes: what a step costs is told apart from what a row costs."""
STEPS_OF_SHORT = (4, 12)
"""Tokens that each row of a full batch writes after the beginnings of prompts."""
SHORT = 8
"""Tokens of these beginnings: few, so that what is measured is the writing."""
FAR = (256, 1024)
"""Tokens by which a text is longer than the prompts; after it one response writes a little."""
STEPS_OF_PIECES = (4, 12, 32, 96, 288)
"""Tokens that each row of a full batch writes after whole prompts."""

TOKEN_BYTES = 100
"""Main memory of a trajectory's token: id, end and probability are Python objects."""


@dataclass(frozen=True)
class Batch:
    """Responses that are written together, a token of each at a time, until the last one ends."""

    prompt_lens: tuple[int, ...]
    n_steps: int

    @property
    def load(self) -> Load:
        """Prompts are filled up to the longest; a row that has ended goes on as padding."""
        n_rows, longest = len(self.prompt_lens), max(self.prompt_lens)
        rest = self.n_steps - 1  # the first token comes out of the prompt's pass
        attended = rest * longest + rest * (rest + 1) / 2
        return read_text(longest, calls=0) * n_rows + Load(self.n_steps, 0, n_rows * attended, written=n_rows * rest)


def plan_sample(
    loaded: LoadedModel,
    units: Sequence[SampleUnit],
    settings: SamplingSettings,
    *,
    batch_size: int = BATCH_SIZE,
    done: Collection[str] = (),
    trajectories: Sequence[Trajectory] = (),
) -> Plan:
    """Plan the responses that are missing; the arguments are those of `raml.sampling.stream_trajectories`.

    How long they will be is not known. If the model has written some of these trajectories (with other seeds, say, in
    the same mode), theirs are the lengths that are expected; else all are taken to be as long as they may be.
    """
    standing = take_standing(loaded)
    most = settings.max_new_tokens or 1
    modes = {unit.prompt.mode for unit in units}
    lens = [
        min(most, len(t.token_ids) + (t.finish == "stop"))
        for t in trajectories
        if t.model.key() == loaded.identity.key() and t.mode in modes
    ]
    batches = expect_batches(units, batch_size, done, lens, most)
    n_missing = sum(len(batch.prompt_lens) for batch in batches)
    note = (
        f"Lengths are expected to be those of {len(lens)} trajectories of this model that are there."
        if lens
        else "Nothing here says how long responses will be; memory and time are for the longest that are allowed."
    )
    work = Work(
        stage="sample",
        n_units=n_missing,
        unit="responses",
        loads=[batch.load for batch in batches],
        parts=max((count_batch_bytes(loaded, batch) for batch in batches), key=_sum_bytes, default=()),
        tokens_read=sum(max(batch.prompt_lens) * len(batch.prompt_lens) for batch in batches),
        tokens_written=round(n_missing * sum(lens) / len(lens)) if lens else None,
        most_written=n_missing * most,
        notes=(note,),
    )
    order = sorted(units, key=lambda unit: len(unit.prompt_ids))
    made: list[Trajectory] = []
    missing = [unit for unit in units if unit.id not in done]
    n_tokens = round(sum(lens) / len(lens)) if lens else most
    return assemble(
        loaded,
        standing,
        work,
        list_pieces(loaded, order[:batch_size], settings, most, made),
        lambda: _close(trajectories, missing, made, n_tokens),
    )


def _close(
    there: Sequence[Trajectory], missing: Sequence[SampleUnit], made: Sequence[Trajectory], n_tokens: int
) -> Closing:
    """What the end takes, where all trajectories are put in order: those that are there, and new ones so long."""
    closing = rehearse_closing()
    n_all = sum(len(trajectory.token_ids) for trajectory in there) + n_tokens * len(missing)
    some = there[:MOST_CLOSED]
    n_bytes = len(there) / max(1, len(some)) * sum(len(encode_line(trajectory)) for trajectory in some)
    if made and missing:
        new = replace(lengthen(made[-1], n_tokens), prompt_ids=missing[0].prompt_ids)
        n_bytes += len(missing) * len(encode_line(new))
    return closing + Closing(Duration(0, 0), TOKEN_BYTES * n_all, round(n_bytes))


def expect_batches(
    units: Sequence[SampleUnit], batch_size: int, done: Collection[str], lens: Sequence[int], most: int
) -> list[Batch]:
    """The batches that sampling cuts, without those that are done; each as long as its longest row is expected."""
    batches = []
    for members in cut_batches(units, batch_size, done):
        n_steps = expect_longest(lens, len(members)) if lens else most
        batches.append(Batch(tuple(len(unit.prompt_ids) for unit in members), max(1, round(n_steps))))
    return batches


def expect_longest(lens: Sequence[int], n: int) -> float:
    """The expectation of the largest of n lengths drawn, with replacement, from those given."""
    ordered = sorted(lens)
    shares = [((i + 1) / len(ordered)) ** n - (i / len(ordered)) ** n for i in range(len(ordered))]
    return sum(share * length for share, length in zip(shares, ordered, strict=True))


def count_batch_bytes(loaded: LoadedModel, batch: Batch) -> tuple[Part, ...]:
    """Memory of a batch beside the weights."""
    return count_generation_bytes(loaded.model, batch.prompt_lens, batch.n_steps)


def _sum_bytes(parts: Sequence[Part]) -> int:
    return sum(part.n_bytes for part in parts)


def list_pieces(
    loaded: LoadedModel,
    units: Sequence[SampleUnit],
    settings: SamplingSettings,
    most: int,
    made: list[Trajectory] | None = None,
) -> Iterator[Piece]:
    """One response, a full batch, and few rows after long texts; then the same with more and more tokens.

    What a token costs depends on how many are written at once and on how many there are before, so the second piece has
    as many at once as the stage, and the third has more before (where responses may get that long). `made` gets what
    the last piece made.
    """
    kept = [] if made is None else made
    if not units:
        return
    longest = max(len(unit.prompt_ids) for unit in units)
    short = [replace(unit, prompt_ids=unit.prompt_ids[:SHORT]) for unit in units]

    def make_far(n_rows: int, length: int, n_steps: int) -> Iterator[Piece]:
        far = min(longest + most - 8, length)
        ids = units[-1].prompt_ids
        text = (ids * (far // len(ids) + 1))[:far]
        if far > longest:
            few = [replace(unit, prompt_ids=text) for unit in units[:n_rows]]
            yield _make_piece(loaded, few, settings, min(n_steps, most), kept)

    for of_one, of_short, far in zip(STEPS_OF_ONE, STEPS_OF_SHORT, FAR, strict=True):
        yield _make_piece(loaded, units[:1], settings, min(of_one, most), kept)
        yield _make_piece(loaded, short, settings, min(of_short, most), kept)
        if far == FAR[0] or most - 8 > FAR[0]:  # else it would be as long as the one before
            yield from make_far(1, longest + far, 2)
    for n_steps in STEPS_OF_PIECES:
        yield _make_piece(loaded, units, settings, min(n_steps, most), kept)
        yield from make_far(2, longest + 4 * n_steps, 8)


def _make_piece(
    loaded: LoadedModel,
    units: Sequence[SampleUnit],
    settings: SamplingSettings,
    n_steps: int,
    kept: list[Trajectory],
) -> Piece:
    asked = replace(settings, max_new_tokens=n_steps)
    lens = tuple(len(unit.prompt_ids) for unit in units)

    def run() -> Load:
        batches = list(stream_trajectories(loaded, units, settings=asked, batch_size=len(units)))
        kept[:] = [trajectory for batch in batches for trajectory in batch]
        n_made = max(len(t.token_ids) + (t.finish == "stop") for t in kept)
        return Batch(lens, min(n_steps, n_made)).load

    return Piece(Batch(lens, n_steps).load, run)
