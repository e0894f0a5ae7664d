"""`raml landscape`: the answer's loss over a plane in weight space, and trajectories on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from raml.cli.help_groups import LOADING, PLANE, WORKERS
from raml.cli.options import LoadOptions, WorkerOptions, choose_workers, load
from raml.cli.plan import PlanFlag, say_for_one, show_plan
from raml.cli.stage import say, show_progress
from raml.cli.units import read_units
from raml.cli.update import choose_for_adapter, choose_trajectory
from raml.cli.writers import check_weights, list_scorers
from raml.errors import DataError, RamlError
from raml.records import Landscape, LandscapePoint, LandscapeSettings, PlanePath, Question, Trajectory
from raml.scale import Workers
from raml.store import Journal, Run, StageClock, lock_run, read_jsonl
from raml.store.landscapes import read_landscape, write_landscape

if TYPE_CHECKING:
    from raml.landscapes import AnswerRow, Direction, Maker
    from raml.models import LoadedModel
    from raml.updates.probe import Probe


def landscape(
    run: Path,
    *,
    model: str | None = None,
    n_questions: int = 8,
    n_paths: int = 8,
    plan_only: PlanFlag = False,
    settings: Annotated[LandscapeSettings | None, Parameter(name="*", group=PLANE)] = None,
    options: Annotated[LoadOptions | None, Parameter(name="*", group=LOADING)] = None,
    workers: Annotated[WorkerOptions | None, Parameter(name="*", group=WORKERS)] = None,
) -> None:
    """Map the answer's loss over a plane in weight space.

    Example: `raml landscape runs/tiny --plane path --n-steps 15`

    The loss is that of the answer without trajectory; trajectories are drawn on the plane as paths. Killed at any
    moment and run again, it measures only the points that are missing. The weights are never written.

    Parameters
    ----------
    run
        A run folder with trajectories (see `raml sample` and `raml import`).
    model
        The model at the origin; by default the one that wrote the first trajectory.
    n_questions
        How many of the run's questions are asked at each point; the trajectory's own comes first for --plane path.
    n_paths
        Draw the paths of so many trajectories of these questions; 0 for none.
    plan_only
        Say what it will take, in tokens, memory and time, and do nothing.
    """
    settings = settings or LandscapeSettings()
    _check_ranges(settings, n_questions, n_paths)
    hands = choose_workers(workers, options)
    folder, questions, trajectories = read_units(run, None)
    trajectories = _drop_programs(questions, trajectories)
    if settings.plane == "path":
        chosen = _choose_spanning(trajectories, settings.trajectory_id)
        settings = replace(settings, trajectory_id=chosen.id)
        trajectories = [chosen, *(t for t in trajectories if t is not chosen)]
    writer, own, as_written = next(iter(list_scorers(model, trajectories, options)))
    if plan_only:
        say_for_one(hands)
        loaded = load(writer, as_written)
        work = _Work(folder, loaded, _choose_questions(questions, own, n_questions), own, settings, as_written)
        _show_plan(work, n_paths)
        return
    clock = StageClock(folder, "landscape", {"model": model, "n_questions": n_questions, "settings": settings})
    with lock_run(run):
        loaded = load(writer, as_written)
        if model is None:
            check_weights(loaded.identity, own)
        asked = _choose_questions(questions, own, n_questions)
        work = _Work(folder, loaded, asked, own, settings, as_written)
        surface, n_new, notes = _measure(work, n_paths, hands)
        path = work.find_file(surface.id)
        write_landscape(path, surface)
        work.find_journal(surface.id).unlink(missing_ok=True)
        files = _draw(folder, surface, own)
        clock.finish(
            inputs=(folder.questions_path, folder.trajectories_path),
            outputs={path: None, **dict.fromkeys(files)},
            n_units=surface.loss[0].size,
            n_new=n_new,
            seed=settings.seed,
            model=loaded.identity,
        )
    for note in notes:
        say(note)
    if len(own) < len(trajectories):
        say(f"Note: {len(trajectories) - len(own)} trajectories of other models are left out; name one by --model.")
    say(f"Wrote {path}: {surface.loss[0].size} points ({surface.loss[0].size - n_new} were there)")
    _summarize(surface, own)
    for file in files:
        say(f"Figure: {file}")
    say(f"Next: raml report {folder.path} shows it in 3-D")


def _show_plan(work: _Work, n_paths: int) -> None:
    """Print what the command would take."""
    from raml.landscapes import find_landscape_id
    from raml.planning.plane import Grid, plan_landscape
    from raml.updates import find_update_obstacle

    rows = _make_rows(work)
    landscape_id = find_landscape_id(work.loaded.identity, work.settings, rows, _list_spanning(work))
    done = [(point.x, point.y) for point in _read_points(work, landscape_id)]
    followed = [] if find_update_obstacle(work.loaded.model) else _choose_followed(work, n_paths)
    probes = [(trajectory.id, _plan(work, trajectory)) for trajectory in followed]
    make, draw = _choose_maker(work), partial(_redraw, work)
    show_plan([plan_landscape(work.loaded, Grid(rows, work.settings, make, done, probes, draw))])


def _redraw(work: _Work, folder: Run, surface: Landscape) -> list[Path]:
    return _draw(folder, surface, work.trajectories)


def _choose_followed(work: _Work, n_paths: int) -> list[Trajectory]:
    """Choose trajectories whose paths are drawn.

    After another prompt (a mode without thinking, say) a trajectory begins at another loss than the surface has.
    """
    prompts = {question.id: trajectory.prompt_ids for question, trajectory in work.asked}
    return [t for t in work.trajectories if prompts.get(t.question_id) == t.prompt_ids and t.reasoning_len][:n_paths]


def _check_ranges(settings: LandscapeSettings, n_questions: int, n_paths: int) -> None:
    """Refuse settings that make no sense, before anything is read.

    Raises:
        DataError: one is out of its range, or does not go with the plane.
    """
    for flag, value, low in (("--n-questions", n_questions, 1), ("--n-paths", n_paths, 0)):
        if value < low:
            raise DataError(f"{flag} is {value}; it must be at least {low}.")
    if settings.n_steps < 3 or settings.n_steps % 2 == 0:
        raise DataError(f"--n-steps is {settings.n_steps}; it must be odd, and at least 3.")
    if not 0 < settings.reach < float("inf"):
        raise DataError(f"--reach is {settings.reach}; it must be above 0, and finite.")
    if settings.seed < 0:
        raise DataError(f"--seed is {settings.seed}; it must be at least 0.")
    n_toward = 2 if settings.plane == "checkpoints" else 0
    if len(settings.toward) != n_toward:
        raise DataError(
            f"--plane {settings.plane} takes {n_toward} models by --toward; {len(settings.toward)} are given."
        )
    if settings.trajectory_id is not None and settings.plane != "path":
        raise DataError("--trajectory-id needs --plane path.")


def _drop_programs(questions: Sequence[Question], trajectories: Sequence[Trajectory]) -> list[Trajectory]:
    """Keep the trajectories whose question has an answer text.

    Raises:
        DataError: there is none.
    """
    texts = {question.id for question in questions if question.kind != "code"}
    kept = [trajectory for trajectory in trajectories if trajectory.question_id in texts]
    if not kept:
        raise DataError("All of these questions ask for programs; there is no answer text to score.")
    return kept


def _choose_spanning(trajectories: Sequence[Trajectory], wanted: str | None) -> Trajectory:
    """The trajectory whose path spans the plane: the one named, else the first right one.

    Raises:
        DataError: there is none, or it has no reasoning to follow.
    """
    chosen = choose_for_adapter(trajectories) if wanted is None else choose_trajectory(trajectories, wanted)
    if chosen.reasoning_len == 0:
        raise DataError(f"Trajectory {chosen.id} has no reasoning to follow; choose another by --trajectory-id.")
    return chosen


def _choose_questions(
    questions: Sequence[Question], trajectories: Sequence[Trajectory], n: int
) -> list[tuple[Question, Trajectory]]:
    """The first questions that have a trajectory, each with the trajectory whose prompt is used."""
    by_id = {question.id: question for question in questions}
    first: dict[str, Trajectory] = {}
    for trajectory in trajectories:
        first.setdefault(trajectory.question_id, trajectory)
    return [(by_id[key], trajectory) for key, trajectory in first.items()][:n]


@dataclass(frozen=True)
class _Work:
    """What is measured."""

    folder: Run
    loaded: LoadedModel
    asked: Sequence[tuple[Question, Trajectory]]
    trajectories: Sequence[Trajectory]
    settings: LandscapeSettings
    options: LoadOptions

    def find_file(self, landscape_id: str) -> Path:
        """Where the landscape will be."""
        return self.folder.landscapes_path / f"{self.settings.plane}-{landscape_id}.safetensors"

    def find_journal(self, landscape_id: str) -> Path:
        """Where its points are until all are there."""
        return self.folder.landscapes_path / f"{landscape_id}.journal.jsonl"


def _measure(work: _Work, n_paths: int, workers: Workers) -> tuple[Landscape, int, list[str]]:
    """Measure the points that are missing and the paths; returns also how many points were new, and notes."""
    from raml.landscapes import build_landscape, find_landscape_id, measure_plane, measure_points

    rows, loaded, settings, make = _make_rows(work), work.loaded, work.settings, _choose_maker(work)
    landscape_id = find_landscape_id(loaded.identity, settings, rows, _list_spanning(work))
    points = _read_points(work, landscape_id)
    n_there, n_all = len(points), settings.n_steps**2
    # In one process model and directions are here once; other workers make their own, and here they come afterwards.
    directions = make(loaded) if workers.is_here else None
    opened = (lambda: loaded) if directions else partial(load, loaded.identity.name, work.options)
    made: Maker = make if directions is None else partial(_give, directions)
    with show_progress("points", n_all, n_there) as bar, Journal(work.find_journal(landscape_id)) as journal:
        for point in measure_points(
            opened,
            rows,
            settings,
            landscape_id=landscape_id,
            make=made,
            done=[(point.x, point.y) for point in points],
            workers=workers,
        ):
            journal.append([point])
            points.append(point)
            bar.advance()
    directions = directions or make(loaded)
    geometry = measure_plane(loaded.model, *directions)
    paths, notes = _follow(work, directions, geometry, n_paths)
    surface = build_landscape(
        loaded.identity, settings, rows, points, landscape_id=landscape_id, geometry=geometry, paths=paths
    )
    return surface, len(points) - n_there, notes


def _give(directions: tuple[Direction, Direction], _loaded: LoadedModel) -> tuple[Direction, Direction]:
    """Directions that are made already."""
    return directions


def _read_points(work: _Work, landscape_id: str) -> list[LandscapePoint]:
    """The points that are there: of a finished landscape, or of one that was begun."""
    finished, journal_path = work.find_file(landscape_id), work.find_journal(landscape_id)
    if finished.is_file():
        return _take_apart(read_landscape(finished))
    return read_jsonl(journal_path, LandscapePoint) if journal_path.is_file() else []


def _list_spanning(work: _Work) -> list[object]:
    """What spans the plane and the settings only name: a trajectory's tokens, or the weights of checkpoints."""
    from raml.models import find_source, find_weight_files, hash_weights

    if work.settings.plane == "path":
        probe = _plan(work, work.trajectories[0])
        return [probe.prompt_ids, probe.trajectory_ids, probe.ids]
    return [hash_weights(find_weight_files(name, find_source(name))) for name in work.settings.toward]


def _make_rows(work: _Work) -> list[AnswerRow]:
    """What is scored at each point: prompts as they were sampled, bridge, gold answers."""
    from raml.landscapes import AnswerRow
    from raml.probes import check_fit
    from raml.updates import plan_bare

    questions, trajectories = [question for question, _ in work.asked], [trajectory for _, trajectory in work.asked]
    jobs = plan_bare(work.loaded, questions, trajectories, work.settings.bridge)
    for question, trajectory in work.asked:
        check_fit(work.loaded, trajectory, len(jobs[question.id].bridge_ids) + len(jobs[question.id].answers[0]))
    return [AnswerRow(key, job.prompt_ids, job.bridge_ids, job.answers[0]) for key, job in jobs.items()]


def _plan(work: _Work, trajectory: Trajectory) -> Probe:
    from raml.updates.probe import plan_probe

    by_id = {question.id: question for question, _ in work.asked}
    return plan_probe(work.loaded, trajectory, by_id[trajectory.question_id], work.settings.bridge, "reasoning")


def _choose_maker(work: _Work) -> Callable[[LoadedModel], tuple[Direction, Direction]]:
    """What makes the two directions, here and in each worker."""
    from raml.landscapes import make_directions, span_path

    if work.settings.plane == "path":
        return partial(span_path, probe=_plan(work, work.trajectories[0]))
    return partial(make_directions, settings=work.settings)


def _follow(
    work: _Work, directions: tuple[Direction, Direction], geometry: tuple[float, float, float], n_paths: int
) -> tuple[list[PlanePath], list[str]]:
    """Trace trajectories of the questions that are asked, and project them; what could not be traced is told."""
    from raml.landscapes import follow_probe, project_path
    from raml.updates import find_update_obstacle

    if n_paths and (obstacle := find_update_obstacle(work.loaded.model)):
        return [], [f"Note: no paths are drawn: {obstacle}."]
    chosen = _choose_followed(work, n_paths)
    paths: list[PlanePath] = []
    notes: list[str] = []
    with show_progress("paths", len(chosen)) as bar:
        for trajectory in chosen:
            try:
                path = follow_probe(work.loaded, _plan(work, trajectory))
                paths.append(project_path(work.loaded.model, trajectory.id, path, directions, geometry))
            except RamlError as error:
                notes.append(f"Path left out: {error}")
            bar.advance()
    return paths, notes


def _take_apart(surface: Landscape) -> list[LandscapePoint]:
    """The points of a landscape that is there."""
    n = range(len(surface.alphas))
    return [
        LandscapePoint(f"{surface.id}-{x}-{y}", surface.id, x, y, surface.loss[:, x, y].copy()) for x in n for y in n
    ]


def _draw(folder: Run, surface: Landscape, trajectories: Sequence[Trajectory]) -> list[Path]:
    """Draw the surface: with its paths' projections and, as in the paper's Fig. 2, with their losses."""
    from raml.figures import plot_landscape, save_figure

    name = f"landscape-{surface.settings.plane}"
    files = [*save_figure(plot_landscape(surface, trajectories), folder.figures_path / name)]
    if surface.paths:
        figure = plot_landscape(surface, trajectories, draw="paper")
        files += save_figure(figure, folder.figures_path / f"{name}-paper")
    return files


def _summarize(surface: Landscape, trajectories: Sequence[Trajectory]) -> None:
    """Print the base loss, the lowest point, and how far the paths lie off the plane."""
    mean = surface.loss.mean(axis=0)
    x, y = divmod(int(mean.argmin()), mean.shape[1])
    say(f"L̂ without trajectory, mean over {len(surface.question_ids)} questions, in nats:")
    say(
        f"  {surface.base_loss.mean():.3f} at the weights, lowest {mean.min():.3f} at "
        f"({surface.alphas[x]:+.2f}, {surface.betas[y]:+.2f}), highest {mean.max():.3f}"
    )
    correct = {trajectory.id: trajectory.correct for trajectory in trajectories}
    for label, wanted in (("right", True), ("wrong", False)):
        shares = [
            100 * path.off_plane_share
            for path in surface.paths
            if correct[path.trajectory_id] is wanted and path.length
        ]
        if shares:
            mean_share = sum(shares) / len(shares)
            say(f"{label}: {mean_share:.2f} % of a path's length lies off the plane, mean over {len(shares)} paths")
