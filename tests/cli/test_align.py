"""`raml align`: records, tables, figures, resume, and what can't be measured."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from cyclopts import App

from raml.cli.align import align
from raml.cli.main import run as run_raml
from raml.errors import DataError, RunError
from raml.records import Question
from raml.store import Run

SMALL = ("--n-prefixes", "2", "--n-directions", "2")


def call(*arguments):
    app = App(suppress_keyboard_interrupt=False)
    app.command(align)
    tokens = ["align", *map(str, arguments)]
    app(tokens, exit_on_error=False, print_error=False, result_action="return_value")


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    run = tmp_path_factory.mktemp("align") / "run"
    assert run_raml(["questions", "tiny", "--limit", "2", "--out", str(run)]) == 0
    arguments = ["--n", "2", "--temperature", "1", "--top-p", "1", "--top-k", "0", "--max-new-tokens", "300"]
    assert run_raml(["sample", "tiny", str(run), *arguments]) == 0
    return run


@pytest.fixture(scope="module")
def aligned(sampled):
    run = sampled.with_name("aligned")
    shutil.copytree(sampled, run)
    call(run, *SMALL)
    return run


@pytest.fixture
def copy_of(tmp_path):
    def make(folder):
        return shutil.copytree(folder, tmp_path / "copy")

    return make


def list_records(run):
    return {record.id: record for record in Run(run).read_alignments()}


def test_each_trajectory_and_its_three_nulls_are_measured(aligned):
    records = list_records(aligned).values()
    texts = {"trajectory", "shuffled", "random tokens", "other question"}
    for trajectory in Run(aligned).read_trajectories():
        own = [record for record in records if record.trajectory_id == trajectory.id]
        assert {record.text for record in own} == texts
        assert len(own) == 4
        n = trajectory.reasoning_len
        assert {tuple(record.prefix_lens) for record in own} == {(round(n / 2), n)}
        assert len({record.base_loss for record in own}) == 1
        assert len({float(record.loss[-1]) for record in own}) == 4
        assert all(np.isfinite(record.total_cosine).all() for record in own)


def test_tables_figures_and_manifest_are_written(aligned):
    (summary,) = json.loads((aligned / "alignment.json").read_text())
    assert summary["model"] == "tiny"
    assert summary["sentence"].startswith(("Eq. 4 does not hold", "Whether Eq. 4"))
    assert summary["sentence"].split(".")[0] in (aligned / "alignment.md").read_text()
    for name in ("cosines", "layers", "loss"):
        for suffix in ("svg", "png"):
            assert (aligned / "figures" / f"alignment-{name}.{suffix}").stat().st_size > 1000
    done = Run(aligned).read_manifest().find_last("align")
    assert (done.n_units, done.n_new, done.n_errors, done.seed) == (16, 16, 0, 0)
    assert not list(aligned.glob("*.journal.jsonl"))


def test_what_is_said_at_the_end_has_table_sentence_and_next_step(copy_of, aligned, capsys):
    run = copy_of(aligned)
    call(run, *SMALL)
    out = capsys.readouterr().out
    assert "Wrote 0 alignments (16 were there)" in out
    assert "random direction" in out
    assert "Eq. 4" in out.splitlines()[-10]
    assert out.splitlines()[-1] == f"Next: raml adapt {run}"


def test_a_run_that_was_cut_short_goes_on_and_ends_with_the_same_bytes(copy_of, sampled, aligned, monkeypatch):
    import raml.updates.alignment

    run, measure, n_done = copy_of(sampled), raml.updates.alignment.measure_alignment, 0

    def measure_six(*arguments, **options):
        nonlocal n_done
        n_done += 1
        if n_done > 6:
            raise KeyboardInterrupt
        return measure(*arguments, **options)

    monkeypatch.setattr(raml.updates.alignment, "measure_alignment", measure_six)
    with pytest.raises(KeyboardInterrupt):
        call(run, *SMALL)
    assert len(list_records(run)) == 6
    monkeypatch.undo()
    call(run, *SMALL)
    assert Run(run).read_manifest().find_last("align").n_new == 10
    for name in ("alignments.parquet", "alignment.json", "figures/alignment-cosines.svg"):
        assert (run / name).read_bytes() == (aligned / name).read_bytes(), name


def test_without_nulls_only_trajectories_are_measured(copy_of, sampled):
    run = copy_of(sampled)
    call(run, *SMALL, "--no-nulls", "--limit", 1)
    assert [record.text for record in list_records(run).values()] == ["trajectory"]


def test_other_settings_add_records_and_the_table_is_of_the_new_ones(copy_of, aligned):
    run = copy_of(aligned)
    call(run, "--n-prefixes", 1, "--n-directions", 2, "--no-nulls")
    assert len(list_records(run)) == 20
    (summary,) = json.loads((run / "alignment.json").read_text())
    assert summary["settings"]["n_prefixes"] == 1
    assert {row["text"] for row in summary["rows"]} <= {"right", "wrong", "random direction"}


def test_a_question_that_asks_for_a_program_is_left_out_and_the_others_go_on(copy_of, sampled, capsys):
    run = copy_of(sampled)
    folder = Run(run)
    first, second = folder.read_questions()
    questions = [Question(first.id, first.prompt, first.answer, kind="code"), second]
    folder.write_questions(questions)
    call(run, *SMALL, "--no-nulls")
    assert "asks for a program" in capsys.readouterr().out
    assert {record.trajectory_id for record in list_records(run).values()} == {
        t.id for t in folder.read_trajectories() if t.question_id == second.id
    }
    assert folder.read_manifest().find_last("align").n_errors == 2


def test_a_single_question_has_no_other_to_take_a_text_from(copy_of, sampled, capsys):
    run = copy_of(sampled)
    lines = (run / "trajectories.jsonl").read_text().splitlines()
    (run / "trajectories.jsonl").write_text(lines[0] + "\n")
    call(run, *SMALL)
    assert "--no-nulls" in capsys.readouterr().out
    assert len(list_records(run)) == 3


def test_a_null_that_can_t_be_made_leaves_the_trajectory_itself_in(copy_of, sampled, capsys):
    """The reasoning of one trajectory becomes a single token, which has no order."""
    run = copy_of(sampled)
    lines = (run / "trajectories.jsonl").read_text().splitlines()
    short = json.loads(lines[0]) | {"reasoning_len": 1}
    (run / "trajectories.jsonl").write_text("\n".join([json.dumps(short), *lines[1:]]) + "\n")
    call(run, *SMALL)
    assert f"Left out: Trajectory {short['id']}: 'shuffled' in its place" in " ".join(capsys.readouterr().out.split())
    own = [record.text for record in list_records(run).values() if record.trajectory_id == short["id"]]
    assert own == ["trajectory"]
    assert len(list_records(run)) == 13
    assert Run(run).read_manifest().find_last("align").n_errors == 1


def test_the_command_is_imported_without_torch():
    code = "import sys, raml.cli.align; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("flag", "value"),
    [("--n-prefixes", 0), ("--n-directions", 0), ("--step-share", 0), ("--seed", -1), ("--limit", 0)],
)
def test_settings_out_of_range_are_refused_before_anything_is_read(tmp_path, flag, value):
    with pytest.raises(DataError, match=f"{flag} is {value}"):
        call(tmp_path / "nowhere", flag, value)


def test_a_folder_without_trajectories_says_how_to_make_some(copy_of, sampled):
    run = copy_of(sampled)
    (run / "trajectories.jsonl").unlink()
    with pytest.raises(RunError, match="raml sample"):
        call(run)
