"""The last step of every study: measure, judge, draw, write."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from raml.errors import RunError
from raml.inputs import MALFORMED, read_plain
from raml.records import StudyResult
from raml.store import find_git_commit, list_versions, write_atomically
from raml.studies.journal import list_versions_of, read_journal
from raml.studies.plan import STUDIES, Setup, Step, load_setup
from raml.studies.verdict import Measure, judge
from raml.studies.wording import write_result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESULTS = "results"
"""Folder of the results, beside the runs and models that they come from."""


@dataclass(frozen=True)
class Outcome:
    """What a study measured."""

    measures: Mapping[str, Measure]
    """By the names that its rules give them."""
    figures: Mapping[str, Figure]
    """By what they are called after the study's name; "" for the first one."""
    models: Sequence[str]
    seeds: Sequence[int]
    remarks: Sequence[str] = ()


def plan_study(name: str, scale: str) -> list[Step]:
    """List a study's steps, the last of which is `conclude`.

    Raises:
        DataError: as `load_setup`.
    """
    setup = load_setup(name, scale)
    steps: Sequence[Step] = importlib.import_module(f"raml.studies.{name}").plan(setup)
    last = Step(
        f"{name}/conclude",
        call="raml.studies.conclusion:conclude",
        arguments=(("study", name), ("scale", scale)),
        needs=tuple(step.name for step in steps),
        again=True,
    )
    return [*steps, last]


def conclude(home: Path, *, study: str, scale: str) -> StudyResult:
    """Measure what a study's steps have made, judge it, and write STUDY.json, .md and figures.

    Raises:
        RunError: steps are missing.
    """
    setup = load_setup(study, scale)
    outcome: Outcome = importlib.import_module(f"raml.studies.{study}").conclude(setup, home)
    folder = home / RESULTS / study
    folder.mkdir(parents=True, exist_ok=True)
    figures = _save_figures(folder, study, outcome.figures)
    findings, verdict = judge(setup.rules, outcome.measures)
    own = {step.name for step in plan_study(study, scale)}
    entries = [entry for entry in read_journal(home).values() if entry.name in own]
    versions = list_versions_of(entries)
    mixed = [f"Steps were done by raml {', '.join(versions)}."] if len(versions) > 1 else []
    result = StudyResult(
        name=study,
        scale=setup.scale,
        source=setup.source,
        claim=setup.claim,
        rules=setup.rules,
        findings=findings,
        verdict=verdict,
        otherwise=setup.otherwise,
        remarks=(*outcome.remarks, *mixed),
        models=tuple(outcome.models),
        seeds=tuple(outcome.seeds),
        figures=figures,
        settings=_list_settings(setup),
        wall_s=round(sum(entry.wall_s or 0 for entry in entries), 1),
        versions=list_versions(),
        git_commit=find_git_commit(),
    )
    write_atomically(folder / f"{study}.json", msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    write_atomically(folder / f"{study}.md", write_result(result).encode())
    return result


def read_results(home: Path, scale: str) -> list[StudyResult]:
    """Read the results of a scale: those in a folder, and for other studies those that come with the package.

    Raises:
        RunError: a file can't be read, or is no study's result.
    """
    found = {result.name: result for result in (*read_packaged(scale), *read_own(home, scale))}
    return [found[name] for name in STUDIES if name in found]


def read_own(home: Path, scale: str) -> list[StudyResult]:
    """Read the results of a scale that are in a folder.

    Raises:
        RunError: a file can't be read, or is no study's result.
    """
    paths = (home / RESULTS / name / f"{name}.json" for name in STUDIES)
    return [result for result in map(read_result, filter(Path.is_file, paths)) if result.scale == scale]


def read_packaged(scale: str) -> list[StudyResult]:
    """Read the results of a scale that come with the package.

    Raises:
        RunError: a file can't be read, or is no study's result.
    """
    folder = Path(str(files("raml.studies"))) / RESULTS / scale
    return [read_result(path) for name in STUDIES if (path := folder / f"{name}.json").is_file()]


def read_result(path: Path) -> StudyResult:
    """Read what `conclude` wrote.

    Raises:
        RunError: it can't be read, or is no study's result.
    """
    try:
        return msgspec.json.decode(read_plain(path), type=StudyResult)
    except OSError as error:
        raise RunError(f"{path} can't be read: {error.strerror}.") from error
    except MALFORMED as error:
        raise RunError(f"{path} is no result of a study: {error}.") from error


def _save_figures(folder: Path, study: str, figures: Mapping[str, Figure]) -> tuple[str, ...]:
    from raml.figures import save_figure

    stems = {f"{study}-{name}" if name else study: figure for name, figure in figures.items()}
    return tuple(path.name for stem, figure in stems.items() for path in save_figure(figure, folder / stem))


def _list_settings(setup: Setup) -> dict[str, Any]:
    return {"study": dict(setup.options), "shared": dict(setup.shared)}
