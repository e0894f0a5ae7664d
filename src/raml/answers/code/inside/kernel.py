"""Calls to the Linux kernel that Python 3.11 has no function for."""

from __future__ import annotations

import ctypes
import os

_LIBC = ctypes.CDLL(None, use_errno=True)

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS = 0x00020000, 0x02000000, 0x04000000
CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x08000000, 0x10000000, 0x20000000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MS_NOSUID, MS_NODEV = 2, 4
CAP_DAC_READ_SEARCH = 2

_MNT_DETACH = 2
_MOUNT_SETATTR = 442  # this system call has the same number on every architecture
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_MOUNT_ATTR_RDONLY, _MOUNT_ATTR_NOSUID, _MOUNT_ATTR_NODEV = 1, 2, 4
_PR_SET_KEEPCAPS, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 8, 36, 38
_CAPABILITY_VERSION = 0x20080522


def check(result: int, what: str) -> int:
    """Return the result of a C function; OSError if it is -1."""
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def call_by_number(number: int, *arguments: object) -> int:
    """Make a system call; OSError if it fails."""
    return check(_LIBC.syscall(ctypes.c_long(number), *arguments), f"system call {number}")


def control_process(option: int, *arguments: object) -> int:
    """Call prctl; OSError if it fails."""
    return check(_LIBC.prctl(option, *(arguments or (0, 0, 0, 0))), f"prctl({option})")


def unshare(flags: int) -> None:
    """Leave the namespaces that the flags name for new ones."""
    check(_LIBC.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """Mount a file system or, with MS_BIND, make a folder or file appear at a second place."""
    arguments = (os.fsencode(part) for part in (source, target, kind))
    check(_LIBC.mount(*arguments, ctypes.c_ulong(flags), options.encode()), f"mount {target}")


def make_read_only(path: str) -> None:
    """Let nothing be written at a mount and all mounts below it, and no device or set-uid program work there."""
    _set_attributes(path, _AT_RECURSIVE, _MOUNT_ATTR_RDONLY | _MOUNT_ATTR_NOSUID | _MOUNT_ATTR_NODEV, 0)


def make_writable(path: str) -> None:
    """Let a mount be written to again, but none of those below it."""
    _set_attributes(path, 0, 0, _MOUNT_ATTR_RDONLY)


def _set_attributes(path: str, flags: int, set_bits: int, clear_bits: int) -> None:
    attributes = (ctypes.c_uint64 * 4)(set_bits, clear_bits, 0, 0)
    call_by_number(
        _MOUNT_SETATTR,
        ctypes.c_int(_AT_FDCWD),
        os.fsencode(path),
        ctypes.c_uint(flags),
        ctypes.byref(attributes),
        ctypes.c_size_t(ctypes.sizeof(attributes)),
    )


def change_root(path: str) -> None:
    """Make a mount the root of this mount namespace and unmount the old root."""
    os.chdir(path)
    check(_LIBC.pivot_root(b".", b"."), "pivot_root")
    check(_LIBC.umount2(b".", _MNT_DETACH), "umount2")
    os.chdir("/")


def drop_privileges(uid: int | None, keep: int = 0) -> None:
    """Become another user, if one is given, and give up all capabilities, now and for what is executed later.

    Args:
        uid: The user and the only group to become; None to remain who one is.
        keep: Bit mask of capabilities to keep, of those that this process has; many containers have few.
    """
    if uid is not None:
        control_process(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then their upper halves
    check(_LIBC.capget(ctypes.byref(header), ctypes.byref(sets)), "capget")
    keep &= sets[1]
    sets[:] = [keep, keep, 0, 0, 0, 0]
    check(_LIBC.capset(ctypes.byref(header), ctypes.byref(sets)), "capset")


def refuse_new_privileges() -> None:
    """Let nothing that is executed from here on gain privileges."""
    control_process(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of all descendants whose own parents end."""
    control_process(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
