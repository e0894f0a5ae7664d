"""The process that compares answers: a JSON request a line in, a JSON reply a line out.

Run as `python -m raml.answers.worker` by `raml.answers.compare`, which kills it when a request takes too long.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
from dataclasses import dataclass

import msgspec

MEMORY_LIMIT_BYTES = 4 << 30
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Request:
    """Two answers, plain text or LaTeX."""

    gold: str
    answer: str


@dataclass(frozen=True)
class Reply:
    """What Math-Verify says."""

    gold_ok: bool
    """Whether something comparable was found in the gold answer."""
    answer_ok: bool = True
    """Whether the answer holds something that can be compared with the gold one."""
    equal: bool | None = None
    error: str | None = None


def compare(request: Request) -> Reply:
    """Ask Math-Verify, without its own signal-based time limits."""
    from math_verify import parse, verify

    gold = parse(f"\\boxed{{{request.gold}}}", parsing_timeout=0)
    if not gold:
        return Reply(gold_ok=False)
    answer = parse(f"\\boxed{{{request.answer}}}", parsing_timeout=0)
    equal = bool(verify(gold, answer, timeout_seconds=0))
    # What it can't read as mathematics it gives back as text, which equals nothing but the same text.
    readable = any(not isinstance(part, str) for part in answer) or all(isinstance(part, str) for part in gold)
    return Reply(gold_ok=True, answer_ok=bool(answer) and (equal or readable), equal=equal)


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # not on Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))


def _die_with_parent() -> None:
    """Ask Linux to end this process with the thread that started it, even in the middle of an endless computation.

    (A process that only lost that thread starts a new worker with its next question.)
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    """Answer requests until the input ends."""
    _die_with_parent()
    _limit_memory()
    logging.disable(logging.CRITICAL)  # Math-Verify warns at every call that its time limit is off
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    sys.stdout = sys.stderr  # whatever a library prints must not be taken for a reply
    compare(Request("1/2", "0.5"))  # load everything before the clock starts
    replies.write(b"ready\n")
    for line in sys.stdin.buffer:
        try:
            reply = compare(msgspec.json.decode(line, type=Request))
        except Exception as error:  # noqa: BLE001 - the algebra system raises anything on strange input
            reply = Reply(gold_ok=True, error=f"{type(error).__name__} in Math-Verify")
        replies.write(msgspec.json.encode(reply) + b"\n")


if __name__ == "__main__":
    main()
