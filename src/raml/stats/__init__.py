"""Pass@k, G-Pass@k, mG-Pass@k and Avg@n, with intervals and tests over questions."""

from raml.stats.inference import adjust_holm, compare_metric, compute_p_value, estimate_metric
from raml.stats.metrics import (
    Counts,
    Metric,
    compute_g_pass_at_k,
    compute_mg_pass_at_k,
    compute_mg_pass_at_k_integral,
    compute_pass_at_k,
    measure_questions,
)

__all__ = [
    "Counts",
    "Metric",
    "adjust_holm",
    "compare_metric",
    "compute_g_pass_at_k",
    "compute_mg_pass_at_k",
    "compute_mg_pass_at_k_integral",
    "compute_p_value",
    "compute_pass_at_k",
    "estimate_metric",
    "measure_questions",
]
