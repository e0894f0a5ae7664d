"""Decide whether two answers are the same, by Math-Verify in a process that can be killed.

A hostile expression (a tower of powers) can keep a computer algebra system busy for ever or fill the memory, and
Math-Verify's own time limit relies on signals, which fail in threads and inside C code. So it runs in a worker process
with a memory limit; when the time is over, the worker is killed and the next question gets a fresh one.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import selectors
import subprocess
import sys
import threading
import time
from functools import cache, lru_cache
from typing import Literal

import msgspec

from raml.answers.worker import Reply, Request
from raml.errors import DataError, TimedOutError, UndecidedError

DEFAULT_TIMEOUT_S = 5.0
START_TIMEOUT_S = 120.0
"""Loading the algebra system takes about a second, far longer on a busy machine; it does not count as thinking."""

PLAIN_INTEGER = re.compile(r"[-+]?[0-9]{1,300}")


class AnswerComparer:
    """Owns a worker process and asks it, one pair of answers at a time; safe to share between threads."""

    def __init__(self, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self.timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def compare(self, gold: str, answer: str) -> Literal["same", "different", "unparsed"]:
        r"""Compare an answer with the gold one, as Math-Verify sees it (gold first: it is not symmetric).

        Both are plain text or LaTeX without \boxed{}. An answer is "unparsed" if it holds nothing that can be compared.

        Raises:
            DataError: Math-Verify finds nothing to compare in the gold answer: an error of the question.
            TimedOutError: no decision within the time limit.
            UndecidedError: the worker died of the expression, or the algebra system failed on it.
        """
        if PLAIN_INTEGER.fullmatch(gold.strip()) and PLAIN_INTEGER.fullmatch(answer.strip()):
            # Nearly all answers; the same result, a thousand times faster.
            return "same" if int(gold) == int(answer) else "different"
        with self._lock:
            reply = self._ask(Request(gold, answer), fresh=self._process is None)
        if not reply.gold_ok:
            raise DataError(f"Gold answer {gold[:80]!r} can't be parsed; correct the question.")
        if reply.error is not None or reply.equal is None:
            raise UndecidedError(f"Answer {answer[:80]!r} not decided: {reply.error}.")
        return "same" if reply.equal else "different" if reply.answer_ok else "unparsed"

    def close(self) -> None:
        """End the worker process; the next question starts a new one."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # an unsent request to a worker that is gone
                    pipe.close()

    def _ask(self, request: Request, *, fresh: bool) -> Reply:
        process = self._process or self._start()
        assert process.stdin is not None
        try:
            process.stdin.write(msgspec.json.encode(request) + b"\n")
            process.stdin.flush()
            line = _read_line(process, self.timeout_s)
        except BrokenPipeError:
            line = b""
        except TimeoutError:
            self.close()
            raise TimedOutError(f"Answer {request.answer[:80]!r} not decided in {self.timeout_s:g} s.") from None
        except BaseException:
            self.close()  # an interrupt: the reply that is still under way must not answer the next question
            raise
        if not line:
            self.close()
            if not fresh:
                return self._ask(request, fresh=True)  # perhaps it had died before, of something else
            raise UndecidedError(f"Answer {request.answer[:80]!r} not decided: the worker process died of it.")
        return msgspec.json.decode(line, type=Reply)

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "raml.answers.worker"],  # no module of the folder one happens to be in
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C at the terminal is not meant for it
        )
        self._process = process
        try:
            ready = _read_line(process, START_TIMEOUT_S)
        except TimeoutError:
            ready = b""
        if ready != b"ready\n":
            self.close()
            raise UndecidedError("The worker process that compares answers did not start.")
        return process


@cache
def _shared_comparer(process_id: int) -> AnswerComparer:
    """One comparer a process: a fork must not read its parent's replies."""
    comparer = AnswerComparer()
    atexit.register(comparer.close)
    return comparer


@lru_cache(maxsize=4096)
def find_gold_error(gold: str) -> str | None:
    """Say why nothing can be compared with a gold answer, the fault of its question; None if something can."""
    try:
        same_answer(gold, gold)
    except UndecidedError:
        return None  # hard to compare with itself, not unparsable
    except DataError as error:
        return str(error)
    return None


def compare_answers(gold: str, answer: str) -> Literal["same", "different", "unparsed"]:
    """Compare an answer with the gold one; see `AnswerComparer.compare`."""
    return _shared_comparer(os.getpid()).compare(gold, answer)


def same_answer(gold: str, answer: str) -> bool:
    """Decide whether an answer equals the gold one; raises as `AnswerComparer.compare` does."""
    return compare_answers(gold, answer) == "same"


def _read_line(process: subprocess.Popen[bytes], timeout_s: float) -> bytes:
    """Read up to the next newline; b"" when the process has ended.

    Raises:
        TimeoutError: no whole line within the time.
    """
    assert process.stdout is not None
    deadline, line = time.monotonic() + timeout_s, b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError
            chunk = os.read(process.stdout.fileno(), 65536)
            if not chunk:
                return b""
            line += chunk
    return line
