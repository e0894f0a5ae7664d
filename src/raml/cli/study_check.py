"""`raml study NAME --dry-run`: the commands, what they need, and what would keep them from running."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from raml.cli.stage import print_table, say
from raml.cli.study_commands import Found, check_steps
from raml.cli.study_sources import check_models, check_sources, find_existing
from raml.errors import DataError, RamlError
from raml.records import StudyScale
from raml.studies import cost
from raml.studies.conclusion import plan_study
from raml.studies.plan import Step, collect_steps, load_setup, write_step

MILLION, GIGABYTE = 1e6, 1e9
SOURCE_HEADINGS = ("data set", "its columns", "needed")
MODEL_HEADINGS = ("model", "where")


def check_studies(names: Sequence[str], scale: StudyScale, home: Path) -> None:
    """Print the commands of studies and what they need, and check every one of them without running it.

    Raises:
        DataError: something would keep a study from running; each such thing has been printed.
    """
    plans, faults = _plan_all(names, scale)
    steps = collect_steps(list(plans.values()))
    found = check_steps(steps, home)
    faults += [f"step {name}: {fault}" for name, fault in found.faults.items()]
    say(f"mkdir -p {shlex.quote(str(home))} && cd {shlex.quote(str(home))}")
    for step in steps:
        say(write_step(step))
    say("")
    if plans:
        shared = load_setup(next(iter(plans)), scale).shared
        _print_costs(plans, steps, cost.read_machine(shared), home)
    faults += _print_sources(found)
    for sentence, needing in found.missing_here.items():
        say(f"Not on this machine: {sentence} {len(needing)} steps need it, the first is {needing[0]}.")
    for fault in faults:
        say(f"Fault: {fault}")
    if faults:
        raise DataError(f"{len(faults)} of the things listed above would keep studies of scale {scale} from running.")
    say("No fault was found in what could be checked here.")


def _plan_all(names: Sequence[str], scale: StudyScale) -> tuple[dict[str, list[Step]], list[str]]:
    """Plan studies, and note those that can't be planned."""
    plans, faults = {}, []
    for name in names:
        try:
            plans[name] = plan_study(name, scale)
        except RamlError as error:
            faults.append(f"study {name}: {error}")
        except KeyError as error:
            faults.append(f"study {name}: its settings for scale {scale}, or those that studies share, lack {error}.")
    return plans, faults


def _print_costs(plans: Mapping[str, Sequence[Step]], steps: Sequence[Step], machine: cost.Machine, home: Path) -> None:
    """Print what each study needs alone, and all together."""
    bills = {name: cost.add_up(plan, machine) for name, plan in plans.items()}
    total = cost.add_up(steps, machine)
    if len(bills) > 1:
        bills["together"] = total
    unit = f"{machine.unit} hours"
    headings = ("study", "steps", "M tokens sampled", "M scored", "M trained on", unit, "GB on disk")
    print_table(headings, [(name, *_write_bill(bill)) for name, bill in bills.items()])
    say(
        f"Estimates: {cost.READ} operations per parameter and token sampled or scored, {cost.LEARN} per token trained "
        f"on, at {machine.tflops:g} · 10¹² a second and {machine.unit}, of which sampling reaches "
        f"{machine.generate_utilization:.2g}, scoring {machine.score_utilization:.2g} and training "
        f"{machine.train_utilization:.2g}; and {machine.step_s:g} s a step. Attention over long contexts comes on top."
    )
    if len(bills) > 1:
        say("Steps that several studies want are in each one's row, and once in the last.")
    there = find_existing(home)
    free = shutil.disk_usage(there).free
    needed = _write(total.n_bytes / GIGABYTE)
    say(f"Disk: {needed} GB, and what is fetched from the Hub; {_write(free / GIGABYTE)} GB are free at {there}.")
    if total.n_bytes > free:
        say("That is too little: choose another --out, or free some.")
    say("")


def _write_bill(bill: cost.Bill) -> tuple[str, ...]:
    tokens = (bill.generated, bill.scored, bill.trained)
    return (
        str(bill.n_steps),
        *(_write(count / MILLION) for count in tokens),
        _write(bill.hours),
        _write(bill.n_bytes / GIGABYTE),
    )


def _write(amount: float) -> str:
    """Write an amount with two digits after the point if it is small, and none if it is large."""
    return f"{amount:,.0f}" if amount >= 100 else f"{amount:.1f}" if amount >= 10 else f"{amount:.2f}"


def _print_sources(found: Found) -> list[str]:
    """Print what was found of data sets and models; returns what is wrong with them."""
    sources, source_faults = check_sources(found.sources)
    models, model_faults = check_models(found.models)
    print_table(SOURCE_HEADINGS, sources, names=SOURCE_HEADINGS)
    print_table(MODEL_HEADINGS, models, names=MODEL_HEADINGS)
    return [f"data set {fault}" for fault in source_faults] + model_faults
