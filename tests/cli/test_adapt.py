import json
import shutil
import signal
import subprocess
import sys
import time
from statistics import fmean

import pytest

from raml.store import Run

SAMPLE = ("--n", "2", "--temperature", "1", "--max-new-tokens", "150")


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    """A run of four questions with two trajectories each."""
    from raml.cli import run

    folder = tmp_path_factory.mktemp("sampled") / "run"
    assert run(["questions", "tiny", "--limit", "4", "--out", str(folder)]) == 0
    assert run(["sample", "tiny", str(folder), *SAMPLE]) == 0
    return folder


@pytest.fixture
def run(sampled, tmp_path):
    return shutil.copytree(sampled, tmp_path / "run")


def read_cells(out, label):
    """The numbers before the brackets in a row of the summary."""
    (row,) = [line for line in out.splitlines() if line.startswith(label)]
    return [float(cell.split()[-1]) for cell in row.removeprefix(label).split("[")[:-1]]


def test_it_writes_one_record_a_trajectory_a_figure_and_means_over_questions(raml, run):
    code, out, _ = raml("adapt", run, "--steps", "2", "--rate", "0.3")
    assert code == 0
    folder = Run(run)
    trajectories = {t.id: t for t in folder.read_trajectories()}
    made = folder.read_adaptations()
    assert [a.trajectory_id for a in made] == list(trajectories)
    assert {(a.settings.optimizer, a.settings.rate, a.settings.n_steps, len(a.loss)) for a in made} == {
        ("sgd", 0.3, 2, 3)
    }
    assert f"Wrote 8 adaptations (0 were there) to {folder.adaptations_path}" in out
    for suffix in (".svg", ".png"):
        assert (run / "figures" / f"adaptation{suffix}").stat().st_size > 5_000
    assert out.strip().endswith(f"Next: raml trace {run}")
    # The table again, from the records: means over questions of means over their trajectories.
    groups = [g for g in (True, False) if any(t.correct is g for t in trajectories.values())]
    for label, value in (
        ("before", lambda a: float(a.loss[0])),
        ("after 2 steps", lambda a: float(a.loss[2])),
        ("in the context", lambda a: a.in_context_loss),
        ("change after 2 steps", lambda a: float(a.loss[2]) - float(a.loss[0])),
    ):
        expected = []
        for group in groups:
            questions = {}
            for a in made:
                if trajectories[a.trajectory_id].correct is group:
                    questions.setdefault(trajectories[a.trajectory_id].question_id, []).append(value(a))
            expected.append(fmean(map(fmean, questions.values())))
        assert read_cells(out, label) == pytest.approx(expected, abs=6e-4)
    done = folder.read_manifest().find_last("adapt")
    assert (done.n_units, done.n_new, done.n_errors, done.model.name) == (8, 8, 0, "tiny")
    assert done.config["settings"]["n_steps"] == 2
    assert (done.outputs[0].path, done.outputs[0].rows) == ("adaptations.parquet", 8)


def test_again_it_does_nothing_new_and_other_settings_stand_beside(raml, run):
    raml("adapt", run, "--steps", "1")
    before = Run(run).adaptations_path.read_bytes()
    assert "Wrote 0 adaptations (8 were there)" in raml("adapt", run, "--steps", "1")[1]
    assert Run(run).adaptations_path.read_bytes() == before
    out = raml("adapt", run, "--steps", "1", "--optimizer", "adam", "--rate", "1e-3", "--limit", "3")[1]
    assert "Wrote 3 adaptations (0 were there)" in out
    made = Run(run).read_adaptations()
    assert [a.settings.optimizer for a in made].count("adam") == 3
    assert len(made) == 11


def test_it_says_whether_the_steps_do_descend(raml, run):
    """At a tenth of the default rate the text's loss falls; one step thirty times as long goes up the other side."""
    out = raml("adapt", run, "--steps", "1", "--rate", "0.01", "--limit", "2")[1]
    made = Run(run).read_adaptations()
    start, end = (fmean(float(a.text_loss[i]) for a in made) for i in (0, 1))
    assert start > end
    assert f"which the steps descend: {start:.3f} → {end:.3f} nats" in out
    assert "too high" not in out
    out = raml("adapt", run, "--steps", "1", "--rate", "3", "--limit", "2")[1]
    assert "it rose on 2 of 2; --rate 3 is too high" in out


def test_after_tracing_the_next_command_is_the_report(raml, run):
    raml("trace", run)
    assert raml("adapt", run, "--steps", "1")[1].strip().endswith(f"Next: raml report {run}")


def test_another_model_can_learn_and_answer(raml, run):
    assert "Wrote 2 adaptations" in raml("adapt", run, "--steps", "1", "--model", "tiny-base", "--limit", "2")[1]
    assert {a.model.name for a in Run(run).read_adaptations()} == {"tiny-base"}


def start(*arguments):
    command = [sys.executable, "-m", "raml", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def test_killed_and_run_again_it_gives_the_same_bytes(raml, sampled, run, tmp_path):
    undisturbed = Run(shutil.copytree(sampled, tmp_path / "undisturbed"))
    raml("adapt", undisturbed.path, "--steps", "4")
    folder = Run(run)
    process = start("adapt", run, "--steps", "4", "--threads", "1")
    while process.poll() is None and not folder.read_adaptations():
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    _, err = process.communicate()
    assert process.returncode == -signal.SIGKILL, err.decode()
    kept = folder.read_adaptations()
    assert 0 < len(kept) < 8
    out = raml("adapt", run, "--steps", "4")[1]
    assert f"Wrote {8 - len(kept)} adaptations ({len(kept)} were there)" in out
    assert folder.adaptations_path.read_bytes() == undisturbed.adaptations_path.read_bytes()
    assert not folder.adaptations_journal_path.exists()


def test_a_trajectory_with_nothing_to_learn_is_left_out_and_counted(raml, tmp_path):
    rows = [
        {"question": "Calculate 3+4.", "answer": "7", "trajectory": text}
        for text in ("<think>\n3+4=7\n</think>\n\\boxed{7}", "\\boxed{8}")
    ]
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = tmp_path / "run"
    raml("import", "plain", file, run, "--model", "tiny")
    code, out, _ = raml("adapt", run, "--steps", "1")
    empty = Run(run).read_trajectories()[1]
    assert code == 0
    assert f"Left out: Trajectory {empty.id} has no tokens before its final answer" in out
    assert "Wrote 1 adaptations" in out
    assert Run(run).read_manifest().find_last("adapt").n_errors == 1
    # Of one question there is a mean, and no interval.
    assert "right (1 question)" in out
    assert "[−∞, ∞]" in out


def test_a_model_in_16_bits_is_refused_with_the_flag_that_helps(raml, tmp_path):
    run = tmp_path / "run"
    raml("questions", "tiny", "--limit", "1", "--out", run)
    raml("sample", "tiny", run, "--n", "1", "--max-new-tokens", "150", "--dtype", "bfloat16")
    code, _, err = raml("adapt", run, "--steps", "1")
    assert code == 2
    assert "--dtype float32" in err
    assert not Run(run).adaptations_path.exists()
    assert raml("adapt", run, "--steps", "1", "--dtype", "float32")[0] == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--limit", "0"), "--limit is 0"),
        (("--rate", "0"), "rate is 0.0"),
        (("--steps", "0"), "0 gradient steps"),
        (("--optimizer", "adam", "--rate", "0.1"), "Try 1e-4"),
        (("--bridge", ""), "bridge has no tokens"),
        (("--weights", "nowhere"), "'nowhere' is in no weight's name"),
    ],
)
def test_what_makes_no_sense_is_refused(raml, run, flags, message):
    code, _, err = raml("adapt", run, *flags)
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert message in err
    assert not Run(run).adaptations_path.exists()


def test_a_run_without_trajectories_is_refused(raml, tmp_path):
    raml("questions", "tiny", "--limit", "1", "--out", tmp_path / "run")
    code, _, err = raml("adapt", tmp_path / "run")
    assert code == 2
    assert "has no trajectories" in err
