"""The schema's version, the words that records choose from, and the hash that keys a unit of work."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

SCHEMA_VERSION = 2
"""Raised when a reader of the old version could misread a file of the new one. 2: questions that are not checked as
mathematics, model identities without a hash."""

Mode = Literal["think", "nothink"]
Finish = Literal["stop", "length"]
Target = Literal["gold", "own", "both"]
Scorer = Literal["one-pass", "definition"]
Engine = Literal["transformers", "vllm", "server"]
Kind = Literal["math", "choice", "code", "reasoning-gym"]
Text = Literal["trajectory", "other question", "shuffled", "random tokens"]
Verdict = Literal["right", "wrong", "no answer", "unparsed", "timed out", "undecided"]
IntervalMethod = Literal["BCa+t", "percentile+t", "bound", "none"]


def hash_key(*parts: object) -> str:
    """Hash JSON-able parts (records too) into 16 hexadecimal digits; the same parts give the same key everywhere."""
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()[:16]
