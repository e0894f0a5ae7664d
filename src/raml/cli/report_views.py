"""What other commands found in a run, as views of its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from raml.errors import RunError
from raml.inputs import MALFORMED, is_there, read_plain
from raml.records import AlignmentSummary, Evaluation, Frontier, InfluenceSummary, Trace, Trajectory
from raml.report import describe_claims, describe_frontiers, describe_influences, describe_landscapes, describe_updates
from raml.report.charts import View
from raml.store import Run
from raml.store.landscapes import read_landscape
from raml.store.summaries import read_summaries

S = TypeVar("S")
ALIGNMENT, FRONTIER, INFLUENCE = "alignment.json", "compress.json", "influence.json"


@dataclass(frozen=True)
class _Said:
    """What a stage's file says in words."""

    sentence: str = ""
    sentences: tuple[str, ...] = ()


def describe_views(folder: Run, trajectories: Sequence[Trajectory], traces: Sequence[Trace]) -> list[View]:
    """Describe all that the run folder holds beside trajectories and curves.

    Args:
        folder: The run.
        trajectories: All of the run.
        traces: At most one for a trajectory, all made with the same settings.

    Raises:
        RunError: a file can't be read, or is not what its name says.
    """
    alignments, of_equation = _read(folder.path / ALIGNMENT, AlignmentSummary)
    frontiers, of_frontiers = _read(folder.path / FRONTIER, Frontier)
    influences, of_words = _read(folder.path / INFLUENCE, InfluenceSummary)
    updates = folder.read_updates()
    landscapes = [read_landscape(path) for path in _list_landscapes(folder)]
    views = (
        describe_claims(
            trajectories,
            traces,
            updates,
            alignments=alignments,
            influences=influences,
            frontiers=frontiers,
            evaluation=_read_evaluation(folder.evaluation_path),
        ),
        describe_landscapes(landscapes, trajectories),
        describe_updates(trajectories, updates, folder.read_alignments(), alignments, of_equation),
        describe_frontiers(frontiers, of_frontiers),
        describe_influences(influences, of_words),
    )
    return [view for view in views if view is not None]


def list_missing(folder: Run) -> list[str]:
    """List what the page could show and the run has not, each with the command that makes it."""
    has = {
        "landscape": bool(_list_landscapes(folder)),
        "update": is_there(folder.updates_path) or is_there(folder.updates_journal_path),
        "align": is_there(folder.path / ALIGNMENT),
        "compress": is_there(folder.path / FRONTIER),
        "influence": is_there(folder.path / INFLUENCE),
    }
    names = {"update": "updates", "align": "the test of Eq. 4", "compress": "frontier", "influence": "tokens"}
    return [
        f"{names.get(command, command)} (`raml {command} {folder.path}`)"
        for command, is_there in has.items()
        if not is_there
    ]


def _list_landscapes(folder: Run) -> list[Path]:
    return sorted(folder.landscapes_path.glob("*.safetensors"))


def _read(path: Path, kind: type[S]) -> tuple[list[S], list[str]]:
    """Read a stage's summaries and what it says of them; nothing where there is no file."""
    if not is_there(path):
        return [], []
    said = read_summaries(path, _Said)
    sentences = [sentence for one in said for sentence in (one.sentence, *one.sentences) if sentence]
    return read_summaries(path, kind), sentences


def _read_evaluation(path: Path) -> Evaluation | None:
    """Read what `raml evaluate` wrote.

    Raises:
        RunError: it can't be read, or is no evaluation.
    """
    try:
        return msgspec.json.decode(read_plain(path), type=Evaluation) if is_there(path) else None
    except OSError as error:
        raise RunError(f"{path} can't be read: {error.strerror}.") from error
    except MALFORMED as error:
        raise RunError(f"{path} is no evaluation: {error}.") from error
