"""What curves of L̂ and readouts say together: descent, modes, wrong trajectories, when thinking may stop."""

from raml.curves.auroc import Auroc, compute_auroc, estimate_auroc_within, estimate_pooled_auroc
from raml.curves.descent import Descent, ModeComparison, compare_modes, measure_descent
from raml.curves.groups import CurveSet, CurveSettings, group_curves
from raml.curves.parting import Parting, PartingSummary, measure_parting, summarize_parting
from raml.curves.recognition import Recognition, measure_recognition
from raml.curves.sentences import write_sentences
from raml.curves.settling import Settling, SettlingRow, find_landmarks, summarize_settling
from raml.curves.summary import CurveSummary, summarize_curves
from raml.curves.table import describe_tables, list_tables, name_summary, write_json, write_markdown

__all__ = [
    "Auroc",
    "CurveSet",
    "CurveSettings",
    "CurveSummary",
    "Descent",
    "ModeComparison",
    "Parting",
    "PartingSummary",
    "Recognition",
    "Settling",
    "SettlingRow",
    "compare_modes",
    "compute_auroc",
    "describe_tables",
    "estimate_auroc_within",
    "estimate_pooled_auroc",
    "find_landmarks",
    "group_curves",
    "list_tables",
    "measure_descent",
    "measure_parting",
    "measure_recognition",
    "name_summary",
    "summarize_curves",
    "summarize_parting",
    "summarize_settling",
    "write_json",
    "write_markdown",
    "write_sentences",
]
