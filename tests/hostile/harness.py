"""One case of hostile input: files in a folder, a command line, and the one line that it must end with."""

import contextlib
import os
import re
import resource
import shlex
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from raml.cli import run

SECONDS = 120
"""A command that takes longer hangs."""
ROOM = 3 << 30
"""Address space in bytes that a command may take beyond what the process has already."""
LINE_CHARACTERS = 2_000
"""Longest error, whatever the file holds."""


class Hangs(BaseException):
    """A command did not end; no handler of the program catches this."""


@dataclass(frozen=True)
class Case:
    """What is given to a command, and what it must say."""

    name: str
    command: str
    """Words as in a shell, relative to the case's folder."""
    fragment: str | tuple[str, ...]
    """Part of the line on standard error, or several of which one is there."""
    files: Mapping[str, "bytes | str | Callable[[Path], None]"] = field(default_factory=dict)
    """Content by path; a function gets the path, and puts there what is no plain file, or changes what is there."""

    def __str__(self) -> str:
        return self.name


def check(case: Case, capsys) -> str:
    """Run a case in the current folder: exit code 2, one line, no traceback, nothing new or changed in any file."""
    for name, content in case.files.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if callable(content):
            content(path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    before = snapshot(Path())
    capsys.readouterr()
    with bounds():
        code = run(shlex.split(case.command))
    out, err = capsys.readouterr()
    assert code == 2, (out[-500:], err[-500:])
    assert len(err.splitlines()) == 1, err[:2000]
    assert len(err) < LINE_CHARACTERS, len(err)
    assert re.fullmatch(r"raml: .*[.!?…] More: raml [a-z -]+\n", err), err
    assert "Traceback" not in err
    wanted = (case.fragment,) if isinstance(case.fragment, str) else case.fragment
    assert any(one in err for one in wanted), (wanted, err)
    after = snapshot(Path())
    assert after == before, sorted(name for name in {*after, *before} if after.get(name) != before.get(name))
    return err


def snapshot(folder: Path) -> dict[str, object]:
    """All that a folder holds: files with their bytes, links with their targets, and what is neither."""
    found: dict[str, object] = {}
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(root, name)
            if path.is_symlink():
                found[str(path)] = "-> " + str(path.readlink())
            elif path.is_file():
                found[str(path)] = (
                    "" if name == ".lock" else path.read_bytes() if os.access(path, os.R_OK) else "locked"
                )
            else:
                found[str(path)] = "folder" if path.is_dir() else "special"
    return found


@contextlib.contextmanager
def bounds(seconds: float = SECONDS, room: int = ROOM) -> Iterator[None]:
    """Bound the time and the address space of what is run inside."""

    def stop(*_):
        raise Hangs(f"no end after {seconds} s")

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    resource.setrlimit(resource.RLIMIT_AS, (used + room, hard))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def fifo(path: Path) -> None:
    """A pipe that nobody writes to."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def folder(path: Path) -> None:
    """A folder in a file's place."""
    path.unlink(missing_ok=True)
    path.mkdir()


def loop(path: Path) -> None:
    """A link to itself."""
    path.unlink(missing_ok=True)
    path.symlink_to(path.name)


def endless(path: Path) -> None:
    """A link to a device that never ends."""
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")


def locked(path: Path) -> None:
    """A file that nobody may read."""
    path.chmod(0)


def missing(path: Path) -> None:
    """Nothing."""
    path.unlink()


def edit(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Change what is there."""

    def apply(path: Path) -> None:
        path.write_bytes(change(path.read_bytes()))

    return apply


def copy(source: Path, target: Path) -> None:
    """Copy a folder's plain files."""
    shutil.copytree(source, target, dirs_exist_ok=True)


def mark(cases: "list[Case]", *, slow: Callable[[Case], bool] = lambda _: False) -> list:
    """Make parameters of cases; those that wait for a change elsewhere must fail until it is there."""
    names = [case.name for case in cases]
    assert len(names) == len(set(names)), sorted(name for name in set(names) if names.count(name) > 1)
    made = []
    for case in cases:
        marks = []
        if slow(case) or "50 MB" in case.name:
            marks.append(pytest.mark.slow)
        if locked in case.files.values() and os.geteuid() == 0:
            marks.append(pytest.mark.skip(reason="root may read everything"))
        made.append(pytest.param(case, id=case.name, marks=marks))
    return made
