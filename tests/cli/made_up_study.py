"""A study of a few quick steps, for tests of what runs studies.

`python -m tests.cli.made_up_study HOME` runs it as `raml study fig3 --out HOME` would.
"""

import importlib
import os
import sys
import time
from pathlib import Path

import msgspec

from raml.cli import run
from raml.records import Finding, Rule, StudyResult
from raml.store import write_atomically
from raml.studies.conclusion import RESULTS
from raml.studies.plan import Step
from raml.studies.wording import write_result

RULE = Rule("fall", "how far it falls", "nats", below=0.0)
FINDING = Finding("fall", -1.0, -1.5, -0.5, 0.95, 64, (), "supported")
MODULE = importlib.import_module("raml.studies.conclusion")
"""Its room has a function of the same name."""
HERE = "tests.cli.made_up_study"


def note(home: Path, *, name: str, wait_for: str = "", fail_without: str = "") -> None:
    """A step: count that it was begun, wait for a file or fail without one, and count that it was done."""
    with (home / "log").open("a") as log:
        log.write(f"{name} begins\n")
    print(f"{name} says something")
    while wait_for and not (home / wait_for).exists():
        time.sleep(0.02)
        if os.getppid() == 1:  # whoever started it was killed
            sys.exit(1)
    if fail_without and not (home / fail_without).exists():
        raise ValueError(f"{name} lacks {fail_without}")
    with (home / "log").open("a") as log:
        log.write(f"{name} ends\n")


def draw_conclusion(home: Path, *, study: str) -> None:
    """The last step: a result without a measurement."""
    note(home, name=f"{study}/conclude")
    result = StudyResult(
        study, "tiny", "Fig. 3", "It falls.", (RULE,), (FINDING,), "supported", "It would have to fall.",
        ("Made up.",), ("none",), (0,), (), {}, 1.0, {}, None,
    )  # fmt: skip
    folder = home / RESULTS / study
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / f"{study}.json", msgspec.json.encode(result))
    write_atomically(folder / f"{study}.md", write_result(result).encode())


def plan(name: str, scale: str) -> list[Step]:
    """fig3: two steps and the conclusion; fig5: shares the first, and its second fails until there is a file "mend"."""
    first = _step("shared/first")
    own = _step(f"{name}/second", ("shared/first",), **_TROUBLES[name])
    last = Step(
        f"{name}/conclude",
        call=f"{HERE}:draw_conclusion",
        arguments=(("study", name),),
        needs=(first.name, own.name),
        again=True,
    )
    return [first, own, last]


_TROUBLES = {"fig3": {"wait_for": "go"}, "fig5": {"fail_without": "mend"}}


def _step(name: str, needs: tuple[str, ...] = (), **more: str) -> Step:
    return Step(name, call=f"{HERE}:note", arguments=(("name", name), *more.items()), needs=needs)


if __name__ == "__main__":
    MODULE.plan_study = plan
    sys.exit(run(["study", "fig3", "--out", sys.argv[1], "--jobs", "1"]))
