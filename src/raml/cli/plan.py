"""`--plan`: what a command would take, and nothing done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from raml.cli.engines import EngineOptions, Work, check_engine
from raml.cli.options import LoadOptions, load
from raml.cli.stage import print_table, say
from raml.errors import DataError
from raml.scale import Workers
from raml.store import Run

PlanFlag = Annotated[bool, Parameter(name="--plan", negative="")]
"""Print what the command would take, and do nothing."""

if TYPE_CHECKING:
    from raml.planning import Duration, Plan


def show_plan(plans: Iterable[Plan]) -> None:
    """Print what each model's part of a command takes, and what they take together."""
    made = []
    for plan in plans:
        _print(plan)
        made.append(plan)
    if len(made) > 1:
        times = [plan.whole for plan in made if plan.whole is not None]
        say(
            f"Together: {write_bytes(max(plan.peak_bytes for plan in made))} at most, "
            f"{write_seconds(sum(time.wall_s for time in times))}."
        )
    say("Nothing was done. Run the command without --plan to do it.")


def say_for_one(workers: Workers) -> None:
    """Say that a plan is for one worker, where several are asked for."""
    if not workers.is_here:
        say("This is for one worker; each of several takes memory of its own.")


def show_tables_plan(
    stage: str,
    runs: Sequence[Path],
    command: Callable[..., object],
    *,
    limit: int | None = None,
    tables: bool = True,
) -> None:
    """Print what a command without a model takes; the arguments are those of `raml.planning.tables.plan_tables`."""
    from raml.planning.tables import plan_tables

    show_plan([plan_tables(stage, runs, command, limit=limit, tables=tables)])


def show_sample_plan(folder: Run, work: Work, options: LoadOptions | None, engine: EngineOptions) -> None:
    """Print what `raml sample` takes.

    Raises:
        DataError: another engine draws, whose memory and speed nobody here can know.
    """
    from raml.planning.generation import plan_sample
    from raml.sampling import BATCH_SIZE, plan_samples, resolve_sampling

    check_engine(engine, work.batch_size)
    if engine.engine != "transformers":
        raise DataError("--plan is for --engine transformers; what another engine takes can't be known here.")
    loaded = load(work.model, options)
    sampling = resolve_sampling(loaded, work.sampling)
    units = plan_samples(loaded, work.questions, work.n, prompt=work.prompt, settings=sampling)
    there = folder.read_trajectories()
    done = {trajectory.id for trajectory in there}
    batch_size = BATCH_SIZE if work.batch_size is None else work.batch_size
    show_plan([plan_sample(loaded, units, sampling, batch_size=batch_size, done=done, trajectories=there)])


def _print(plan: Plan) -> None:
    about = "" if plan.model is None else f" with {plan.model}"
    rows = [[plan.unit, f"{plan.n_units:,}", "looked at" if plan.model is None else "to be made"]]
    if plan.tokens_read is not None:
        rows.append(["tokens read", f"{plan.tokens_read:,}", ""])
    if plan.most_written:
        expected = "unknown" if plan.tokens_written is None else f"{plan.tokens_written:,}"
        rows.append(["tokens written", expected, f"expected; at most {plan.most_written:,}"])
    parts = ", ".join(f"{part.name} {write_bytes(part.n_bytes)}" for part in plan.host)
    held = f"while the model is loaded; later {parts}" if plan.peak_bytes == plan.loading else parts
    rows.append(["memory", write_bytes(plan.peak_bytes), held])
    if plan.device:
        parts = ", ".join(f"{part.name} {write_bytes(part.n_bytes)}" for part in plan.device)
        rows.append(["accelerator memory", write_bytes(sum(part.n_bytes for part in plan.device)), parts])
    if plan.n_disk_bytes is not None:
        rows.append(["disk", write_bytes(plan.n_disk_bytes), "of the files that it writes"])
    rows.append(["time", _write_time(plan.whole), _explain_time(plan)])
    say(f"raml {plan.stage}{about}:")
    print_table(("what", "predicted", "of which"), rows, ("of which",))
    for note in plan.notes:
        say(f"Note: {note}")


def _write_time(whole: Duration | None) -> str:
    return "unknown" if whole is None else write_seconds(whole.wall_s)


def _explain_time(plan: Plan) -> str:
    if plan.whole is None or plan.start is None:
        return "nothing could be measured"
    return (
        f"{write_seconds(plan.start.wall_s)} to start; {write_seconds(plan.whole.cpu_s)} of a processor's time in all"
    )


def write_seconds(seconds: float) -> str:
    """Write a time with its unit: seconds below two minutes, then minutes, then hours."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def write_bytes(n: float) -> str:
    """Write a size with its unit, in powers of 1024."""
    for unit in ("B", "KB", "MB"):
        if n < 1024:
            return f"{n:.0f} {unit}"
        n /= 1024
    return f"{n:.2f} GB"
