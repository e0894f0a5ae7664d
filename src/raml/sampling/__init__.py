"""Trajectories: drawn by transformers, vLLM or a server, each with a seed of its own, or imported; and graded."""

from raml.sampling.client import ServerOptions
from raml.sampling.connection import Server, connect_server
from raml.sampling.draw import ReproducibleDraw, draw_uniforms
from raml.sampling.imported import make_imported
from raml.sampling.oracle import ORACLE, ask_oracle
from raml.sampling.plan import SampleUnit, check_settings, plan_samples, resolve_sampling
from raml.sampling.sample import BATCH_SIZE, cut_batches, sample_batch, sample_trajectories, stream_trajectories
from raml.sampling.server import stream_from_server
from raml.sampling.vllm import VLLM, VLLM_BATCH, check_vllm, fix_dtype, stream_from_vllm

__all__ = [
    "BATCH_SIZE",
    "ORACLE",
    "VLLM",
    "VLLM_BATCH",
    "ReproducibleDraw",
    "SampleUnit",
    "Server",
    "ServerOptions",
    "ask_oracle",
    "check_settings",
    "check_vllm",
    "connect_server",
    "cut_batches",
    "draw_uniforms",
    "fix_dtype",
    "make_imported",
    "plan_samples",
    "resolve_sampling",
    "sample_batch",
    "sample_trajectories",
    "stream_from_server",
    "stream_from_vllm",
    "stream_trajectories",
]
