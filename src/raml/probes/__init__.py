"""What can be read off a trajectory: an answer's loss, the model's own answer, and what comes of writing it on."""

from raml.probes.resampling import key_resampling, resample_trajectory
from raml.probes.spans import check_fit
from raml.probes.stream import Outcome, ProbePlan, plan_probes, run_batch, stream_probes
from raml.probes.task import key_readout, key_trace, split_targets
from raml.probes.trace import read_out_trajectory, trace_trajectory

__all__ = [
    "Outcome",
    "ProbePlan",
    "check_fit",
    "key_readout",
    "key_resampling",
    "key_trace",
    "plan_probes",
    "read_out_trajectory",
    "resample_trajectory",
    "run_batch",
    "split_targets",
    "stream_probes",
    "trace_trajectory",
]
