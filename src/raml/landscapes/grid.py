"""The grid on a plane: which points, their losses one after another, and the landscape that they make."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from raml.errors import DataError, NumericsError
from raml.landscapes.batch import AnswerRow, LossBatch
from raml.landscapes.checkpoints import read_checkpoint
from raml.landscapes.directions import Direction, draw_direction
from raml.landscapes.perturb import Perturbation
from raml.models import LoadedModel
from raml.records import Landscape, LandscapePoint, LandscapeSettings, ModelIdentity, PlanePath, hash_key
from raml.scale import Workers, open_pool

Maker = Callable[[LoadedModel], tuple[Direction, Direction]]
"""Makes the two directions of a plane for a model."""


class PlaneLoss:
    """The losses of several questions anywhere on a plane through a model's weights; these never change."""

    def __init__(
        self,
        model: PreTrainedModel,
        rows: Sequence[AnswerRow],
        first: Direction,
        second: Direction,
        *,
        tokens_at_a_time: int | None = None,
    ) -> None:
        """Make ready; one forward pass finds out how the model reads its parameters.

        Raises:
            DataError: there are no rows, or one of them lacks a part.
            ModelError: the model's weights can't be moved, or a parameter of the plane is not read.
        """
        self.batch = LossBatch(model, rows, tokens_at_a_time=tokens_at_a_time)
        self._perturbation = Perturbation(model, first, second)
        self._perturbation.learn(self.batch.measure)

    def measure(self, alpha: float, beta: float) -> NDArray[np.float32]:
        """L̂ without trajectory at θ + alpha d₁ + beta d₂, in nats per answer token [question].

        Raises:
            NumericsError: a loss is NaN or infinite.
        """
        with self._perturbation.at(alpha, beta):
            loss = self.batch.measure().cpu().numpy()
        for question_id, value in zip(self.batch.question_ids, loss, strict=True):
            if not np.isfinite(value):
                raise NumericsError(
                    f"Question {question_id}: the loss at ({alpha:g}, {beta:g}) of the landscape is {value}. "
                    "Choose a smaller reach, or float32."
                )
        return loss


def make_directions(loaded: LoadedModel, settings: LandscapeSettings) -> tuple[Direction, Direction]:
    """Make the two directions that the settings alone decide; for the plane of a path see `span_path`.

    Raises:
        DataError: a plane through checkpoints has not two of them, or the plane is that of a path.
        ModelError: a checkpoint can't be read or does not fit, or the weights are quantised or not in memory.
    """
    if settings.plane == "random":
        first, second = (draw_direction(loaded.model, settings.seed, i, settings.normalization) for i in (0, 1))
        return first, second
    if settings.plane == "path":
        raise DataError("The plane of a path is spanned by its trajectory; give measure_points span_path as `make`.")
    if len(settings.toward) != 2:
        raise DataError(f"A plane through checkpoints needs two of them; {len(settings.toward)} are given.")
    one, two = (read_checkpoint(loaded.model, name) for name in settings.toward)
    return one, two


def list_steps(settings: LandscapeSettings) -> NDArray[np.float64]:
    """List the steps along each axis, from −reach to reach; the middle one is exactly 0.

    Raises:
        DataError: their number is even or below 3, or the reach is not a positive number.
    """
    n, reach = settings.n_steps, settings.reach
    if n < 3 or n % 2 == 0:
        raise DataError(f"n_steps is {n}; it must be odd, so that the weights are on the grid, and at least 3.")
    if not 0 < reach < np.inf:
        raise DataError(f"reach is {reach}; it must be above 0, and finite.")
    return reach * (np.arange(-(n - 1), n, 2) / (n - 1))


def find_landscape_id(
    model: ModelIdentity, settings: LandscapeSettings, rows: Sequence[AnswerRow], spanned_by: Sequence[object] = ()
) -> str:
    """Hash what decides a landscape's numbers: settings, weights, the texts that are scored, and what spans the plane.

    `spanned_by` is what the settings only name: the token ids of the trajectory, or the hashes of the checkpoints.
    """
    texts = [(row.question_id, row.prompt_ids, row.answer_ids) for row in rows]
    return hash_key("landscape", settings, model.key(), texts, spanned_by)


def measure_points(
    load: Callable[[], LoadedModel],
    rows: Sequence[AnswerRow],
    settings: LandscapeSettings,
    *,
    landscape_id: str,
    make: Maker | None = None,
    done: Collection[tuple[int, int]] = (),
    workers: Workers | None = None,
) -> Iterator[LandscapePoint]:
    """Measure the points of a grid that are not done yet, and yield each as it is finished.

    Every point stands for itself, so a run may stop anywhere and go on later. `load` and then `make` are called once in
    each worker; by default the settings say which directions are made. Unless all happens in this process, both must be
    picklable, such as `functools.partial(load_model, name, device="cpu")` and
    `functools.partial(span_path, probe=probe)`.

    Raises:
        DataError: settings or rows are not what they should be.
        ModelError: the model's weights can't be moved on this plane.
        NumericsError: a loss is NaN or infinite; the message names point and question.
        RunError: one point cost several workers, or the cluster can't be reached.
    """
    steps = list_steps(settings).tolist()
    points = [(x, y) for x in range(len(steps)) for y in range(len(steps)) if (x, y) not in set(done)]
    if points:
        set_up = functools.partial(_open_plane, load, tuple(rows), settings, make, landscape_id)
        with open_pool(set_up, workers) as pool:
            yield from pool.map(_measure, points)


def build_landscape(
    model: ModelIdentity,
    settings: LandscapeSettings,
    rows: Sequence[AnswerRow],
    points: Sequence[LandscapePoint],
    *,
    landscape_id: str,
    geometry: tuple[float, float, float],
    paths: Sequence[PlanePath] = (),
) -> Landscape:
    """Put points together, in whatever order they come; `geometry` is what `measure_plane` says of the directions.

    Raises:
        DataError: a point of the grid is missing, or one is of another landscape.
    """
    steps = list_steps(settings)
    loss = np.full((len(rows), len(steps), len(steps)), np.nan, dtype=np.float32)
    for point in points:
        if point.landscape_id != landscape_id:
            raise DataError(f"Point {point.id} is of landscape {point.landscape_id}, not of {landscape_id}.")
        loss[:, point.x, point.y] = point.loss
    if missing := np.argwhere(np.isnan(loss[0])).tolist():
        raise DataError(f"{len(missing)} points of landscape {landscape_id} are missing, such as {tuple(missing[0])}.")
    middle = len(steps) // 2
    return Landscape(
        id=landscape_id,
        model=model,
        settings=settings,
        question_ids=tuple(row.question_id for row in rows),
        alphas=steps,
        betas=steps.copy(),
        loss=loss,
        base_loss=loss[:, middle, middle].copy(),
        direction_norms=geometry[:2],
        direction_cosine=geometry[2],
        paths=tuple(paths),
    )


def _open_plane(
    load: Callable[[], LoadedModel],
    rows: Sequence[AnswerRow],
    settings: LandscapeSettings,
    make: Maker | None,
    landscape_id: str,
) -> Callable[[tuple[int, int]], LandscapePoint]:
    """Build what a worker needs, and return the function that measures a point of the grid."""
    loaded = load()
    directions = make_directions(loaded, settings) if make is None else make(loaded)
    plane = PlaneLoss(loaded.model, rows, *directions)
    steps = list_steps(settings).tolist()

    def measure(point: tuple[int, int]) -> LandscapePoint:
        x, y = point
        return LandscapePoint(f"{landscape_id}-{x}-{y}", landscape_id, x, y, plane.measure(steps[x], steps[y]))

    return measure


def _measure(measure: Callable[[tuple[int, int]], LandscapePoint], point: tuple[int, int]) -> tuple[LandscapePoint]:
    return (measure(point),)
