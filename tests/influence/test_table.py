"""The summary over trajectories and its tables: counts, means as by hand, what is left out, and what is said."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from raml.errors import DataError
from raml.influence.summary import summarize_influences
from raml.influence.table import (
    describe_table,
    find_least_draws,
    is_significant,
    judge_words,
    list_rows,
    name_summary,
    write_json,
    write_markdown,
)
from raml.influence.tokens import measure_influence
from raml.records import InfluenceSettings, ModelIdentity, Trace, TraceSettings, Trajectory

MODEL = ModelIdentity("made|up", None, "00", "float32", "cpu")
WORDS = InfluenceSettings(("wait", "since"))
DRAWS = {"n_resamples": 99}
NAMES = ("all steps", "all listed words", "wait", "since")


def make_run(rows, *, settings=WORDS, every=1, model=MODEL):
    """Trajectories, traces and influences of rows (question, right, texts of tokens, L̂)."""
    numbers, run = {}, ([], [], [])
    for i, (question, correct, pieces, losses) in enumerate(rows):
        ids = tuple(numbers.setdefault(piece.strip().lower(), len(numbers)) for piece in pieces)
        ends = tuple(np.cumsum([len(piece) for piece in pieces]).tolist())
        own = Trajectory(
            f"t{i}", question, i, model, "think", (1,), ids, len(ids), "".join(pieces), ends, correct=correct
        )
        lens = np.unique([*range(0, len(ids), every), len(ids)]).astype(np.int32)
        nll = np.array(losses, dtype=np.float32)[lens, None]
        trace = Trace(f"c{i}", own.id, model, TraceSettings(every=every), "one-pass", (7,), (8,), lens, nll)
        for records, record in zip(run, (own, trace, measure_influence(own, trace, settings)), strict=True):
            records.append(record)
    return run


PIECES = [" Wait", ",", " b", " c", " d", "."]


def draw_rows(n_questions=8, jump=0.0, seed=0):
    """Two trajectories a question; L̂ walks at random, and after "Wait" it is larger by a factor e^jump."""
    rng = np.random.default_rng(seed)
    rows = []
    for q in range(n_questions):
        for correct in (True, False):
            pieces = [" a", " b", " c", " d", *PIECES] * 2
            changes = 0.1 * rng.normal(size=len(pieces)) + [jump * (piece == " Wait") for piece in pieces]
            rows.append((f"q{q}", correct, pieces, np.exp(np.concatenate([[1], 1 + np.cumsum(changes)]))))
    return rows


def test_a_row_holds_the_means_of_hand_arithmetic():
    """L̂ 1 → 3 → 3 → 1.5 → 0 → 2, ε = 1. Wait: |Δ|/L̂ = 2, Δ log = log(4/2). All: 2, 0, ½, 1, and 2/0, which is left out;
    mean 3.5/4, median 0.75. Controls of Wait in its quarter: "b" alone, where nothing changes."""
    settings = InfluenceSettings(("wait",), epsilon=1)
    pieces = ["Wait", " b", " c", " d", " e"]
    summary = summarize_influences(*make_run([("q", True, pieces, [1, 3, 3, 1.5, 0, 2])], settings=settings), **DRAWS)
    every, wait = summary.find_row("all steps"), summary.find_row("wait")
    assert (every.n_units, every.n_undefined, every.n_unmatched) == (5, 1, 0)
    assert every.mean_relative == pytest.approx(3.5 / 4)
    assert every.median_relative == pytest.approx(0.75)
    assert (wait.n_units, wait.n_trajectories, wait.n_questions, wait.n_unmatched) == (1, 1, 1, 0)
    assert wait.mean_relative == wait.median_relative == pytest.approx(2)
    assert wait.direction.difference.value == pytest.approx(math.log(2))
    assert wait.size.difference.value == pytest.approx(math.log(2))
    assert wait.relative.difference.value == pytest.approx(2)
    assert math.isinf(wait.direction.difference.low)
    assert summary.largest.relative == pytest.approx(2)
    assert (summary.largest.text, summary.largest.before, summary.largest.after) == ("Wait", 1, 3)


def test_a_planted_jump_is_found_and_said():
    summary = summarize_influences(*make_run(draw_rows(jump=1)), n_resamples=9999)
    row = summary.find_row("wait")
    assert row.n_units == 32
    assert row.direction.difference.value == pytest.approx(1, abs=0.1)
    assert row.direction.p_holm < 0.05
    assert "wait brings the answer farther away" in judge_words(summary)
    assert summary.find_row("wait", "right").n_units == summary.find_row("wait", "wrong").n_units == 16


def test_a_word_of_trajectories_that_lose_the_answer_all_along_is_not_blamed_for_it():
    """Of each question's two trajectories one loses the answer at every token, and only it says "Wait"."""
    rng, rows = np.random.default_rng(4), []
    for q in range(8):
        for is_lost in (True, False):
            pieces = [" a", " b", " c", " d", *(PIECES if is_lost else [" e", *PIECES[1:]])] * 2
            changes = 0.05 * rng.normal(size=len(pieces)) + (0.5 if is_lost else -0.5)
            rows.append((f"q{q}", not is_lost, pieces, np.exp(np.concatenate([[3], 3 + np.cumsum(changes)]))))
    row = summarize_influences(*make_run(rows), n_resamples=9999).find_row("wait")
    assert row.mean_direction == pytest.approx(0.5, abs=0.05)
    assert row.direction.difference.value == pytest.approx(0, abs=0.05)
    assert row.direction.p > 0.01


def test_without_a_jump_no_word_is_told_apart():
    summary = summarize_influences(*make_run(draw_rows(seed=3)), n_resamples=999)
    assert judge_words(summary) == "In made|up no listed word is told apart from its controls (wait)."


def test_p_values_are_adjusted_for_all_rows_of_a_measure():
    summary = summarize_influences(*make_run(draw_rows()), **DRAWS)
    for name in ("size", "direction", "relative"):
        effects = [effect for row in summary.rows if (effect := getattr(row, name)) is not None]
        smallest = min(effects, key=lambda effect: effect.p)
        assert smallest.p_holm == pytest.approx(min(1, len(effects) * smallest.p))


def test_rows_of_right_and_wrong_are_there_only_where_both_are():
    rows = [row for row in draw_rows(2) if row[1]]
    assert {row.outcome for row in summarize_influences(*make_run(rows), **DRAWS).rows} == {"all"}


def test_an_undecided_trajectory_counts_among_all_and_is_neither_right_nor_wrong():
    rows = draw_rows(2)
    rows[0] = (rows[0][0], None, *rows[0][2:])
    summary = summarize_influences(*make_run(rows), **DRAWS)
    counts = [summary.find_row("all steps", outcome).n_trajectories for outcome in ("all", "right", "wrong")]
    assert counts == [4, 1, 2]


def test_a_word_that_is_not_there_is_a_row_of_zero_and_is_named():
    summary = summarize_influences(*make_run(draw_rows(2)), **DRAWS)
    row = summary.find_row("since")
    assert (row.n_units, row.mean_relative, row.size) == (0, None, None)
    for is_short, n_rows in ((True, 1), (False, 3)):
        headings, rows = list_rows(summary, "word", is_short=is_short)
        assert [cells[0] for cells in rows] == [name for name in NAMES for _ in range(1 if name == "since" else n_rows)]
        assert {len(cells) for cells in rows} == {len(headings)}
    assert "Not found in these trajectories: since." in describe_table(summary)


def test_mixed_tokens_infinite_steps_and_units_without_control_are_counted():
    """Both tokens hold the word, so neither has a control; the second step begins where L̂ is 0."""
    summary = summarize_influences(*make_run([("q", True, ["Wait,", " wait"], [1, 0, 1])]), **DRAWS)
    row = summary.find_row("wait")
    assert (row.n_units, row.n_mixed, row.n_unmatched, row.n_undefined) == (2, 1, 2, 1)
    text = "\n".join(describe_table(summary))
    assert "wait 1 of 2" in text
    assert "At 1 steps L̂ before is 0" in text


def test_a_coarse_trace_has_no_words_and_says_how_to_get_them():
    summary = summarize_influences(*make_run(draw_rows(2), every=3), **DRAWS)
    assert not summary.every_token
    assert "--every 1" in judge_words(summary)
    assert list_rows(summary, "word")[1][0][0] == "all steps"
    assert summary.find_row("wait") is None
    assert summary.n_sentences == 8
    assert any("begin or end where L̂ was not scored" in line for line in describe_table(summary))


def test_no_listed_word_at_all_is_said():
    rows = [("q", True, [" a", " b"], [1, 2, 3])]
    assert "None of the listed words occurs" in judge_words(summarize_influences(*make_run(rows), **DRAWS))


def test_markdown_escapes_names_and_json_has_null_where_an_interval_has_no_end():
    rows = [("q", True, [" <b>|", " x", " wait", " y"], [1, 9, 3, 2, 4])]
    summary = summarize_influences(*make_run(rows), **DRAWS)
    text = write_markdown([summary, summary])
    assert text.count("# made\\|up") == 2
    assert "<b>" not in text
    (plain,) = json.loads(write_json([summary]))
    assert plain["sentence"] == judge_words(summary)
    first = next(row for row in plain["rows"] if row["group"] == "0–10 %")
    assert first["size"]["difference"]["low"] is None
    assert plain["largest"]["text"] == " <b>|"


def test_the_same_seed_gives_the_same_summary_and_the_order_of_records_does_not_count():
    trajectories, traces, influences = make_run(draw_rows(3))
    one = summarize_influences(trajectories, traces, influences, **DRAWS)
    assert one == summarize_influences(trajectories, traces[::-1], influences[::-1], **DRAWS)
    assert one != summarize_influences(trajectories, traces, influences, seed=1, **DRAWS)


def test_what_cannot_be_put_together_is_refused():
    run = make_run(draw_rows(1))
    with pytest.raises(DataError, match="nothing to summarise"):
        summarize_influences([], *run[1:])
    with pytest.raises(DataError, match="n-resamples is 0"):
        summarize_influences(*run, n_resamples=0)
    others = make_run(draw_rows(2), settings=InfluenceSettings(("since",)))
    mixed = [*run[2][:1], *others[2][1:]]
    with pytest.raises(DataError, match="differ"):
        summarize_influences(others[0], others[1], mixed)
    another = replace(run[0][0], model=replace(MODEL, name="another", weights_sha256="11"))
    with pytest.raises(DataError, match="differ in writer"):
        summarize_influences([another, *run[0][1:]], *run[1:])
    second = replace(run[1][0], id="c-again")
    doubled = [*run[2], measure_influence(run[0][0], second, WORDS)]
    with pytest.raises(DataError, match="Trajectory t0 has two influences"):
        summarize_influences(run[0], [*run[1], second], doubled)


def test_tenths_are_tested_over_questions_and_so_can_not_stand_out_with_few():
    """Three questions can't give a p below 2/8, though L̂ jumps in the first tenth alone, and always."""
    rows = []
    for q in range(3):
        losses = np.exp(np.cumsum([0.0, *([1.0] * 2), *([0.01 * (q + 1)] * 18)]))
        rows.append((f"q{q}", True, [" a", " b"] * 10, losses))
    summary = summarize_influences(*make_run(rows), n_resamples=999)
    row = summary.find_row("0–10 %")
    assert row.size.difference.value == pytest.approx(1, abs=0.05)
    assert row.size.p == row.direction.p == row.relative.p == 0.25


def test_too_few_draws_for_so_many_groups_are_said_and_the_number_named_is_enough():
    """The smallest p of n draws is 2/(n + 1), times m tests."""
    run = make_run(draw_rows(jump=3))
    few = summarize_influences(*run, **DRAWS)
    least = find_least_draws(few)
    n_tests = sum(row.direction is not None for row in few.rows)
    assert 2 / (least + 1) * n_tests < 0.05 <= 2 / least * n_tests
    assert any(f"--n-resamples {least} or more" in line for line in describe_table(few))
    enough = summarize_influences(*run, n_resamples=least)
    assert not any("--n-resamples" in line for line in describe_table(enough))
    assert is_significant(enough.find_row("wait").direction)


def test_the_text_of_a_withheld_question_s_trajectory_is_not_shown():
    rows = [("q", True, [" secret", " x"], [0.001, 9, 3]), ("r", True, [" a", " x"], [1, 2, 3])]
    summary = summarize_influences(*make_run(rows), withheld={"q"}, **DRAWS)
    assert summary.largest.text is None
    assert "secret" not in write_markdown([summary]) + write_json([summary])
    assert "a step in trajectory t0" in write_markdown([summary])


def test_summaries_of_one_model_have_names_that_differ():
    run = make_run(draw_rows(1), every=3)
    run = ([replace(t, model=replace(MODEL, name="writer")) for t in run[0]], *run[1:])
    assert name_summary(summarize_influences(*run, **DRAWS)) == "made|up, on trajectories of writer, every 3 tokens"
    assert name_summary(summarize_influences(*make_run(draw_rows(1)), **DRAWS)) == "made|up"
