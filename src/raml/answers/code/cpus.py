"""How many programs can compute at the same time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


def count_usable_cpus(root: Path = Path("/")) -> int:
    """Count the CPUs that this process may use, whole ones: those it may run on, fewer if its cgroup has a quota.

    Args:
        root: Where the system's folders proc and sys are.
    """
    n_cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([n_cpus, *_read_quotas(root)])))


def _read_quotas(root: Path) -> Iterator[float]:
    """Read how many CPUs the cgroups that this process is in may use, of both versions; without a limit, nothing."""
    memberships: list[str] = []
    with contextlib.suppress(OSError):
        memberships = (root / "proc/self/cgroup").read_text().splitlines()
    for line in memberships:
        _, controllers, path = line.split(":", 2)
        top = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us") if controllers else ("cpu.max",)
        if controllers and "cpu" not in controllers.split(","):
            continue
        # In a container the path may be the one outside; then only the top is there, and it is the container's own.
        place = top / path.lstrip("/")
        for folder in (place, *place.parents):
            if not folder.is_relative_to(top):
                break
            with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
                quota, period = (int(word) for name in names for word in (folder / name).read_text().split())
                if quota > 0:
                    yield quota / period
