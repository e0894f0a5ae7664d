"""`--plan` of the commands that make records trajectory by trajectory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from raml.cli.options import LoadOptions
from raml.cli.plan import show_plan
from raml.cli.units import Unit
from raml.cli.writers import load_scorers
from raml.errors import RamlError
from raml.records import (
    AdaptSettings,
    AlignmentSettings,
    Question,
    ReadoutSettings,
    ResamplingSettings,
    TraceSettings,
    Trajectory,
    UpdateSettings,
)
from raml.store import Run

if TYPE_CHECKING:
    from raml.models import LoadedModel
    from raml.planning.load import Load

Close = Callable[[Run, Sequence[Trajectory], Sequence[Any]], object]
"""Writes and draws records in a run's folder, as the command does at its end."""


class Lister(Protocol):
    """What lists a command's units."""

    def list_units(self, loaded: LoadedModel, trajectory: Trajectory) -> Iterable[Unit]:
        """The records to make of a trajectory."""
        ...


@dataclass(frozen=True)
class Asked:
    """What a command was asked for, whichever it is."""

    folder: Run
    questions: Sequence[Question]
    trajectories: Sequence[Trajectory]
    model: str | None
    options: LoadOptions | None
    memory: int | None
    close: Close

    @property
    def by_id(self) -> Mapping[str, Question]:
        """Questions by id."""
        return {question.id: question for question in self.questions}

    def load(self) -> Iterator[tuple[LoadedModel, Sequence[Trajectory]]]:
        """The models, each with what is its to look at; what is wrong with one is an error here.

        Raises:
            RamlError: no model can be loaded.
        """
        errors: list[tuple[str, RamlError]] = []
        n_loaded = 0
        for loaded, own in load_scorers(self.model, self.trajectories, self.options, errors):
            n_loaded += 1
            yield loaded, own
        if errors and not n_loaded:
            raise errors[0][1]


def show_trace_plan(asked: Asked, settings: TraceSettings, readout: ReadoutSettings | None) -> None:
    """Print what `raml trace` takes."""
    from raml.planning.tracing import plan_trace

    readouts = asked.folder.read_readouts()
    lens = [len(ids) for record in readouts if record.settings == readout for ids in record.token_ids]
    done = {record.id for record in (*asked.folder.read_traces(), *readouts)}
    del readouts  # the command holds them at its end only
    show_plan(
        plan_trace(
            loaded,
            own,
            asked.by_id,
            settings,
            readout=readout,
            done=done,
            lens_there=lens,
            memory=asked.memory,
            draw=lambda scratch, traces: asked.close(scratch, asked.trajectories, traces),
        )
        for loaded, own in asked.load()
    )


def show_update_plan(asked: Asked, make: Callable[[UpdateSettings], Lister], settings: UpdateSettings) -> None:
    """Print what `raml update` takes; `make` gives what lists its units."""
    from raml.planning.paths import list_update_parts, load_update
    from raml.planning.units import Rehearsed, plan_units

    by_id = asked.by_id

    def set_up(some: UpdateSettings) -> Rehearsed:
        return Rehearsed(make(some).list_units, lambda loaded, t, _: load_update(loaded, t, by_id[t.question_id], some))

    def shrink(factor: int) -> Rehearsed:
        return set_up(replace(settings, n_prefixes=min(settings.n_prefixes, 2 * factor), n_others=1))

    show_plan(
        plan_units(
            "update",
            loaded,
            own,
            set_up(settings),
            shrink,
            read=asked.folder.read_updates,
            parts=lambda loaded, t: list_update_parts(loaded, t, by_id[t.question_id], settings, asked.memory),
            unit="updates",
            close=asked.close,
            n_prefixes=settings.n_prefixes,
        )
        for loaded, own in asked.load()
    )


def show_alignment_plan(asked: Asked, make: Callable[[AlignmentSettings], Lister], settings: AlignmentSettings) -> None:
    """Print what `raml align` takes; `make` gives what lists its units."""
    from raml.planning.paths import list_alignment_parts, load_alignment
    from raml.planning.units import Rehearsed, plan_units

    by_id = asked.by_id

    def set_up(some: AlignmentSettings) -> Rehearsed:
        def count(loaded: LoadedModel, trajectory: Trajectory, place: int) -> Load:
            return load_alignment(loaded, trajectory, by_id[trajectory.question_id], some, is_first=place == 0)

        return Rehearsed(make(some).list_units, count)

    show_plan(
        plan_units(
            "align",
            loaded,
            own,
            set_up(settings),
            lambda factor: set_up(replace(settings, n_prefixes=min(settings.n_prefixes, factor))),
            read=asked.folder.read_alignments,
            parts=lambda loaded, t: list_alignment_parts(loaded, t, by_id[t.question_id], settings, asked.memory),
            unit="alignments",
            close=asked.close,
            n_prefixes=settings.n_prefixes + 1,
        )
        for loaded, own in asked.load()
    )


def show_adaptation_plan(
    asked: Asked,
    list_units: Callable[[AdaptSettings, LoadedModel, Trajectory], Iterable[Unit]],
    settings: AdaptSettings,
) -> None:
    """Print what `raml adapt` takes."""
    from raml.planning.adapting import list_adaptation_parts, load_adaptation
    from raml.planning.units import Rehearsed, plan_units

    by_id = asked.by_id

    def set_up(some: AdaptSettings) -> Rehearsed:
        return Rehearsed(
            partial(list_units, some), lambda loaded, t, _: load_adaptation(loaded, t, by_id[t.question_id], some)
        )

    show_plan(
        plan_units(
            "adapt",
            loaded,
            own,
            set_up(settings),
            lambda factor: set_up(replace(settings, n_steps=min(settings.n_steps, factor))),
            read=asked.folder.read_adaptations,
            parts=lambda loaded, t: list_adaptation_parts(loaded, t, by_id[t.question_id], settings),
            unit="adaptations",
            close=asked.close,
        )
        for loaded, own in asked.load()
    )


def show_resampling_plan(asked: Asked, lister: Lister, settings: ResamplingSettings, batch_size: int) -> None:
    """Print what `raml faithfulness` takes."""
    from raml.planning.rewriting import Continuing
    from raml.planning.units import Rehearsed, plan_units

    by_id = asked.by_id

    longest = max((len(trajectory.token_ids) for trajectory in asked.folder.read_trajectories()), default=0)
    continuing = Continuing(settings, batch_size, longest, asked.memory)
    whole = Rehearsed(lister.list_units, lambda loaded, t, _: continuing.count_load(loaded, t, by_id[t.question_id]))
    show_plan(
        plan_units(
            "faithfulness",
            loaded,
            own,
            whole,
            lambda _: whole,
            read=asked.folder.read_resamplings,
            parts=lambda loaded, t: continuing.list_parts(loaded, t, by_id[t.question_id]),
            unit="resamplings",
            close=asked.close,
            pieces=continuing.list_pieces(loaded, own),
            make_records=partial(continuing.make_records, loaded),
            n_written=continuing.count_written,
        )
        for loaded, own in asked.load()
    )
