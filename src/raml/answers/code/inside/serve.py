"""Fork once for every test, watch the fork, end all that it left behind, and tell how it went."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import stat
import time
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

from . import frames
from .become import Test

_KEPT_ERROR_BYTES = 4096


def serve(channel: socket.socket, config: dict[str, Any]) -> Test | None:
    """Serve tests until the channel is closed, then return None. Returns a test in the process that is to do it.

    For each one, the other side is told the id of its process as soon as it exists, then how it came out. If the work
    folder can't be emptied after a test, no other one is served.
    """
    spared = [*config["shown"], str(Path(__file__).parent)]  # may lie in the work folder, read-only
    while True:
        try:
            request = frames.receive_json(channel)
        except (EOFError, OSError):
            break
        folder = Path(config["work"], os.urandom(16).hex())  # a name that no earlier test could know
        folder.mkdir()
        stdin = _store(request.pop("input", ""))
        pipes = [os.pipe() for _ in range(3)]
        child = os.fork()
        if child == 0:
            channel.detach()
            os.setsid()
            return Test(request, str(folder), (stdin, pipes[0][1], pipes[1][1], pipes[2][1]))
        for end in (stdin, *(write_end for _, write_end in pipes)):
            os.close(end)
        try:
            frames.send_json(channel, {"begun": child})
            reply, contents = _watch(child, [read_end for read_end, _ in pipes], channel, config)
        except (EOFError, OSError):
            _end(child, config)
            _remove_work(config)
            os._exit(0)
        for read_end, _ in pipes:
            os.close(read_end)
        try:
            frames.send_json(channel, reply)
            for content in contents:
                frames.send_bytes(channel, content)
            empty_folder(config["work"], spared)
        except OSError:
            break
    _remove_work(config)
    return None


def _remove_work(config: dict[str, Any]) -> None:
    """Remove the work folder, which the other side may be too dead to do; one in memory goes by itself."""
    if config["isolation"] == "process":
        with contextlib.suppress(OSError):
            empty_folder(config["work"])
            Path(config["work"]).rmdir()


def empty_folder(top: str, spared: Sequence[str] = ()) -> None:
    """Remove all that a folder holds, however deep it is nested and whatever its owner may not do with it.

    The folders in a folder are moved to the top before it is removed, so no path becomes long.

    Args:
        top: The folder.
        spared: Paths that stay, and so do the folders which hold them.

    Raises:
        OSError: Something can't be removed.
    """
    holders = {Path(top), *(parent for path in spared for parent in Path(path).parents if Path(top) in parent.parents)}
    kept = holders | {Path(path) for path in spared}
    for holder in filter(Path.is_dir, holders):
        with contextlib.suppress(PermissionError):  # others may own it, as long as its content can be removed
            holder.chmod(stat.S_IRWXU)
        while folders := _remove_files(holder, kept):
            for folder in folders:
                for inner in _remove_files(folder, kept):
                    inner.rename(Path(top, os.urandom(16).hex()))
                folder.rmdir()


def _remove_files(folder: Path, kept: Set[Path]) -> list[Path]:
    """Remove the files in a folder and return the folders in it, opened to their owner; pass over those to keep."""
    folders = []
    for entry in list(os.scandir(folder)):
        path = Path(entry.path)
        if path in kept:
            continue
        if entry.is_dir(follow_symlinks=False):
            path.chmod(stat.S_IRWXU)
            folders.append(path)
        else:
            path.unlink()
    return folders


def _store(text: str) -> int:
    """Return a file in memory that holds the text, to be read from its start."""
    file = os.memfd_create("stdin")
    content = memoryview(text.encode("utf-8", "surrogatepass"))
    while content:
        content = content[os.write(file, content) :]
    os.lseek(file, 0, os.SEEK_SET)
    return file


def _watch(
    child: int, outputs: list[int], channel: socket.socket, config: dict[str, Any]
) -> tuple[dict[str, Any], tuple[bytes, bytes]]:
    """Follow a test to its end; return the reply, and what was written to standard output and as value.

    Raises:
        EOFError: The other side has gone.
    """
    limits, kept = config["limits"], {output: bytearray() for output in outputs}
    started, allowed_s = time.monotonic(), limits["wall_s"]
    ended = too_long = False
    with selectors.DefaultSelector() as selector:
        for output in outputs:
            selector.register(output, selectors.EVENT_READ)
        selector.register(channel, selectors.EVENT_READ)
        while not (ended or too_long):
            if time.monotonic() - started >= allowed_s:
                allowed_s = limits["wall_s"] + _ask_for_time(channel)
            left = allowed_s - (time.monotonic() - started)
            if left <= 0:
                break
            # Only the channel is left when the program has closed its outputs, mostly by ending.
            pause = 0.05 if len(selector.get_map()) > 1 else 0.001
            for key, _ in selector.select(min(pause, left)):
                if key.fd == channel.fileno():
                    raise EOFError("nothing is sent during a test")
                _read(key.fd, kept, selector, is_error=key.fd == outputs[1])
            too_long = _is_too_long(kept, outputs, limits)
            ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        status, cpu_s = _end(child, config)
        selector.unregister(channel)
        while selector.get_map() and (ready := selector.select(0.2)) and not too_long:
            for key, _ in ready:
                _read(key.fd, kept, selector, is_error=key.fd == outputs[1])
            too_long = _is_too_long(kept, outputs, limits)
    exit_code = os.waitstatus_to_exitcode(status)
    out_of_cpu = exit_code == -signal.SIGXCPU or cpu_s >= limits["cpu_s"]
    reply = {
        "timed_out": not (ended or too_long) or out_of_cpu,
        "too_long": too_long,
        "exit_code": exit_code,
        "cpu_s": cpu_s,
        "wall_s": time.monotonic() - started,
        "error": kept[outputs[1]].decode("utf-8", "replace"),
    }
    cut = limits["output_bytes"]
    return reply, (bytes(kept[outputs[0]][:cut]), bytes(kept[outputs[2]][:cut]))


def _ask_for_time(channel: socket.socket) -> float:
    """Ask the other side, which sees /proc, for the seconds that a test has waited for a CPU and gets in return."""
    frames.send_bytes(channel, frames.OVERDUE)
    return frames.receive_json(channel)["delay_s"]


def _is_too_long(kept: dict[int, bytearray], outputs: list[int], limits: dict[str, Any]) -> bool:
    return max(len(kept[outputs[0]]), len(kept[outputs[2]])) > limits["output_bytes"]


def _read(output: int, kept: dict[int, bytearray], selector: selectors.BaseSelector, *, is_error: bool) -> None:
    """Read what is there; keep the end of the errors and all of the rest."""
    chunk = os.read(output, 1 << 16)
    if not chunk:
        selector.unregister(output)
    kept[output] += chunk
    if is_error:
        del kept[output][:-_KEPT_ERROR_BYTES]


def _end(child: int, config: dict[str, Any]) -> tuple[int, float]:
    """End a test and whatever it has started; return its wait status and the CPU seconds that it used."""
    if config["alone"]:
        with contextlib.suppress(ProcessLookupError):  # nobody left
            os.kill(-1, signal.SIGKILL)  # everybody else in this namespace, or of this user
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    with contextlib.suppress(ChildProcessError):  # raised when there is none
        while True:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            for orphan in [] if config["alone"] else _find_children():
                os.kill(orphan, signal.SIGKILL)
            os.waitpid(-1, 0)
    return status, usage.ru_utime + usage.ru_stime


def _find_children() -> list[int]:
    """Find this process's children, among them the orphans that it adopted."""
    children = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == os.getpid():
                children.append(int(folder.name))
    return children
