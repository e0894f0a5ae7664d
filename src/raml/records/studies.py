"""What a study claims, by which rule it is judged, and what came out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

StudyScale = Literal["tiny", "small", "paper"]
StudyVerdict = Literal["supported", "not supported", "undecided"]


@dataclass(frozen=True)
class Rule:
    """Where a measure has to lie for the claim to hold; written down before anything is measured."""

    measure: str
    """Short name of what is measured, such as "fall"."""
    says: str
    """What it is, in words."""
    unit: str
    """Such as "nats" or "points"."""
    above: float | None = None
    """The claim holds if the measure lies above this value …"""
    below: float | None = None
    """… or below this one. One of the two is given."""


@dataclass(frozen=True)
class Finding:
    """A measure's value, with an interval over questions, and what its rule makes of it."""

    measure: str
    value: float | None
    """None where it could not be measured."""
    low: float | None
    """None where nothing bounds it."""
    high: float | None
    level: float
    """The interval's nominal coverage."""
    n_questions: int
    by_seed: tuple[float, ...]
    """The value for each training seed alone; empty where nothing is trained."""
    verdict: StudyVerdict
    note: str | None = None
    """Why it could not be measured, or what else a reader has to know."""


@dataclass(frozen=True)
class NotedStep:
    """A step of a study that was begun, or is done."""

    name: str
    line: str
    """Its command line, without what started it on several accelerators."""
    configs: dict[str, str]
    """SHA-256 of the files that came with raml and that the line names, by their names there."""
    version: str
    """Of raml."""
    wall_s: float | None
    """Seconds that it took; None while it is not finished."""


@dataclass(frozen=True)
class StudyResult:
    """A figure or table of the paper, measured again."""

    name: str
    """Such as "fig3"."""
    scale: StudyScale
    source: str
    """Where the paper has it."""
    claim: str
    """In one sentence."""
    rules: tuple[Rule, ...]
    findings: tuple[Finding, ...]
    """One for each rule, in their order."""
    verdict: StudyVerdict
    """Not supported if one finding is not, supported if all are, else undecided."""
    otherwise: str
    """What would have to be true for the claim to hold where it was not supported."""
    remarks: tuple[str, ...]
    """What else was measured and a reader of the figure has to know, a sentence each."""
    models: tuple[str, ...]
    """Names of the models that were measured."""
    seeds: tuple[int, ...]
    """Of training; of sampling where nothing is trained."""
    figures: tuple[str, ...]
    """Files, relative to the result's folder."""
    settings: dict[str, Any]
    """The study's settings and those that it shares with others."""
    wall_s: float
    """Seconds of all steps together, those shared with other studies too."""
    versions: dict[str, str]
    git_commit: str | None
