"""The frontier as Markdown and JSON."""

import msgspec
import pytest

from raml.efficiency.frontier import build_frontier
from raml.efficiency.table import (
    describe_frontier,
    list_controls,
    list_differences,
    list_points,
    list_sentences,
    write_json,
    write_markdown,
)
from tests.efficiency.made_up import FEW, make_attempt, make_full, make_questions

TRAJECTORIES = [make_full(f"q{i}", reasoning_len=90 + 10 * i) for i in range(6)]


def make_attempts(right=True):
    """Pruning right, chance wrong; summaries with a leak each; cuts of constant length."""
    attempts = []
    for t in TRAJECTORIES:
        attempts += [
            make_attempt(t, right, "prune", variant="gold", level=0.5),
            *(make_attempt(t, False, "random", variant="gold", level=0.5, draw=draw) for draw in range(2)),
            make_attempt(t, right, "summary", variant="a|b <c>", level=0.0, leaked=True),
            make_attempt(t, t.question_id != "q0", level=50.0),
        ]
    return attempts


def build(trajectories=TRAJECTORIES, attempts=None, **options):
    questions = make_questions(*dict.fromkeys(t.question_id for t in trajectories))
    attempts = make_attempts() if attempts is None else attempts
    return build_frontier(questions, trajectories, attempts, **{"n_resamples": FEW} | options)


def test_tables_have_a_row_for_each_point_and_control():
    frontier = build()
    for table, n_rows in ((list_points, 5), (list_differences, 4), (list_controls, 1)):
        headings, rows = table(frontier)
        assert len(rows) == n_rows
        assert {len(row) for row in rows} == {len(headings)}
    rows = {row[0]: row for row in list_points(frontier)[1]}
    assert rows["summary by a|b <c>"][2:5] == ["6", "0", "6"]
    cut = rows["cut at 50 tokens"]
    assert cut[5].startswith("83.3 [")
    assert cut[7:] == ["50", "55"]  # all are of one length, so there is no interval
    assert rows["full"][7].startswith("115 [")
    (control,) = list_controls(frontier)[1]
    assert control[:2] == ["prune (gold, an oracle), 50 % kept", "6"]
    assert control[2].startswith("+100.0 [")
    assert control[3] == "0.031"  # 2 of 2^6 ways of signs


def test_sentences_tell_each_line_and_whether_pruning_beats_chance():
    *choices, chance = list_sentences(build())
    assert len(choices) == 3
    for sentence, line in zip(choices, ("cut", "summary by a|b <c>", "prune (gold, an oracle)"), strict=True):
        assert sentence.startswith(line)
    assert chance.startswith(
        "prune (gold, an oracle) beside as many tokens dropped by chance: better than random at 50 % (+100.0 ["
    )
    *_, same = list_sentences(build(attempts=make_attempts(right=False)))
    assert "not told apart from random at 50 % (+0.0 [" in same


def test_markdown_keeps_names_from_breaking_it():
    text = write_markdown([build()])
    assert "summary by a\\|b &lt;c>" in text
    assert text.startswith("# made-up\n")
    assert text.count("\n| ---") == 3


def test_json_holds_everything_with_null_for_ends_that_are_not_known():
    (plain,) = msgspec.json.decode(write_json([build()]))
    assert len(plain["points"]) == 5
    (cut,) = (point for point in plain["points"] if point["method"] == "cut")
    assert (cut["n_thinking"]["value"], cut["n_thinking"]["low"]) == (50, None)
    assert plain["sentences"] == list_sentences(build())
    assert plain["choices"][0]["rule"] is None or plain["choices"][0]["rule"][0] == "cut"


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({}, "6 summaries gave the answer away"),
        ({}, "Pruning that looks at the gold answer is an oracle"),
        ({}, "Some points have several draws of a trajectory"),
        ({"tolerance": 0.05}, "A rule may cost 5 points of accuracy"),
        (
            {"trajectories": [*TRAJECTORIES, make_full("new", finish="length"), make_full("odd", correct=None)]},
            "1 of 7 thinking trajectories were cut off before their end.",
        ),
        (
            {"trajectories": [*TRAJECTORIES, make_full("odd", correct=None)]},
            "1 thinking trajectories are neither right",
        ),
        ({"trajectories": [*TRAJECTORIES, make_full("new")]}, "On fewer than all 7 questions"),
        ({"trajectories": TRAJECTORIES[1:]}, "5 attempts are of trajectories that were not looked at."),
        (
            {"attempts": [*make_attempts(), make_attempt(TRAJECTORIES[0], level=50.0, id="again")]},
            "1 attempts were made again with other settings",
        ),
        ({"attempts": [*make_attempts(), make_attempt(TRAJECTORIES[0], None, draw=7)]}, "1 attempts, undecided or"),
        (
            {"attempts": [*make_attempts(), make_attempt(TRAJECTORIES[0], gold="7")]},
            "1 attempts were checked against an answer that has been corrected since",
        ),
        ({"attempts": [make_attempt(TRAJECTORIES[0], None)]}, "cut at 50 tokens: none of 1 attempts counts"),
    ],
)
def test_notes_say_what_a_reader_must_know(change, note):
    assert [line for line in describe_frontier(build(**change)) if line.startswith(note)]
    if change:
        assert not [line for line in describe_frontier(build()) if line.startswith(note)]


def test_a_plain_run_has_no_notes_about_what_is_not_there():
    notes = " ".join(describe_frontier(build(attempts=[])))
    for word in ("Prun", "oracle", "draws of a trajectory", "are left out", "gave the answer away"):
        assert word not in notes
