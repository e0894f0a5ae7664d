"""`raml compress --plan`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from raml.cli.compress_stages import CHUNK, list_steps
from raml.cli.compress_task import Pair, Task, choose_pairs
from raml.cli.plan import show_plan, show_tables_plan
from raml.cli.stage import say
from raml.cli.writers import load_scorers
from raml.errors import RamlError
from raml.records import Attempt
from raml.store import Journal, Run

if TYPE_CHECKING:
    from raml.models import LoadedModel
    from raml.planning import Plan

MADE_WITH_MODEL = {"cut", "wait", "prune"}


def show_compress_plan(task: Task, close: Callable[[Run], object], again: Callable[[Path], object]) -> None:
    """Print what the methods of a task take.

    Args:
        task: What is asked.
        close: Makes tables and figures of what is there, in a run's folder.
        again: Runs the command without methods that need a model, in a run's folder; picklable.
    """
    if not MADE_WITH_MODEL & set(task.methods):
        show_tables_plan("compress", [task.folder.path], again)
        return
    if "summary" in task.methods:
        say("Note: summaries are not planned; `raml sample --plan` says what responses of that length take.")
        task.methods = [method for method in task.methods if method != "summary"]
    pairs = choose_pairs(task.pairs, task.work.errors)
    by_id = {trajectory.id: question for trajectory, question in pairs}
    models = load_scorers(task.model, [trajectory for trajectory, _ in pairs], task.load, task.work.errors)
    show_plan(_plan(task, loaded, [(t, by_id[t.id]) for t in own], close) for loaded, own in models)


def _plan(task: Task, loaded: LoadedModel, pairs: Sequence[Pair], close: Callable[[Run], object]) -> Plan:
    from raml.efficiency.waiting import choose_longer_budgets
    from raml.planning.shortening import plan_attempts

    there = task.folder.read_attempts()
    done = {attempt.id for attempt in there}
    missing: dict[str, set[str]] = {}
    for step in list_steps(task, [trajectory for trajectory, _ in pairs], {}):
        for trajectory, question in pairs:
            try:
                keys = set(step.list_keys(loaded, trajectory, question)) - done
            except RamlError:
                continue  # the stage will leave it out too
            missing.setdefault(trajectory.id, set()).update(keys)
    wanted = [pair for pair in pairs if missing.get(pair[0].id)]

    made: list[Attempt] = []

    def run(some: Sequence[Pair]) -> None:
        made.clear()
        for step in list_steps(task, [trajectory for trajectory, _ in some], {}):
            made.extend(step.run(loaded, some)[0])

    def end(folder: Run) -> None:
        """Make the tables of as many attempts as there will be: those of one trajectory stand for all new ones."""
        own = [attempt for attempt in made if attempt.trajectory_id == made[-1].trajectory_id]
        new = {trajectory.id for trajectory, _ in wanted}
        with Journal(folder.attempts_path) as journal:
            journal.append([attempt for attempt in there if attempt.trajectory_id not in new])
            for trajectory, question in wanted if made else ():
                about = {"trajectory_id": trajectory.id, "question_id": question.id}
                journal.append([replace(a, id=f"{trajectory.id}-{i}", **about) for i, a in enumerate(own)])
        close(folder)

    longest = 0
    if "wait" in task.methods and wanted:
        longest = max(task.options.budget or choose_longer_budgets([trajectory for trajectory, _ in wanted]))
    return plan_attempts(
        loaded,
        wanted,
        run,
        task.readout,
        n_attempts=sum(map(len, missing.values())),
        longest_written=longest,
        at_a_time=CHUNK,
        memory=task.memory,
        close=end,
    )
