"""How well does `--plan` foresee a stage's memory and time?

    python benchmarks/memory.py --run runs/tiny
    python benchmarks/memory.py --run runs/real --stage "update --limit 1" --stage "align --limit 1" --repeats 3

Each stage is planned in one fresh process and then run in another, in a copy of the run. The peak is the resident
memory that the kernel reports of the process; seconds are medians, by the clock and of a processor; disk is
the size of the files that the stage wrote, without the manifest. Ratios are predicted over measured. A run needs
questions and trajectories; stages come in the order given, each finding what those before it made.
"""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from raml.cli.options import parse_bytes

STAGES = (
    "trace --target both",
    "trace --readout",
    "landscape --n-steps 9 --n-questions 4 --n-paths 4",
    "update --limit 16",
    "align --limit 8",
    "adapt --limit 16",
    "influence",
    "curves",
    "faithfulness --n-trajectories 8 --n 8",
    "compress cut prune",
    "evaluate",
    "report",
)
WATCHER = """
import os, subprocess, sys, time
started = time.perf_counter()
process = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(process.pid, 0)
print()
print(usage.ru_maxrss, time.perf_counter() - started, usage.ru_utime + usage.ru_stime)
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""A small process that starts the command: a process begins with the peak of the one that it was forked from."""
SECONDS = {"s": 1, "min": 60, "h": 3600}


@dataclass(frozen=True)
class Taken:
    """What a process took."""

    peak: float
    """Bytes of main memory."""
    wall_s: float
    cpu_s: float
    disk: float = 0.0
    """Bytes of the files that were written."""


def run_alone(words: Sequence[str]) -> tuple[Taken, str]:
    """Run a command line of `raml` in a fresh process; what it took, and what it printed."""
    command = [sys.executable, "-c", WATCHER, sys.executable, "-m", "raml", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    text, _, told = done.stdout.rstrip().rpartition("\n")
    if done.returncode:
        raise SystemExit(f"raml {shlex.join(words)} ended with {done.returncode}")
    peak, wall, cpu = map(float, told.split())
    return Taken(peak * (1 if sys.platform == "darwin" else 1024), wall, cpu), text


def read_plan(text: str) -> Taken:
    """Read what a printed plan says."""
    memory = re.search(r"^memory\s+(\S+ \w+)", text, re.MULTILINE)
    wall = re.search(r"^time\s+(\S+) (\w+)", text, re.MULTILINE)
    cpu = re.search(r"(\S+) (\w+) of a processor's time", text)
    disk = re.search(r"^disk\s+(\S+ \w+)", text, re.MULTILINE)
    if not (memory and wall and cpu and disk):
        raise SystemExit(f"No plan with a time:\n{text}")
    wall_s, cpu_s = (float(found[1]) * SECONDS[found[2]] for found in (wall, cpu))
    return Taken(parse_bytes(memory[1]), wall_s, cpu_s, parse_bytes(disk[1]))


def list_files(folder: Path) -> dict[Path, tuple[int, ...]]:
    """Files but the manifest, each with its size and what changes when it is written."""
    found = ((path, path.stat()) for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {path: (stat.st_size, stat.st_ino, stat.st_mtime_ns) for path, stat in found}


def compare(words: Sequence[str], run: Path, n_repeats: int) -> None:
    """Plan a stage, run it, and print both; the run keeps what the stage made."""
    plans, measured = [], []
    for repeat in range(n_repeats):
        with tempfile.TemporaryDirectory() as name:
            copy = Path(name) / "run"
            shutil.copytree(run, copy)
            command = [str(copy) if word == "RUN" else word for word in words]
            plans.append(read_plan(run_alone([*command, "--plan"])[1]))
            before = list_files(copy)
            taken = run_alone(command)[0]
            written = list_files(copy).items() - before.items()
            measured.append(replace(taken, disk=sum(n_bytes for _, (n_bytes, *_) in written)))
            if repeat == n_repeats - 1:
                shutil.copytree(copy, run, dirs_exist_ok=True)
    cells = []
    for name, unit in (("peak", 2**20), ("wall_s", 1), ("cpu_s", 1), ("disk", 2**10)):
        foreseen, found = (median(getattr(taken, name) for taken in all_taken) for all_taken in (plans, measured))
        cells.append(f"{foreseen / unit:8.1f} {found / unit:8.1f} {foreseen / found:6.2f}")
    print(f"{shlex.join(word for word in words if word != 'RUN'):48} " + " | ".join(cells), flush=True)


def main() -> None:
    """Compare stage by stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="a run folder with trajectories")
    parser.add_argument("--stage", action="append", help="a stage and its flags; may be given several times")
    parser.add_argument("--sample", help='a model and flags of `raml sample`, such as "tiny --n 4 --seed 1"')
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    headings = ("MB: predicted, measured, ratio", "s by the clock", "s of a processor", "KB on disk")
    print(f"{'':48} " + " | ".join(f"{heading:^24}" for heading in headings))
    with tempfile.TemporaryDirectory() as name:
        run = Path(name) / "run"
        shutil.copytree(options.run, run)
        for stage in options.stage or STAGES:
            command, *flags = shlex.split(stage)
            compare([command, "RUN", *flags], run, options.repeats)
        if options.sample:
            model, *flags = shlex.split(options.sample)
            compare(["sample", model, "RUN", *flags], run, options.repeats)


if __name__ == "__main__":
    main()
