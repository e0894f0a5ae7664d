"""`raml faithfulness`: subsample, records, tables, figure, resume, and what can't be written again."""

import json
import re
import shutil
import subprocess
import sys

import pytest
from cyclopts import App

from raml.cli.faithfulness import faithfulness
from raml.cli.main import run as run_raml
from raml.errors import DataError, RunError
from raml.influence import agreement
from raml.records import Question
from raml.store import Run

SMALL = ("--n-trajectories", "3", "--n", "2", "--max-borders", "4")


def call(*arguments):
    app = App(suppress_keyboard_interrupt=False)
    app.command(faithfulness)
    tokens = ["faithfulness", *map(str, arguments)]
    app(tokens, exit_on_error=False, print_error=False, result_action="return_value")


@pytest.fixture(autouse=True, scope="module")
def fewer():
    """What a p-value is worth is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agreement, "N_PERMUTATIONS", 99)
        yield


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    run = tmp_path_factory.mktemp("faithfulness") / "run"
    assert run_raml(["questions", "tiny", "--limit", "3", "--out", str(run)]) == 0
    arguments = ["--n", "2", "--temperature", "1", "--top-p", "1", "--top-k", "0", "--max-new-tokens", "200"]
    assert run_raml(["sample", "tiny", str(run), *arguments]) == 0
    return run


@pytest.fixture(scope="module")
def compared(sampled):
    run = sampled.with_name("compared")
    shutil.copytree(sampled, run)
    call(run, *SMALL)
    return run


@pytest.fixture
def copy_of(tmp_path):
    def make(folder):
        return shutil.copytree(folder, tmp_path / "copy")

    return make


def test_each_chosen_trajectory_has_one_record_sampled_as_it_was(compared):
    folder = Run(compared)
    trajectories = {t.id: t for t in folder.read_trajectories()}
    records = folder.read_resamplings()
    assert len({record.trajectory_id for record in records}) == 3
    for record in records:
        assert record.settings.sampling == trajectories[record.trajectory_id].sampling
        assert {len(answers) for answers in record.answers} == {2}
        assert len(record.answers) == len(record.correct) == len(record.loss) == len(record.prefix_lens) == 4


def test_tables_figure_and_manifest_are_written(compared):
    (summary,) = json.loads((compared / "faithfulness.json").read_text())
    assert (summary["model"], summary["n"], summary["n_trajectories"]) == ("tiny", 2, 3)
    assert summary["n_continuations"] == 3 * 4 * 2
    assert (compared / "faithfulness.md").read_text().startswith("# tiny\n\ntiny, fall of L̂")
    for suffix in ("svg", "png"):
        assert (compared / "figures" / f"faithfulness.{suffix}").stat().st_size > 1000
    done = Run(compared).read_manifest().find_last("faithfulness")
    assert (done.n_units, done.n_new, done.n_errors, done.seed) == (3, 3, 0, 0)
    assert not list(compared.glob("*.journal.jsonl"))


def test_run_again_it_writes_nothing_and_says_the_same(copy_of, compared, capsys):
    run = copy_of(compared)
    call(run, *SMALL)
    out = capsys.readouterr().out
    assert "Wrote 0 resamplings (3 were there)" in out
    assert "The model wrote" not in out
    (summary,) = json.loads((compared / "faithfulness.json").read_text())
    assert summary["sentence"] in out.splitlines()
    assert out.splitlines()[-1] == f"Next: raml report {run}"


def test_a_run_that_was_cut_short_goes_on_and_ends_with_the_same_bytes(copy_of, sampled, compared, monkeypatch, capsys):
    import raml.probes.resampling

    run, resample, n_done = copy_of(sampled), raml.probes.resampling.resample_trajectory, 0

    def resample_two(*arguments, **options):
        nonlocal n_done
        n_done += 1
        if n_done > 2:
            raise KeyboardInterrupt
        return resample(*arguments, **options)

    monkeypatch.setattr(raml.probes.resampling, "resample_trajectory", resample_two)
    with pytest.raises(KeyboardInterrupt):
        call(run, *SMALL)
    assert len(Run(run).read_resamplings()) == 2
    out = capsys.readouterr().out
    assert "3 trajectories × 4 borders × 2 continuations: 24 responses, about" in out  # before the work begins
    monkeypatch.undo()
    call(run, *SMALL, "--batch-size", 8)
    out = capsys.readouterr().out
    assert "Wrote 1 resamplings (2 were there)" in out
    new = Run(run).read_resamplings()[-1]
    assert int(re.search(r"The model wrote ([\d,]+) tokens", out)[1].replace(",", "")) == sum(map(sum, new.n_written))
    assert Run(run).read_manifest().find_last("faithfulness").n_new == 1
    for name in ("resamplings.parquet", "faithfulness.json", "faithfulness.md", "figures/faithfulness.svg"):
        assert (run / name).read_bytes() == (compared / name).read_bytes(), name


def test_more_continuations_are_other_records_and_the_table_is_of_them(copy_of, compared):
    run = copy_of(compared)
    call(run, "--n-trajectories", 1, "--n", 3, "--max-borders", 4, "--temperature", 0.5)
    assert len(Run(run).read_resamplings()) == 4
    (summary,) = json.loads((run / "faithfulness.json").read_text())
    assert (summary["n"], summary["n_trajectories"]) == (3, 1)
    assert "nothing can be said" in summary["sentence"]


def test_a_question_that_asks_for_a_program_is_left_out_and_the_others_go_on(copy_of, sampled, capsys):
    run = copy_of(sampled)
    folder = Run(run)
    first, *others = folder.read_questions()
    folder.write_questions([Question(first.id, first.prompt, first.answer, kind="code"), *others])
    call(run, *SMALL)
    assert "asks for a program" in capsys.readouterr().out
    own = {t.id for t in folder.read_trajectories() if t.question_id == first.id}
    made = {record.trajectory_id for record in folder.read_resamplings()}
    assert made
    assert not made & own
    assert folder.read_manifest().find_last("faithfulness").n_errors == 3 - len(made)


def test_continuations_that_nobody_may_check_are_announced_and_checked_once_that_is_allowed(copy_of, sampled, capsys):
    run = copy_of(sampled)
    folder = Run(run)
    first, *others = folder.read_questions()
    folder.write_questions([Question(first.id, first.prompt, first.answer, kind="reasoning-gym"), *others])
    call(run, *SMALL)
    assert "Continuations of 1 stay undecided" in capsys.readouterr().out
    own = {t.id for t in folder.read_trajectories() if t.question_id == first.id}
    (record,) = [r for r in folder.read_resamplings() if r.trajectory_id in own]
    assert {right for row in record.correct for right in row} == {None}
    call(run, *SMALL, "--allow-code-execution")
    out = capsys.readouterr().out
    assert "Continuations of" not in out
    assert "Wrote 1 resamplings (2 were there)" in out


def test_no_trajectory_to_write_again_is_said_with_the_reasons(copy_of, sampled):
    run = copy_of(sampled)
    path = run / "trajectories.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row | {"mode": "nothink"}) + "\n" for row in rows))
    with pytest.raises(DataError, match="None of 6 trajectories can be written again: 6 without thinking"):
        call(run, *SMALL)


def test_the_command_is_imported_without_torch():
    code = "import sys, raml.cli.faithfulness; sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--n-trajectories", 0),
        ("--n", 1),
        ("--max-borders", 3),
        ("--batch-size", 0),
        ("--seed", -1),
        ("--temperature", -1.0),
        ("--epsilon", 0.0),
    ],
)
def test_settings_out_of_range_are_refused_before_anything_is_read(tmp_path, flag, value):
    with pytest.raises(DataError, match=f"{flag} is {value}"):
        call(tmp_path / "nowhere", flag, value)


def test_a_folder_without_trajectories_says_how_to_make_some(copy_of, sampled):
    run = copy_of(sampled)
    (run / "trajectories.jsonl").unlink()
    with pytest.raises(RunError, match="raml sample"):
        call(run)
