"""`raml curves`: tables, figures, what is missing, and what can't be analysed."""

import json
import shutil
import subprocess
import sys

import pytest
from cyclopts import App

from raml.cli.curves import curves
from raml.cli.main import run as run_raml
from raml.errors import DataError, RunError
from raml.store import Run

QUICK = ("--n-resamples", "199")


def call(*arguments):
    app = App(suppress_keyboard_interrupt=False)
    app.command(curves)
    tokens = ["curves", *map(str, arguments)]
    app(tokens, exit_on_error=False, print_error=False, result_action="return_value")


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """Two questions with two trajectories each, in both modes."""
    run = tmp_path_factory.mktemp("curves") / "run"
    assert run_raml(["questions", "tiny", "--limit", "2", "--out", str(run)]) == 0
    arguments = ["--n", "2", "--temperature", "1", "--top-p", "1", "--top-k", "0", "--max-new-tokens", "200"]
    assert run_raml(["sample", "tiny", str(run), *arguments]) == 0
    assert run_raml(["sample", "tiny", str(run), *arguments, "--mode", "nothink"]) == 0
    assert run_raml(["trace", str(run), "--target", "both", "--readout"]) == 0
    return run


@pytest.fixture(scope="module")
def analysed(traced):
    run = traced.with_name("analysed")
    shutil.copytree(traced, run)
    call(run, *QUICK)
    return run


@pytest.fixture
def copy_of(tmp_path):
    def make(folder):
        return shutil.copytree(folder, tmp_path / "copy")

    return make


def test_tables_figures_and_manifest_are_written(analysed):
    (summary,) = json.loads((analysed / "curves.json").read_text())
    assert summary["model"] == "tiny"
    assert (summary["n_trajectories"], summary["n_gold"], summary["n_own"], summary["n_readouts"]) == (8, 8, 8, 8)
    assert summary["modes"]["n_questions"] == 2
    assert summary["missing"] == []
    assert summary["sentences"][0] in (analysed / "curves.md").read_text()
    for name in ("modes", "questions", "wrong", "readout"):
        for suffix in ("svg", "png"):
            assert (analysed / "figures" / f"curves-{name}.{suffix}").stat().st_size > 1000
    done = Run(analysed).read_manifest().find_last("curves")
    assert (done.n_units, done.n_new, done.seed) == (1, 1, 0)
    assert {entry.path for entry in done.inputs} == {
        *("questions.jsonl", "trajectories.jsonl", "traces.parquet", "readouts.parquet")
    }


def test_the_summary_is_of_the_records(analysed):
    """Mean ends and accuracy of thinking, counted here once more."""
    folder = Run(analysed)
    thinking = {t.id: t for t in folder.read_trajectories() if t.mode == "think"}
    ends = [
        float(trace.mean_nll[-1])
        for trace in folder.read_traces()
        if trace.settings.target == "gold" and trace.trajectory_id in thinking
    ]
    (summary,) = json.loads((analysed / "curves.json").read_text())
    by_name = {made["measure"]: made["think"]["value"] for made in summary["modes"]["contrasts"]}
    assert by_name["L̂ at the end"] == pytest.approx(sum(ends) / 4)
    assert by_name["accuracy"] == pytest.approx(sum(t.correct for t in thinking.values()) / 4)


def test_what_is_said_has_tables_notes_sentences_and_next_step_and_a_second_time_the_same_bytes(
    copy_of, analysed, capsys
):
    run = copy_of(analysed)
    call(run, *QUICK)
    out = capsys.readouterr().out
    assert "tokens to 90 % of the fall" in out
    assert "Note: Means over questions" in out
    assert "Thinking ends" in out
    assert out.splitlines()[-1] == f"Next: raml report {run}"
    for name in ("curves.json", "curves.md", "figures/curves-modes.svg"):
        assert (run / name).read_bytes() == (analysed / name).read_bytes(), name
    assert len([stage for stage in Run(run).read_manifest().stages if stage.stage == "curves"]) == 1


def test_an_unfinished_trace_stage_counts_as_far_as_it_came(copy_of, traced):
    """Killed before its end, `raml trace` leaves its records in a journal."""
    from raml.store import Journal

    run = copy_of(traced)
    folder = Run(run)
    traces = folder.read_traces()
    folder.traces_path.unlink()
    folder.readouts_path.unlink()
    with Journal(folder.traces_journal_path) as journal:
        journal.append(traces[:2])
    call(run, *QUICK)
    (summary,) = json.loads((run / "curves.json").read_text())
    assert (summary["n_gold"], summary["n_own"], summary["n_readouts"]) == (1, 1, 0)


def test_without_no_thinking_and_readouts_the_rest_is_done_and_commands_are_named(copy_of, traced, capsys):
    run = copy_of(traced)
    (run / "readouts.parquet").unlink()
    lines = [line for line in (run / "trajectories.jsonl").read_text().splitlines() if '"mode":"think"' in line]
    assert len(lines) == 4
    (run / "trajectories.jsonl").write_text("\n".join(lines) + "\n")
    call(run, *QUICK)
    out = " ".join(capsys.readouterr().out.split())
    assert f"raml sample tiny {run} --mode nothink" in out
    assert f"raml trace {run} --readout" in out
    assert not (run / "figures" / "curves-modes.svg").exists()
    assert not (run / "figures" / "curves-readout.svg").exists()


def test_a_run_without_traces_or_trajectories_says_how_to_make_some(copy_of, traced):
    run = copy_of(traced)
    (run / "traces.parquet").unlink()
    (run / "readouts.parquet").unlink()
    with pytest.raises(RunError, match=r"raml trace .* --target both --readout"):
        call(run)
    (run / "trajectories.jsonl").unlink()
    with pytest.raises(RunError, match="raml sample"):
        call(run)


@pytest.mark.parametrize(
    ("flag", "value"),
    [("--share", 0), ("--margin", -1), ("--level", 2), ("--n-resamples", 9), ("--seed", -1), ("--limit", 0)],
)
def test_settings_out_of_range_are_refused_before_anything_is_read(tmp_path, flag, value):
    with pytest.raises(DataError, match=f"{flag} is {value}"):
        call(tmp_path / "nowhere", flag, value)


def test_share_level_and_limit_are_kept_to_and_torch_is_not_needed(copy_of, traced):
    run = copy_of(traced)
    code = (
        "import sys\nfrom pathlib import Path\nfrom raml.cli.curves import CurveSettings, curves\n"
        f"curves(Path({str(run)!r}), settings=CurveSettings(share=0.75, level=0.8, n_resamples=99), limit=4)\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
    (summary,) = json.loads((run / "curves.json").read_text())
    assert summary["n_trajectories"] == 4
    contrasts = {made["measure"]: made for made in summary["modes"]["contrasts"]}
    assert contrasts["L̂ at the end"]["difference"]["level"] == 0.8
    assert "tokens followed" in contrasts
    assert not any("90 %" in measure for measure in contrasts)
