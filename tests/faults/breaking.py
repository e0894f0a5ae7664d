"""Faults that a process does to itself: it dies, or is refused, at a chosen write; or its clock jumps.

A *write point* is a call that changes what lies in the folder it works in: a write, a sync, a rename, a truncation, a
removal, a folder made, or a file opened for writing by other libraries. They are numbered from 1 in the order of the
calls.
"""

import errno
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

YEARS = 86400.0 * 365.25


@dataclass
class Fault:
    kind: str = "none"
    """none: only count; before, after, torn: SIGKILL around the call, or after half of its bytes; ENOSPC, EIO: refuse
    the call; full: refuse it and all later ones that need space; clock: let the wall clock jump at every look."""
    at: int = 0


class Breaker:
    """Puts itself between the process and its folder."""

    def __init__(self, root, fault):
        self.root, self.fault, self.n = os.path.realpath(root) + "/", fault, 0
        self.is_inside = False

    def install(self):
        self._wrap("write", self._find_open, self._tear)
        for name in ("fsync", "ftruncate"):
            self._wrap(name, self._find_open)
        for name in ("replace", "rename", "unlink", "remove", "mkdir", "rmdir"):
            self._wrap(name, lambda path, *_, **__: os.path.realpath(os.fspath(path)) + "/")
        sys.addaudithook(self._see)
        if self.fault.kind == "clock":
            self._shake_clock()

    def _wrap(self, name, find, tear=None):
        original = getattr(os, name)

        def call(*arguments, **named):
            if self.is_inside or not find(*arguments, **named).startswith(self.root):
                return original(*arguments, **named)
            self.n += 1
            self.is_inside = True
            try:
                needs_space = name in ("write", "mkdir")
                self._break(name, lambda: tear(original, *arguments) if tear else None, needs_space)
                return original(*arguments, **named)
            finally:
                if self.n == self.fault.at and self.fault.kind == "after":
                    die()
                self.is_inside = False

        setattr(os, name, call)

    def _break(self, name, tear, needs_space):
        if self.fault.kind == "full" and self.n >= self.fault.at and needs_space:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.n != self.fault.at:
            return
        if self.fault.kind in ("ENOSPC", "EIO"):
            code = getattr(errno, self.fault.kind)
            raise OSError(code, os.strerror(code))
        if self.fault.kind == "torn":
            tear()
        if self.fault.kind in ("before", "torn"):
            die()

    @staticmethod
    def _tear(original, descriptor, content):
        original(descriptor, bytes(content)[: len(content) // 2])

    @staticmethod
    def _find_open(descriptor, *_):
        try:
            return f"{Path(f'/proc/self/fd/{descriptor}').readlink()}/"
        except OSError:
            return ""

    def _see(self, event, arguments):
        """Files that libraries open by themselves."""
        if event != "open" or self.is_inside:
            return
        path, mode, flags = arguments
        writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)
        if mode is None or not writes or not isinstance(path, str | bytes | os.PathLike):
            return
        if not (os.path.realpath(os.fspath(path)) + "/").startswith(self.root):
            return
        self.n += 1
        self._break("open", lambda: None, True)
        if self.n == self.fault.at and self.fault.kind == "after":  # the file is not there yet; as good as before it
            die()

    @staticmethod
    def _shake_clock():
        real, n = time.time, 0

        def jump():
            nonlocal n
            n += 1
            return real() + (-7, 3, 40, -25)[n % 4] * YEARS

        time.time = jump
        time.time_ns = lambda: int(jump() * 1e9)


def die():
    os.kill(os.getpid(), signal.SIGKILL)
