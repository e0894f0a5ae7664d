"""The view of tokens: effects beyond controls by group, and the paper's measure."""

from dataclasses import replace

from raml.records import TraceSettings
from raml.report import describe_influences
from tests.report.made_up import find_part, make_effect, make_influence, make_row

ROWS = [
    make_row("all", "all steps", mean=0.158),
    make_row("word", "all listed words", make_effect(0.3), make_effect(-0.1, 0.4)),
    make_row("word", "wait", make_effect(0.2, 0.0001), None),
    make_row("word", "since", mean=None, median=None, n=0),
    make_row("word", "wait", make_effect(9), make_effect(9), outcome="right"),
    make_row("position", "0–10 %", None, make_effect(0.1)),
    make_row("sentence", "first sentence", n=1),
]


def test_groups_are_rows_with_both_effects_and_an_absent_one_keeps_its_row():
    view = describe_influences([make_influence(ROWS)], ["A sentence."])
    assert "A sentence." in view.paragraphs
    chart = find_part(view, "tokens-1-word")
    assert chart.rows == ["all listed words (n = 30)", "wait (n = 30)", "since (n = 0)"]
    size, direction = chart.series
    assert (size.x, size.y, size.low, size.high) == ([0.3, 0.2], [0, 1], [0.25, 0.15], [0.35, 0.25])
    assert size.notes[1] == "p < 0.001 (Holm), 20 questions; stands out"
    assert (direction.x, direction.y, direction.notes) == ([-0.1], [0], ["p = 0.400 (Holm), 20 questions"])
    assert find_part(view, "tokens-1-position").series[0].x == []


def test_a_family_without_any_effect_has_no_chart():
    keys = [part.key for part in describe_influences([make_influence(ROWS)]).parts]
    assert keys == ["tokens-1-word", "tokens-1-position", "tokens-1-relative", "tokens-1-groups"]


def test_the_paper_s_measure_has_mean_and_median_of_every_group_that_has_one():
    chart = find_part(describe_influences([make_influence(ROWS)]), "tokens-1-relative")
    assert chart.rows[0] == "all steps (n = 30)"
    assert "since (n = 0)" not in chart.rows
    mean, median = chart.series
    assert (mean.x, median.x, chart.x.scale) == ([0.158, *[0.5] * 4], [0.25] * 5, "log")


def test_the_table_has_a_row_for_each_group_of_all_trajectories():
    table = find_part(describe_influences([make_influence(ROWS)]), "tokens-1-groups")
    assert [row[1] for row in table.rows] == [row.group for row in ROWS if row.outcome == "all"]
    assert table.rows[1][-4:] == ["+0.300 [+0.250, +0.350]", "0.001", "−0.100 [−0.150, −0.050]", "0.400"]
    assert all(len(row) == len(table.headings) for row in table.rows)


def test_the_largest_step_is_told_without_a_text_that_must_not_be_shown():
    def tell(text):
        return describe_influences([make_influence(ROWS, text=text)]).paragraphs[-1]

    assert "“wait now” in trajectory 01234567 moves L̂ from 0.001 to 0.5 nats" in tell(" wait\nnow")
    assert ": a step in trajectory" in tell(None)


def test_summaries_of_several_kinds_of_trace_have_names_that_differ():
    coarse = replace(make_influence(ROWS), trace=TraceSettings(every="sentence"), writer="hub/other")
    view = describe_influences([make_influence(ROWS), coarse])
    titles = [find_part(view, f"tokens-{n}-groups").title for n in (1, 2)]
    assert titles == ["All groups, made-up", "All groups, made-up on trajectories of other, by sentence"]
    assert describe_influences([]) is None
