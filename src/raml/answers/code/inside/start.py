"""Start of the process that runs programs: shut it off, load what programs expect, then serve tests.

Run by `raml.answers.code.sandbox` with a socket as its standard input.
"""

from __future__ import annotations

import importlib
import os
import socket
import sys
from pathlib import Path
from typing import Any

from . import enclose, frames, kernel
from .become import become
from .prelude import load_prelude
from .serve import serve


def main() -> None:
    """Serve until the socket is closed; in the fork of a test, run the program as if it were this script."""
    os.umask(0o022)
    channel = socket.socket(fileno=os.dup(0))
    nothing = os.open("/dev/null", os.O_RDWR)
    os.dup2(nothing, 0)
    os.close(nothing)
    config = frames.receive_json(channel)
    try:
        _shut_off(config)
        sys.path += config["paths"]
        prelude = load_prelude()
        for name in config["preload"]:
            importlib.import_module(name)
    except Exception as error:  # noqa: BLE001 - all of it is told to the other side
        frames.send_json(channel, {"error": f"{type(error).__name__}: {error}"})
        return
    frames.send_json(channel, {"error": None})
    test = serve(channel, config)
    if test is None:
        os._exit(0)  # at once: the other side waits for it
    become(test, config, prelude)


def _shut_off(config: dict[str, Any]) -> None:
    """Give up what the configuration says: sight of the machine, privileges, the user.

    Raises:
        OSError: The kernel does not allow it.
    """
    kernel.refuse_new_privileges()
    uid = config["uid"]
    if config["isolation"] == "namespaces":
        enclose.enclose(config["shown"], config["limits"]["disk_bytes"], uid)
    elif config["isolation"] == "process":
        if uid is not None:
            os.chown(config["work"], uid, uid)
        # Python itself may lie where only root can read. Then the filters alone decide what a program can. Root in a
        # container may lack this capability and goes on without: Python mostly lies where everybody can read.
        may_read = uid is not None and config["landlock"] and config["filter"]
        kernel.drop_privileges(uid, keep=1 << kernel.CAP_DAC_READ_SEARCH if may_read else 0)
        kernel.adopt_orphans()
        _check_that_python_is_readable()
    os.chdir(config["work"])


def _check_that_python_is_readable() -> None:
    try:
        Path(os.__file__).open("rb").close()
    except PermissionError as error:
        reason = "Python's own files are closed to other users than root; work as another user or install it elsewhere"
        raise PermissionError(f"{reason}: {error.filename}") from None
