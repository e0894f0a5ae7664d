"""Work over processes of this machine or a Ray cluster."""

from raml.scale.graph import run_graph
from raml.scale.pool import Pool, Workers, open_pool
from raml.scale.processes import LostWorkerError, choose_accelerator, count_cores, count_sharing

__all__ = [
    "LostWorkerError",
    "Pool",
    "Workers",
    "choose_accelerator",
    "count_cores",
    "count_sharing",
    "open_pool",
    "run_graph",
]
