"""What `raml landscape` will take: points of a grid, and paths of trajectories beside it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean

import numpy as np

from raml.landscapes import (
    AnswerRow,
    Direction,
    LossBatch,
    PlaneLoss,
    build_landscape,
    list_steps,
    measure_plane,
    project_path,
)
from raml.landscapes.batch import TOKENS_AT_A_TIME, TOKENS_AT_A_TIME_ELSEWHERE
from raml.landscapes.directions import list_weights
from raml.landscapes.paths import N_PREFIXES
from raml.models import LoadedModel
from raml.planning.assembly import Work, assemble, fits
from raml.planning.load import Load
from raml.planning.memory import FLOAT, count_path_bytes
from raml.planning.paths import load_path
from raml.planning.process import measure_time
from raml.planning.record import Duration, Part, Plan
from raml.planning.rehearsal import Piece
from raml.planning.standing import rehearse_closing, take_standing
from raml.records import Landscape, LandscapePoint, LandscapeSettings, PlanePath
from raml.scoring.memory import count_row_bytes
from raml.store import Run
from raml.store.landscapes import write_landscape
from raml.updates import trace_path
from raml.updates.probe import Probe, space_prefixes

PATH_SIZES = ((8, 2), (16, 8), (32, 16))
"""Tokens and prefixes of the paths that are rehearsed."""


@dataclass(frozen=True)
class Grid:
    """What will be measured."""

    rows: Sequence[AnswerRow]
    settings: LandscapeSettings
    make: Callable[[LoadedModel], tuple[Direction, Direction]]
    done: Collection[tuple[int, int]]
    """Points that are there."""
    probes: Sequence[tuple[str, Probe]]
    """Of the paths that will be drawn, each with its trajectory's id."""
    draw: Callable[[Run, Landscape], object]
    """Draws a landscape in a run's folder, as the command does at its end."""


def plan_landscape(loaded: LoadedModel, grid: Grid) -> Plan:
    """Plan the points that are missing, and the paths.

    The directions are made and three points of one row measured as the stage does it: the first of a row takes longer
    than the others, which find some of the weights moved already.
    """
    standing = take_standing(loaded)
    n_steps = grid.settings.n_steps
    n_missing = n_steps**2 - len(set(grid.done))
    batch = LossBatch(loaded.model, grid.rows)
    loads = [load_path(probe, N_PREFIXES) for _, probe in grid.probes]
    work = Work(
        stage="landscape",
        n_units=n_missing,
        unit="points",
        loads=loads,
        parts=list_plane_parts(loaded, grid, batch),
        tokens_read=batch.n_tokens * (n_missing + 1) + round(sum(load.rows for load in loads)),
    )
    if not fits(loaded, work.parts):
        return assemble(loaded, standing, work, (), rehearse_closing)
    rehearsed = _Rehearsed(loaded, grid)
    once, pieces = rehearsed.predict(n_missing), rehearsed.list_pieces()
    return assemble(loaded, standing, work, pieces, lambda: rehearse_closing(rehearsed.draw), once=once)


def list_plane_parts(loaded: LoadedModel, grid: Grid, batch: LossBatch) -> tuple[Part, ...]:
    """Memory beside the weights: directions and moved weights, and the buffers of a pass or of a path.

    A random direction has a byte for each weight of a matrix, others four for each weight that they move. Of weights in
    32 bits, those moved along the first direction are kept, as far as all that is no more than the weights once more.
    """
    matrices = [parameter for _, _, parameter in list_weights(loaded.model) if parameter.ndim > 1]
    n_weights = sum(parameter.numel() for parameter in matrices)
    moved = sum(parameter.nbytes for parameter in matrices)
    if grid.settings.plane == "path":
        downs = [p for n, p in loaded.model.named_parameters() if n.endswith("down_proj.weight")]
        n_weights, moved = sum(p.numel() for p in downs), sum(p.nbytes for p in downs)
    directions = 2 * n_weights * (1 if grid.settings.plane == "random" else FLOAT)
    weights = sum(parameter.nbytes for parameter in loaded.model.parameters())
    kept = 0 if grid.settings.plane == "checkpoints" or loaded.model.dtype.itemsize < FLOAT else moved
    limit = TOKENS_AT_A_TIME.get(loaded.model.device.type, TOKENS_AT_A_TIME_ELSEWHERE)
    buffers = min(batch.n_tokens, limit) * count_row_bytes(loaded.model)
    paths = [count_path_bytes(loaded.model, N_PREFIXES, len(probe.ids), gram=True) for _, probe in grid.probes]
    return (
        Part("directions", directions),
        Part("moved weights", min(kept, max(0, weights - directions))),
        Part("buffers", max([buffers, *paths])),
    )


class _Rehearsed:
    """The plane itself, and what its making and its points took."""

    def __init__(self, loaded: LoadedModel, grid: Grid) -> None:
        self.loaded, self.grid = loaded, grid
        self.paths: list[PlanePath] = []
        made: list[tuple[Direction, Direction]] = []
        self.making = measure_time(lambda: made.append(grid.make(loaded)))
        self.directions = made[0]
        planes: list[PlaneLoss] = []
        self.learning = measure_time(lambda: planes.append(PlaneLoss(loaded.model, grid.rows, *self.directions)))
        geometry: list[tuple[float, float, float]] = []
        self.measuring = measure_time(lambda: geometry.append(measure_plane(loaded.model, *self.directions)))
        self.geometry = geometry[0]
        steps = list_steps(grid.settings).tolist()
        self.points = [measure_time(lambda y=y: planes[0].measure(steps[0], steps[y])) for y in range(3)]

    def predict(self, n_missing: int) -> Duration:
        """Time of the plane and of all points; one of each row is a first one."""
        first, others = self.points[0], self.points[1:]
        n_first = n_missing / self.grid.settings.n_steps
        wall, cpu = (
            n_first * getattr(first, name) + (n_missing - n_first) * fmean(getattr(p, name) for p in others)
            for name in ("wall_s", "cpu_s")
        )
        return self.making + self.learning + self.measuring + Duration(wall, cpu)

    def list_pieces(self) -> Iterator[Piece]:
        """Short paths; where none are asked for, nothing that takes time."""
        if not self.grid.probes:
            yield Piece(Load(), Load)
            return
        _, longest = max(self.grid.probes, key=lambda pair: len(pair[1].trajectory_ids))
        for n_tokens, n_prefixes in PATH_SIZES:
            probe = replace(longest, trajectory_ids=longest.trajectory_ids[:n_tokens])
            yield Piece(load_path(probe, n_prefixes), partial(self._follow, probe, n_prefixes))

    def _follow(self, probe: Probe, n_prefixes: int) -> Load:
        lens = space_prefixes(len(probe.trajectory_ids), n_prefixes)
        parts = probe.prompt_ids, probe.trajectory_ids, probe.ids
        path = trace_path(self.loaded.model, *parts, lens, len(probe.answer_ids))
        self.paths = [project_path(self.loaded.model, "", path, self.directions, self.geometry)]
        return load_path(probe, n_prefixes)

    def draw(self, folder: Run) -> None:
        """Draw a landscape of this size, with as many paths."""
        rng, n = np.random.default_rng(0), self.grid.settings.n_steps
        points = [
            LandscapePoint("", "", x, y, rng.random(len(self.grid.rows), dtype=np.float32))
            for x in range(n)
            for y in range(n)
        ]
        paths = [replace(path, trajectory_id=key) for path in self.paths for key, _ in self.grid.probes]
        surface = build_landscape(
            self.loaded.identity,
            self.grid.settings,
            self.grid.rows,
            points,
            landscape_id="",
            geometry=self.geometry,
            paths=paths,
        )
        folder.landscapes_path.mkdir()
        write_landscape(folder.landscapes_path / "plan.safetensors", surface)
        self.grid.draw(folder, surface)
