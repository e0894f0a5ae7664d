"""`raml compress`: attempts, summaries, tables, resume, and what can't be shortened."""

import contextlib
import json
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cyclopts import App

from raml.cli.compress import compress
from raml.cli.main import run as run_raml
from raml.errors import DataError, ModelError, RunError
from raml.records import Attempt
from raml.store import Run

ALIKE = ("--temperature", "1", "--top-p", "1", "--top-k", "0", "--max-new-tokens", "150")
SMALL = ("--n-resamples", "99", "--share", "0.5", "--draws", "1", "--max-waits", "1", "--threads", "1")
SUMMARY = ("summary", "--runs", "2", "--summary-tokens", "8", "--n-resamples", "99")
FILES = ("attempts.jsonl", "compress.json", "compress.md", "figures/compress.svg")


def call(*arguments):
    app = App(suppress_keyboard_interrupt=False)
    app.command(compress)
    tokens = ["compress", *map(str, arguments)]
    app(tokens, exit_on_error=False, print_error=False, result_action="return_value")


def edit(path, old, new):
    """Replace a text, and take out the checksums, which no longer fit."""
    path.write_text(re.sub(r',"crc":"[0-9a-f]{8}"', "", path.read_text()).replace(old, new))


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    run = tmp_path_factory.mktemp("compress") / "run"
    assert run_raml(["questions", "tiny", "--limit", "3", "--out", str(run)]) == 0
    assert run_raml(["sample", "tiny", str(run), "--n", "3", *ALIKE]) == 0
    return run


@pytest.fixture(scope="module")
def read_out(sampled):
    """With no-thinking trajectories and readouts."""
    run = shutil.copytree(sampled, sampled.with_name("read-out"))
    assert run_raml(["sample", "tiny", str(run), "--n", "1", "--mode", "nothink", *ALIKE]) == 0
    assert run_raml(["trace", str(run), "--readout", "--every", "sentence"]) == 0
    return run


@pytest.fixture(scope="module")
def compressed(read_out):
    run = shutil.copytree(read_out, read_out.with_name("compressed"))
    call(run, "cut", "early-exit", "prune", "no-thinking", *SMALL)
    return run


@pytest.fixture
def copy_of(tmp_path):
    def make(folder):
        return shutil.copytree(folder, tmp_path / "copy")

    return make


def list_attempts(run, *methods):
    return [a for a in Run(run).read_attempts() if not methods or a.method in methods]


def read_frontier(run):
    (frontier,) = json.loads((run / "compress.json").read_text())
    return frontier


def change_trajectory(run, place, **changes):
    """Change one thinking trajectory's record."""
    folder = Run(run)
    trajectories = folder.read_trajectories()
    thinking = [i for i, t in enumerate(trajectories) if t.mode == "think"]
    trajectories[thinking[place]] = replace(trajectories[thinking[place]], **changes)
    folder.write_trajectories(trajectories)
    return trajectories[thinking[place]]


def test_each_thinking_trajectory_is_tried_by_each_method_and_no_other_is(compressed):
    thinking = {t.id for t in Run(compressed).read_trajectories() if t.mode == "think"}
    numbers = {"cut": 6, "early-exit": 15, "prune": 1, "random": 1}
    assert len(thinking) == 9
    for method, n in numbers.items():
        own = list_attempts(compressed, method)
        assert {a.trajectory_id for a in own} == thinking, method
        assert len(own) == n * len(thinking), method
    assert {a.method for a in list_attempts(compressed)} == set(numbers)


def test_tables_figure_and_manifest_are_written(compressed):
    frontier = read_frontier(compressed)
    points = {(point["method"], point["level"]): point for point in frontier["points"]}
    assert {"full", "no-thinking", "cut", "early-exit", "prune", "random"} == {method for method, _ in points}
    trajectories = Run(compressed).read_trajectories()
    right = [t.correct for t in trajectories if t.mode == "think"]
    assert points["full", 0.0]["accuracy"]["value"] == pytest.approx(sum(right) / 9)
    cut = [
        a for a in list_attempts(compressed, "cut") if a.level == max(a.level for a in list_attempts(compressed, "cut"))
    ]
    assert points["cut", cut[0].level]["accuracy"]["value"] == pytest.approx(sum(a.correct for a in cut) / 9)
    assert frontier["sentences"][0] in (compressed / "compress.md").read_text()
    for suffix in ("svg", "png"):
        assert (compressed / "figures" / f"compress.{suffix}").stat().st_size > 1000
    done = Run(compressed).read_manifest().find_last("compress")
    assert (done.n_units, done.n_new, done.n_errors, done.seed) == (9 * 23, 9 * 23, 0, 0)
    assert done.config["settings"]["share"] == [0.5]


def test_what_is_there_is_not_made_again_and_table_sentence_and_next_step_are_said(compressed, copy_of, capsys):
    run = copy_of(compressed)
    call(run, "cut", "early-exit", "prune", "no-thinking", *SMALL)
    out = capsys.readouterr().out
    assert "Wrote 0 attempts (207 were there)" in out
    assert "answered from" in out
    assert "cut" in out
    assert out.splitlines()[-1] == f"Next: raml report {run}"
    for name in FILES:
        assert (run / name).read_bytes() == (compressed / name).read_bytes(), name


def test_without_a_method_the_tables_are_made_of_what_is_there(compressed, copy_of):
    run = copy_of(compressed)
    for name in FILES[1:]:
        (run / name).unlink()
    call(run, "--n-resamples", 99)
    for name in FILES:
        assert (run / name).read_bytes() == (compressed / name).read_bytes(), name


def test_methods_that_come_later_are_added(compressed, copy_of):
    run = copy_of(compressed)
    call(run, "wait", "--budget", 60, "--limit", 2, *SMALL)
    assert len(list_attempts(run, "wait")) == 2
    assert len(list_attempts(run)) == 207 + 2
    assert {point["n_trajectories"] for point in read_frontier(run)["points"] if point["method"] == "full"} == {2}


def test_a_run_that_was_cut_short_goes_on_and_ends_with_the_same_bytes(compressed, read_out, copy_of, monkeypatch):
    from raml.efficiency import cut, pruning

    run = copy_of(read_out)
    for module, name in ((cut, "cut_trajectories"), (pruning, "prune_trajectories")):
        interrupt_second_call(monkeypatch, module, name)
        with pytest.raises(KeyboardInterrupt):
            call(run, "cut", "early-exit", "prune", "no-thinking", *SMALL)
        monkeypatch.undo()
    assert len(list_attempts(run, "cut")) == 9 * 6
    assert len(list_attempts(run, "prune")) == 8
    lines = (run / "attempts.jsonl").read_bytes().splitlines(keepends=True)
    (run / "attempts.jsonl").write_bytes(b"".join(lines[:-3]) + lines[-3][:40])  # a chunk torn in the middle
    call(run, "cut", "early-exit", "prune", "no-thinking", *SMALL)
    for name in FILES:
        assert (run / name).read_bytes() == (compressed / name).read_bytes(), name
    assert Run(run).read_manifest().find_last("compress").n_new == 2 + 3


def interrupt_second_call(monkeypatch, module, name):
    real, n_calls = getattr(module, name), 0

    def run(*arguments, **options):
        nonlocal n_calls
        n_calls += 1
        if n_calls == 2:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr(module, name, run)


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_bytes(compressed, read_out, copy_of):
    run = copy_of(read_out)
    code = "from tests.cli.test_compress import call; import sys; call(*sys.argv[1:])"
    command = [sys.executable, "-c", code, str(run), "cut", "early-exit", "prune", "no-thinking", *SMALL]
    here = Path(__file__).parents[2]
    n_kills = 0
    for n_lines in (1, 140, 190):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=here)
        path = run / "attempts.jsonl"
        while process.poll() is None and (not path.exists() or path.read_bytes().count(b"\n") < n_lines):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.005)
        process.send_signal(signal.SIGKILL)
        n_kills += process.wait() == -signal.SIGKILL
    assert n_kills
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=here)
    for name in FILES:
        assert (run / name).read_bytes() == (compressed / name).read_bytes(), name


def test_summaries_are_written_kept_and_answered_from(sampled, copy_of, capsys):
    run = copy_of(sampled)
    call(run, *SUMMARY, "--limit", 2)
    summaries = Run(run).read_summaries()
    thinking = Run(run).read_trajectories()[:2]
    assert [(s.question_id, s.repeat) for s in summaries] == [(t.id, i) for t in thinking for i in (0, 1)]
    assert all(len(s.token_ids) <= 8 and s.sampling.max_new_tokens == 8 for s in summaries)
    attempts = list_attempts(run)
    assert [(a.trajectory_id, a.draw, a.variant) for a in attempts] == [
        (s.question_id, s.repeat, "tiny") for s in summaries
    ]
    assert "Wrote 4 summaries (0 were there)" in capsys.readouterr().out
    before = [(run / name).read_bytes() for name in ("summaries.jsonl", "attempts.jsonl")]
    lines = before[0].splitlines(keepends=True)
    (run / "summaries.jsonl").write_bytes(lines[3] + lines[0])
    call(run, *SUMMARY, "--limit", 2)
    assert "Wrote 2 summaries (2 were there)" in capsys.readouterr().out
    assert [(run / name).read_bytes() for name in ("summaries.jsonl", "attempts.jsonl")] == before


def test_redacted_questions_are_never_sent_to_a_server_elsewhere(sampled, copy_of, monkeypatch, capsys):
    from raml.cli import compress_summaries

    run = copy_of(sampled)
    folder, sent = Run(run), []
    first, *others = folder.read_questions()
    folder.write_questions([replace(first, redacted=True), *others])

    def refuse(work, options, engine):
        sent.extend(request.id for request in work.questions)
        raise ModelError("no server here")

    monkeypatch.setattr(compress_summaries, "open_sampler", refuse)
    with pytest.raises(ModelError, match="no server here"):
        call(run, *SUMMARY, "--engine", "https://api.example.com/v1")
    of_others = [t.id for t in folder.read_trajectories() if t.question_id != first.id]
    assert sorted(sent) == sorted(of_others)
    with pytest.raises(DataError, match="terms"):
        call(run, *SUMMARY, "--engine", "https://api.example.com/v1", "--limit", 3)
    assert len(sent) == len(of_others)


def test_what_can_t_be_shortened_is_left_out_with_the_reason_and_counted(sampled, copy_of, capsys):
    run = copy_of(sampled)
    undecided = change_trajectory(run, 0, correct=None, verdict="undecided")
    bare = change_trajectory(run, 1, reasoning_len=0)
    unsure = change_trajectory(run, 2, answer=None, correct=False, verdict="no answer")
    imported = change_trajectory(run, 3, sampling=None)
    call(run, "cut", "wait", "prune", "--budget", 30, *SMALL)
    out = " ".join(capsys.readouterr().out.split())
    for trajectory, reason in (
        (undecided, "it is not known whether it is right"),
        (bare, "has no reasoning before its answer"),
        (unsure, "gave no answer of its own"),
        (imported, "was imported"),
    ):
        assert f"Left out: Trajectory {trajectory.id}" in out
        assert reason in out
    ids = {method: {a.trajectory_id for a in list_attempts(run, method)} for method in ("cut", "wait", "prune")}
    everything = {t.id for t in Run(run).read_trajectories()} - {undecided.id, bare.id}
    assert ids == {"cut": everything, "wait": everything - {imported.id}, "prune": everything - {unsure.id}}
    assert Run(run).read_manifest().find_last("compress").n_errors == 4
    call(run, "cut", "wait", "prune", "--budget", 30, *SMALL)
    assert "Wrote 0 attempts" in capsys.readouterr().out
    assert Run(run).read_manifest().find_last("compress").n_errors == 4


def test_other_weights_than_those_that_wrote_the_trajectories_are_refused(sampled, copy_of):
    run = copy_of(sampled)
    edit(run / "trajectories.jsonl", '"weights_sha256":"', '"weights_sha256":"00')
    with pytest.raises(ModelError, match="other weights"):
        call(run, "cut", *SMALL)
    with pytest.raises(ModelError, match="other weights"):
        call(run, *SUMMARY)
    assert not (run / "summaries.jsonl").exists()


def test_exits_are_verified_by_decoding_again(compressed, copy_of, capsys):
    run = copy_of(compressed)
    call(run, "early-exit", "--verify", 2, *SMALL)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Verified")]
    assert "of 2 trajectories decoded again, " in line
    assert "and 2 end at the place and with the answer that were computed" in line
    assert "2 of 2 draw the recorded tokens" in line
    told = json.loads((run / "compress-verified.json").read_text())
    assert [one["simulated"] == one["real"] for one in told["trajectories"]] == [True, True]


def test_readouts_that_are_too_coarse_say_what_to_do(read_out, copy_of):
    with pytest.raises(DataError, match="raml trace --readout --every 1"):
        call(copy_of(read_out), "early-exit", "--every", 1, *SMALL)


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("early-exit", r"raml trace \S+ --readout"),
        ("no-thinking", r"raml sample tiny \S+ --n 3 --mode nothink --temperature 1.0 --top-p 1.0 --top-k 0"),
    ],
)
def test_a_method_that_needs_another_command_first_names_it(sampled, method, words):
    with pytest.raises(RunError, match=words):
        call(sampled, method, "cut")
    assert not (sampled / "attempts.jsonl").exists()


def test_all_leaves_out_what_needs_another_command_and_says_so(sampled, copy_of, capsys):
    run = copy_of(sampled)
    call(run, "all", "--limit", 1, "--budget", 30, "--runs", 1, "--summary-tokens", 8, *SMALL)
    out = capsys.readouterr().out
    assert "Note: early-exit needs readouts" in out
    assert "Note: The run has no trajectories without thinking" in out
    assert {a.method for a in list_attempts(run)} == {"cut", "wait", "prune", "random", "summary"}


def test_a_run_in_which_nothing_was_shortened_says_what_to_name(sampled):
    with pytest.raises(DataError, match="Name a METHOD"):
        call(sampled)


def test_a_run_without_thinking_trajectories_is_refused(sampled, copy_of):
    run = copy_of(sampled)
    edit(run / "trajectories.jsonl", '"think"', '"nothink"')
    with pytest.raises(RunError, match="no thinking trajectories"):
        call(run, "cut")


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--limit", 0),
        ("--budget", -1),
        ("--max-waits", 0),
        ("--share", 0.0),
        ("--share", 1.5),
        ("--draws", -1),
        ("--stable", 0),
        ("--confidence", 1.5),
        ("--every", 0),
        ("--verify", -1),
        ("--runs", 0),
        ("--summary-tokens", 0),
        ("--summary-temperature", -1.0),
        ("--answer-tokens", 0),
        ("--tolerance", 2.0),
        ("--level", 1.0),
        ("--n-resamples", 98),
        ("--seed", -1),
    ],
)
def test_settings_out_of_range_are_refused_before_anything_is_read(tmp_path, flag, value):
    with pytest.raises(DataError, match=f"{flag} is {value}"):
        call(tmp_path / "nowhere", "all", flag, value)


@pytest.mark.parametrize("flag", ["--word", "--bridge"])
def test_empty_words_are_refused(tmp_path, flag):
    with pytest.raises(DataError, match=f"{flag} is empty"):
        call(tmp_path / "nowhere", "wait", flag, " ")


def test_options_of_a_method_that_was_not_named_are_refused(sampled):
    with pytest.raises(DataError, match="--verify needs"):
        call(sampled, "cut", "--verify", 1)
    with pytest.raises(DataError, match="at least 1"):
        call(sampled, "wait", "--budget", 0)


def test_the_command_is_imported_without_torch():
    code = "import sys, raml.cli.compress; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_attempts_survive_writing_and_reading(compressed):
    assert all(isinstance(attempt, Attempt) and attempt.model.name == "tiny" for attempt in list_attempts(compressed))


def test_what_could_not_be_checked_is_made_again_once_it_may_run(read_out, copy_of):
    run = copy_of(read_out)
    folder = Run(run)
    entry = {"reasoning_gym": {"dataset": "chain_sum", "entry": {"answer": "1", "metadata": {}}}}
    folder.write_questions([replace(q, kind="reasoning-gym", meta=entry) for q in folder.read_questions()])
    call(run, "cut", "--budget", 5, *SMALL)
    before = list_attempts(run, "cut")
    assert {a.correct for a in before if a.answer is not None} == {None}
    call(run, "cut", "--budget", 5, "--allow-code-execution", *SMALL)
    after = list_attempts(run, "cut")
    assert len(after) == len(before)
    assert None not in {a.correct for a in after if a.verdict != "no answer"}
