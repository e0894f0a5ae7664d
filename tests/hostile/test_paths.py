"""No text of a file becomes a path: whatever ids and names say, the same files are written, and none elsewhere."""

import json
import re
import shlex
import shutil

import pytest

from raml.cli import run

QUESTION_IDS = ("../../question", "/etc/hostile\0\x1b[2J")
TRAJECTORY_IDS = ("../../../one", "..", "C:\\con\\aux/two", "~root/\u202ethree" + "x" * 5_000)
COMMANDS = (
    "trace RUN --readout --threads 1",
    "update RUN --n-prefixes 2 --n-others 0 --limit 1 --threads 1",
    "align RUN --n-prefixes 1 --n-directions 2 --limit 1 --no-nulls --threads 1",
    "adapt RUN --steps 1 --limit 1 --threads 1",
    "landscape RUN --n-steps 3 --n-questions 1 --threads 1 --plane path --n-paths 1",
    "influence RUN --n-resamples 99",
    "curves RUN --n-resamples 99",
    "compress RUN cut --budget 8 --n-resamples 99 --threads 1",
    "evaluate RUN --n-resamples 99",
    "grade RUN --all",
    "report RUN --title '../../title</title><script>alert(1)</script>'",
    "export trl RUN out/sft.jsonl",
    "export verifiers RUN out/results.jsonl",
)


def write_all(folder, world, commands, question_ids, trajectory_ids):
    """Run the commands on records with other ids; returns the names of all files, but for hashes in them."""
    here = folder / "deep" / "down" / "here"
    (here / "run").mkdir(parents=True)
    for file in ("questions.jsonl", "trajectories.jsonl"):
        lines = [json.loads(line) for line in (world / "run" / file).read_bytes().splitlines()]
        for i, line in enumerate(lines):
            line.pop("crc", None)
            if file == "questions.jsonl":
                line["id"] = question_ids.get(line["id"], line["id"])
                line["source"] = line["domain"] = "../../" * bool(question_ids) + str(line["source"])
            else:
                line["question_id"] = question_ids.get(line["question_id"], line["question_id"])
                line["id"] = trajectory_ids.get(i, line["id"])
        (here / "run" / file).write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        for command in commands:
            assert run(shlex.split(command.replace("RUN", "run"))) == 0, command
    names = {re.sub(r"[0-9a-f]{16}", "HASH", str(name)) for name in map(str, listed(folder))}
    shutil.rmtree(folder)
    return names


def listed(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*"))


@pytest.mark.parametrize(
    "commands",
    [pytest.param(COMMANDS[-5:], id="without a model"), pytest.param(COMMANDS, id="all", marks=pytest.mark.slow)],
)
def test_ids_and_sources_that_climb_out_of_the_folder_name_no_file(world, tmp_path, commands):
    plain_names = write_all(tmp_path / "plain", world, commands, {}, {})
    old = [json.loads(line)["id"] for line in (world / "run" / "questions.jsonl").read_bytes().splitlines()]
    question_ids, trajectory_ids = dict(zip(old, QUESTION_IDS, strict=True)), dict(enumerate(TRAJECTORY_IDS))
    names = write_all(tmp_path / "hostile", world, commands, question_ids, trajectory_ids)
    assert names == plain_names
    assert listed(tmp_path) == []
