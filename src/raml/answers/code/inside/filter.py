"""Take system calls away from this process and what it starts: processes, sockets, signals to others, file attributes.

A seccomp filter works for every user in every container, so this holds where namespaces are not allowed. A contest
program needs none of these calls; threads remain.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform

from . import kernel

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_KILL, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT = 0, 4, 16, 24  # places in struct seccomp_data
_CLONE_THREAD = 0x00010000
_X32_CALLS = 0x40000000

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_COLUMNS = {"x86_64": 0, "aarch64": 1}
_CLONE, _CLONE3 = (56, 220), (435, 435)
_ON_ONESELF = {"kill": (62, 129), "tgkill": (234, 131), "prlimit64": (302, 261)}
"""Allowed where the first argument, a process id, is 0 or one's own."""
_REFUSED_COMMANDS = {
    "fcntl": ((72, 25), (8, 10, 15)),  # F_SETOWN, F_SETSIG, F_SETOWN_EX
    "ioctl": ((16, 29), (0x8901, 0x8902)),  # FIOSETOWN, SIOCSPGRP
}
"""Allowed unless the second argument is one of these, which choose who gets a signal when a file becomes ready."""
_SOCKETPAIR = (53, 199)
"""Allowed for connected Unix streams, as asyncio has them: others can send messages to any socket with an address."""
_AF_UNIX, _NOT_STREAM = 1, 0xE  # SOCK_STREAM is 1, and flags lie above these bits
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    # processes, other than threads
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    # the network; io_uring does what other calls do, behind the filter's back
    "socket": (41, 198),
    "io_uring_setup": (425, 425),
    # other processes
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "sched_setaffinity": (203, 122),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274),
    # what outlives a process or is not counted as its memory
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    # attributes of files, which Landlock leaves open
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "truncate": (76, 45),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    # files by number instead of by path
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    # parts of the kernel that many attacks went through
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "chroot": (161, 51),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
}
"""Name of a system call, its number on x86_64 and on aarch64."""


def can_filter() -> bool:
    """Whether the numbers of this machine's system calls are known here."""
    return platform.machine() in _COLUMNS and ctypes.sizeof(ctypes.c_void_p) == 8


def filter_calls() -> None:
    """Let the calls named above fail with "Operation not permitted" in this process from here on, for ever.

    Raises:
        OSError: The kernel has no such filters.
    """
    instructions = _write_filter(os.getpid())
    code = b"".join(_encode(*instruction) for instruction in instructions)
    storage = ctypes.create_string_buffer(code, len(code))

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]

    program = Program(len(instructions), ctypes.addressof(storage))
    kernel.refuse_new_privileges()
    kernel.control_process(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0)


def _write_filter(process_id: int) -> list[tuple[int, int, int, int]]:
    """Write the filter as (operation, instructions to skip if true, if false, operand)."""
    column = _COLUMNS[platform.machine()]
    refuse, allow = (_RETURN, 0, 0, _ERRNO | errno.EPERM), (_RETURN, 0, 0, _ALLOW)
    written = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_IF_EQUAL, 1, 0, _ARCHITECTURES[platform.machine()]),
        (_RETURN, 0, 0, _KILL),  # 32-bit calls have other numbers
        (_LOAD, 0, 0, _NUMBER),
        (_IF_AT_LEAST, 0, 1, _X32_CALLS),
        refuse,
        # The C library falls back to clone, whose flags a filter can see.
        (_IF_EQUAL, 0, 1, _CLONE3[column]),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
        (_IF_EQUAL, 0, 4, _CLONE[column]),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_IF_ANY_BIT, 0, 1, _CLONE_THREAD),
        allow,
        refuse,
    ]
    for numbers in _ON_ONESELF.values():
        written += [(_IF_EQUAL, 0, 5, numbers[column]), (_LOAD, 0, 0, _FIRST_ARGUMENT), (_IF_EQUAL, 1, 0, process_id)]
        written += [(_IF_EQUAL, 0, 1, 0), allow, refuse]
    for numbers, commands in _REFUSED_COMMANDS.values():
        written += [(_IF_EQUAL, 0, 2 * len(commands) + 2, numbers[column]), (_LOAD, 0, 0, _SECOND_ARGUMENT)]
        for command in commands:
            written += [(_IF_EQUAL, 0, 1, command), refuse]
        written.append(allow)
    written += [(_IF_EQUAL, 0, 7, _SOCKETPAIR[column]), (_LOAD, 0, 0, _FIRST_ARGUMENT)]
    written += [(_IF_EQUAL, 1, 0, _AF_UNIX), refuse, (_LOAD, 0, 0, _SECOND_ARGUMENT)]
    written += [(_IF_ANY_BIT, 0, 1, _NOT_STREAM), refuse, allow]
    for numbers in _REFUSED.values():
        if (number := numbers[column]) is not None:
            written += [(_IF_EQUAL, 0, 1, number), refuse]
    return [*written, allow]


def _encode(operation: int, if_true: int, if_false: int, operand: int) -> bytes:
    """Encode an instruction as struct sock_filter."""
    return operation.to_bytes(2, "little") + bytes((if_true, if_false)) + operand.to_bytes(4, "little")
