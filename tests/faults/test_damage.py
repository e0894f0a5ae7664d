"""One changed byte in any file of records is told; set aside, and the stage run again, the file is as it was."""

import hashlib

import pyarrow.parquet as pq
import pytest

from raml.cli import run as run_raml
from tests.faults.harness import find_difference
from tests.faults.stages import BY_NAME

FILES = (
    ("questions", "run/questions.jsonl"),
    ("sample", "run/trajectories.jsonl"),
    ("import", "other/trajectories.jsonl"),
    ("landscape", "run/landscapes/*.safetensors"),
    ("evaluate", "run/evaluation.json"),
    ("grade", "run/manifest.json"),
    ("trace", "run/traces.parquet"),
    ("trace", "run/readouts.parquet"),
    ("influence", "run/influence.parquet"),
    ("influence", "run/influence.json"),
    ("update", "run/updates.parquet"),
    ("align", "run/alignments.parquet"),
    ("adapt", "run/adaptations.parquet"),
    ("faithfulness", "run/resamplings.parquet"),
    ("compress cut", "run/attempts.jsonl"),
    ("compress summary", "run/summaries.jsonl"),
    ("train sft", "model/model.safetensors"),
    ("study", "home/steps.jsonl"),
)


def find(folder, pattern):
    (path,) = folder.glob(pattern)
    return path


def flip(path):
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def check(path, *flags):
    """Run `raml check`, and return its exit code."""
    try:
        return run_raml(["check", str(path), *flags])
    except SystemExit as ended:
        return ended.code


def damage_and_mend(workshop, tmp_path, capsys, name, pattern):
    """Flip, check, repair, run again: the file is what it was."""
    stage = BY_NAME[name]
    reference, _ = workshop.finish(stage)
    folder = workshop.prepare_after(stage, tmp_path / "folder")
    path = find(folder, pattern)
    home = folder / path.relative_to(folder).parts[0]
    assert check(home) == 0
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    flip(path)
    capsys.readouterr()
    assert check(home) == 1
    told = capsys.readouterr().out
    assert f"{path.relative_to(home).as_posix()}:" in told
    assert [line for line in told.splitlines() if line.endswith("damaged")] == [
        line for line in told.splitlines() if line.startswith(path.relative_to(home).as_posix())
    ]
    assert check(home, "--repair") == 1
    assert list((home / "damaged").iterdir())
    outcome = workshop.server.run(stage, folder)
    assert outcome.code == 0, outcome.said
    for left in (home / "damaged").iterdir():
        left.unlink()
    (home / "damaged").rmdir()
    if path.name not in ("manifest.json", "steps.jsonl"):  # which say when
        assert hashlib.sha256(path.read_bytes()).hexdigest() == before
    if path.name != "manifest.json" and not stage.trains:
        assert find_difference(stage, folder, reference) is None
    assert check(home) == 0


@pytest.mark.slow
@pytest.mark.parametrize(("name", "pattern"), FILES)
def test_a_flipped_byte_is_told_set_aside_and_made_again(workshop, tmp_path, capsys, name, pattern):
    damage_and_mend(workshop, tmp_path, capsys, name, pattern)


@pytest.mark.slow
def test_only_the_damaged_row_group_is_traced_again(workshop, tmp_path):
    """A bit is flipped amid a page of the first group; the traces of other groups stay."""
    stage = BY_NAME["trace"]
    reference, _ = workshop.finish(stage)
    folder = workshop.prepare_after(stage, tmp_path / "folder")
    path = folder / "run" / "traces.parquet"
    content = bytearray(path.read_bytes())
    column = next(c for c in list_columns(path) if c.path_in_schema.startswith("nll"))
    content[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    path.write_bytes(content)
    refused = workshop.server.run(stage, folder)
    assert refused.code == 2
    assert "raml check run --repair" in refused.said
    assert check(folder / "run", "--repair") == 1
    said = workshop.server.run(stage, folder).said
    n_traces = pq.read_metadata(path).num_rows
    assert n_traces > 8
    assert f"Wrote 8 traces ({n_traces - 8} were there)" in said
    assert path.read_bytes() == (reference / "run" / "traces.parquet").read_bytes()


def list_columns(path):
    """What a table's first row group says of its columns."""
    group = pq.read_metadata(path).row_group(0)
    return [group.column(i) for i in range(group.num_columns)]
