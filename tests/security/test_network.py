"""The whole way on the embedded model, in processes that may not connect to anything."""

import os
import subprocess
import sys

import pytest

GUARD = """
import os, sys

def watch(event, arguments):
    outside = event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname")
    if event == "socket.bind":  # urllib3 finds out by one whether there is IPv6
        outside = isinstance(arguments[1], tuple) and arguments[1][0] not in ("127.0.0.1", "::1")
    if event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], (str, bytes)):
        outside = False  # a name in this machine's kernel or files
    if outside:
        with open(os.environ["ASKED"], "a") as file:
            print(event, *arguments[event != "socket.getaddrinfo":], file=file)
        raise OSError("There is no network here.")

sys.addaudithook(watch)
"""
"""Python runs a module of this name first, in every process that a test starts and that these start."""
SHORT = (
    "questions tiny --limit 2 --out run",
    "sample tiny run --n 1 --max-new-tokens 60",
    "trace run --readout",
    "report run",
)


MEASURED = """
import os
from raml.cli import run

for line in os.environ["LINES"].splitlines():
    code = run(line.split())
    asked = open(os.environ["ASKED"]).read() if os.path.exists(os.environ["ASKED"]) else ""
    print("CODE", code, asked.split())
"""


@pytest.fixture
def run_guarded(tmp_path):
    """Run command lines where connecting is an error; returns, for each, its code and what was asked for so far."""
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD)

    def run(*lines):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "RAML_"))}
        given = {"LINES": "\n".join(lines), "ASKED": str(tmp_path / "asked"), "HF_HOME": str(tmp_path / "cache")}
        path = os.pathsep.join(filter(None, [str(tmp_path / "guard"), os.environ.get("PYTHONPATH")]))
        done = subprocess.run(
            [sys.executable, "-c", MEASURED],
            cwd=tmp_path,
            env=kept | given | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
            timeout=3600,
        )
        return [line.removeprefix("CODE ") for line in done.stdout.splitlines() if line.startswith("CODE ")]

    return run


def test_nothing_is_asked_for_from_questions_to_the_page_and_the_hub_is_where_a_name_says_so(run_guarded):
    *own, named = run_guarded(*SHORT, "sample nobody/nothing run --n 1")
    assert own == ["0 []"] * len(SHORT)
    assert named.startswith("2 ['socket.getaddrinfo', 'huggingface.co'")


@pytest.mark.slow
def test_nothing_is_asked_for_on_the_whole_way_and_in_training(run_guarded):
    lines = (
        "demo --out demo --n-questions 2 --n 2",
        "update demo --limit 2 --n-prefixes 3 --n-others 1",
        "landscape demo --n-steps 3 --n-questions 2 --workers 2",
        "align demo --limit 1 --n-prefixes 2",
        "adapt demo --limit 1 --steps 1",
        "faithfulness demo --n-trajectories 2 --n 2 --max-borders 4",
        "questions tiny --split train --limit 8 --out train",
        "sample oracle train --n 1",
        "train sft --model tiny-base --trajectories train --out sft --batch-size 4 --max-steps 1",
        "train grpo --model tiny-base --questions train --out grpo --format boxed --group-size 2 --batch-size 4 "
        "--max-steps 1 --max-completion-length 20",
    )
    assert run_guarded(*lines) == ["0 []"] * len(lines)
