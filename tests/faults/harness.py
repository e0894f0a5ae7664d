"""Run a stage with a fault, run it again to its end, and compare the folder with that of an undisturbed run."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.faults.breaking import Fault
from tests.faults.stages import BY_NAME

SOURCE = Path(__file__).parents[2]
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "COLUMNS": "80"}
TIMES = ("wall_s", "n_new", "crc", "git_commit")
"""What a manifest may say differently after a kill."""


@dataclass(frozen=True)
class Outcome:
    code: int
    """The exit code, or minus the signal."""
    said: str
    n_points: int
    """Write points that it passed; 0 where it was killed."""
    wall_s: float


class Server:
    """Runs command lines in forks of one process."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.server"],
            cwd=SOURCE,
            env=os.environ | ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout.readline() == "ready\n", "the server did not start"

    def run(self, stage, folder, fault=None, *, kill_after_s=None, said=None):
        """Run a stage in a folder, with a fault of the process itself, or killed after a time."""
        said = said or folder.with_name(folder.name + ".said")
        count = Path(f"{said}.n")
        count.unlink(missing_ok=True)
        said.write_text("")
        request = {
            "words": stage.words,
            "study": stage.study,
            "trains": stage.trains,
            "cwd": str(folder),
            "root": str(folder),
            "said": str(said),
            "fault": asdict(fault or Fault()),
            "kill_after_s": kill_after_s,
        }
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        reply = json.loads(self._process.stdout.readline())
        n = int(count.read_text() or 0) if count.exists() else 0
        return Outcome(reply["code"], said.read_text(errors="replace"), n, reply["wall_s"])

    def close(self):
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


class Workshop:
    """Undisturbed folders of all stages, made when they are asked for."""

    def __init__(self, home):
        self.home, self.server = home, Server()
        self.undisturbed = {}

    def close(self):
        self.server.close()

    def prepare(self, stage, place):
        """Make a folder as it is before a stage."""
        if stage.before:
            shutil.copytree(self.finish(BY_NAME[stage.before])[0], place)
        else:
            place.mkdir()
        if stage.study:
            (place / "home").mkdir()
            (place / "home" / "go").touch()
        return place

    def prepare_after(self, stage, place):
        """Make a folder as it is after a stage."""
        return shutil.copytree(self.finish(stage)[0], place)

    def finish(self, stage):
        """Make a stage's folder after an undisturbed run, and its outcome."""
        if stage.name not in self.undisturbed:
            folder = self.prepare(stage, self.home / stage.name.replace(" ", "-"))
            outcome = self.server.run(stage, folder)
            assert outcome.code == 0, outcome.said
            self.undisturbed[stage.name] = folder, outcome
        return self.undisturbed[stage.name]


def find_difference(stage, folder, reference):
    """Say what tells a folder from an undisturbed one: files, hashes, manifests; None where nothing does."""
    own, other = _describe(stage, folder), _describe(stage, reference)
    if own.keys() != other.keys():
        return f"files: {sorted(own.keys() ^ other.keys())}"
    differing = [name for name in own if own[name] != other[name]]
    return f"content of {differing}" if differing else None


def find_doubled(folder):
    """Ids that are twice in a file of records."""
    doubled = []
    for path in folder.rglob("*.jsonl"):
        ids = [json.loads(line).get("id") for line in path.read_text().splitlines()]
        ids = [name for name in ids if name is not None]
        doubled += [name for name in set(ids) if ids.count(name) > 1]
    return doubled


def _describe(stage, folder):
    """What each file holds that a kill must not change."""
    described = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or path.name in (".lock", "log") or "/logs/" in name:
            continue
        if stage.trains and ("checkpoints/" in name or path.name in ("training.png", "trainer_state.json")):
            continue
        described[name] = _read(stage, path)
    return described


def _read(stage, path):
    if path.name == "manifest.json":
        stages = json.loads(path.read_bytes())["stages"]
        kept = [{key: value for key, value in one.items() if key not in TIMES} for one in stages]
        if stage.trains:  # lists hashes of files with times in them
            for one in kept:
                one["outputs"] = [entry for entry in one["outputs"] if entry["path"] != "metrics.jsonl"]
        return kept
    if path.name == "metrics.jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        return [{key: value for key, value in row.items() if not key.endswith(("_s", "seconds"))} for row in rows]
    if path.name == "steps.jsonl":
        return sorted({json.loads(line)["name"] for line in path.read_text().splitlines()})
    if path.name == "report.html":
        return path.stat().st_size > 0
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_finished(workshop, stage, folder):
    """Run a stage to its end; nothing may be lost, doubled, different or left over."""
    outcome = workshop.server.run(stage, folder)
    assert outcome.code == 0, outcome.said
    assert find_doubled(folder) == []
    assert find_difference(stage, folder, workshop.finish(stage)[0]) is None


def kill_at_points(workshop, stage, faults, place):
    for i, fault in enumerate(faults):
        folder = workshop.prepare(stage, place / str(i))
        assert workshop.server.run(stage, folder, fault).code == -9, f"{fault} did not happen"
        check_finished(workshop, stage, folder)
        shutil.rmtree(folder)


def expect_line(outcome, words):
    """The error is one line that says what is the matter, without a traceback."""
    assert outcome.code == 2, outcome.said
    assert "Traceback" not in outcome.said
    *_, last = outcome.said.strip().splitlines()
    assert last.startswith("raml: "), outcome.said
    assert words in last


def refuse(workshop, stage, place, fault, words):
    """Let a call fail; where that ends the stage, it says so; run it again, and nothing is different."""
    folder = workshop.prepare(stage, place)
    outcome = workshop.server.run(stage, folder, fault)
    if outcome.code != 0:  # at a sync of a folder, say, it goes on
        expect_line(outcome, words)
    assert find_doubled(folder) == []
    check_finished(workshop, stage, folder)
    return outcome.code
