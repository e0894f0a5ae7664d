"""`raml align`: does the update that a trajectory stands for point down the gradient of the answer's loss?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from raml.cli.help_groups import LOADING, PREFIXES, WORKERS
from raml.cli.options import LoadOptions, WorkerOptions, choose_workers, parse_bytes
from raml.cli.plan import PlanFlag, say_for_one
from raml.cli.stage import print_table, say
from raml.cli.units import Unit, make_units, read_units
from raml.records import Alignment, AlignmentSettings, AlignmentSummary, Question, Trajectory
from raml.store import Run, StageClock, lock_run, write_atomically

if TYPE_CHECKING:
    from raml.models import LoadedModel
    from raml.updates.alignment import Start
    from raml.updates.probe import Probe

NAME = "alignment"
"""Of the files that it writes."""


def align(
    run: Path,
    *,
    model: str | None = None,
    limit: int | None = None,
    nulls: bool = True,
    memory: str | None = None,
    plan_only: PlanFlag = False,
    settings: Annotated[AlignmentSettings | None, Parameter(name="*", group=PREFIXES)] = None,
    options: Annotated[LoadOptions | None, Parameter(name="*", group=LOADING)] = None,
    workers: Annotated[WorkerOptions | None, Parameter(name="*", group=WORKERS)] = None,
) -> None:
    """Test Eq. 4: do the updates point down the gradient?

    Example: `raml align runs/tiny --limit 64`

    The update that each trajectory stands for is compared with the gradient of the answer's loss. alignment.json, .md
    and figures are written. Gradients need a model in 32 or 64 bits. Killed at any moment and run again, it measures
    only what is missing.

    Parameters
    ----------
    run
        A run folder with trajectories (see `raml sample` and `raml import`).
    model
        The model whose weights are meant; by default each trajectory's own writer.
    limit
        Take only the first so many trajectories.
    nulls
        Also measure three texts in each trajectory's place: its tokens shuffled, random ones, and another question's
        trajectory.
    memory
        How much memory may be used beside the model's weights, such as 800MB; by default most of what is free.
    plan_only
        Say what it will take, in tokens, memory and time, and do nothing.
    """
    from raml.updates.alignment import check_settings

    settings = settings or AlignmentSettings()
    check_settings(settings)
    hands = choose_workers(workers, options)
    n_bytes = None if memory is None else parse_bytes(memory)
    folder, questions, trajectories = read_units(run, limit)
    if plan_only:
        say_for_one(hands)
        from raml.cli.plan_units import Asked, show_alignment_plan

        asked = Asked(folder, questions, trajectories, model, options, n_bytes, _write)
        others = folder.read_trajectories()
        show_alignment_plan(asked, lambda some: _Plan(questions, others, some, nulls, n_bytes), settings)
        return
    config = {"model": model, "limit": limit, "nulls": nulls, "settings": settings}
    clock = StageClock(folder, "align", config)
    with lock_run(run):
        plan = _Plan(questions, folder.read_trajectories(), settings, nulls, n_bytes)
        work = make_units(
            trajectories,
            plan.list_units,
            label="aligning",
            journal_path=folder.alignments_journal_path,
            there=[record.id for record in folder.read_alignments()],
            model=model,
            options=options,
            workers=hands,
        )
        everything = folder.close_alignments()
        alignments = [record for record in everything if record.id in work.wanted]
        summaries, files = _write(folder, trajectories, alignments)
        clock.finish(
            inputs=(folder.questions_path, folder.trajectories_path),
            outputs={folder.alignments_path: len(everything), **dict.fromkeys(files)},
            n_units=len(work.wanted),
            n_new=work.n_new,
            n_errors=len(work.errors),
            seed=settings.seed,
            model=work.models[0] if len(work.models) == 1 else None,
        )
    work.report_errors()
    say(f"Wrote {work.n_new} alignments ({len(alignments) - work.n_new} were there) to {folder.alignments_path}")
    for summary in summaries:
        _print(summary)
    for path in files:
        say(f"Wrote {path}")
    say(f"Next: raml adapt {folder.path}")


class _Plan:
    """What to measure for each trajectory."""

    def __init__(
        self,
        questions: Sequence[Question],
        others: Sequence[Trajectory],
        settings: AlignmentSettings,
        wants_nulls: bool,
        memory: int | None,
    ) -> None:
        self.questions: Mapping[str, Question] = {question.id: question for question in questions}
        self.others, self.settings, self.wants_nulls, self.memory = others, settings, wants_nulls, memory
        self._last: tuple[LoadedModel, Probe, Start] | None = None

    def list_units(self, loaded: LoadedModel, trajectory: Trajectory) -> Iterator[Unit]:
        """One record for the trajectory, and one for each text in its place.

        A text that can't be made or measured ends the list: what is wrong with one is most often wrong with all, and
        the trajectory is counted as left out once. What was measured before it stays and counts.
        """
        from raml.updates.alignment import key_alignment, measure_alignment
        from raml.updates.nulls import NULLS, make_null
        from raml.updates.probe import plan_probe

        question, settings = self.questions[trajectory.question_id], self.settings
        probe = plan_probe(loaded, trajectory, question, settings.bridge, settings.span)
        for kind in (None, *NULLS) if self.wants_nulls else (None,):
            null = kind and make_null(kind, loaded, trajectory, settings, self.questions, self.others)
            key = key_alignment(loaded.identity, trajectory, question.answer, settings, null)
            make = partial(measure_alignment, loaded, trajectory, question, settings, null=null, memory=self.memory)
            yield key, lambda make=make: make(start=self._find_start(loaded, probe))

    def _find_start(self, loaded: LoadedModel, probe: Probe) -> Start:
        """The gradient at the weights themselves, the same for all texts of a question."""
        from raml.updates.alignment import measure_start

        bare = replace(probe, trajectory_ids=())
        if self._last is None or self._last[0] is not loaded or self._last[1] != bare:
            self._last = loaded, bare, measure_start(loaded.model, bare, self.settings.step_share)
        return self._last[2]


def _write(
    folder: Run, trajectories: Sequence[Trajectory], alignments: Sequence[Alignment]
) -> tuple[list[AlignmentSummary], list[Path]]:
    """Summarise each model's alignments and draw them."""
    from raml.updates.alignment_summary import summarize_alignments
    from raml.updates.alignment_table import write_json, write_markdown

    by_model: dict[str, list[Alignment]] = {}
    for alignment in alignments:
        by_model.setdefault(alignment.model.key(), []).append(alignment)
    summaries = [summarize_alignments(trajectories, own) for own in by_model.values()]
    paths = folder.path / f"{NAME}.json", folder.path / f"{NAME}.md"
    for path, text in zip(paths, (write_json(summaries), write_markdown(summaries)), strict=True):
        write_atomically(path, text.encode())
    files = list(paths)
    for i, own in enumerate(by_model.values()):
        files += _draw(folder, trajectories, own, "" if len(by_model) == 1 else f"-{i + 1}")
    return summaries, files


def _draw(folder: Run, trajectories: Sequence[Trajectory], alignments: Sequence[Alignment], suffix: str) -> list[Path]:
    from raml.figures import save_figure
    from raml.figures.alignment import plot_alignment, plot_alignment_layers, plot_loss_changes
    from raml.updates.alignment_summary import GROUPS, average_group, average_layers, label_texts

    texts = label_texts(trajectories, alignments)
    groups = [group for group in GROUPS if any(label == group for label, _, _ in texts)]
    titles = {
        "cosine": "cosine of the whole update with −∇L",
        "step cosine": "mean cosine of the steps with −∇L",
        "similarity": "similarity of activations to an SGD step's",
    }
    panels = {
        title: {g: list(average_group(texts, g, name).values()) for g in (GROUPS if name == "cosine" else groups)}
        for name, title in titles.items()
    }
    panels = {title: {g: values for g, values in by.items() if values} for title, by in panels.items()}
    layers = {
        "cosine of a layer's update with −∇L": {g: average_layers(texts, g, "cosine") for g in groups},
        "similarity of a layer's output to an SGD step's": {g: average_layers(texts, g, "similarity") for g in groups},
    }
    changes = {
        g: (
            list(average_group(texts, g, "predicted").values()),
            list(average_group(texts, g, "true").values()),
        )
        for g in groups
    }
    figures = {
        "cosines": plot_alignment(panels),
        "layers": plot_alignment_layers(layers),
        "loss": plot_loss_changes(changes),
    }
    return [
        path
        for name, figure in figures.items()
        for path in save_figure(figure, folder.figures_path / f"{NAME}-{name}{suffix}")
    ]


def _print(summary: AlignmentSummary) -> None:
    from raml.updates.alignment_summary import judge_equation
    from raml.updates.alignment_table import describe_table, list_differences, list_rows

    for headings, rows in (list_rows(summary), list_differences(summary)):
        print_table(headings, rows, ("text", "right minus", "measure"))
    for line in describe_table(summary):
        say(f"Note: {line}")
    say(judge_equation(summary))
