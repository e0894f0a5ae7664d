"""`raml study`: steps that fail, steps that are killed, and the table of claims."""

import contextlib
import io
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from raml.cli import run, study_steps
from raml.cli.stage import show_progress
from raml.cli.study_steps import run_steps
from raml.studies import STUDIES
from raml.studies.conclusion import RESULTS, read_results
from raml.studies.journal import read_journal
from raml.studies.plan import Step
from tests.cli import made_up_study
from tests.scale.test_graph import is_running, wait_until

STEPS = ["shared/first", "fig3/second", "fig3/conclude"]


@pytest.fixture
def made_up(monkeypatch):
    """Studies of quick steps in the place of the real ones."""
    monkeypatch.setattr(made_up_study.MODULE, "plan_study", made_up_study.plan)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a study that was done, and what was said."""
    home, out = tmp_path_factory.mktemp("studies"), io.StringIO()
    (home / "go").touch()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setattr(made_up_study.MODULE, "plan_study", made_up_study.plan)
        assert run(["study", "fig3", "--out", str(home), "--jobs", "1"]) == 0
    return home, out.getvalue()


def read_log(home):
    return (home / "log").read_text().splitlines()


def list_finished(home):
    return [name for name, entry in read_journal(home).items() if entry.wall_s is not None]


def test_steps_are_done_and_the_verdict_is_told(finished):
    home, out = finished
    assert f"3 steps in {home}, 3 of them to do." in out
    assert "fig3 (Fig. 3): supported" in out
    assert "Note: Made up." in out
    assert f"Wrote {home / RESULTS / 'fig3' / 'fig3.json'}" in out
    assert out.splitlines()[-1] == f"Next: raml study list --scale tiny --out {home}"
    assert read_log(home) == [f"{name} {what}" for name in STEPS for what in ("begins", "ends")]
    assert list_finished(home) == STEPS
    log = (home / "logs" / "shared" / "first.log").read_text().splitlines()
    assert log[0].startswith("python -c")
    assert log[1] == "shared/first says something"


def test_what_is_done_is_not_done_again_but_the_conclusion_is(raml, tmp_path, made_up, finished):
    home = shutil.copytree(finished[0], tmp_path / "home")
    code, out, _ = raml("study", "fig3", "--out", home, "--jobs", "1")
    assert code == 0
    assert "1 of them to do" in out
    begun = [line for line in read_log(home) if line.endswith("begins")]
    assert begun == [*(f"{name} begins" for name in STEPS), "fig3/conclude begins"]


def test_a_step_that_fails_stops_its_own_study_and_no_other(raml, tmp_path, made_up, monkeypatch):
    monkeypatch.setattr("raml.studies.plan.STUDIES", ("fig5", "fig3"))
    (tmp_path / "go").touch()
    code, out, error = raml("study", "all", "--out", tmp_path, "--jobs", "1")
    assert (code, error.count("\n")) == (2, 1)
    assert "fig5/second" in error
    log = tmp_path / "logs" / "fig5" / "second.log"
    assert f"ValueError, see {log}: fig5/second lacks mend" in error
    assert "Traceback" in log.read_text()
    assert "fig5/conclude (a step before it failed)" in error
    assert "fig3 (Fig. 3): supported" in out
    assert "fig5 (" not in out
    assert set(list_finished(tmp_path)) == set(STEPS)
    (tmp_path / "mend").touch()
    code, out, _ = raml("study", "all", "--out", tmp_path, "--jobs", "1")
    assert code == 0
    assert "5 steps" in out
    assert out.index("fig5 (") < out.index("fig3 (")
    assert read_log(tmp_path).count("shared/first begins") == 1


def test_a_command_that_fails_is_quoted_with_where_its_log_is(raml, tmp_path, monkeypatch):
    bad = Step("run/trace", ("trace", "nowhere"))
    monkeypatch.setattr(made_up_study.MODULE, "plan_study", lambda name, scale: [bad])
    code, _, error = raml("study", "fig3", "--out", tmp_path)
    assert code == 2
    log = tmp_path / "logs" / "run" / "trace.log"
    assert f"run/trace (exit code 2, see {log}:" in error
    assert "nowhere has no questions.jsonl" in error
    assert log.read_text().startswith("raml trace nowhere\n")


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_killed_and_run_again_it_does_what_is_missing(tmp_path):
    command = [sys.executable, "-m", "tests.cli.made_up_study", str(tmp_path)]
    log = tmp_path / "log"
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (log.exists() and "fig3/second begins" in log.read_text()):
        assert time.monotonic() < deadline
        assert first.poll() is None
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert {name: entry.wall_s is None for name, entry in read_journal(tmp_path).items()} == {
        "shared/first": False,
        "fig3/second": True,
    }
    (tmp_path / "go").touch()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert list_finished(tmp_path) == STEPS
    begun = [line for line in read_log(tmp_path) if line.endswith("begins")]
    assert begun == ["shared/first begins", "fig3/second begins", "fig3/second begins", "fig3/conclude begins"]
    assert [result.name for result in read_results(tmp_path, "tiny") if result.remarks == ("Made up.",)] == ["fig3"]


def test_other_settings_in_a_finished_folder_are_refused(raml, tmp_path, made_up, finished):
    home = shutil.copytree(finished[0], tmp_path / "home")
    journal = home / "steps.jsonl"
    begun, first, *others = journal.read_text().splitlines(keepends=True)
    changed = json.dumps(json.loads(first) | {"line": "raml questions other"}) + "\n"
    journal.write_text("".join((begun, changed, *others)))
    code, _, error = raml("study", "fig3", "--out", home, "--jobs", "1")
    assert code == 2
    assert "holds step shared/first with other settings (raml questions other; now" in error


def test_the_list_has_every_claim_and_what_was_found(raml, finished):
    home, _ = finished
    code, out, _ = raml("study", "list", "--out", home)
    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines() if line.split()[:1]}
    assert set(rows) == {"study", *STUDIES, "From"}
    assert "supported" in rows["fig3"]
    assert "fall −1 [−1.5, −0.5] nats" in rows["fig3"]
    assert out.splitlines()[-1] == f"From {home}: fig3. Other results of scale tiny come with raml."
    code, markdown, _ = raml("study", "list", "--out", home, "--format", "markdown")
    assert markdown.startswith("| study | in the paper | claim | verdict | measured |")
    assert "## fig3: supported" in markdown


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("fig1",), "There is no study fig1"),
        (("fig3", "--jobs", "0"), "--jobs is 0"),
        (("fig3", "--jobs", "0", "--dry-run"), "--jobs is 0"),
        (("fig3", "--scale", "huge"), "--scale"),
    ],
)
def test_what_makes_no_sense_is_one_line(raml, tmp_path, arguments, told):
    code, _, error = raml("study", *arguments, "--out", tmp_path / "home")
    assert (code, error.count("\n")) == (2, 1)
    assert told in error
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_folder_that_can_t_be_made_is_one_line(raml, tmp_path, made_up, place):
    (tmp_path / "file").touch()
    code, _, error = raml("study", "fig3", "--out", tmp_path / place)
    assert (code, error.count("\n")) == (2, 1)
    assert f"{tmp_path / place} can't be written" in error


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_a_launcher_started_ends_with_the_study(tmp_path, sent):
    """Else it would go on writing the folder in which the next run begins."""
    study = multiprocessing.get_context("spawn").Process(target=launch_long_work, args=(tmp_path,))
    study.start()
    place = tmp_path / "started"
    assert wait_until(lambda: place.exists() and place.read_text().endswith("\n"))
    os.kill(study.pid, sent)
    study.join()
    assert wait_until(lambda: not is_running(int(place.read_text())))


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_what_is_told_to_end_amid_the_start_of_a_program_ends_it(tmp_path):
    worker = multiprocessing.get_context("spawn").Process(target=launch_while_told_to_end, args=(tmp_path,))
    worker.start()
    worker.join(60)
    assert worker.exitcode == 1
    assert wait_until(lambda: not is_running(int((tmp_path / "started").read_text())))


def launch_while_told_to_end(home):
    start = study_steps.subprocess.Popen

    def start_and_tell(words, **options):
        program = start(words, **options)
        (home / "started").write_text(str(program.pid))
        os.kill(os.getpid(), signal.SIGTERM)
        return program

    study_steps.subprocess.Popen = start_and_tell
    study_steps._launch(("sleep", "600"))


def launch_long_work(home):
    """Run a step whose launcher starts a program of its own."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    step = Step("x", ("demo",), launcher=("sh", "-c", "sleep 600 & echo $! > started; wait"))
    with show_progress("steps", 1) as bar:
        run_steps(home, [step], n_jobs=1, fresh=True, bar=bar)
