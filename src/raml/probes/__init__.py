"""What can be read off a trajectory: so far, the answer's loss along it."""

from raml.probes.trace import check_fit, key_trace, stream_traces, trace_trajectory

__all__ = ["check_fit", "key_trace", "stream_traces", "trace_trajectory"]
