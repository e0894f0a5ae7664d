import json
import math
from dataclasses import replace

import pytest

from raml.answers import normalize_answer
from raml.curves import (
    CurveSettings,
    describe_tables,
    group_curves,
    list_tables,
    name_summary,
    summarize_curves,
    write_json,
    write_markdown,
    write_sentences,
)
from raml.curves.groups import check_settings
from raml.curves.settling import find_landmarks
from raml.errors import DataError
from raml.records import ModelIdentity


@pytest.fixture
def records(make_trajectory, make_trace, make_readout):
    """Six questions in both modes: thinking falls to 0 and is right twice of three, no-thinking stays."""
    trajectories, traces, readouts = [], [], []
    for i in range(6):
        for repeat, (mode, correct) in enumerate([("think", True), ("think", i % 3 > 0), ("nothink", False)]):
            answer = "2" if correct else "3"
            made = make_trajectory(question_id=f"q{i}", repeat=repeat, mode=mode, correct=correct, answer=answer)
            end = 0.1 if correct else 4 + 0.1 * i
            last = end if mode == "think" else 2.5
            traces.append(make_trace(made.id, [2 + 0.1 * i, 1.5, last]))
            traces.append(make_trace(made.id, [2 + 0.1 * i, 1.5, 0.1 + 0.01 * i], "own", answer_ids=(int(answer),)))
            readouts.append(make_readout(made.id, ["1", "2", answer]))
            trajectories.append(made)
    return trajectories, traces, readouts


def summarize(trajectories, traces, readouts, settings):
    return [summarize_curves(made, settings, run="runs/x") for made in group_curves(trajectories, traces, readouts)]


def test_with_everything_there_nothing_is_missing_and_each_analysis_has_a_sentence(records, quick):
    (summary,) = summarize(*records, quick)
    assert summary.missing == ()
    assert (summary.n_gold, summary.n_own, summary.n_readouts) == (18, 18, 18)
    sentences = write_sentences(summary)
    assert [words for text in sentences if (words := text.split(" ")[0])] == [
        *("Thinking", "Of", "Of", "Within", "No", "In", "In")
    ]
    assert "100 %" in sentences[1]  # all wrong thinking ones part: 4 and more against 0.15


def test_sentences_claim_a_difference_only_where_the_test_shows_one(records, quick):
    """With six questions the least p of a sign flip is 2/64, above 5 % after Holm's correction."""
    (summary,) = summarize(*records, quick)
    assert "not significantly" in write_sentences(summary)[0]
    assert summary.modes is not None
    sure = replace(
        summary,
        modes=replace(summary.modes, contrasts=tuple(replace(c, p_holm=0.01) for c in summary.modes.contrasts)),
    )
    end = next(c for c in summary.modes.contrasts if c.measure == "L̂ at the end")
    word = "lower" if end.difference.value > 0 else "higher"
    assert write_sentences(sure)[0].startswith(f"Thinking ends {word} than no-thinking")


def test_a_score_is_said_to_tell_right_from_wrong_only_where_its_test_shows_it(records, quick):
    """Two questions have right and wrong thinking trajectories: 2 of 4 ways, so no p is below a half."""
    (summary,) = summarize(*records, quick)
    sentence = write_sentences(summary)[3]
    assert sentence.startswith("Within questions no score is shown to tell right from wrong thinking trajectories;")
    assert "highest AUROC of 9 is that of" in sentence
    made = summary.recognition[0]
    sure = tuple(replace(row, within=row.within and replace(row.within, p_holm=0.01)) for row in made.rows)
    shown = write_sentences(replace(summary, recognition=(replace(made, rows=sure),)))[3]
    assert "tells right from wrong thinking trajectories best" in shown
    assert "the highest of 9)" in shown


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_trace_with_a_loss_that_is_no_number_is_left_out_as_a_whole_and_counted(records, quick, value):
    trajectories, traces, readouts = records
    nll = traces[0].nll.copy()
    nll[1] = value
    (summary,) = summarize(trajectories, [replace(traces[0], nll=nll), *traces[1:]], readouts, quick)
    (without,) = summarize(trajectories, traces[1:], readouts, quick)
    assert summary.n_gold == 17
    assert any(line.startswith("1 traces were left out: L̂ is NaN or infinite") for line in summary.missing)
    assert (summary.modes, summary.parting, summary.recognition) == (
        without.modes,
        without.parting,
        without.recognition,
    )


def test_answers_that_come_again_are_put_into_plain_form_once(make_readout, make_trajectory):
    """A readout has thousands of prefixes and few answers, and several measures compare them."""
    normalize_answer.cache_clear()
    trajectory = make_trajectory(answer="3", correct=False)
    find_landmarks(make_readout(trajectory.id, ["1", "3"] * 500), trajectory)
    assert normalize_answer.cache_info().misses == 2


@pytest.mark.parametrize(
    ("cut", "command"),
    [
        (lambda t, tr, ro: ([x for x in t if x.mode == "think"], tr, ro), "raml sample made-up runs/x --mode nothink"),
        (lambda t, tr, ro: ([x for x in t if x.mode == "nothink"], tr, ro), "`raml sample made-up runs/x`"),
        (lambda t, tr, ro: (t, [x for x in tr if x.settings.target == "gold"], ro), "raml trace runs/x --target both"),
        (lambda t, tr, ro: (t, [x for x in tr if x.settings.target == "own"], ro), "gold answer: `raml trace runs/x`"),
        (lambda t, tr, ro: (t, tr, []), "There are no readouts: `raml trace runs/x --readout`"),
        (lambda t, tr, ro: (t, tr, ro[1:]), "1 of 18 trajectories lack readouts"),
    ],
)
def test_what_is_missing_is_said_with_the_command_that_makes_it_and_the_rest_is_done(records, quick, cut, command):
    (summary,) = summarize(*cut(*records), quick)
    assert any(command in line for line in summary.missing), summary.missing
    assert list_tables(summary)
    assert summary.missing[0] in describe_tables(summary)


def test_traces_of_other_settings_and_models_are_analysed_apart(records, quick):
    trajectories, traces, readouts = records
    by_sentence = [
        replace(x, id=x.id + " s", settings=replace(x.settings, every="sentence")) for x in traces if "gold" in x.id
    ]
    other = ModelIdentity("another", None, "11", "float32", "cpu")
    by_other = [replace(x, id=x.id + " o", model=other) for x in traces]
    summaries = summarize(trajectories, [*traces, *by_sentence, *by_other], readouts, quick)
    assert [name_summary(made) for made in summaries] == [
        "made-up",
        "made-up, by sentence",
        "another, on trajectories of made-up",
    ]
    assert [made.n_own for made in summaries] == [18, 0, 18]
    assert any("upper bounds" in line for line in describe_tables(summaries[1]))
    assert not any("upper bounds" in line for line in describe_tables(summaries[0]))
    assert any("--every sentence --target both" in line for line in summaries[1].missing)
    assert any("--model another" in line for line in summaries[2].missing)


def test_two_traces_of_one_kind_leave_the_trajectory_out_and_are_counted(records, quick):
    trajectories, traces, readouts = records
    (summary,) = summarize(trajectories, [*traces, replace(traces[0], id="again")], readouts, quick)
    assert summary.n_gold == 17
    assert any(line.startswith("2 records were left out") for line in summary.missing)


def test_records_of_other_trajectories_alone_are_refused(records):
    trajectories, traces, readouts = records
    with pytest.raises(DataError, match="nothing to analyse"):
        group_curves(trajectories[:1], traces[2:], readouts[1:])


def test_json_has_null_for_what_is_unknown_and_markdown_keeps_its_cells(records, quick):
    summaries = summarize(*records, quick)
    (read,) = json.loads(write_json(summaries))
    assert read["sentences"] == write_sentences(summaries[0])
    lengths = next(c for c in read["modes"]["contrasts"] if c["measure"] == "tokens followed")
    assert lengths["difference"]["low"] is None  # all trajectories have two tokens
    assert "NaN" not in write_json(summaries)
    named = [replace(summaries[0], model="a|<b>", writer="a|<b>")]
    lines = write_markdown(named).splitlines()
    assert lines[0] == "# a\\|&lt;b>"
    widths = {line.count("|") for line in lines if line.startswith("| L̂ at the")}
    assert len(widths) == 1


def test_every_table_has_as_many_cells_as_headings(records, quick):
    (summary,) = summarize(*records, quick)
    tables = list_tables(summary)
    assert len(tables) >= 6
    assert all(len(row) == len(headings) for headings, rows in tables for row in rows)


def test_a_single_trajectory_is_enough_for_tables_without_intervals(records, quick):
    trajectories, traces, readouts = records
    (summary,) = summarize(trajectories[:1], traces, readouts, quick)
    assert list_tables(summary)
    assert summary.modes is None
    write_markdown([summary])
    json.loads(write_json([summary]))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("share", 0),
        ("share", 1.5),
        ("share", float("nan")),
        ("margin", -0.1),
        ("margin", float("inf")),
        ("margin", float("nan")),
        ("level", 1),
        ("n_resamples", 98),
        ("seed", -1),
    ],
)
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(DataError, match=name.replace("_", "-")):
        check_settings(CurveSettings(**{name: value}))
