"""Fork once for every test, watch the fork, end all that it left behind, and tell how it went."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from . import frames
from .become import Test

_KEPT_ERROR_BYTES = 4096


def serve(channel: socket.socket, config: dict[str, Any]) -> Test | None:
    """Serve tests until the channel is closed, then return None. Returns a test in the process that is to do it."""
    for number in range(sys.maxsize):
        try:
            request = frames.receive_json(channel)
        except (EOFError, OSError):
            break
        folder = Path(config["work"], str(number))
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
        reply, contents = _watch(child, [read_end for read_end, _ in pipes], channel, config)
        for read_end, _ in pipes:
            os.close(read_end)
        _remove(folder)
        frames.send_json(channel, reply)
        for content in contents:
            frames.send_bytes(channel, content)
    _remove(config["work"])
    return None


def _remove(folder: str | Path) -> None:
    with contextlib.suppress(RecursionError):  # folders nested too deep; the other side removes them
        shutil.rmtree(folder, ignore_errors=True)


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
    """Follow a test to its end; return the reply, and what was written to standard output and as value."""
    limits, kept = config["limits"], {output: bytearray() for output in outputs}
    started = time.monotonic()
    ended = too_long = False
    with selectors.DefaultSelector() as selector:
        for output in outputs:
            selector.register(output, selectors.EVENT_READ)
        selector.register(channel, selectors.EVENT_READ)
        while not (ended or too_long) and (left := limits["wall_s"] - (time.monotonic() - started)) > 0:
            # Only the channel is left when the program has closed its outputs, mostly by ending.
            pause = 0.05 if len(selector.get_map()) > 1 else 0.001
            for key, _ in selector.select(min(pause, left)):
                if key.fd == channel.fileno():  # nothing is sent during a test: the other side has gone
                    _end(child, config)
                    _remove(config["work"])
                    os._exit(0)
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
