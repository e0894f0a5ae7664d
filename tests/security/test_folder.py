"""Modules that somebody put into the folder one happens to be in."""

import os
import subprocess
import sys

import pytest

ASKING = "from raml.answers import same_answer\nprint(same_answer('1/2', '0.5'))"

WORKING = """
from functools import partial
from raml.scale.processes import WorkerProcess, end_processes

if __name__ == "__main__":
    worker = WorkerProcess.start(partial(partial, abs), n_sharing=1)
    worker.send(-3)
    print(worker.receive())
    end_processes([worker])
"""


@pytest.fixture
def run_there(tmp_path):
    """Run a script, as a console command is one, in a folder with modules that tell when they are imported.

    Returns what it printed, and whether one of them was.
    """
    (tmp_path / "here").mkdir()
    for name in ("msgspec", "math_verify", "multiprocessing", "sympy", "pickle", "logging"):
        (tmp_path / "here" / f"{name}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w').close()\n")

    def run(text, *options):
        script = tmp_path / "script.py"
        script.write_text(text)
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
        words = [sys.executable, *(options or [str(script)])]
        done = subprocess.run(
            words, cwd=tmp_path / "here", env=kept, capture_output=True, text=True, check=False, timeout=300
        )
        return done.stdout, (tmp_path / "imported").exists()

    return run


def test_the_process_that_compares_answers_imports_nothing_from_there(run_there):
    assert run_there(ASKING) == ("True\n", False)


def test_workers_import_nothing_from_there(run_there):
    assert run_there(WORKING) == ("3\n", False)


def test_python_with_m_imports_it_so_the_trap_works(run_there):
    assert run_there("", "-m", "msgspec") == ("", True)
