"""`raml study`: a figure or table of the paper, from questions to a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from raml.cli.stage import print_table, say, show_progress
from raml.errors import DataError, RunError
from raml.records import StudyScale
from raml.store import lock_run

if TYPE_CHECKING:
    from raml.records import StudyResult

OUT = "studies-{scale}"
"""Where a scale's steps are made unless told otherwise."""


def study(
    name: str,
    *,
    scale: Literal["tiny", "small", "paper"] = "tiny",
    out: Path | None = None,
    dry_run: bool = False,
    jobs: int | None = None,
    format: Literal["table", "markdown"] = "table",
) -> None:
    """Make a figure or table of the paper again, with a verdict.

    Examples: `raml study fig3`, `raml study all --scale tiny`, `raml study list`

    A study is a list of `raml` commands and a rule, written down before, that turns what they measure into a verdict
    on the paper's claim.
    Studies of a scale share their runs and models in one folder. Killed at any moment and run again, a study does only
    what is missing.

    Parameters
    ----------
    name
        fig2 to fig16, table2, table3, prop21, eq4, meta; all; or list: the claims and what was found.
    scale
        How large:

        - tiny: the embedded models, minutes on two cores
        - small: models of 0.5 to 1.5 billion parameters, one GPU
        - paper: the paper's models and data, many GPUs
    out
        The folder; studies-SCALE unless told otherwise.
    dry_run
        Check every setting, and print the commands and what they need, without running them.
    jobs
        Steps at the same time; by default two for tiny and one for the others.
    format
        With list: how the table is printed.
    """
    from raml.studies import plan

    home = out or Path(OUT.format(scale=scale))
    if jobs is not None and jobs < 1:
        raise DataError(f"--jobs is {jobs}; it must be at least 1.")
    if name == "list":
        _list(home, scale, format)
        return
    names = plan.STUDIES if name == "all" else (name,)
    if dry_run:
        from raml.cli.study_check import check_studies

        check_studies(names, scale, home)
        return
    _run(names, scale, home, jobs)


def _run(names: Sequence[str], scale: StudyScale, home: Path, jobs: int | None) -> None:
    """Do what is missing, and print the verdicts.

    Raises:
        RunError: steps failed; the others are done.
    """
    from raml.cli.study_steps import run_steps
    from raml.studies.conclusion import plan_study, read_results
    from raml.studies.journal import find_missing
    from raml.studies.plan import collect_steps, load_setup

    shared = load_setup(names[0], scale).shared
    n_jobs = jobs if jobs is not None else int(shared["n_jobs"])
    steps = collect_steps([plan_study(name, scale) for name in names])
    with lock_run(home):
        missing = find_missing(home, steps)
        say(f"{len(steps)} steps in {home}, {len(missing)} of them to do.")
        with show_progress("steps", len(steps), len(steps) - len(missing)) as bar:
            failed = run_steps(home, missing, n_jobs=n_jobs, fresh=bool(shared["fresh"]), bar=bar)
    by_name = {result.name: result for result in read_results(home, scale)}
    for name in names:
        if f"{name}/conclude" not in failed and name in by_name:
            _print(by_name[name], home)
    if failed:
        told = "; ".join(f"{step} ({why})" for step, why in failed.items())
        raise RunError(f"Not done: {told}. What was finished is kept: run the same command again.")
    say(f"Next: raml study list --scale {scale}" + ("" if home == Path(OUT.format(scale=scale)) else f" --out {home}"))


def _print(result: StudyResult, home: Path) -> None:
    from raml.studies.conclusion import RESULTS
    from raml.studies.wording import FINDING_HEADINGS, list_findings

    say(f"\n{result.name} ({result.source}): {result.verdict}\n{result.claim}")
    print_table(FINDING_HEADINGS, list_findings(result), names=("rule", "verdict", "measured"))
    for note in (
        *(f"{finding.measure}: {finding.note}" for finding in result.findings if finding.note),
        *result.remarks,
    ):
        say(f"Note: {note}")
    if result.verdict != "supported":
        say(f"What would have to be true: {result.otherwise}")
    for name in (f"{result.name}.json", f"{result.name}.md", *result.figures):
        say(f"Wrote {home / RESULTS / result.name / name}")


def _list(home: Path, scale: StudyScale, format: Literal["table", "markdown"]) -> None:
    """Print the table of claims."""
    from raml.studies.conclusion import read_own, read_results
    from raml.studies.plan import STUDIES, load_setup
    from raml.studies.wording import CLAIM_HEADINGS, list_claims, write_claims

    setups = {name: load_setup(name, scale) for name in STUDIES}
    results = read_results(home, scale)
    if format == "markdown":
        say(write_claims(setups, results).rstrip())
        return
    print_table(CLAIM_HEADINGS, list_claims(setups, results), names=("in the paper", "claim", "verdict", "measured"))
    own = ", ".join(result.name for result in read_own(home, scale))
    say(f"From {home}: {own or 'none'}. Other results of scale {scale} come with raml.")
