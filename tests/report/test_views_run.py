"""`raml report` puts what other commands found into tabs, and says what it could not."""

import json
import re
from dataclasses import replace

import msgspec
import pytest

from raml.cli import run as run_command
from raml.records import Evaluation, Score
from raml.store import Journal, Run
from raml.store.landscapes import write_landscape
from tests.figures.test_landscape import make_landscape, make_path
from tests.figures.test_updates import make_update
from tests.report.conftest import make_run
from tests.report.made_up import (
    estimate,
    make_alignment_summary,
    make_effect,
    make_frontier,
    make_influence,
    make_point,
    make_row,
)


@pytest.fixture
def folder(tmp_path):
    """A run on disk with three curves, and nothing else."""
    folder, made = Run(tmp_path / "run"), make_run()
    for path, records in (
        (folder.questions_path, made.questions),
        (folder.trajectories_path, made.trajectories),
        (folder.traces_journal_path, made.traces),
    ):
        with Journal(path) as journal:
            journal.append(list(records))
    return folder


def report(folder, capsys, *options):
    code = run_command(["report", str(folder.path), *options])
    return code, *capsys.readouterr()


def read_views(folder):
    page = folder.report_path.read_text()
    payload = json.loads(re.search(r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)[1])
    return {view["key"]: view for view in payload["views"]}


def write_json(path, *summaries, **said):
    plain = [json.loads(msgspec.json.encode(summary)) | said for summary in summaries]
    path.write_text(json.dumps(plain))


def fill(folder):
    """Add what all other commands write."""
    made = make_run()
    row = make_row("word", "all listed words", make_effect(0.3))
    alone = estimate(0.1, float("inf"), n_questions=1)
    write_json(folder.path / "influence.json", make_influence([row]), sentence="Of words.")
    write_json(
        folder.path / "compress.json", make_frontier([make_point("full")]), sentences=["Of rules.", "Of chance."]
    )
    write_json(folder.path / "alignment.json", make_alignment_summary(alone, alone), sentence="Of Eq. 4.")
    folder.landscapes_path.mkdir()
    landscape = make_landscape(lambda x, y: x + 2, [make_path(made.trajectories[0].id)])
    landscape = replace(landscape, question_ids=("q-sum", "q-product"))
    write_landscape(folder.landscapes_path / "random-l.safetensors", landscape)
    with Journal(folder.updates_journal_path) as journal:
        journal.append([make_update(made.trajectories[0], [[0, 0], [3, 0], [3, 4]])])
    score = Score("an evaluated model", "all", (estimate(0.5, name="Pass@1"),), {}, 0, 8, 8, 9.0, (), ())
    folder.evaluation_path.write_bytes(msgspec.json.encode(Evaluation((score,), (), "leave-out", ())))


def test_a_bare_run_has_its_claims_and_is_told_the_commands_for_the_rest(folder, capsys):
    code, out, err = report(folder, capsys)
    assert (code, err) == (0, "")
    (line,) = [line for line in out.splitlines() if line.startswith("Not in the page")]
    assert re.findall(r"`raml (\S+) (\S+)`", line) == [
        (name, str(folder.path)) for name in ("landscape", "update", "align", "compress", "influence")
    ]
    assert list(read_views(folder)) == ["overview"]


def test_all_that_a_run_holds_gets_a_tab_with_what_its_files_say(folder, capsys):
    fill(folder)
    code, out, err = report(folder, capsys)
    assert (code, err) == (0, "")
    assert "Not in the page" not in out
    views = read_views(folder)
    assert list(views) == ["overview", "landscape", "updates", "frontier", "tokens"]
    assert views["updates"]["paragraphs"][-1] == "Of Eq. 4."
    assert views["frontier"]["paragraphs"][-2:] == ["Of rules.", "Of chance."]
    assert "Of words." in views["tokens"]["paragraphs"]
    table, accuracy = views["overview"]["parts"]
    assert accuracy["rows"] == ["an evaluated model"]
    assert {row[-1] for row in table["rows"]} == {"Trajectories", "Updates", "Tokens"}
    keys = [part["key"] for view in views.values() for part in view["parts"]]
    assert len(keys) == len(set(keys))


def test_the_limit_shows_fewer_trajectories_and_the_same_tabs(folder, capsys):
    fill(folder)
    report(folder, capsys)
    views = read_views(folder)
    report(folder, capsys, "--limit", "1")
    assert read_views(folder) == views


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("influence.json", "is no such summary"),
        ("compress.json", "is no such summary"),
        ("alignment.json", "is no such summary"),
        ("evaluation.json", "is no evaluation"),
        ("landscapes/random-l.safetensors", "is no readable landscape"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_one_line(folder, capsys, name, message):
    fill(folder)
    (folder.path / name).write_text('[{"model": 1}]')
    code, out, err = report(folder, capsys)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1
