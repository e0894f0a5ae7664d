"""Let this process read only some folders and write only in one: Landlock, which needs no privileges (Linux 6.2)."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Sequence
from pathlib import Path

from . import kernel

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same numbers on every architecture
_VERSION_QUERY, _PATH_BENEATH = 1, 1
_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_ALL = (1 << 15) - 1
"""All rights of version 3: before, files that one may not write could still be truncated."""
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


def can_restrict() -> bool:
    """Whether the kernel knows Landlock well enough."""
    try:
        version = kernel.call_by_number(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(_VERSION_QUERY))
    except OSError:
        return False
    return version >= 3


def restrict_files(readable: Sequence[str], writable: str) -> None:
    """Let nothing be opened, created or removed from here on but what is named; missing paths are left out.

    Raises:
        OSError: The kernel refuses.
    """
    handled = struct.pack("=Q", _ALL)
    ruleset = kernel.call_by_number(_CREATE_RULESET, handled, ctypes.c_size_t(len(handled)), ctypes.c_uint(0))
    for path in readable:
        _allow(ruleset, path, _READ_FILE | (_READ_DIR if Path(path).is_dir() else 0))
    for path in _DEVICES:
        _allow(ruleset, path, _READ_FILE | _WRITE_FILE)
    _allow(ruleset, writable, _ALL)
    kernel.refuse_new_privileges()
    kernel.call_by_number(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0))
    os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    if not Path(path).exists():
        return
    place = os.open(path, os.O_PATH)
    rule = struct.pack("=Qi", rights, place)
    kernel.call_by_number(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint(0))
    os.close(place)
