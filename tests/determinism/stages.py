"""The stages whose bytes are compared, and what two folders of them have in common."""

import contextlib
import hashlib
import json
import re
from pathlib import Path

from raml.cli import run
from raml.figures import plot_traces, save_figure
from raml.store import Run

TIMED = ("wall_s", "seconds", "sampling_s", "scoring_s", "update_s", "step_time", "crc")
TIMED += ("train_runtime", "train_samples_per_second", "train_steps_per_second")
"""Fields that hold seconds, or a manifest's own checksum with them."""
TIMED_FILES = ("metrics.jsonl",)
"""Files with such fields whose hash is in a manifest."""

QUICK = """
questions tiny --limit 3 --out run
sample tiny run --n 2 --max-new-tokens 120
trace run --readout
update run --limit 2 --n-prefixes 3 --n-others 1 --adapter adapter
landscape run --n-steps 3 --n-questions 2
align run --limit 1 --n-prefixes 2
influence run --n-resamples 99
evaluate run --n-resamples 99
report run
export trl run rows.parquet
questions tiny --split train --limit 6 --out train
sample oracle train --n 1
train sft --model tiny-base --trajectories train --out sft --batch-size 3 --max-steps 2 --threads 1
"""
WHOLE = """
questions tiny --limit 4 --out run
sample tiny run --n 2 --max-new-tokens 200
sample tiny run --n 1 --mode nothink --max-new-tokens 200
trace run --target both --readout
update run --limit 4 --n-prefixes 4 --n-others 2 --adapter adapter
landscape run --n-steps 3 --n-questions 2
landscape run --n-steps 3 --n-questions 2 --plane path
align run --limit 2 --n-prefixes 3
adapt run --limit 2 --steps 2
influence run --n-resamples 199
curves run --n-resamples 199
faithfulness run --n-trajectories 2 --n 2 --max-borders 4
compress run cut early-exit prune summary no-thinking --n-resamples 199
evaluate run --n-resamples 199
report run
export trl run out/trl.jsonl
export trl run out/trl.parquet
export trl-preference run out/preference.jsonl
export trl-completions run out/completions.parquet
export verl run out/verl.parquet
export verl-rollouts run out/dump.jsonl
export openai-chat run out/chat.jsonl
export verifiers run out/results.jsonl
export rollouts run out/rollouts.parquet
questions tiny --split train --limit 16 --out train
sample oracle train --n 1
sample tiny-base train --n 4 --max-new-tokens 100
train sft --model tiny-base --trajectories train --out sft --batch-size 8 --max-steps 2 --threads 1
train sft --model tiny-base --trajectories train --out muon --batch-size 8 --max-steps 2 --optimizer muon --threads 1
train dpo --model tiny-base --trajectories train --out dpo --batch-size 4 --max-steps 2 --threads 1
train grpo --model tiny --questions train --out grpo --format boxed --group-size 4 --batch-size 16 --max-steps 2 \
--max-completion-length 120 --threads 1
"""
"""All but exports for inspect, which draws ids of its own and notes the time."""


def run_stages(folder, lines):
    """Run command lines in a folder."""
    with contextlib.chdir(folder):
        for line in lines.strip().splitlines():
            assert run(line.split()) == 0, line


def draw_traces(folder):
    """Draw a run's traces as each kind of file."""
    with contextlib.chdir(folder):
        made = Run(Path("run"))
        gold = [trace for trace in made.read_traces() if trace.settings.target == "gold"]
        figure = plot_traces(made.read_questions(), made.read_trajectories(), gold)
        save_figure(figure, Path("drawn/traces"), formats=("svg", "png", "pdf"))


def hash_files(folder):
    """SHA-256 of all that lies in a folder, seconds left out, by path; locks hold a process's number."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder).as_posix(): hashlib.sha256(read_untimed(path)).hexdigest() for path in files}


def read_untimed(path):
    """A file's bytes without the seconds in it, and without the hashes of files that hold such."""
    content = path.read_bytes()
    if path.name == "report.html":
        return re.sub(rb'"wall_s":[0-9.e-]+', b'"wall_s":0', content)
    if path.name in ("manifest.json", "trainer_state.json"):
        return json.dumps(drop_seconds(json.loads(content))).encode()
    if path.name in TIMED_FILES:
        return json.dumps([drop_seconds(json.loads(line)) for line in content.splitlines()]).encode()
    return content


def drop_seconds(value):
    """Leave seconds, and hashes of files with seconds in them, out of JSON."""
    if isinstance(value, list):
        return [drop_seconds(item) for item in value]
    if not isinstance(value, dict):
        return value
    left_out = {*TIMED, "sha256"} if value.get("path") in TIMED_FILES else TIMED
    return {name: drop_seconds(item) for name, item in value.items() if name not in left_out}
