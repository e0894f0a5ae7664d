"""A trajectory as an update of weights: exactly, as an adapter, along its path, and beside the gradient.

`proposition` is the paper's one-layer statement, `equivalent` the closed form for real models, `path` the same for all
prefixes at once, `alignment` the test of Eq. 4, `explicit` the inner loop that takes gradient steps instead.
"""

from raml.updates.adapter import check_adapter_folder, write_adapter
from raml.updates.alignment import measure_alignment
from raml.updates.compile import compile_trajectory, key_update, take_point
from raml.updates.equivalent import applying, compile_update_by_definition, verify_update
from raml.updates.explicit import adapt_to_trajectory
from raml.updates.factors import LowRank
from raml.updates.layers import find_update_obstacle
from raml.updates.path import WeightPath, trace_path
from raml.updates.transfer import choose_others, plan_bare, score_bare

__all__ = [
    "LowRank",
    "WeightPath",
    "adapt_to_trajectory",
    "applying",
    "check_adapter_folder",
    "choose_others",
    "compile_trajectory",
    "compile_update_by_definition",
    "find_update_obstacle",
    "key_update",
    "measure_alignment",
    "plan_bare",
    "score_bare",
    "take_point",
    "trace_path",
    "verify_update",
    "write_adapter",
]
