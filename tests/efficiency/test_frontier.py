"""The frontier of made-up attempts, against hand arithmetic, and laws that any frontier obeys."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raml.efficiency.frontier import build_frontier, build_frontiers
from raml.efficiency.outcomes import FULL, NO_THINKING
from raml.errors import DataError
from raml.records import ModelIdentity
from tests.efficiency.made_up import FEW, MODEL, make_attempt, make_full, make_questions

CUT = ("cut", "", 50.0)
OTHER = ModelIdentity("other", None, "11", "float32", "cpu")


def build(trajectories, attempts, **options):
    questions = make_questions(*dict.fromkeys(t.question_id for t in trajectories))
    return build_frontier(questions, trajectories, attempts, **{"n_resamples": FEW} | options)


def make_run():
    """Question a: right, right; b: right, wrong; of a and b 100 and 300 tokens of reasoning, and 10 more."""
    return [make_full(q, i, (q, i) != ("b", 1), 100 if q == "a" else 300) for q in "ab" for i in range(2)]


def test_points_are_means_over_questions_as_computed_by_hand():
    """Cut: a right, wrong; b wrong, wrong. Accuracy (1/2 + 0) / 2; beside full 1/2 − 1 and 0 − 1/2."""
    trajectories = make_run()
    attempts = [make_attempt(t, correct=t.id == "a0", n_thinking=40, n_generated=45) for t in trajectories]
    frontier = build(trajectories, attempts)
    full, cut = frontier.points
    assert (full.key, cut.key) == (FULL, CUT)
    assert (frontier.n, frontier.n_questions, frontier.n_trajectories) == (2, 2, 4)
    assert (full.accuracy.name, full.accuracy.value, full.pass_at_n.name, full.pass_at_n.value) == (
        "Avg@2", 0.75, "Pass@2", 1.0,
    )  # fmt: skip
    assert (full.n_thinking.value, full.n_generated.value) == (200, 210)
    assert (full.difference, full.p, full.p_holm, full.saved_context) == (None, None, None, None)
    assert (cut.accuracy.value, cut.pass_at_n.value) == (0.25, 0.5)
    assert (cut.n_thinking.value, cut.n_generated.value) == (40, 45)
    assert cut.saved_context.value == pytest.approx(1 - 80 / 400)
    assert cut.saved_generated.value == pytest.approx(1 - 90 / 420)
    assert cut.difference.value == pytest.approx(-0.5)
    assert cut.p == pytest.approx(2 / 4)  # of both signs together 2 ways of 4 are as far from 0
    assert (cut.n_questions, cut.n_trajectories, cut.n_attempts, cut.n_left_out) == (2, 4, 4, 0)


def test_a_point_is_compared_with_full_on_exactly_its_trajectories():
    """The cut has a0 alone, wrong where full is right: −1, whatever the other trajectories are."""
    frontier = build(make_run(), [make_attempt(make_run()[0], correct=False, n_thinking=25)])
    cut = frontier.find_point(CUT)
    assert cut.difference.value == -1
    assert cut.difference.n_questions == 1
    assert cut.saved_context.value == pytest.approx(0.75)
    assert cut.pass_at_n is None  # one trajectory, where n is 2
    assert cut.accuracy.name == "Avg@1"


def test_no_thinking_is_compared_by_question():
    """a: 1/3 right beside 1; b: 1 beside 1/2. (−2/3 + 1/2) / 2 = −1/12."""
    short = [make_full("a", i, i == 0, 2, 8, mode="nothink") for i in range(3)]
    short += [make_full("b", 0, True, 2, 8, mode="nothink")]
    point = build([*make_run(), *short], []).find_point(NO_THINKING)
    assert point.difference.value == pytest.approx(-1 / 12)
    assert point.accuracy.value == pytest.approx(2 / 3)
    assert point.accuracy.name == "Pass@1"  # three and one
    assert point.saved_generated.value == pytest.approx(1 - 20 / 420)
    assert point.pass_at_n.n_questions == 1  # b has only one
    assert point.pass_at_n.value == pytest.approx(2 / 3)  # of 3 pairs one has no right answer


def test_holm_counts_all_points():
    """Eight questions all worse: p = 2/2^8 for each of three points, adjusted 3 times that."""
    trajectories = [make_full(f"q{i}") for i in range(8)]
    attempts = [make_attempt(t, False, level=level) for t in trajectories for level in (10.0, 20.0, 30.0)]
    frontier = build(trajectories, attempts, n_resamples=999)
    assert [point.p for point in frontier.points[1:]] == pytest.approx([2 / 256] * 3)
    assert [point.p_holm for point in frontier.points[1:]] == pytest.approx([6 / 256] * 3)


def test_pruning_is_compared_with_chance_at_the_same_variant_and_level():
    """Pruned a0, a1 right, b0 wrong; by chance a0 right in 1 of 2 draws, b0 in 2 of 2; a1 was not drawn.

    On a0 1 − 1/2, on b0 0 − 1: (1/2 − 1) / 2.
    """
    a0, a1, b0, _ = make_run()
    options = {"variant": "own", "level": 0.5}
    attempts = [make_attempt(t, t.id != "b0", "prune", **options) for t in (a0, a1, b0)]
    attempts += [make_attempt(a0, draw == 1, "random", draw=draw, **options) for draw in range(2)]
    attempts += [make_attempt(b0, True, "random", draw=draw, **options) for draw in range(2)]
    attempts += [make_attempt(b0, True, "random", variant="own", level=0.25)]
    attempts += [make_attempt(b0, True, "random", variant="gold", level=0.5)]
    (control,) = build(make_run(), attempts).controls
    assert (control.variant, control.level) == ("own", 0.5)
    assert control.difference.value == pytest.approx(-0.25)
    assert control.difference.n_questions == 2
    assert control.p_holm == control.p == 1


def test_undecided_and_cut_off_trajectories_are_counted():
    trajectories = make_run()
    trajectories[0] = replace(trajectories[0], correct=None)
    trajectories[3] = replace(trajectories[3], finish="length", answer=None)
    frontier = build(trajectories, [make_attempt(t) for t in [*trajectories, make_full("z")]])
    assert (frontier.n_undecided, frontier.n_cut_off, frontier.n_elsewhere) == (1, 1, 1)
    assert (frontier.n, frontier.n_trajectories) == (1, 3)
    assert frontier.find_point(CUT).n_left_out == 1
    assert frontier.find_point(FULL).accuracy.value == pytest.approx((1 + 0.5) / 2)


def test_a_point_of_which_nothing_counts_is_named():
    trajectories = make_run()
    frontier = build(trajectories, [make_attempt(t, None) for t in trajectories])
    assert [point.method for point in frontier.points] == ["full"]
    assert frontier.empty == ((*CUT, 4),)
    assert [choice.rule for choice in frontier.choices] == [None]


def test_reasoning_without_tokens_has_no_saving_in_context():
    trajectories = [make_full(q, reasoning_len=0) for q in "ab"]
    cut = build(trajectories, [make_attempt(t, n_thinking=0, n_generated=5) for t in trajectories]).find_point(CUT)
    assert cut.saved_context is None
    assert cut.saved_generated.value == pytest.approx(0.5)


ATTEMPTS = st.lists(
    st.tuples(
        st.sampled_from(range(6)),
        st.sampled_from([True, False, None]),
        st.sampled_from([10.0, 20.0]),
        st.integers(0, 2),
        st.integers(1, 200),
    ),
    max_size=12,
    unique_by=lambda drawn: (drawn[0], drawn[2], drawn[3]),
)
SIX = [make_full(q, i, (q, i) in {("a", 0), ("b", 1), ("c", 0)}, 50 + 40 * i) for q in "abc" for i in range(2)]


def make_drawn(drawn):
    return [
        make_attempt(SIX[i], correct, level=level, draw=draw, n_thinking=n, n_generated=n + 5)
        for i, correct, level, draw, n in drawn
    ]


@settings(max_examples=15)
@given(ATTEMPTS, st.randoms(use_true_random=False))
def test_the_order_of_attempts_does_not_matter(drawn, random):
    attempts = make_drawn(drawn)
    shuffled = random.sample(attempts, len(attempts))
    assert build(SIX, attempts, n_resamples=19) == build(SIX, shuffled, n_resamples=19)


@settings(max_examples=15)
@given(st.lists(st.booleans(), min_size=6, max_size=6), st.sets(st.integers(0, 5), min_size=1), st.integers(1, 3))
def test_attempts_equal_to_full_cost_and_save_nothing(right, kept, n_draws):
    trajectories = [replace(t, correct=c) for t, c in zip(SIX, right, strict=True)]
    same = [
        make_attempt(t, t.correct, n_thinking=t.reasoning_len, n_generated=len(t.token_ids), draw=draw)
        for i, t in enumerate(trajectories)
        if i in kept
        for draw in range(n_draws)
    ]
    cut = build(trajectories, same, n_resamples=19).find_point(CUT)
    assert (cut.difference.value, cut.p, cut.saved_context.value, cut.saved_generated.value) == (0, 1, 0, 0)
    if len(kept) == 6:
        full = build(trajectories, same, n_resamples=19).find_point(FULL)
        assert (cut.accuracy, cut.pass_at_n) == (full.accuracy, full.pass_at_n)
        assert (cut.n_thinking, cut.n_generated) == (full.n_thinking, full.n_generated)


@settings(max_examples=15)
@given(ATTEMPTS, st.integers(0, 5))
def test_what_is_left_out_of_one_point_changes_no_other(drawn, spoilt):
    attempts = make_drawn(drawn)
    more = [*attempts, make_attempt(SIX[spoilt], None, "wait", id="spoilt"), make_attempt(SIX[0], method="wait")]
    before, after = build(SIX, attempts, n_resamples=19), build(SIX, more, n_resamples=19)
    points = {point.key: point for point in after.points}
    for point in before.points:
        assert replace(points[point.key], p_holm=None) == replace(point, p_holm=None)
    assert points["wait", "", 50.0].n_left_out == 1
    assert points["wait", "", 50.0].n_attempts == 1


def test_several_models_are_refused_and_taken_apart():
    """made-up wrote and answered; other answered after made-up's reasoning and wrote its own; a third never thought."""
    third = ModelIdentity("third", None, "22", "float32", "cpu")
    own = make_run()
    theirs = [replace(make_full(q, 0, False), id=f"their {q}", model=OTHER) for q in "ab"]
    trajectories = [*own, *theirs, replace(make_full("a", mode="nothink"), id="third", model=third)]
    attempts = [make_attempt(own[0]), replace(make_attempt(own[0], False), id="by the other", model=OTHER)]
    attempts += [make_attempt(make_full("z"))]
    with pytest.raises(DataError, match=r"trajectories are of 3 models \(made-up, other, third\)"):
        build(trajectories, [])
    with pytest.raises(DataError, match="attempts are of 2 models"):
        build(own, attempts)
    made = build_frontiers(make_questions(*"ab"), trajectories, attempts, n_resamples=FEW)
    assert [(f.model, f.writer, len(f.points)) for f in made] == [
        ("made-up", "made-up", 2), ("other", "made-up", 2), ("other", "other", 1),
    ]  # fmt: skip
    assert [f.find_point(CUT).accuracy.value for f in made[:2]] == [1, 0]
    assert {(f.n_elsewhere, f.without) for f in made} == {(1, ("third",))}


def test_attempts_that_were_checked_against_another_answer_are_left_out_and_counted():
    """The question's gold answer is 2 now and was 7; what older files say nothing about counts."""
    trajectories = make_run()
    new, old, unknown = (
        make_attempt(trajectories[0], right, id=str(gold), gold=gold)
        for right, gold in ((True, "2"), (False, "7"), (True, None))
    )
    frontier = build(trajectories, [new, old, unknown])
    assert frontier.n_outdated == 1
    assert frontier.find_point(CUT).n_attempts == 2
    assert frontier.find_point(CUT).accuracy.value == 1
    assert build(trajectories, [old]).find_point(CUT) is None


def test_models_behind_a_server_are_told_apart_by_name():
    served = [replace(MODEL, name=name, weights_sha256=None) for name in ("small", "large")]
    trajectories = [replace(make_full("a"), id=model.name, model=model) for model in served]
    assert [f.writer for f in build_frontiers(make_questions("a"), trajectories, [])] == ["small", "large"]


def test_weights_of_two_names_are_one_model():
    trajectories = make_run()
    trajectories[1] = replace(trajectories[1], model=replace(MODEL, name="./a-copy", device="cuda:0"))
    assert build(trajectories, []).n_trajectories == 4


@pytest.mark.parametrize("trajectories", [[], [make_full(mode="nothink")], [make_full(correct=None)]])
def test_without_a_thinking_trajectory_that_counts_there_is_no_frontier(trajectories):
    for function in (build_frontier, build_frontiers):
        with pytest.raises(DataError, match="nothing to shorten"):
            function(make_questions("a"), trajectories, [])


def test_attempts_that_trajectories_are_already_are_refused():
    with pytest.raises(DataError, match="is 'no-thinking', which trajectories are"):
        build(make_run(), [make_attempt(make_run()[0], method="no-thinking")])


@pytest.mark.parametrize(
    "options", [{"level": 1.0}, {"tolerance": -0.1}, {"tolerance": 2}, {"tolerance": float("nan")}]
)
def test_impossible_settings_are_refused(options):
    with pytest.raises(DataError):
        build(make_run(), [make_attempt(make_run()[0])], **options)
