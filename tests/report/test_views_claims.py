"""Claims: what is measured, and on which side of its border the whole interval lies."""

from dataclasses import replace

import pytest

from raml.records import Evaluation, FrontierChoice, FrontierControl, Score
from raml.report import describe_claims
from raml.report.findings import judge_interval, judge_modes, judge_reading, judge_updates
from raml.report.summary_findings import judge_alignments, judge_frontiers, judge_influences
from tests.figures.test_updates import make_update
from tests.report.conftest import make_trace, make_trajectory
from tests.report.made_up import (
    estimate,
    find_part,
    make_alignment_summary,
    make_effect,
    make_frontier,
    make_influence,
    make_point,
    make_row,
)


def write(question, repeat, *, right=True, **changes):
    identity = f"{question}-{repeat}"
    return make_trajectory(identity, question, ("a", "b"), 2, correct=right, **changes)


@pytest.mark.parametrize(("value", "verdict"), [(0.2, "holds"), (0.0, "undecided"), (-0.2, "does not hold")])
def test_a_claim_is_judged_by_the_side_on_which_the_whole_interval_lies(value, verdict):
    assert judge_interval(estimate(value), "above") == verdict
    assert judge_interval(estimate(-value), "below") == verdict
    assert judge_interval(estimate(value + 7), "above", 7.0) == verdict


def test_reading_is_judged_by_means_over_questions_of_right_and_of_wrong_trajectories():
    """Question a falls by 1 and 3, so 2; question b by 2.2: the mean over questions is −2.1. Wrong ones rise by 1."""
    trajectories = [write("a", 0), write("a", 1), write("b", 0), write("c", 0, right=False), write("d", 0, right=False)]
    curves = ([3, 2], [4, 1], [3, 0.8], [1, 2], [1, 2.1])
    traces = [make_trace(t.id, [c[0], 9, c[1]]) for t, c in zip(trajectories, curves, strict=True)]
    right, wrong = judge_reading(trajectories, traces)
    assert right.measured == "ΔL̂ from start to end −2.100 nats, thinking"
    assert (right.n_questions, right.verdict) == (2, "holds")
    assert (wrong.measured, wrong.verdict) == ("ΔL̂ from start to end +1.050 nats, thinking", "does not hold")


def test_curves_of_the_own_answer_or_without_thinking_say_nothing_about_the_right_answer():
    thinking, quick = write("a", 0), replace(write("b", 0), mode="nothink")
    own = make_trace(thinking.id, [3, 2])
    own = replace(own, settings=replace(own.settings, target="own"))
    assert judge_reading([thinking, quick], [own, make_trace(quick.id, [3, 2])]) == []


def test_thinking_is_compared_on_the_questions_that_have_both_modes():
    """a: 1 beside 0; b: ½ beside 0; c has no answers without thinking. The mean is ¾."""
    trajectories = [write("a", 0), write("b", 0), write("b", 1, right=False), write("c", 0, right=False)]
    trajectories += [replace(write(q, 9, right=False), mode="nothink") for q in "ab"]
    (claim,) = judge_modes(trajectories)
    assert claim.measured.startswith("+75.0 points")
    assert claim.n_questions == 2
    assert judge_modes(trajectories[:4]) == []


@pytest.mark.parametrize(("gap", "verdict"), [(0.0099, "holds"), (0.01, "does not hold")])
def test_the_largest_logit_gap_decides_whether_updates_are_exact(gap, verdict):
    trajectories = [write("a", 0), write("b", 0)]
    updates = [make_update(t, [[0], [1]]) for t in trajectories]
    (claim,) = judge_updates(trajectories, [updates[0], replace(updates[1], logit_gap=gap, exact=False)])
    assert (claim.verdict, claim.n_questions) == (verdict, 2)
    assert "1 with a least-squares update only" in claim.measured


@pytest.mark.parametrize(
    ("whole", "step", "verdict"),
    [
        (0.97, 0.97, "holds"),
        (0.97, 0.94, "undecided"),
        (0.5, 0.97, "does not hold"),
        (0.94, 0.5, "does not hold"),
    ],
)
def test_eq_4_holds_where_both_cosines_lie_above_nine_tenths_and_fails_where_one_lies_below(whole, step, verdict):
    """Intervals reach 0.05 either way, so that 0.94 may be 0.89 as well as 0.99."""
    assert judge_alignments([make_alignment_summary(estimate(whole), estimate(step))])[0].verdict == verdict


def test_one_question_alone_leaves_eq_4_undecided():
    alone = estimate(0.5, float("inf"), n_questions=1)
    assert judge_alignments([make_alignment_summary(alone, alone)])[0].verdict == "undecided"


@pytest.mark.parametrize(
    ("whole", "second", "p", "verdict"),
    [
        (0.3, 0.2, 0.01, "holds"),
        (0.3, 0.2, 0.2, "undecided"),
        (0.3, -0.2, 0.01, "does not hold"),
        (0.04, 0.2, 0.01, "undecided"),
        (-0.3, 0.2, 0.01, "does not hold"),
    ],
)
def test_a_weak_alignment_needs_every_null_text_to_lie_below(whole, second, p, verdict):
    nulls = [("shuffled", estimate(0.25), 0.01), ("random tokens", estimate(second), p), ("wrong", estimate(-1), 0.01)]
    _, claim = judge_alignments([make_alignment_summary(estimate(whole), estimate(0.1), nulls)])
    assert claim.verdict == verdict
    assert "beside random tokens, the nearest" in claim.measured


@pytest.mark.parametrize(
    ("size", "p", "verdict"), [(0.2, 0.01, "holds"), (0.2, 0.2, "undecided"), (-0.2, 0.01, "does not hold")]
)
def test_listed_words_are_judged_together_by_their_adjusted_p(size, p, verdict):
    rows = [make_row("word", "all listed words", make_effect(size, p)), make_row("word", "since")]
    rows += [make_row("word", "wait", make_effect(0.1, 0.5), make_effect(-0.4, 0.01))]
    (claim,) = judge_influences([make_influence(rows)])
    assert claim.verdict == verdict
    assert claim.measured.endswith("unlike their controls by themselves: wait")
    assert judge_influences([make_influence(rows[1:])]) == []


@pytest.mark.parametrize(
    ("controls", "verdict"),
    [
        (((0.1, 0.01), (0.2, 0.4)), "holds"),
        (((0.1, 0.2), (-0.2, 0.4)), "undecided"),
        (((0.1, 0.01), (-0.2, 0.01)), "undecided"),
        (((-0.1, 0.01), (0.2, 0.4)), "does not hold"),
    ],
)
def test_pruning_beats_chance_where_it_is_better_at_some_share_and_worse_at_none(controls, verdict):
    made = [FrontierControl("own", 0.5, estimate(value), p, p) for value, p in controls]
    (claim,) = judge_frontiers([make_frontier([make_point("full")], controls=tuple(made))])
    assert claim.verdict == verdict


def make_choice(saved, difference):
    rule = ("cut", "", 64.0)
    return FrontierChoice("cut", "", 3, "generated", rule, None, 10, 0.3, 0.0, saved, None, difference)


@pytest.mark.parametrize(
    ("saved", "lost", "verdict"),
    [(0.3, 0.045, "holds"), (0.3, 0.0, "undecided"), (0.3, -0.2, "does not hold"), (-0.3, 0.1, "does not hold")],
)
def test_a_rule_has_to_save_and_to_cost_little_by_both_intervals(saved, lost, verdict):
    """Intervals reach 0.05 either way, so that 0.045 reaches down to −0.005, and a point may be lost."""
    choice = make_choice(estimate(saved), estimate(lost))
    (claim,) = judge_frontiers([make_frontier([make_point("full")], choices=(choice,))])
    assert claim.verdict == verdict


def test_without_a_rule_the_points_of_its_line_say_whether_all_cost_too_much():
    choice = FrontierChoice("cut", "", 2, "generated", None, "None is good.", 10, None, None)

    def judge(*differences):
        points = [make_point("cut", level=i, difference=estimate(d)) for i, d in enumerate(differences)]
        points.append(make_point("prune", "own", difference=estimate(0.5)))
        return judge_frontiers([make_frontier(points, choices=(choice,))])[0]

    assert (judge(-0.2, -0.3).verdict, judge(-0.2, -0.3).measured) == ("does not hold", "None is good.")
    assert judge(-0.2, -0.03).verdict == "undecided"


def test_accuracy_is_the_evaluation_s_where_there_is_one_else_that_of_the_run_s_verdicts():
    trajectories = [write("a", 0), write("a", 1, right=False), write("b", 0), write("c", 0, right=None)]
    own = find_part(describe_claims(trajectories, ()), "claims-accuracy")
    assert (own.rows, own.series[0].x, own.x.label) == (["tiny, thinking"], [0.75], "Pass@1")
    metrics = (estimate(0.3, name="Pass@1"), estimate(0.6, name="Pass@8"))
    scores = [Score("m", name, metrics, {}, 0, 8, 8, 9.0, (), ()) for name in ("first", "second")]
    chart = find_part(
        describe_claims(trajectories, (), evaluation=Evaluation(tuple(scores), (), "leave-out", ("One note.",))),
        "claims-accuracy",
    )
    assert chart.rows == ["m, first", "m, second"]
    assert [(s.name, s.x, s.y) for s in chart.series] == [("Pass@1", [0.3] * 2, [0, 1]), ("Pass@8", [0.6] * 2, [0, 1])]
    assert chart.caption.endswith("One note.")


def test_more_metrics_than_looks_begin_with_the_first_look_again():
    metrics = tuple(estimate(0.3, name=f"Pass@{k}") for k in range(1, 11))
    score = Score("m", "first", metrics, {}, 0, 8, 8, 9.0, (), ())
    chart = find_part(
        describe_claims([write("a", 0)], (), evaluation=Evaluation((score,), (), "leave-out", ())), "claims-accuracy"
    )
    assert [series.look for series in chart.series] == [*range(8), 0, 1]


def test_claims_of_several_models_name_them_and_a_run_without_verdicts_has_no_view():
    frontiers = [make_frontier([make_point("full")], choices=(make_choice(estimate(1), estimate(1)),))] * 2
    frontiers[1] = replace(frontiers[1], model="hub/other")
    table = find_part(describe_claims([write("a", 0)], (), frontiers=frontiers), "claims-table")
    assert [row[0].rpartition(" (")[2] for row in table.rows] == ["made-up)", "other after made-up)"]
    assert all(len(row) == len(table.headings) for row in table.rows)
    assert describe_claims([write("a", 0, right=None)], ()) is None
