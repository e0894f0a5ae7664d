"""Pass@k, G-Pass@k, mG-Pass@k, Avg@n and means of other values, with intervals and tests over questions."""

from raml.stats.geometry import PathPlane, PathShape, fit_plane, measure_shape
from raml.stats.inference import (
    adjust_holm,
    average_questions,
    compare_metric,
    compute_p_value,
    compute_paired_p_value,
    estimate_mean,
    estimate_metric,
)
from raml.stats.metrics import (
    Counts,
    Metric,
    compute_g_pass_at_k,
    compute_mg_pass_at_k,
    compute_mg_pass_at_k_integral,
    compute_pass_at_k,
    measure_questions,
)
from raml.stats.wording import SIGNIFICANT, write_p, write_relation

__all__ = [
    "SIGNIFICANT",
    "Counts",
    "Metric",
    "PathPlane",
    "PathShape",
    "adjust_holm",
    "average_questions",
    "compare_metric",
    "compute_g_pass_at_k",
    "compute_mg_pass_at_k",
    "compute_mg_pass_at_k_integral",
    "compute_p_value",
    "compute_paired_p_value",
    "compute_pass_at_k",
    "estimate_mean",
    "estimate_metric",
    "fit_plane",
    "measure_questions",
    "measure_shape",
    "write_p",
    "write_relation",
]
