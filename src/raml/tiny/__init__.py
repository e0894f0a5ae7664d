"""The embedded tiny world: questions, an oracle that writes their trajectories, and small models trained on them.

Everything in `raml` runs on it without a network or an accelerator. `recipes/tiny.py` in the source tree makes the
weights. Questions and oracle need no torch.
"""

from pathlib import Path

from raml.tiny.oracle import Line, OracleTrajectory, write_response, write_trajectories
from raml.tiny.questions import TRAINED_SIZE, find_split, make_questions, read_expression

WEIGHTS = Path(__file__).parent / "weights"
"""Holds the model folders "base" and "sft", and manifest.json: how they were made and how good they are."""

__all__ = [
    "TRAINED_SIZE",
    "WEIGHTS",
    "Line",
    "OracleTrajectory",
    "find_split",
    "make_questions",
    "read_expression",
    "write_response",
    "write_trajectories",
]
