"""What this machine's process list, /proc, tells about the processes of a sandbox."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_N_ROUNDS = 20
_END_ALL = "import os, sys; user = int(sys.argv[1]); os.setresuid(user, user, user); os.kill(-1, 9)"


@dataclass(frozen=True)
class Process:
    """A process as its status file describes it."""

    id: int
    inner_id: int
    """In the innermost namespace that it lives in."""
    parent_id: int
    uid: int
    """The real user."""
    has_ended: bool
    """Whether only its exit status is left."""


def list_processes() -> list[Process]:
    """List the processes that can be seen from here."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, KeyError):  # it may end meanwhile
            lines = (folder / "status").read_bytes().decode("utf-8", "replace").splitlines()
            fields = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
            inner_id = fields.get("NSpid", [folder.name])[-1]
            parent_id, uid, state = (fields[name][0] for name in ("PPid", "Uid", "State"))
            found.append(Process(int(folder.name), int(inner_id), int(parent_id), int(uid), state in "ZX"))
    return found


def measure_delay(ancestor_id: int, inner_id: int) -> float:
    """Measure for how many seconds a process has waited for a CPU while it could have computed.

    Of several threads, the one that has waited longest counts. 0 where the kernel does not measure it.

    Args:
        ancestor_id: A process whose descendant it is, in this process's namespace.
        inner_id: Its own id as it sees it.
    """
    processes = {process.id: process for process in list_processes()}
    delays = [0.0]
    for process in processes.values():
        if process.inner_id == inner_id and _descends(process, ancestor_id, processes):
            for file in Path(f"/proc/{process.id}/task").glob("*/schedstat"):
                with contextlib.suppress(OSError, ValueError, IndexError):
                    delays.append(int(file.read_text().split()[1]) / 1e9)
    return max(delays)


def _descends(process: Process, ancestor_id: int, processes: dict[int, Process]) -> bool:
    for _ in range(len(processes)):
        if process.parent_id == ancestor_id:
            return True
        if process.parent_id not in processes:
            return False
        process = processes[process.parent_id]
    return False


def end_processes(uid: int) -> None:
    """End all processes of a user, from a process that becomes that user; only root can.

    One call to the kernel reaches all of them, so they can't multiply faster than they end.
    """
    for _ in range(_N_ROUNDS):
        if not any(process.uid == uid and not process.has_ended for process in list_processes()):
            return
        command = [sys.executable, "-I", "-S", "-c", _END_ALL, str(uid)]
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
