"""The frontier's view: lines over their levels, and which tell apart."""

from dataclasses import replace

from raml.records import FrontierChoice, FrontierControl
from raml.report import describe_frontiers
from raml.report.looks import METHODS, choose_line_looks
from tests.report.made_up import estimate, find_part, make_frontier, make_point

POINTS = [
    make_point("full", accuracy=0.7),
    make_point("no-thinking", accuracy=0.2, tokens=(2, 12)),
    make_point("cut", "", 64.0, 0.6, (60, 68)),
    make_point("cut", "", 32.0, 0.4, (32, 40), passed=None),
    make_point("prune", "own", 0.5, 0.5, (50, 110)),
]


def test_a_line_runs_over_its_levels_in_each_chart():
    choice = FrontierChoice("cut", "", 2, "generated", ("cut", "", 64.0), None, 10, 0.1, 0.0)
    view = describe_frontiers([make_frontier(POINTS, choices=(choice,))], ["A sentence."])
    assert view.paragraphs[-1] == "A sentence."
    (cut,) = [s for s in find_part(view, "frontier-1-accuracy-thinking").series if s.name == "cut"]
    assert (cut.x, cut.y, cut.low, cut.high) == ([32, 60], [0.4, 0.6], [0.35, 0.55], [0.45, 0.65])
    assert cut.notes == [
        "cut at 32 tokens; 20 questions",
        "cut at 64 tokens; 20 questions; chosen on one half of the questions",
    ]
    assert (cut.line, cut.look) == (True, METHODS["cut"])
    (generated,) = [s for s in find_part(view, "frontier-1-accuracy-generated").series if s.name == "cut"]
    assert generated.x == [40, 68]
    (passed,) = [s for s in find_part(view, "frontier-1-pass-thinking").series if s.name == "cut"]
    assert passed.x == [60]  # the other has no Pass@4


def test_few_and_many_tokens_are_drawn_on_a_logarithmic_axis_unless_there_is_none():
    def scale(fewest):
        points = [POINTS[0], make_point("no-thinking", tokens=(fewest, 12))]
        return find_part(describe_frontiers([make_frontier(points)]), "frontier-1-accuracy-thinking").x.scale

    assert [scale(fewest) for fewest in (0, 5, 6)] == ["linear", "log", "linear"]


def test_pass_at_one_would_repeat_the_accuracy():
    view = describe_frontiers([make_frontier(POINTS, n=1)])
    assert not [part.key for part in view.parts if "pass" in part.key]


def test_variants_of_a_method_have_looks_of_methods_that_are_not_there():
    lines = [("full", ""), ("prune", "own"), ("random", "own"), ("prune", "gold"), ("early-exit", "a")]
    looks = choose_line_looks(lines)
    assert looks["prune", "own"] == METHODS["prune"]
    assert looks["prune", "gold"] in {METHODS[name] for name in ("cut", "no-thinking", "summary", "wait")}
    assert len(set(looks.values())) == 5
    assert choose_line_looks([(name, v) for name in METHODS for v in "ab"])["cut", "b"] == METHODS["cut"]


def test_tables_hold_points_controls_and_choices():
    control = FrontierControl("own", 0.5, estimate(0.1), 0.0004, 0.04)
    none = FrontierChoice("cut", "", 2, "generated", None, "It costs 3 points.", 10, None, None)
    points = [*POINTS[:4], replace(POINTS[4], difference=estimate(-0.2), p=0.001, p_holm=0.002)]
    view = describe_frontiers([make_frontier(points, controls=(control,), choices=(none,))])
    tables = [find_part(view, f"frontier-1-{name}") for name in ("points", "controls", "choices")]
    assert all(len(row) == len(table.headings) for table in tables for row in table.rows)
    assert tables[0].rows[4][-2:] == ["−20.0 [−25.0, −15.0]", "0.002"]
    assert tables[1].rows == [["prune (own), 50 % kept", "20", "+10.0 [+5.0, +15.0]", "< 0.001", "0.040"]]
    assert tables[2].rows[0][-1] == "It costs 3 points."


def test_charts_of_several_models_say_whose_they_are():
    other = make_frontier(POINTS, model="hub/other")
    view = describe_frontiers([make_frontier(POINTS), other])
    assert find_part(view, "frontier-1-points").title == "All points, made-up"
    assert find_part(view, "frontier-2-points").title == "All points, other after made-up"
    assert describe_frontiers([]) is None
