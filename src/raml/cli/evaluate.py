"""`raml evaluate`: tables that hold."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from raml.cli.help_groups import STATISTICS, WORKERS
from raml.cli.options import WorkerOptions, choose_workers
from raml.cli.plan import PlanFlag, say_for_one, show_tables_plan
from raml.cli.stage import console, say
from raml.errors import DataError, RunError
from raml.records import Evaluation
from raml.store import Run, StageClock, lock_run, write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "evaluation"
"""Of the files that it writes."""


def evaluate(
    runs: Annotated[list[Path], Parameter(negative="")],
    *,
    out: Path | None = None,
    by: Literal["source", "domain", "all"] = "source",
    k: Annotated[list[int] | None, Parameter(negative="")] = None,
    tau: Annotated[list[str] | None, Parameter(negative="")] = None,
    baseline: str | None = None,
    undecided: Literal["leave-out", "wrong"] = "leave-out",
    uneven: bool = False,
    plan_only: PlanFlag = False,
    level: Annotated[float, Parameter(group=STATISTICS)] = 0.95,
    n_resamples: Annotated[int, Parameter(group=STATISTICS)] = 9999,
    seed: Annotated[int, Parameter(group=STATISTICS)] = 0,
    format: Literal["table", "markdown", "csv", "json"] = "table",
    workers: Annotated[WorkerOptions | None, Parameter(name="*", group=WORKERS)] = None,
) -> None:
    """Estimate Pass@k and compare models, with intervals.

    Example: `raml evaluate runs/base runs/sft runs/grpo --k 8 --out runs/all`

    Pass@k, mG-Pass@k and the share of right answers, of one or more runs.
        Responses are sorted by model (name, weights, mode, sampling settings) and benchmark, whichever run they are in.
    Intervals and tests are over questions. evaluation.json, .md, .csv and a figure are written.

    Parameters
    ----------
    runs
        Run folders with trajectories.
    out
        Where to write; by default the first run's folder.
    by
        What makes a benchmark: where the questions come from, their domain, or all together.
    k
        Responses drawn for Pass@k and mG-Pass@k; may be given several times. By default 8, or less where questions
        have fewer than 16 responses.
    tau
        Also estimate G-Pass@k at this threshold, such as 0.75 or 3/4; may be given several times.
    baseline
        Label of the model (as in the table) that the others are compared with; by default all pairs are compared.
    undecided
        Leave out responses that could not be checked, or count them as wrong.
    uneven
        Allow questions with more responses than others.
    plan_only
        Say what it will take, in memory and time, and do nothing.
    level
        Coverage of the intervals.
    n_resamples
        Of bootstrap and permutation test.
    seed
        Of both.
    format
        What is printed.
    """
    _check(n_resamples, seed, k or [])
    hands = choose_workers(workers)
    if plan_only:
        say_for_one(hands)
        again = partial(_evaluate, by=by, k=k, tau=tau, baseline=baseline, undecided=undecided, uneven=uneven)
        again = partial(again, level=level, n_resamples=n_resamples, seed=seed)
        show_tables_plan("evaluate", runs, again, tables=False)
        return
    from raml.evaluation import choose_metrics, collect_cells, write_csv, write_json, write_markdown
    from raml.evaluation import evaluate as estimate
    from raml.figures import plot_evaluation

    folders = [Run(path) for path in runs]
    read = [(folder.read_questions(), folder.read_trajectories()) for folder in folders]
    for folder, (_, trajectories) in zip(folders, read, strict=True):
        if not trajectories:
            raise RunError(
                f"{folder.path} has no trajectories. Make some with `raml sample MODEL {folder.path}` or `raml import`."
            )
    target = Run(out or runs[0])
    asked = {"runs": runs, "by": by, "k": k, "tau": tau, "baseline": baseline, "undecided": undecided}
    cells = collect_cells(read, by=by)
    metrics = choose_metrics(cells, ks=k or (), taus=tau or ())
    asked |= {"uneven": uneven, "level": level, "n_resamples": n_resamples, "metrics": metrics}
    clock = StageClock(target, "evaluate", asked)
    result = estimate(
        cells,
        metrics,
        undecided=undecided,
        uneven=uneven,
        baseline=baseline,
        level=level,
        n_resamples=n_resamples,
        seed=seed,
        workers=hands,
    )
    figure = plot_evaluation(result)
    texts = {"markdown": write_markdown(result), "csv": write_csv(result), "json": write_json(result)}
    with lock_run(target.path):
        files = _write(target, figure, texts)
        clock.finish(
            inputs=tuple(path for folder in folders for path in (folder.questions_path, folder.trajectories_path)),
            outputs=dict.fromkeys(files),
            n_units=len(cells),
            n_new=len(cells),
            seed=seed,
        )
    if format != "table":
        sys.stdout.write(texts[format])
        return
    _print(result)
    say(f"Wrote {', '.join(str(path) for path in files)}")


def _evaluate(*runs: Path, **options: Any) -> None:  # noqa: ANN401
    evaluate(list(runs), **options)


def _check(n_resamples: int, seed: int, ks: Sequence[int]) -> None:
    if seed < 0:
        raise DataError(f"--seed is {seed}; it must be at least 0.")
    if n_resamples < 99:
        raise DataError(f"--n-resamples is {n_resamples}; it must be at least 99.")
    for k in ks:
        if k < 1:
            raise DataError(f"--k is {k}; it must be at least 1.")


def _write(target: Run, figure: Figure, texts: dict[str, str]) -> list[Path]:
    from raml.figures import save_figure

    suffixes = {"json": ".json", "markdown": ".md", "csv": ".csv"}
    paths = {name: target.path / f"{NAME}{suffix}" for name, suffix in suffixes.items()}
    for name, path in paths.items():
        write_atomically(path, texts[name].encode())
    return [*paths.values(), *save_figure(figure, target.figures_path / NAME)]


def _print(result: Evaluation) -> None:
    from raml.evaluation import describe_intervals, list_comparisons, list_scores, list_verdicts

    # A pipe gets each row on one line, however long.
    screen = console if console.is_terminal else Console(width=1000, highlight=False)
    for headings, rows in (list_scores(result), list_verdicts(result), list_comparisons(result)):
        if not rows:
            continue
        table = Table(box=None, pad_edge=False, header_style="bold")
        for i, heading in enumerate(headings):
            is_name = i < 2 or heading in ("against", "metric")
            justify: JustifyMethod = "left" if is_name else "right"
            table.add_column(heading, justify=justify, overflow="fold", no_wrap=not is_name)
        for row in rows:
            table.add_row(*map(Text, row))
        screen.print(table)
        say("")
    say(describe_intervals(result))
    for note in result.notes:
        say(f"Note: {note}")
