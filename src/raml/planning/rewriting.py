"""What `raml faithfulness` will take: trajectories that are written on from the borders of their sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from raml.models import LoadedModel
from raml.planning.generation import Batch, count_batch_bytes, list_pieces
from raml.planning.load import Load, add_up
from raml.planning.memory import count_pass_bytes
from raml.planning.record import Part
from raml.planning.rehearsal import Piece
from raml.planning.tracing import load_batch
from raml.probes.resampling import choose_borders, resolve_resampling
from raml.probes.task import plan_task
from raml.records import PromptSettings, Question, Resampling, ResamplingSettings, SamplingSettings, Trajectory
from raml.sampling import SampleUnit
from raml.scoring import Job


def settle(settings: ResamplingSettings, trajectory: Trajectory) -> ResamplingSettings:
    """Settings for a trajectory that is written on as it was sampled."""
    return replace(settings, sampling=trajectory.sampling or SamplingSettings())


def count_written(loaded: LoadedModel, trajectory: Trajectory, settings: ResamplingSettings) -> tuple[int, int]:
    """Tokens of all continuations, if they are as long as what they replace, and at most.

    Raises:
        DataError: there is no sentence, or a setting is out of range.
    """
    borders = choose_borders(trajectory, settings.max_borders)
    limit = resolve_resampling(loaded, trajectory, settings).sampling.max_new_tokens or 1
    expected, most = (
        settings.n * sum(max(0, end - border) for border in borders) for end in (len(trajectory.token_ids), limit)
    )
    return expected, most


def make_stand_ins(
    loaded: LoadedModel, trajectories: Sequence[Trajectory], settings: ResamplingSettings
) -> list[Resampling]:
    """Records of the size that will come, with made-up numbers, for the stage's end to be rehearsed with."""
    rng, records = np.random.default_rng(0), []
    for trajectory in trajectories:
        borders = choose_borders(trajectory, settings.max_borders)
        right = [tuple(bool(one) for one in rng.integers(2, size=settings.n)) for _ in borders]
        records.append(
            Resampling(
                id=f"stand-in-{trajectory.id}",
                trajectory_id=trajectory.id,
                model=loaded.identity,
                settings=settings,
                prefix_lens=np.array(borders, dtype=np.int32),
                loss=rng.random(len(borders), dtype=np.float32),
                own_loss=rng.random(len(borders), dtype=np.float32),
                answers=tuple(tuple("1" if one else "2" for one in row) for row in right),
                correct=tuple(right),
                n_written=((1,) * settings.n,) * len(borders),
            )
        )
    return records


@dataclass(frozen=True)
class Continuing:
    """How trajectories are continued."""

    settings: ResamplingSettings
    batch_size: int
    """Continuations that are written at once."""
    longest: int
    """Tokens of the longest response that is there. A batch goes on until its last row ends, and that of many is
    expected to be as long, together with what it continues."""
    memory: int | None
    """Bytes that the probe may use."""

    def load(self, loaded: LoadedModel, trajectory: Trajectory, question: Question) -> Load:
        """The probe at the borders of a trajectory, and its continuations.

        Raises:
            RamlError: there is no such resampling.
        """
        own = settle(self.settings, trajectory)
        job = _plan_probe(loaded, trajectory, question, own)
        return load_batch(loaded, [job], self.memory) + add_up(
            [batch.load for batch in self._list_batches(loaded, trajectory, own)]
        )

    def list_parts(self, loaded: LoadedModel, trajectory: Trajectory, question: Question) -> tuple[Part, ...]:
        """Memory of one resampling beside the weights: of the probe, or of a batch of continuations.

        Raises:
            RamlError: there is no such resampling, or the memory is too small.
        """
        own = settle(self.settings, trajectory)
        kinds = [count_batch_bytes(loaded, batch) for batch in self._list_batches(loaded, trajectory, own)]
        job = _plan_probe(loaded, trajectory, question, own)
        kinds.append(count_pass_bytes(loaded.model, [job], memory=self.memory))
        return max(kinds, key=lambda parts: sum(part.n_bytes for part in parts))

    def _list_batches(self, loaded: LoadedModel, trajectory: Trajectory, own: ResamplingSettings) -> list[Batch]:
        borders = choose_borders(trajectory, own.max_borders)
        limit = resolve_resampling(loaded, trajectory, own).sampling.max_new_tokens or 1
        at_a_time = max(1, self.batch_size // own.n)
        batches = []
        for start in range(0, len(borders), at_a_time):
            group = borders[start : start + at_a_time]
            lens = tuple(len(trajectory.prompt_ids) + border for border in group for _ in range(own.n))
            n_whole = min(limit, max(self.longest, len(trajectory.token_ids)) + 1)
            batches.append(Batch(lens, max(1, n_whole - group[0])))
        return batches


def list_resampling_pieces(
    loaded: LoadedModel, trajectories: Sequence[Trajectory], settings: ResamplingSettings, batch_size: int
) -> Iterator[Piece]:
    """Batches of continuations of the longest trajectory, as the stage writes them."""
    if not trajectories:
        return
    longest = max(trajectories, key=lambda trajectory: trajectory.reasoning_len)
    sampling = resolve_resampling(loaded, longest, settle(settings, longest)).sampling
    borders = choose_borders(longest, settings.max_borders)[: max(1, batch_size // settings.n)]
    units = [
        SampleUnit(
            f"{border} {repeat}",
            Question(f"{longest.id} {border}", "", "0", kind="code"),
            repeat,
            longest.prompt or PromptSettings(mode=longest.mode),
            (*longest.prompt_ids, *longest.token_ids[:border]),
        )
        for border in borders
        for repeat in range(settings.n)
    ]
    yield from list_pieces(loaded, units, sampling, len(longest.token_ids) + 1)


def _plan_probe(loaded: LoadedModel, trajectory: Trajectory, question: Question, settings: ResamplingSettings) -> Job:
    targets = [replace(settings.trace, target="gold", span="reasoning")]
    if trajectory.answer is not None:
        targets.append(replace(targets[0], target="own"))
    job = plan_task(loaded, trajectory, question.answer, targets, None, kind=question.kind).job
    return replace(job, prefix_lens=tuple(choose_borders(trajectory, settings.max_borders)))
