"""Move this process into namespaces of its own: no network, no other processes, few files, only /tmp to write to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from . import kernel

_WORK = "/tmp"
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_NAMESPACES = (
    kernel.CLONE_NEWNS
    | kernel.CLONE_NEWPID
    | kernel.CLONE_NEWNET
    | kernel.CLONE_NEWIPC
    | kernel.CLONE_NEWUTS
    | kernel.CLONE_NEWCGROUP
)


def enclose(shown: Sequence[str], tmp_bytes: int, uid: int | None) -> None:
    """Shut this process off; returns in a child, the first process of its namespace, while the parent waits for it.

    Root needs no user namespace, and becomes another user once all is mounted; everybody else keeps their user id.

    Args:
        shown: Folders and files that remain visible, read-only; missing ones are left out.
        tmp_bytes: Size of /tmp, which is in memory and empty.
        uid: Who to become; None where this process is not root.

    Raises:
        OSError: The kernel does not allow or know it.
    """
    if uid is not None:
        kernel.unshare(_NAMESPACES)
    else:
        own, group = os.geteuid(), os.getegid()
        kernel.unshare(_NAMESPACES | kernel.CLONE_NEWUSER)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{own} {own} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    _build_root(shown, tmp_bytes)
    child = os.fork()
    if child:
        os.closerange(0, 3)
        os.waitpid(child, 0)
        os._exit(0)
    kernel.drop_privileges(uid)


def _build_root(shown: Sequence[str], tmp_bytes: int) -> None:
    """Put together a root file system in memory that shows little of the old one, and leave the old one."""
    kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    links = {path: Path(path).readlink() for path in shown if Path(path).is_symlink()}
    # Opened before something is mounted over them: some may lie in the very folder that becomes the root.
    sources = {
        path: os.open(path, os.O_PATH) for path in (*shown, *_DEVICES) if path not in links and Path(path).exists()
    }
    folders = {path for path in sources if Path(path).is_dir()}
    root = _WORK
    kernel.mount("tmpfs", root, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=1m,mode=755")
    Path(root + _WORK).mkdir()
    options = f"size={tmp_bytes},nr_inodes=10000,mode=1777"
    kernel.mount("tmpfs", root + _WORK, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, options)
    for path, target in links.items():
        Path(root + path).parent.mkdir(parents=True, exist_ok=True)
        Path(root + path).symlink_to(target)
    for path, source in sources.items():
        place = Path(root + path)
        if path in folders:
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
        if path not in _DEVICES:
            kernel.mount(f"/proc/self/fd/{source}", str(place), "", kernel.MS_BIND | kernel.MS_REC)
    kernel.make_read_only(root)
    kernel.make_writable(root + _WORK)
    for path in _DEVICES:
        if path in sources:
            kernel.mount(f"/proc/self/fd/{sources[path]}", root + path, "", kernel.MS_BIND)
    for source in sources.values():
        os.close(source)
    kernel.change_root(root)
