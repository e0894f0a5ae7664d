"""The journal of finished steps: what a kill leaves, and other settings in the same folder."""

import pytest

from raml.errors import DataError
from raml.studies.journal import JOURNAL, append_journal, find_missing, identify_step, read_journal
from raml.studies.plan import Cost, Step

FIRST = Step("run/questions", ("questions", "tiny", "--out", "run"), folder="run")
SECOND = Step("run/sample", ("sample", "tiny", "run"), needs=("run/questions",), folder="run")
LAST = Step("fig3/conclude", call="some.module:conclude", arguments=(("study", "fig3"),), again=True)
STEPS = [FIRST, SECOND, LAST]


def test_before_anything_is_done_all_is_missing(tmp_path):
    assert read_journal(tmp_path) == {}
    assert find_missing(tmp_path, STEPS) == STEPS


def test_finished_steps_are_not_missing_but_what_is_done_again_each_time(tmp_path):
    for step in STEPS:
        append_journal(tmp_path, step, 1.23456)
    assert find_missing(tmp_path, STEPS) == [LAST]
    entry = read_journal(tmp_path)["run/sample"]
    assert (entry.line, entry.wall_s) == ("raml sample tiny run", 1.235)


def test_a_line_that_a_kill_cut_short_does_not_count_and_the_next_takes_its_place(tmp_path):
    append_journal(tmp_path, FIRST, 1)
    append_journal(tmp_path, SECOND, 2)
    path = tmp_path / JOURNAL
    path.write_bytes(path.read_bytes()[:-20])
    assert find_missing(tmp_path, [FIRST, SECOND]) == [SECOND]
    append_journal(tmp_path, SECOND, 3)
    assert {name: entry.wall_s for name, entry in read_journal(tmp_path).items()} == {FIRST.name: 1, SECOND.name: 3}


def test_a_step_that_was_done_with_other_settings_is_refused(tmp_path):
    append_journal(tmp_path, FIRST, 1)
    other = Step("run/questions", ("questions", "tiny", "--limit", "9", "--out", "run"), folder="run")
    with pytest.raises(
        DataError, match=r"run/questions with other settings .*--out run; now .*--limit 9.*another --out"
    ):
        find_missing(tmp_path, [other])
    assert find_missing(tmp_path, [SECOND]) == [SECOND]


def test_a_conclusion_may_be_drawn_otherwise_than_before(tmp_path):
    append_journal(tmp_path, LAST, 1)
    other = Step(LAST.name, call="some.module:conclude", arguments=(("study", "fig5"),), again=True)
    assert find_missing(tmp_path, [other]) == [other]


def test_number_of_accelerators_and_estimates_make_no_other_step(tmp_path):
    append_journal(tmp_path, SECOND, 1)
    launched = Step("run/sample", SECOND.words, launcher=("accelerate", "launch"), cost=Cost(1), folder="run")
    assert identify_step(launched) == identify_step(SECOND) == "raml sample tiny run"
    assert find_missing(tmp_path, [launched]) == []


@pytest.mark.parametrize("line", ["[]", "rubbish", '{"v":2,"name":3,"line":"x","wall_s":1}'])
def test_rubbish_before_the_last_line_is_named(tmp_path, line):
    append_journal(tmp_path, FIRST, 1)
    path = tmp_path / JOURNAL
    path.write_text(f"{line}\n{path.read_text()}")
    with pytest.raises(DataError, match=JOURNAL):
        read_journal(tmp_path)
