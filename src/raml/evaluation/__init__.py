"""From graded trajectories to tables that hold: estimates with intervals, paired differences with tests."""

from raml.evaluation.cells import By, Cell, collect_cells
from raml.evaluation.estimates import Undecided, choose_metrics, evaluate
from raml.evaluation.tables import (
    describe_intervals,
    list_comparisons,
    list_scores,
    list_verdicts,
    write_csv,
    write_json,
    write_markdown,
)

__all__ = [
    "By",
    "Cell",
    "Undecided",
    "choose_metrics",
    "collect_cells",
    "describe_intervals",
    "evaluate",
    "list_comparisons",
    "list_scores",
    "list_verdicts",
    "write_csv",
    "write_json",
    "write_markdown",
]
