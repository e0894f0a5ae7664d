"""What this process has taken so far: memory and time."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from raml.planning.record import Duration

OWN = Path("/proc/self")


def read_resident() -> int:
    """Bytes of main memory that the process has now; where the system does not tell, the most that it had."""
    try:
        return int((OWN / "statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return read_peak()


def read_peak() -> int:
    """Bytes of main memory that the process had at its most, since its start or since `forget_peak`."""
    try:
        lines = (OWN / "status").read_text(encoding="ascii", errors="replace").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024
    except (OSError, StopIteration):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


def forget_peak() -> bool:
    """Let the peak begin anew from what the process has now (Linux); whether the system did it."""
    try:
        (OWN / "clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def measure_start() -> Duration:
    """Time from the start of this process until now."""
    cpu = time.process_time()
    try:
        # The 20th field after the command's closing bracket: ticks from the system's start to the process's.
        ticks = int((OWN / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[19])
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
    except (OSError, AttributeError):
        return Duration(cpu, cpu)
    return Duration(max(0.0, now - ticks / os.sysconf("SC_CLK_TCK")), cpu)


def measure_time(run: Callable[[], object]) -> Duration:
    """Time that a call takes."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return Duration(time.perf_counter() - wall, time.process_time() - cpu)
