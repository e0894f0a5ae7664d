"""Find out, by trying, how programs can be shut off on this machine."""

from __future__ import annotations

import dataclasses
import json
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from raml.answers.code.isolation import Isolation
from raml.answers.code.limits import Limits
from raml.answers.code.sandbox import Sandbox
from raml.errors import UndecidedError

_LIMITS = Limits(cpu_s=20, wall_s=60.0)
_PROGRAM = """
import json, os, socket, wave
place = json.loads(input())

def succeeds(action):
    try:
        action()
    except OSError:
        return False
    return True

def start_process():
    if os.fork() == 0:
        os._exit(0)

print(json.dumps({
    "has_network": succeeds(lambda: socket.create_connection(("127.0.0.1", place["port"]), 5)),
    "reads_files": succeeds(lambda: open(place["folder"] + "/readable").read()),
    "writes_files": succeeds(lambda: open(place["folder"] + "/written", "w").close()),
    "starts_processes": succeeds(start_process),
}))
"""


@cache
def find_isolation() -> Isolation:
    """Find the best way to shut programs off that works here: the first of bubblewrap, namespaces, a mere process.

    Each is tried, once per process, by a small program that reports what it can reach. The first two count only if it
    reaches nothing.
    """
    reason = "only Linux can shut them off."
    for candidate in _list_candidates() if sys.platform == "linux" else ():
        try:
            found = try_isolation(candidate)
        except UndecidedError as error:
            reason = str(error)
            continue
        if found.name == "process" or not (found.has_network or found.reads_files or found.writes_files):
            return found
    return Isolation("none", reason=reason)


def try_isolation(isolation: Isolation) -> Isolation:
    """Run a small program in an isolation and fill in what it could reach.

    Raises:
        UndecidedError: Programs can't be run like this here.
    """
    with tempfile.TemporaryDirectory(prefix="raml-probe-") as folder, socket.create_server(("127.0.0.1", 0)) as server:
        Path(folder).chmod(0o777)
        readable = Path(folder, "readable")
        readable.touch()
        readable.chmod(0o644)
        place = json.dumps({"folder": folder, "port": server.getsockname()[1]})
        with Sandbox(isolation, _LIMITS) as sandbox:
            outcome = sandbox.run({"program": _PROGRAM, "function": None, "input": place})
    try:
        facts = json.loads(outcome.output)
    except ValueError:
        lines = outcome.error.strip().splitlines() or [f"a test program ended with {outcome.exit_code}"]
        raise UndecidedError(f"A test program can't run: {lines[-1]}.") from None
    return dataclasses.replace(isolation, **facts)


def _list_candidates() -> Iterator[Isolation]:
    """List what may work, best first; where the kernel lacks a filter of system calls, without."""
    # Not at the top: they look for the C library, which other systems keep elsewhere.
    from raml.answers.code.inside.filter import can_filter
    from raml.answers.code.inside.landlock import can_restrict

    for filters_calls in (True, False) if can_filter() else (False,):
        if shutil.which("bwrap"):
            yield Isolation("bubblewrap", filters_calls)
        yield Isolation("namespaces", filters_calls)
    for filters_calls in (True, False) if can_filter() else (False,):
        yield Isolation("process", filters_calls, filters_files=can_restrict())
