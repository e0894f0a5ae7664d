"""`raml influence`: records, tables, figures, resume, and what can't be measured."""

import itertools
import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from cyclopts import App

import raml.influence.tokens
from raml.cli.influence import influence
from raml.errors import DataError, RunError
from raml.records import ModelIdentity, Question, Trace, TraceSettings, Trajectory
from raml.store import Journal, Run

MODEL = ModelIdentity("made-up", None, "00", "float32", "cpu")
FEW = ("--n-resamples", "99")


def call(*arguments):
    app = App(suppress_keyboard_interrupt=False)
    app.command(influence)
    tokens = ["influence", *map(str, arguments)]
    app(tokens, exit_on_error=False, print_error=False, result_action="return_value")


def make_record(rng, question, repeat, mode, numbers):
    """A made-up trajectory that reasons in lines, and the trace of every token of it; L̂ walks at random."""
    lines = [["Now", " 1", "+", str(rng.integers(9)), " so", " it", " is", " 5", "\n"] for _ in range(4)]
    pieces = ["<think>", "\n", *itertools.chain(*lines), "Wait", ",", " fine", "\n"] if mode == "think" else [" 5", "."]
    ids = tuple(numbers.setdefault(piece, len(numbers)) for piece in pieces)
    ends = tuple(itertools.accumulate(map(len, pieces)))
    own = f"{question}-{mode}-{repeat}", question, repeat, MODEL, mode, (1,), ids, len(ids), "".join(pieces), ends
    nll = np.exp(np.cumsum(rng.normal(scale=0.3, size=(len(ids) + 1, 1)), axis=0)).astype(np.float32)
    lens = np.arange(len(ids) + 1, dtype=np.int32)
    trace = Trace(f"c-{own[0]}", own[0], MODEL, TraceSettings(), "one-pass", (7,), (8,), lens, nll)
    return Trajectory(*own, correct=bool(repeat % 2)), trace


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    run = tmp_path_factory.mktemp("influence") / "run"
    folder, rng, numbers = Run(run), np.random.default_rng(0), {}
    folder.write_questions([Question(f"q{i}", f"What is 1 + {i}?", str(1 + i)) for i in range(3)])
    kinds = (("think", 0), ("think", 1), ("nothink", 0))
    records = [make_record(rng, f"q{i}", k, mode, numbers) for i in range(3) for mode, k in kinds]
    folder.write_trajectories([trajectory for trajectory, _ in records])
    with Journal(folder.traces_journal_path) as journal:
        journal.append([trace for _, trace in records])
    folder.close_traces()
    return run


@pytest.fixture(scope="module")
def measured(traced):
    run = traced.with_name("measured")
    shutil.copytree(traced, run)
    call(run, *FEW, "--word", "So", "--word", "wait")
    return run


@pytest.fixture
def copy_of(tmp_path):
    def make(folder):
        return shutil.copytree(folder, tmp_path / "copy")

    return make


def rewrite_traces(run, traces):
    folder = Run(run)
    folder.traces_path.unlink()
    with Journal(folder.traces_journal_path) as journal:
        journal.append(traces)
    folder.close_traces()


def test_each_thinking_trajectory_has_a_record_of_all_its_steps(measured):
    folder = Run(measured)
    thinking = {t.id: t for t in folder.read_trajectories() if t.mode == "think"}
    traces = {trace.id: trace for trace in folder.read_traces()}
    records = folder.read_influences()
    assert {record.trajectory_id for record in records} == set(thinking)
    assert len(records) == 6
    for record in records:
        loss, own = traces[record.trace_id].mean_nll, thinking[record.trajectory_id]
        np.testing.assert_allclose(record.change, np.diff(loss), rtol=1e-6, atol=1e-7)
        assert len(record.parts) == len(record.words) == own.reasoning_len
        assert [own.pieces[i] for i, word in enumerate(record.words) if word == "so"] == [" so"] * own.text.count(" so")
        assert record.settings.words == ("so", "wait")


def test_tables_figures_and_manifest_are_written(measured):
    (summary,) = json.loads((measured / "influence.json").read_text())
    row = next(row for row in summary["rows"] if row["group"] == "so")
    text = "".join(t.text for t in Run(measured).read_trajectories() if t.mode == "think")
    assert row["n_units"] == text.count(" so ")
    assert summary["sentence"] in (measured / "influence.md").read_text()
    for name in ("influence", "influence-groups"):
        for suffix in ("svg", "png"):
            assert (measured / "figures" / f"{name}.{suffix}").stat().st_size > 1000
    done = Run(measured).read_manifest().find_last("influence")
    assert (done.n_units, done.n_new, done.n_errors, done.seed) == (6, 6, 0, 0)
    assert not list(measured.glob("*.journal.jsonl"))


def test_what_is_said_has_tables_what_was_left_out_and_the_next_step(copy_of, measured, capsys):
    run = copy_of(measured)
    call(run, *FEW, "--word", "so", "--word", "WAIT")
    out = capsys.readouterr().out
    assert "Wrote 0 influences (6 were there)" in out
    assert "Left out: 3 trajectories of mode nothink; look at them with --mode nothink." in out
    for name in ("listed words", "parts", "positions in the reasoning", "sentences"):
        assert name in out
    assert out.splitlines()[-1].startswith(f"Next: raml compress {run} prune")


def test_a_run_that_was_cut_short_goes_on_and_ends_with_the_same_bytes(copy_of, traced, measured, monkeypatch):
    run, measure, n_done = copy_of(traced), raml.influence.tokens.measure_influence, 0

    def measure_four(*arguments):
        nonlocal n_done
        n_done += 1
        if n_done > 4:
            raise KeyboardInterrupt
        return measure(*arguments)

    monkeypatch.setattr(raml.influence.tokens, "measure_influence", measure_four)
    with pytest.raises(KeyboardInterrupt):
        call(run, *FEW, "--word", "so", "--word", "wait")
    assert len(Run(run).read_influences()) == 4
    monkeypatch.undo()
    call(run, *FEW, "--word", "so", "--word", "wait")
    assert Run(run).read_manifest().find_last("influence").n_new == 2
    for name in ("influence.parquet", "influence.json", "influence.md", "figures/influence.svg"):
        assert (run / name).read_bytes() == (measured / name).read_bytes(), name


def test_other_words_add_records_and_the_table_is_of_the_new_ones(copy_of, measured):
    run = copy_of(measured)
    words = run / "words.txt"
    words.write_text("now\n\n  Hold  on \n", encoding="utf-8")
    call(run, *FEW, "--word-file", words, "--limit", 3)
    (summary,) = json.loads((run / "influence.json").read_text())
    assert summary["settings"]["words"] == ["now", "hold on"]
    assert len(Run(run).read_influences()) > 6


def test_without_traces_of_that_answer_the_command_to_run_is_named(copy_of, traced):
    run = copy_of(traced)
    with pytest.raises(RunError, match=r"raml trace \S+ --target own"):
        call(run, "--target", "own")
    Run(run).traces_path.unlink()
    with pytest.raises(RunError, match=r"`raml trace \S+copy`"):
        call(run)


def test_what_is_said_of_the_own_answer_does_not_overwrite_what_is_said_of_the_gold_one(copy_of, measured):
    run = copy_of(measured)
    before = (run / "influence.json").read_bytes()
    traces = Run(run).read_traces()
    own = [replace(t, id=f"{t.id}-own", settings=replace(t.settings, target="own"), nll=t.nll + 1) for t in traces]
    rewrite_traces(run, [*traces, *own])
    call(run, *FEW, "--target", "own")
    assert (run / "influence.json").read_bytes() == before
    (summary,) = json.loads((run / "influence-own-answer.json").read_text())
    assert summary["trace"]["target"] == "own"
    assert (run / "figures" / "influence-own-answer-groups.svg").exists()


def test_traces_of_several_settings_are_analysed_apart(copy_of, traced):
    run = copy_of(traced)
    traces = Run(run).read_traces()
    coarse = [
        replace(
            trace,
            id=f"{trace.id}-coarse",
            settings=TraceSettings(every=8),
            prefix_lens=trace.prefix_lens[[*range(0, len(trace.nll) - 1, 8), -1]],
            nll=trace.nll[[*range(0, len(trace.nll) - 1, 8), -1]],
        )
        for trace in traces
    ]
    rewrite_traces(run, [*traces, *coarse])
    call(run, *FEW)
    summaries = json.loads((run / "influence.json").read_text())
    assert sorted(summary["every_token"] for summary in summaries) == [False, True]
    assert len(list((run / "figures").glob("influence-groups-*.svg"))) == 2
    assert len(list((run / "figures").glob("influence-[12].svg"))) == 1


def test_trajectories_without_reasoning_or_trace_are_counted(copy_of, traced, capsys):
    run = copy_of(traced)
    thinking = [t.id for t in Run(run).read_trajectories() if t.mode == "think"]
    traces = {trace.trajectory_id: trace for trace in Run(run).read_traces()}
    first = traces[thinking[0]]
    short = replace(first, prefix_lens=first.prefix_lens[:1], nll=first.nll[:1])
    rewrite_traces(run, [short, *(traces[id] for id in thinking[2:])])
    call(run, *FEW)
    out = capsys.readouterr().out
    assert f"Left out: Trajectory {thinking[0]} has no reasoning" in out
    assert "Left out: 1 trajectories without a trace of the gold answer." in out
    done = Run(run).read_manifest().find_last("influence")
    assert (done.n_units, done.n_errors) == (4, 1)


def test_two_traces_of_one_kind_are_left_out_and_counted(copy_of, traced, capsys):
    """The gold answer changed after the first: nothing says which one is meant."""
    run = copy_of(traced)
    thinking = [t.id for t in Run(run).read_trajectories() if t.mode == "think"]
    traces = [trace for trace in Run(run).read_traces() if trace.trajectory_id in thinking]
    again = [replace(trace, id=f"{trace.id}-again", answer_ids=(9,)) for trace in traces]
    rewrite_traces(run, [*traces, again[0]])
    call(run, *FEW)
    assert "Left out: 2 traces of trajectories that have two of one kind" in capsys.readouterr().out
    (summary,) = json.loads((run / "influence.json").read_text())
    assert summary["n_trajectories"] == 5
    rewrite_traces(run, [*traces, *again])
    with pytest.raises(RunError, match="several traces of the gold answer"):
        call(run, *FEW)


def test_a_limit_that_leaves_no_trajectory_of_the_mode_is_named(copy_of, traced):
    with pytest.raises(RunError, match="larger --limit"):
        call(copy_of(traced), "--limit", 1)  # a no-thinking one


def test_texts_of_redacted_questions_are_withheld(copy_of, traced):
    run = copy_of(traced)
    Run(run).write_questions([replace(question, redacted=True) for question in Run(run).read_questions()])
    call(run, *FEW)
    (summary,) = json.loads((run / "influence.json").read_text())
    assert summary["largest"]["text"] is None


def test_trajectories_of_several_writers_that_one_model_scored_are_analysed_apart(copy_of, traced):
    run = copy_of(traced)
    other = replace(MODEL, name="another", weights_sha256="11")
    folder = Run(run)
    mine = [replace(t, model=other) if t.question_id == "q0" else t for t in folder.read_trajectories()]
    folder.trajectories_path.unlink()
    folder.write_trajectories(mine)
    call(run, *FEW)
    summaries = json.loads((run / "influence.json").read_text())
    assert [(made["writer"], made["n_trajectories"]) for made in summaries] == [("another", 2), ("made-up", 4)]
    assert "made-up, on trajectories of another" in (run / "influence.md").read_text()


def test_if_nothing_can_be_measured_the_first_reason_is_the_error(copy_of, traced):
    run = copy_of(traced)
    rewrite_traces(run, [replace(t, prefix_lens=t.prefix_lens[:1], nll=t.nll[:1]) for t in Run(run).read_traces()])
    with pytest.raises(DataError, match="no reasoning"):
        call(run)


def test_no_thinking_trajectories_are_looked_at_when_asked_for(copy_of, traced):
    run = copy_of(traced)
    call(run, *FEW, "--mode", "nothink")
    (summary,) = json.loads((run / "influence-nothink.json").read_text())
    assert (summary["mode"], summary["n_trajectories"]) == ("nothink", 3)


def test_the_command_is_imported_without_torch():
    code = "import sys, raml.cli.influence, raml.influence.summary; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--epsilon", 0), "--epsilon is 0"),
        (("--level", 1), "--level is 1"),
        (("--n-resamples", 0), "--n-resamples is 0"),
        (("--seed", -1), "--seed is -1"),
        (("--limit", 0), "--limit is 0"),
        (("--word", "42"), "has no letter"),
        (("--word", ""), "has no letter"),
        (("--word-file", "/nowhere/words"), "can't be read"),
    ],
)
def test_options_out_of_range_are_refused_before_anything_is_read(tmp_path, arguments, message):
    with pytest.raises(DataError, match=message):
        call(tmp_path / "nowhere", *arguments)


@pytest.mark.parametrize(("content", "message"), [(b"\n \n", "holds no word"), (b"\xff\xfe\x00", "no UTF-8")])
def test_a_word_file_that_holds_no_words_is_refused(tmp_path, content, message):
    (tmp_path / "words").write_bytes(content)
    with pytest.raises(DataError, match=message):
        call(tmp_path / "nowhere", "--word-file", tmp_path / "words")


def test_a_folder_without_trajectories_says_how_to_make_some(copy_of, traced):
    run = copy_of(traced)
    (run / "trajectories.jsonl").unlink()
    with pytest.raises(RunError, match="raml sample"):
        call(run)
