"""A study's settings, and the steps that lead to its result."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import msgspec

from raml.errors import DataError
from raml.records import Rule, StudyScale

STUDIES = (
    "fig2",
    "fig3",
    "fig4",
    "fig5",
    "fig6",
    "fig7",
    "fig8",
    "fig9",
    "fig11",
    "fig16",
    "table2",
    "table3",
    "prop21",
    "eq4",
    "meta",
)
"""In the paper's order; the last two stand for its central claim. Each is a module of this room with a TOML file beside
it."""
SCALES: tuple[StudyScale, ...] = get_args(StudyScale)


@dataclass(frozen=True)
class Cost:
    """What a step needs, estimated beforehand; sums are over all of its processes."""

    generated: float = 0
    """Tokens sampled."""
    scored: float = 0
    """Tokens read without gradients."""
    trained: float = 0
    """Tokens read with gradients."""
    parameters: float = 0
    """Of the model that does it."""
    n_bytes: float = 0
    """Left on the disk."""


@dataclass(frozen=True)
class Step:
    """One command of `raml`, or a call of one of its functions, in the folder that all steps share."""

    name: str
    """Such as "probe/sample". Steps of one name are one step, whichever studies want it."""
    words: tuple[str, ...] = ()
    """The command line after "raml"; paths are relative to the folder."""
    call: str = ""
    """Or a function, as "module:function"; it is given the folder and `arguments`."""
    arguments: tuple[tuple[str, Any], ...] = ()
    needs: tuple[str, ...] = ()
    """Steps that have to be finished before."""
    folder: str = ""
    """The run folder that it writes; no two steps write one at the same time."""
    again: bool = False
    """Done each time that the study is run, and not only once."""
    launcher: tuple[str, ...] = ()
    """What starts the command on several accelerators, such as "accelerate launch …"."""
    cost: Cost = field(default=Cost(), compare=False)


@dataclass(frozen=True)
class Setup:
    """A study at a scale: its claim and rules, its settings, and those that all studies of the scale share."""

    name: str
    scale: StudyScale
    source: str
    claim: str
    rules: tuple[Rule, ...]
    otherwise: str
    options: Mapping[str, Any]
    """The study's own table for the scale."""
    shared: Mapping[str, Any]
    """scales.toml's table for the scale."""


def load_setup(name: str, scale: str) -> Setup:
    """Read a study's settings.

    Raises:
        DataError: there is no such study or scale, or its TOML file is wrong.
    """
    if name not in STUDIES:
        raise DataError(f"There is no study {name}; there are {', '.join(STUDIES)}, and all.")
    if scale not in SCALES:
        raise DataError(f"There is no scale {scale}; there are {', '.join(SCALES)}.")
    own = _read_toml(f"{name}.toml")
    shared = _read_toml("scales.toml")[scale]
    try:
        rules = tuple(msgspec.convert(rule, Rule) for rule in own["rules"])
        return Setup(name, scale, own["source"], own["claim"], rules, own["otherwise"], own[scale], shared)
    except (KeyError, msgspec.ValidationError) as error:
        raise DataError(f"{name}.toml is not a study's: {error}.") from error


def collect_steps(plans: Sequence[Sequence[Step]]) -> list[Step]:
    """Join the steps of several studies; what several of them want is there once. Each comes after what it needs.

    Raises:
        DataError: two steps of one name differ, one needs a step that is missing, or steps need each other in a circle.
    """
    steps: dict[str, Step] = {}
    for step in (step for plan in plans for step in plan):
        if steps.setdefault(step.name, step) != step:
            raise DataError(f"Two studies mean different things by step {step.name}.")
    ordered: dict[str, Step] = {}
    while len(ordered) < len(steps):
        ready = [step for step in steps.values() if step.name not in ordered and all(n in ordered for n in step.needs)]
        if not ready:
            left = next(step for step in steps.values() if step.name not in ordered)
            raise DataError(f"Step {left.name} needs {', '.join(left.needs)}, which are not all there before it.")
        ordered |= {step.name: step for step in ready}
    return list(ordered.values())


def write_step(step: Step) -> str:
    """Write a step as a line for the shell, to be run in the studies' folder."""
    if step.call:
        module, function = step.call.split(":")
        given = ", ".join(f"{key}={value!r}" for key, value in step.arguments)
        line = f"from pathlib import Path; from {module} import {function}; {function}(Path(), {given})"
        return f"python -c {shlex.quote(line)}"
    start = (*step.launcher, "-m", "raml") if step.launcher else ("raml",)
    return shlex.join((*start, *step.words))


def _read_toml(name: str) -> dict[str, Any]:
    path = files("raml.studies") / name
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{Path(str(path))} can't be read: {error}.") from error
