"""Runs command lines in children of a process that has everything imported: a kill costs no start of Python.

Reads requests from standard input, a line of JSON each, and answers each with one. It starts no thread of Python's, so
that a fork is whole.
"""

import contextlib
import importlib
import io
import json
import os
import pkgutil
import signal
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path

from tests.faults.breaking import Breaker, Fault


def import_everything():
    """Import what commands import only when they need it."""
    import raml

    for module in pkgutil.walk_packages(raml.__path__, "raml."):
        if not module.name.endswith("__main__") and ".inside" not in module.name and "worker" not in module.name:
            with contextlib.suppress(ImportError):
                importlib.import_module(module.name)
    warm_up()


def import_trainers():
    """The same for `raml train`, where it is asked for: this takes as long as all else."""
    for technique in ("sft", "dpo", "grpo"):
        importlib.import_module(f"trl.trainer.{technique}_trainer")


def warm_up():
    """Do once what every command does first: load a model, draw a figure."""
    from matplotlib.figure import Figure

    from raml.models import load_model

    load_model("tiny", device="cpu")
    load_model("tiny-base", device="cpu")
    figure = Figure()
    figure.subplots().plot([1, 2], label="$L$ 0123456789")
    figure.legend()
    for kind in ("svg", "png"):
        figure.savefig(io.BytesIO(), format=kind)


def run_child(request):
    """What a child does; ends the process."""
    os.setsid()
    os.chdir(request["cwd"])
    said = os.open(request["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    null = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, null), (1, said), (2, said)):
        os.dup2(source, target)
    breaker = Breaker(request["root"], Fault(**request["fault"]))
    code = 70
    try:
        from raml.cli.main import run

        if request["study"]:
            from tests.cli import made_up_study

            made_up_study.MODULE.plan_study = made_up_study.plan
        breaker.install()
        code = run(request["words"])
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:  # noqa: BLE001 - what a command should not end with is what tests look for
        traceback.print_exc()
    breaker.is_inside = True
    sys.stdout.flush()
    sys.stderr.flush()
    Path(request["said"] + ".n").write_text(str(breaker.n))
    os._exit(code)


def wait_for(pid, kill_after_s):
    """Wait for a child, and kill it after a time; returns its exit code, or minus its signal."""
    deadline = None if kill_after_s is None else time.monotonic() + kill_after_s
    while True:
        done, status = os.waitpid(pid, 0 if deadline is None else os.WNOHANG)
        if done:
            break
        if time.monotonic() >= deadline:
            os.kill(pid, signal.SIGKILL)
            deadline = None
        else:
            time.sleep(0.002)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)  # what it started, which ends by itself, but later
    return os.waitstatus_to_exitcode(status)


def main():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        replies = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        import_everything()
    assert threading.active_count() == 1, threading.enumerate()
    replies.write("ready\n")
    replies.flush()
    for line in sys.stdin:
        request = json.loads(line)
        if request["trains"]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                import_trainers()
        started = time.monotonic()
        pid = os.fork()
        if pid == 0:
            run_child(request)
        code = wait_for(pid, request["kill_after_s"])
        replies.write(json.dumps({"code": code, "wall_s": time.monotonic() - started}) + "\n")
        replies.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
