"""What the fork of a test does: take on limits, then be the program."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import resource
import sys
import threading
import traceback
import types
from dataclasses import dataclass
from typing import Any, NoReturn

from . import filter as call_filter
from . import landlock

VALUE_FD = 3
_COMPARE_TUPLES = ("arc_agi", "rearc")
"""Reasoning Gym's tasks whose scorers compare tuples with what JSON has made lists of."""


@dataclass(frozen=True)
class Test:
    """One test, and the open files through which it is done."""

    request: dict[str, Any]
    """"program", and either "input" (text) or "function" and "arguments" (JSON texts); or "task", "entry" and "answer"
    to score."""
    folder: str
    """Empty; the program starts there."""
    files: tuple[int, int, int, int]
    """What becomes standard input, output, error and `VALUE_FD`."""


def become(test: Test, config: dict[str, Any], prelude: dict[str, Any]) -> NoReturn:
    """Run the program and end this process, with the exit status that the program would have given it.

    Threads, exit functions and files that are still open are seen to; the interpreter is not taken down piece by piece,
    which would take longer than most programs.
    """
    _connect(test)
    stdout, status = sys.stdout, 0
    module = types.ModuleType("__main__")
    vars(module).update(prelude)
    try:
        _take_limits(config)
        _run_test(test.request, module)
    except SystemExit as end:
        status = _read_status(end.code)
    except BaseException:  # noqa: BLE001 - whatever a program raises
        traceback.print_exc()
        status = 1
    threading._shutdown()  # pyright: ignore[reportAttributeAccessIssue] - joins threads and ends their pools
    atexit._run_exitfuncs()
    vars(module).clear()  # its files are written to their end as nobody holds them any more
    for file in (sys.stdout, stdout):
        with contextlib.suppress(Exception):  # closed by the program, or no file at all
            file.flush()
    os._exit(status)


def _connect(test: Test) -> None:
    """Open the standard files anew, and start in the test's folder."""
    for target, source in enumerate(test.files):
        os.dup2(source, target)
    os.closerange(VALUE_FD + 1, 1024)
    sys.stdin = os.fdopen(0, encoding="utf-8", errors="replace", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.argv = ["program.py"]
    os.chdir(test.folder)


def _read_status(code: object) -> int:
    """Read what a program gave to exit() as a process's exit status."""
    if code is None or isinstance(code, int):
        return (code or 0) & 0xFF
    print(code, file=sys.stderr)
    return 1


def _run_test(request: dict[str, Any], module: types.ModuleType) -> None:
    if "task" in request:
        _write_value(_score(request))
    elif request["function"] is None:
        _execute(request["program"], module)
    else:
        dumps = json.dumps
        arguments = [json.loads(text) for text in request["arguments"]]
        module.__name__ = "solution"  # so that the program's own way to run itself is left out
        _execute(request["program"], module)
        value = _find_function(vars(module), request["function"])(*arguments)
        _write_value(dumps(value))


def _take_limits(config: dict[str, Any]) -> None:
    limits = config["limits"]
    for which, limit in (
        (resource.RLIMIT_AS, limits["memory_bytes"]),
        (resource.RLIMIT_FSIZE, limits["file_bytes"]),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
        *([(resource.RLIMIT_NPROC, limits["n_threads"])] if config["own_count"] else []),
    ):
        allowed = resource.getrlimit(which)[1]
        lower = limit if allowed == resource.RLIM_INFINITY else min(limit, allowed)
        resource.setrlimit(which, (lower, lower))
    resource.setrlimit(resource.RLIMIT_CPU, (limits["cpu_s"], limits["cpu_s"] + 1))
    if config["landlock"]:
        landlock.restrict_files(config["shown"], config["work"])
    if config["filter"]:
        call_filter.filter_calls()


def _execute(program: str, module: types.ModuleType) -> None:
    """Execute a program as the module's content."""
    sys.modules[module.__name__] = module
    exec(compile(program, "program.py", "exec", dont_inherit=True), vars(module))


def _find_function(names: dict[str, Any], function: str) -> Any:  # noqa: ANN401
    solution = names.get("Solution")
    if isinstance(solution, type) and hasattr(solution, function):
        return getattr(solution(), function)
    if function not in names:
        raise NameError(f"neither a function {function} nor a class Solution that has it")
    return names[function]


def _score(request: dict[str, Any]) -> str:
    from reasoning_gym import get_score_answer_fn

    task, entry = request["task"], request["entry"]
    if task in _COMPARE_TUPLES:
        entry = _make_tuples(entry)
    return json.dumps(float(get_score_answer_fn(task)(request["answer"], entry)))  # pyright: ignore[reportCallIssue]


def _make_tuples(content: Any) -> Any:  # noqa: ANN401
    """Turn all lists into tuples."""
    if isinstance(content, list):
        return tuple(_make_tuples(part) for part in content)
    if isinstance(content, dict):
        return {key: _make_tuples(part) for key, part in content.items()}
    return content


def _write_value(value: str) -> None:
    content = value.encode()
    while content:
        content = content[os.write(VALUE_FD, content) :]
