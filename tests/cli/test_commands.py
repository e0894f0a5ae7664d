import json
import shutil
import subprocess
import sys

import pytest

from raml.cli.report import choose_traces
from raml.models import find_source
from raml.store import Run

SAMPLE = ("--n", "2", "--temperature", "1", "--max-new-tokens", "150")


@pytest.fixture
def run(tmp_path, raml):
    """A run with three questions of the embedded world."""
    code, out, _ = raml("questions", "tiny", "--limit", "3", "--out", tmp_path / "run")
    assert code == 0
    assert "Wrote 3 questions" in out
    return tmp_path / "run"


def test_the_whole_path_from_questions_to_page(raml, run):
    code, out, _ = raml("sample", "tiny", run, *SAMPLE)
    assert code == 0
    assert "Wrote 6 trajectories (0 were there)" in out
    code, out, _ = raml("trace", run, "--alpha", "0.1")
    assert code == 0
    assert "Wrote 6 traces (0 were there)" in out
    for suffix in (".svg", ".png"):
        assert (run / "figures" / f"traces{suffix}").stat().st_size > 5_000
    code, out, _ = raml("report", run, "--title", "A title of its own")
    assert code == 0
    assert out.strip().endswith(str(run / "report.html"))
    assert "<title>A title of its own" in (run / "report.html").read_text()
    folder = Run(run)
    assert {t.trajectory_id for t in folder.read_traces()} == {t.id for t in folder.read_trajectories()}
    stages = folder.read_manifest().stages
    assert [stage.stage for stage in stages] == ["questions", "sample", "trace"]
    _, sampled, traced = stages
    assert sampled.config["sampling"]["temperature"] == 1
    assert sampled.model.name == "tiny"
    assert len(sampled.model.weights_sha256) == len(sampled.model.config_sha256) == 64
    assert traced.outputs[0].path == "traces.parquet"
    assert traced.outputs[0].rows == 6


def test_running_a_stage_again_does_nothing_new_and_keeps_the_bytes(raml, run):
    raml("sample", "tiny", run, *SAMPLE)
    raml("trace", run)
    before = {path: path.read_bytes() for path in (run / "trajectories.jsonl", run / "traces.parquet")}
    assert "Wrote 0 trajectories (6 were there)" in raml("sample", "tiny", run, *SAMPLE)[1]
    assert "Wrote 0 traces (6 were there)" in raml("trace", run)[1]
    assert {path: path.read_bytes() for path in before} == before


def test_more_repeats_and_another_mode_add_to_the_run(raml, run):
    raml("sample", "tiny", run, *SAMPLE)
    first = Run(run).read_trajectories()
    out = raml("sample", "tiny", run, "--n", "3", *SAMPLE[2:])[1]
    assert "Wrote 3 trajectories (6 were there)" in out
    raml("sample", "tiny", run, *SAMPLE, "--mode", "nothink")
    trajectories = Run(run).read_trajectories()
    assert len(trajectories) == 15
    assert {t.id for t in first} < {t.id for t in trajectories}


def test_limit_takes_the_first_questions_and_trajectories(raml, run):
    raml("sample", "tiny", run, *SAMPLE, "--limit", "1")
    assert {t.question_id for t in Run(run).read_trajectories()} == {Run(run).read_questions()[0].id}
    raml("trace", run, "--limit", "1")
    assert len(Run(run).read_traces()) == 1


def test_imported_trajectories_are_traced_like_sampled_ones(raml, tmp_path):
    rows = [
        {"question": "Calculate 3+4.", "answer": "7", "trajectory": "<think>\n3+4=7\n</think>\n\\boxed{7}"},
        {"question": "Calculate 3+4.", "answer": "7", "trajectory": "<think>\n3+4=8\n</think>\n\\boxed{8}"},
    ]
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, out, _ = raml("import", "plain", file, tmp_path / "run", "--model", "tiny")
    assert code == 0
    assert "Wrote 2 trajectories (0 were there)" in out
    assert "1 of 2 new ones right" in out
    again = raml("import", "plain", file, tmp_path / "run", "--model", "tiny")[1]
    assert "Wrote 0 trajectories (2 were there)" in again
    code, out, _ = raml("trace", tmp_path / "run")
    assert code == 0
    assert "Wrote 2 traces" in out
    assert raml("report", tmp_path / "run")[0] == 0


def test_the_own_answers_trace_stands_beside_the_gold_one_and_the_page_shows_one_kind(raml, run):
    raml("sample", "tiny", run, *SAMPLE)
    raml("trace", run)
    raml("trace", run, "--target", "own")
    traces = Run(run).read_traces()
    assert {t.settings.target for t in traces} == {"gold", "own"}
    chosen = choose_traces(Run(run).read_trajectories(), traces)
    assert {t.settings.target for t in chosen} == {"gold"}
    assert len(chosen) == 6
    assert raml("report", run)[0] == 0


def test_readouts_stand_beside_the_traces_and_are_made_once(raml, run):
    raml("sample", "tiny", run, *SAMPLE)
    code, out, _ = raml("trace", run, "--readout", "--target", "both", "--threads", "1")
    assert code == 0
    folder = Run(run)
    trajectories, readouts = folder.read_trajectories(), folder.read_readouts()
    assert [r.trajectory_id for r in readouts] == [t.id for t in trajectories]
    assert f"Wrote {len(readouts)} readouts (0 were there)" in out
    assert "the model's own answer is right in" in out
    assert "tokens; one prompt per prefix would have been" in out
    done = folder.read_manifest().find_last("trace")
    assert "readouts.parquet" in [entry.path for entry in done.outputs]
    assert done.config["readout"]["max_new_tokens"] == 32
    n_targets = 2 * len(trajectories) - sum(t.answer is None for t in trajectories)
    assert len(folder.read_traces()) == n_targets
    _, again, _ = raml("trace", run, "--readout", "--target", "both", "--threads", "1")
    assert f"Wrote 0 readouts ({len(readouts)} were there)" in again
    # An answer that is right is the gold one, spelt the same or not.
    gold = {question.id: question.answer for question in folder.read_questions()}
    for trajectory, readout in zip(trajectories, readouts, strict=True):
        for answer, right in zip(readout.answers, readout.correct, strict=True):
            if answer == gold[trajectory.question_id]:
                assert right is True


def test_readouts_are_kept_where_no_trajectory_has_an_answer_of_its_own_to_score(raml, run):
    """Five tokens are too few for an answer; what the model would say can be read all the same."""
    raml("sample", "tiny", run, "--n", "1", "--max-new-tokens", "5")
    code, out, _ = raml("trace", run, "--target", "own", "--readout", "--threads", "1")
    assert code == 0
    assert "Left out: Trajectory" in out
    assert (len(Run(run).read_traces()), len(Run(run).read_readouts())) == (0, 3)


def test_trajectories_of_two_models_are_each_traced_by_their_own(raml, run):
    raml("sample", "tiny", run, *SAMPLE)
    raml("sample", "tiny-base", run, *SAMPLE)
    assert "Wrote 12 traces (0 were there)" in raml("trace", run)[1]
    writers = {t.id: t.model for t in Run(run).read_trajectories()}
    traces = Run(run).read_traces()
    assert {t.model.name for t in traces} == {"tiny", "tiny-base"}
    assert all(t.model == writers[t.trajectory_id] for t in traces)
    assert "Wrote 12 traces (0 were there)" not in raml("trace", run, "--model", "tiny")[1]
    traces = Run(run).read_traces()
    assert len(traces) == 18
    chosen = choose_traces(Run(run).read_trajectories(), traces)
    assert len(chosen) == 12
    assert all(t.model == writers[t.trajectory_id] for t in chosen)


def test_another_chat_template_makes_other_trajectories(raml, run, tmp_path):
    raml("sample", "tiny", run, *SAMPLE)
    template = tmp_path / "other.jinja"
    template.write_text("{% for m in messages %}{{ m.content }}{% endfor %}\n\n<think>")
    out = raml("sample", "tiny", run, *SAMPLE, "--chat-template", template)[1]
    assert "Wrote 6 trajectories (0 were there)" in out


def test_a_trajectory_is_traced_in_the_arithmetic_it_was_written_in(raml, run):
    raml("sample", "tiny", run, *SAMPLE, "--dtype", "bfloat16")
    raml("trace", run)
    assert {t.model.dtype for t in Run(run).read_traces()} == {"bfloat16"}
    raml("trace", run, "--dtype", "float32")
    assert {t.model.dtype for t in Run(run).read_traces()} == {"bfloat16", "float32"}


def test_the_order_of_imported_rows_and_a_second_file_make_no_duplicates(raml, tmp_path):
    rows = [{"question": "Calculate 3+4.", "answer": "7", "trajectory": f"\\boxed{{{i}}}"} for i in (7, 8, 7)]
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    one.write_text("".join(json.dumps(row) + "\n" for row in rows))
    more = {**rows[0], "trajectory": "\\boxed{9}", "note": "new"}
    two.write_text("".join(json.dumps(row) + "\n" for row in [*rows[::-1], more]))
    raml("import", "plain", one, tmp_path / "run", "--model", "tiny")
    assert "Wrote 1 trajectories (3 were there)" in raml("import", "plain", two, tmp_path / "run", "--model", "tiny")[1]
    trajectories = Run(tmp_path / "run").read_trajectories()
    assert [t.repeat for t in trajectories] == [0, 1, 2, 3]
    assert [t.answer for t in trajectories] == ["7", "8", "7", "9"]
    (question,) = Run(tmp_path / "run").read_questions()
    assert (question.source, question.meta) == ("one.jsonl", {})


def test_a_writer_that_is_gone_does_not_stop_the_others(raml, run, tmp_path):
    folder = shutil.copytree(find_source("tiny"), tmp_path / "model")
    raml("sample", folder, run, *SAMPLE)
    raml("sample", "tiny-base", run, *SAMPLE)
    shutil.rmtree(folder)
    code, out, _ = raml("trace", run)
    assert code == 0
    assert "There is no model file or folder" in out
    assert {t.model.name for t in Run(run).read_traces()} == {"tiny-base"}


def test_the_manifest_lists_what_changed_files_and_no_repetition(raml, run):
    raml("sample", "tiny", run, *SAMPLE)
    raml("sample", "tiny", run, *SAMPLE)
    raml("sample", "tiny-base", run, *SAMPLE)
    raml("trace", run)
    raml("trace", run)
    raml("trace", run, "--alpha", "0.5")
    stages = Run(run).read_manifest().stages
    assert [stage.stage for stage in stages] == ["questions", "sample", "sample", "trace", "trace"]
    described = {entry.path: entry for stage in stages for entry in stage.outputs}
    for name, entry in described.items():
        assert Run(run).describe_file(run / name).sha256 == entry.sha256, name


def test_the_page_prefers_the_finest_traces(raml, run):
    raml("sample", "tiny", run, *SAMPLE)
    raml("trace", run)
    raml("trace", run, "--every", "sentence")
    chosen = choose_traces(Run(run).read_trajectories(), Run(run).read_traces())
    assert {trace.settings.every for trace in chosen} == {1}


def test_imported_questions_come_after_those_that_are_there(raml, run, tmp_path):
    before = [q.id for q in Run(run).read_questions()]
    file = tmp_path / "mine.jsonl"
    file.write_text('{"question": "What is 2 + 3?", "answer": "5", "trajectory": "\\\\boxed{5}"}\n')
    assert raml("import", "plain", file, run, "--model", "tiny")[0] == 0
    assert [q.id for q in Run(run).read_questions()][:-1] == before


def test_the_same_text_with_and_without_a_think_mark_makes_two_trajectories(raml, tmp_path):
    template = tmp_path / "open.jinja"
    template.write_text("{% for m in messages %}{{ m.content }}{% endfor %}{{ '<think>\n' }}")
    text = "2+3=5\n</think>\n\\boxed{5}"
    rows = [{"question": "Calculate 2+3.", "answer": "5", "trajectory": t} for t in ("<think>\n" + text, text)]
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    raml("import", "plain", file, tmp_path / "run", "--model", "tiny", "--chat-template", template)
    trajectories = Run(tmp_path / "run").read_trajectories()
    assert len({t.id for t in trajectories}) == 2
    assert len({t.token_ids for t in trajectories}) == 1
    assert raml("report", tmp_path / "run")[0] == 0


def test_other_weights_under_the_writers_name_are_refused(raml, run, tmp_path):
    folder = shutil.copytree(find_source("tiny"), tmp_path / "model")
    raml("sample", folder, run, *SAMPLE)
    shutil.copy(find_source("tiny-base") / "model.safetensors", folder)
    code, _, err = raml("trace", run)
    assert code == 2
    assert "with other weights or another configuration than it has now" in err
    assert raml("trace", run, "--model", folder)[0] == 0


def test_a_config_file_gives_flags_and_the_command_line_overrides_it(raml, run, tmp_path):
    config = tmp_path / "raml.toml"
    config.write_text("[sample]\nn = 1\ntemperature = 0.0\nmax-new-tokens = 7\n")
    assert raml("sample", "tiny", run, "--config", config, "--max-new-tokens", "9")[0] == 0
    stage = Run(run).read_manifest().find_last("sample")
    assert stage.config["n"] == 1
    assert stage.config["sampling"]["temperature"] == 0
    assert stage.config["sampling"]["max_new_tokens"] == 9


def test_help_and_package_come_without_torch():
    code = "import sys, raml, raml.cli; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
