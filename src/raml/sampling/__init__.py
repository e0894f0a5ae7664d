"""Trajectories: drawn from a model, each from its own random numbers, and graded."""

from raml.sampling.draw import ReproducibleDraw
from raml.sampling.grade import grade_answer, grade_response
from raml.sampling.imported import make_imported
from raml.sampling.oracle import ORACLE, ask_oracle
from raml.sampling.sample import SampleUnit, plan_samples, resolve_sampling, sample_trajectories, stream_trajectories

__all__ = [
    "ORACLE",
    "ReproducibleDraw",
    "SampleUnit",
    "ask_oracle",
    "grade_answer",
    "grade_response",
    "make_imported",
    "plan_samples",
    "resolve_sampling",
    "sample_trajectories",
    "stream_trajectories",
]
