"""The ways to shut a program off, and the command that starts its process in each."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_INSIDE = Path(__file__).parent
_START = "import sys; sys.path.insert(0, sys.argv[1]); from inside.start import main; del sys.path[0]; main()"
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/etc/ld.so.cache")
_FIRST_USER, _END_OF_USERS = 2_100_000_000, 1 << 31
_N_TRIES = 100


@dataclass(frozen=True)
class Isolation:
    """How programs are shut off from the machine. The fields from has_network on were found out by trying.

    Its text, `str(isolation)`, says so to a user in a sentence.
    """

    name: Literal["bubblewrap", "namespaces", "process", "none"]
    """"process" has limits only, and whatever the two filters below take away; "none": nothing can be run."""
    filters_calls: bool = False
    """Whether a seccomp filter refuses sockets, new processes, and signals to others."""
    filters_files: bool = False
    """Whether Landlock refuses files; not needed in namespaces."""
    has_network: bool = True
    """Whether programs can connect to this machine."""
    reads_files: bool = True
    """Whether they can read files that everybody may read, beyond Python's and the system's programs."""
    writes_files: bool = True
    """Whether they can write outside their own folder, where everybody may write."""
    starts_processes: bool = True
    reason: str | None = None
    """Why nothing can be run."""

    def __str__(self) -> str:
        if self.name == "none":
            return f"Programs can't be run: {self.reason}"
        place = {"bubblewrap": "in bubblewrap", "namespaces": "in namespaces", "process": "in a process of their own"}
        exposed = [
            what
            for what, is_open in (
                ("network", self.has_network),
                ("files they may read", self.reads_files),
                ("files they may change", self.writes_files),
                ("other processes", self.name == "process" and self.starts_processes),
            )
            if is_open
        ]
        if exposed:
            return f"Programs run {place[self.name]}, WITHOUT isolation from {', '.join(exposed)}."
        return f"Programs run {place[self.name]}, without network and without your files."


def find_shown_paths() -> list[str]:
    """Find what a program has to see to run: system libraries, Python, installed packages. None lies in another."""
    python = os.path.realpath(sys.executable)
    wanted = [*_SYSTEM, sys.base_prefix, sys.base_exec_prefix, str(Path(python).parent), *find_package_paths()]
    wanted += [os.path.realpath(path) for path in wanted if not os.path.islink(path)]  # noqa: PTH114
    wanted = sorted({path for path in wanted if path != "/" and os.path.lexists(path)})
    return [path for path in wanted if not any(path.startswith(f"{other}/") for other in wanted if other != path)]


def find_package_paths() -> list[str]:
    """Find the folders of installed packages."""
    return [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages") and Path(path).is_dir()]


class User:
    """A user that owns nothing, for root to become, and that nobody else becomes until it is released.

    So the limit on threads counts one program only, and no program can signal another. Its number is drawn at random,
    and held by a Unix socket whose name, which is in no file, contains it: the kernel gives a name only once, and takes
    it back when a process ends, however it ends. That holds among all processes that share a network namespace;
    between containers there is only chance, 1 to 47 million.
    """

    def __init__(self) -> None:
        """Find a free number; OSError if there is none."""
        users = _find_users()
        self._held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self.uid = self._hold_one(users)
        except BaseException:
            self._held.close()
            raise

    def release(self) -> None:
        """Let others become this user; all that it ran must have ended."""
        self._held.close()

    def _hold_one(self, users: range) -> int:
        for _ in range(_N_TRIES if users else 0):
            uid = secrets.choice(users)
            try:
                self._held.bind(f"\0raml-user-{uid}")
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return uid
        raise OSError(errno.EAGAIN, f"no user is free among {len(users):,} that programs may become")


def _find_users() -> range:
    """Find the users that belong to nobody.

    They lie between those that directories of users give away and 2**31, which some tools need; in a container that has
    fewer users, in the upper half of those, below its last ones, one of which is "nobody".
    """
    ranges = [[int(field) for field in line.split()] for line in Path("/proc/self/uid_map").read_text().splitlines()]
    end = max(start + length for start, _, length in ranges)
    return range(_FIRST_USER, _END_OF_USERS) if end >= _END_OF_USERS else range(end // 2, end - 3)


def write_command(isolation: Isolation, disk_bytes: int) -> list[str]:
    """Write the command that starts the process which runs programs."""
    python = [os.path.realpath(sys.executable), "-I", "-S", "-X", "utf8", "-c", _START, str(_INSIDE)]
    if isolation.name != "bubblewrap":
        return python
    command = [
        shutil.which("bwrap") or "bwrap",
        "--unshare-all",
        "--die-with-parent",
        "--as-pid-1",
        "--cap-drop",
        "ALL",
        "--dev",
        "/dev",
        # Before what is shown, some of which may lie in it.
        *("--size", str(disk_bytes), "--perms", "1777", "--tmpfs", "/tmp"),
    ]
    for path in (*find_shown_paths(), str(_INSIDE / "inside")):
        if Path(path).is_symlink():
            command += ["--symlink", str(Path(path).readlink()), path]
        else:
            command += ["--ro-bind", path, path]
    return [*command, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp", *python]
