"""What `raml faithfulness` will take: trajectories that are written on from the borders of their sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from raml.errors import DataError
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


@dataclass(frozen=True)
class Continuing:
    """How trajectories are continued."""

    settings: ResamplingSettings
    """A trajectory is continued as it was sampled, whatever these say of the sampling."""
    batch_size: int
    """Continuations that are written at once."""
    longest: int
    """Tokens of the longest response that is there. A batch goes on until its last row ends, and that of many is
    expected to be as long, together with what it continues."""
    memory: int | None
    """Bytes that the probe may use."""

    def count_load(self, loaded: LoadedModel, trajectory: Trajectory, question: Question) -> Load:
        """The probe at the borders of a trajectory, and its continuations.

        Raises:
            RamlError: there is no such resampling.
        """
        job = self._plan_probe(loaded, trajectory, question)
        written = add_up([batch.load for batch in self._list_batches(loaded, trajectory)])
        return load_batch(loaded, [job], self.memory) + written

    def list_parts(self, loaded: LoadedModel, trajectory: Trajectory, question: Question) -> tuple[Part, ...]:
        """Memory of one resampling beside the weights: of the probe, or of a batch of continuations.

        Raises:
            RamlError: there is no such resampling, or the memory is too small.
        """
        kinds = [count_batch_bytes(loaded, batch) for batch in self._list_batches(loaded, trajectory)]
        job = self._plan_probe(loaded, trajectory, question)
        kinds.append(count_pass_bytes(loaded.model, [job], memory=self.memory))
        return max(kinds, key=lambda parts: sum(part.n_bytes for part in parts))

    def count_written(self, loaded: LoadedModel, trajectory: Trajectory) -> tuple[int, int]:
        """Tokens of all continuations, if they are as long as what they replace, and at most.

        Raises:
            DataError: there is no sentence, or a setting is out of range.
        """
        borders, limit = self._choose_borders(trajectory), self._find_limit(loaded, trajectory)
        expected, most = (
            self.settings.n * sum(max(0, end - border) for border in borders)
            for end in (len(trajectory.token_ids), limit)
        )
        return expected, most

    def make_records(self, loaded: LoadedModel, trajectories: Sequence[Trajectory]) -> list[Resampling]:
        """Records of the size that will come, with made-up numbers; nothing for what can't be continued."""
        rng, records, n = np.random.default_rng(0), [], self.settings.n
        for trajectory in trajectories:
            try:
                borders = self._choose_borders(trajectory)
            except DataError:
                continue
            right = [tuple(bool(one) for one in rng.integers(2, size=n)) for _ in borders]
            records.append(
                Resampling(
                    id=f"stand-in-{trajectory.id}",
                    trajectory_id=trajectory.id,
                    model=loaded.identity,
                    settings=self.settings,
                    prefix_lens=np.array(borders, dtype=np.int32),
                    loss=rng.random(len(borders), dtype=np.float32),
                    own_loss=rng.random(len(borders), dtype=np.float32),
                    answers=tuple(tuple("1" if one else "2" for one in row) for row in right),
                    correct=tuple(right),
                    n_written=tuple((max(0, len(trajectory.token_ids) - border),) * n for border in borders),
                )
            )
        return records

    def list_pieces(self, loaded: LoadedModel, trajectories: Sequence[Trajectory]) -> Iterator[Piece]:
        """Batches of continuations of the longest trajectory, as the stage writes them."""
        if not trajectories:
            return
        longest = max(trajectories, key=lambda trajectory: trajectory.reasoning_len)
        sampling = resolve_resampling(loaded, longest, self._settle(longest)).sampling
        borders = self._choose_borders(longest)[: max(1, self.batch_size // self.settings.n)]
        units = [
            SampleUnit(
                f"{border} {repeat}",
                Question(f"{longest.id} {border}", "", "0", kind="code"),
                repeat,
                longest.prompt or PromptSettings(mode=longest.mode),
                (*longest.prompt_ids, *longest.token_ids[:border]),
            )
            for border in borders
            for repeat in range(self.settings.n)
        ]
        yield from list_pieces(loaded, units, sampling, len(longest.token_ids) + 1)

    def _settle(self, trajectory: Trajectory) -> ResamplingSettings:
        return replace(self.settings, sampling=trajectory.sampling or SamplingSettings())

    def _choose_borders(self, trajectory: Trajectory) -> list[int]:
        return choose_borders(trajectory, self.settings.max_borders)

    def _find_limit(self, loaded: LoadedModel, trajectory: Trajectory) -> int:
        """Most tokens of a response."""
        return resolve_resampling(loaded, trajectory, self._settle(trajectory)).sampling.max_new_tokens or 1

    def _list_batches(self, loaded: LoadedModel, trajectory: Trajectory) -> list[Batch]:
        borders, limit = self._choose_borders(trajectory), self._find_limit(loaded, trajectory)
        at_a_time = max(1, self.batch_size // self.settings.n)
        n_whole = min(limit, max(self.longest, len(trajectory.token_ids)) + 1)
        batches = []
        for start in range(0, len(borders), at_a_time):
            group = borders[start : start + at_a_time]
            lens = tuple(len(trajectory.prompt_ids) + border for border in group for _ in range(self.settings.n))
            batches.append(Batch(lens, max(1, n_whole - group[0])))
        return batches

    def _plan_probe(self, loaded: LoadedModel, trajectory: Trajectory, question: Question) -> Job:
        targets = [replace(self.settings.trace, target="gold", span="reasoning")]
        if trajectory.answer is not None:
            targets.append(replace(targets[0], target="own"))
        job = plan_task(loaded, trajectory, question.answer, targets, None, kind=question.kind).job
        return replace(job, prefix_lens=tuple(self._choose_borders(trajectory)))
