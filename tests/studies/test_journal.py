"""The journal of steps: what a kill leaves, and other settings in the same folder."""

import hashlib
from dataclasses import replace

import pytest

from raml.configs import list_configs
from raml.errors import DataError
from raml.studies.journal import (
    JOURNAL,
    describe_step,
    find_missing,
    list_versions_of,
    note_begun,
    note_finished,
    read_journal,
)
from raml.studies.plan import Cost, Step

FIRST = Step("run/questions", ("questions", "tiny", "--out", "run"), folder="run")
SECOND = Step("run/sample", ("sample", "tiny", "run"), needs=("run/questions",), folder="run")
THIRD = Step("count", call="some.module:count")
LAST = Step("fig3/conclude", call="some.module:conclude", arguments=(("study", "fig3"),), again=True)
STEPS = [FIRST, SECOND, THIRD, LAST]
OTHER = Step("run/questions", ("questions", "tiny", "--limit", "9", "--out", "run"), folder="run")


@pytest.fixture
def home(tmp_path):
    (tmp_path / "run").mkdir()
    return tmp_path


def test_before_anything_is_done_all_is_missing(home):
    assert read_journal(home) == {}
    assert find_missing(home, STEPS) == STEPS


def test_finished_steps_are_not_missing_but_what_is_done_again_each_time(home):
    for step in STEPS:
        note_begun(home, step)
        note_finished(home, step, 1.23456)
    assert find_missing(home, STEPS) == [LAST]
    entry = read_journal(home)["run/sample"]
    assert (entry.line, entry.wall_s) == ("raml sample tiny run", 1.235)


def test_what_was_only_begun_is_missing(home):
    note_finished(home, FIRST, 1)
    note_begun(home, SECOND)
    assert find_missing(home, [FIRST, SECOND]) == [SECOND]
    assert read_journal(home)["run/sample"].wall_s is None


def test_what_is_done_each_time_is_not_noted_when_it_begins(home):
    note_begun(home, LAST)
    assert not (home / JOURNAL).exists()


def test_steps_whose_folder_is_gone_are_missing(home):
    for step in STEPS[:3]:
        note_finished(home, step, 1)
    (home / "run").rmdir()
    assert find_missing(home, STEPS[:3]) == [FIRST, SECOND]


def test_a_line_that_a_kill_cut_short_does_not_count_and_the_next_takes_its_place(home):
    note_finished(home, FIRST, 1)
    note_finished(home, SECOND, 2)
    path = home / JOURNAL
    path.write_bytes(path.read_bytes()[:-20])
    assert find_missing(home, [FIRST, SECOND]) == [SECOND]
    note_finished(home, SECOND, 3)
    assert {name: entry.wall_s for name, entry in read_journal(home).items()} == {FIRST.name: 1, SECOND.name: 3}


def test_a_step_that_was_done_with_other_settings_is_refused(home):
    note_finished(home, FIRST, 1)
    told = r"run/questions with other settings .*--out run; now .*--limit 9.*another --out"
    with pytest.raises(DataError, match=told):
        find_missing(home, [OTHER])
    (home / "run").rmdir()
    with pytest.raises(DataError, match=told):  # others may have read it
        find_missing(home, [OTHER])
    assert find_missing(home, [SECOND]) == [SECOND]


def test_a_step_that_was_begun_with_other_settings_is_refused_if_it_left_anything(home):
    note_begun(home, FIRST)
    with pytest.raises(DataError, match=r"run/questions with other settings"):
        find_missing(home, [OTHER])
    (home / "run").rmdir()
    assert find_missing(home, [OTHER]) == [OTHER]


def test_a_conclusion_may_be_drawn_otherwise_than_before(home):
    note_finished(home, LAST, 1)
    other = Step(LAST.name, call="some.module:conclude", arguments=(("study", "fig5"),), again=True)
    assert find_missing(home, [other]) == [other]


def test_number_of_accelerators_and_estimates_make_no_other_step(home):
    note_finished(home, SECOND, 1)
    launched = Step("run/sample", SECOND.words, launcher=("accelerate", "launch"), cost=Cost(1), folder="run")
    assert describe_step(launched) == describe_step(SECOND)
    assert find_missing(home, [launched]) == []


def test_what_packaged_settings_say_belongs_to_a_step(home, monkeypatch, tmp_path):
    words = ("--config", "tiny/sft", "train", "sft", "run")
    step = Step("train", words, folder="run")
    digest = hashlib.sha256(list_configs()["tiny/sft"].read_bytes()).hexdigest()
    assert describe_step(step).configs == {"tiny/sft": digest}
    note_finished(home, step, 1)
    assert find_missing(home, [step]) == []
    changed = tmp_path / "changed.toml"
    changed.write_text("[train]\n")
    monkeypatch.setattr("raml.studies.journal.find_config", lambda given, kind: changed)
    now = hashlib.sha256(b"[train]\n").hexdigest()
    with pytest.raises(DataError, match=f"tiny/sft is {digest[:8]}; now .* tiny/sft is {now[:8]}"):
        find_missing(home, [step])


def test_another_version_makes_no_other_step_but_is_known(home, monkeypatch):
    note_finished(home, FIRST, 1)
    monkeypatch.setattr("raml.studies.journal.version", lambda package: "99.0")
    assert find_missing(home, [FIRST]) == []
    ours, theirs = describe_step(FIRST), read_journal(home)["run/questions"]
    assert list_versions_of([ours, theirs, replace(ours, name="x")]) == sorted({"99.0", theirs.version})


@pytest.mark.parametrize("line", ["[]", "rubbish", '{"v":2,"name":3,"line":"x","wall_s":1}'])
def test_rubbish_before_the_last_line_is_named(home, line):
    note_finished(home, FIRST, 1)
    path = home / JOURNAL
    path.write_text(f"{line}\n{path.read_text()}")
    with pytest.raises(DataError, match=JOURNAL):
        read_journal(home)
