"""Rules that are chosen on one half of the questions and reported on the other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.efficiency.choice import choose_rules, describe_choice, split_questions
from raml.efficiency.outcomes import FULL, Resamples, collect_cells
from raml.errors import DataError
from raml.records import Question, name_point
from tests.efficiency.made_up import FEW, make_attempt, make_full, make_questions

IDS = [f"q{i}" for i in range(8)]
QUESTIONS = make_questions(*IDS)
CHOSEN_ON, REPORTED_ON = split_questions(QUESTIONS, 0)
FULLS = {name: make_full(name, reasoning_len=100, n_more=0) for name in IDS}


def make_line(wrong, method="cut", saved=0.5, **changes):
    """An attempt of each full trajectory, wrong where said, at so much less than its 100 tokens."""
    n = round(100 * (1 - saved))
    return [
        make_attempt(t, name not in wrong, method, n_thinking=n, n_generated=n, **{"level": float(n)} | changes)
        for name, t in FULLS.items()
    ]


def choose(attempts, questions=QUESTIONS, tolerance=0.0, **options):
    cells = collect_cells([FULLS[question.id] for question in questions], attempts)
    return choose_rules(questions, cells, tolerance=tolerance, resamples=Resamples(n_resamples=FEW, **options))


def test_a_rule_that_is_good_on_the_first_half_is_reported_with_what_it_does_on_the_other():
    """The shorter cut is always right where rules are chosen, and never where they are reported."""
    (choice,) = choose(make_line(REPORTED_ON, saved=0.9) + make_line([], saved=0.2))
    assert choice.rule == ("cut", "", 10.0)
    assert (choice.saved_when_chosen, choice.difference_when_chosen) == (pytest.approx(0.9), 0)
    assert (choice.n_rules, choice.n_chosen_on) == (2, 4)
    assert choice.saved.value == pytest.approx(0.9)
    assert (choice.difference.value, choice.difference.n_questions) == (-1, 4)
    sentence = describe_choice(choice)
    assert sentence.startswith("cut at 10 tokens: 90 % fewer tokens generated, accuracy -100.0 points [-100.0, ")
    assert sentence.endswith("chosen from 2 rules on 4 questions, where it had 90 % and +0.0 points.")


def test_a_rule_that_is_bad_on_the_first_half_is_not_chosen_however_good_on_the_other():
    (choice,) = choose(make_line(CHOSEN_ON, saved=0.9) + make_line([], saved=0.2))
    assert choice.rule == ("cut", "", 80.0)


@pytest.mark.parametrize(("tolerance", "level"), [(0.2499, 80.0), (0.25, 10.0), (0.5, 10.0)])
def test_the_tolerance_may_be_used_up_but_not_exceeded(tolerance, level):
    """One of four wrong costs 1/4."""
    (choice,) = choose(make_line(CHOSEN_ON[:1], saved=0.9) + make_line([], saved=0.2), tolerance=tolerance)
    assert choice.rule == ("cut", "", level)


def test_the_other_half_has_no_say():
    attempts = make_line([], saved=0.9) + make_line([], saved=0.2)
    spoilt = make_line(REPORTED_ON, saved=0.9) + make_line([], saved=0.2)
    (one,), (other,) = choose(attempts), choose(spoilt)
    assert (one.rule, one.saved_when_chosen) == (other.rule, other.saved_when_chosen)
    assert one.difference.value == 0 != other.difference.value


def test_early_exits_of_all_variants_are_one_line_and_other_variants_lines_of_their_own():
    exits = make_line([], "early-exit", 0.3, variant="2 probes", level=0.8)
    exits += make_line([], "early-exit", 0.6, variant="3 probes", level=0.9)
    pruned = [a for v in ("gold", "own") for a in make_line([], "prune", 0.5, variant=v, level=0.5)]
    choices = choose(exits + pruned + make_line([], "random", 0.5, variant="own"))
    assert [(c.method, c.variant, c.n_rules) for c in choices] == [
        ("early-exit", "", 2), ("prune", "gold", 1), ("prune", "own", 1),
    ]  # fmt: skip
    assert choices[0].rule == ("early-exit", "3 probes", 0.9)


@pytest.mark.parametrize("method", ["prune", "summary"])
def test_methods_that_need_the_whole_reasoning_are_chosen_by_tokens_in_context(method):
    attempts = [
        make_attempt(t, True, method, level=level, n_thinking=n, n_generated=n_generated)
        for t in FULLS.values()
        for level, n, n_generated in ((0.75, 75, 100), (0.25, 25, 120))
    ]
    (choice,) = choose(attempts)
    assert choice.counted == "in context"
    assert choice.rule[2] == 0.25
    assert choice.saved is choice.saved_context
    assert choice.saved_generated.value == pytest.approx(-0.2)
    assert "75 % fewer tokens in context, accuracy" in describe_choice(choice)


def test_where_every_rule_costs_too_much_that_is_the_result():
    (choice,) = choose(make_line(CHOSEN_ON, saved=0.9) + make_line(CHOSEN_ON[:2], saved=0.5), tolerance=0.01)
    assert choice.rule is None
    assert choice.saved is None
    assert describe_choice(choice) == (
        "cut: no rule qualifies. Each costs more than 1 point of accuracy on the half of 4 questions where one was "
        "sought; the mildest, cut at 50 tokens, 50 points."
    )
    (alone,) = choose(make_line(CHOSEN_ON, saved=0.9), tolerance=0.01)
    assert "It costs 100 points of accuracy on the half of 4 questions" in alone.reason


def test_a_rule_that_saves_nothing_is_none():
    (choice,) = choose(make_line([], "wait", -0.5) + make_line([], "wait", -0.25))
    assert choice.rule is None
    assert "the cheapest, wait up to 125 tokens, costs 25.0 % more." in describe_choice(choice)
    (same,) = choose(make_line([], saved=0))
    assert same.reason.endswith("cut at 100 tokens, costs as many.")


@pytest.mark.parametrize("n", [1, 2, 3])
def test_fewer_than_four_questions_give_no_choice_and_say_so(n):
    (choice,) = choose([a for a in make_line([]) if a.question_id in IDS[:n]], QUESTIONS[:n])
    assert choice.rule is None
    assert "A choice needs 2 questions on each half" in describe_choice(choice)
    (enough,) = choose([a for a in make_line([]) if a.question_id in IDS[:4]], QUESTIONS[:4])
    assert enough.rule is not None


def test_a_rule_without_attempts_on_the_other_half_is_no_candidate():
    partial = [a for a in make_line([], saved=0.9) if a.question_id not in REPORTED_ON[1:]]
    (choice,) = choose(partial + make_line([], saved=0.2))
    assert choice.rule == ("cut", "", 80.0)


def test_a_rule_that_was_tried_on_few_questions_is_no_candidate():
    """Cutting at 10 tokens was tried on 2 questions of each half, cutting at 80 on all 4."""
    few = {*CHOSEN_ON[:2], *REPORTED_ON[:2]}
    (choice,) = choose([a for a in make_line([], saved=0.9) if a.question_id in few] + make_line([], saved=0.2))
    assert (choice.rule, choice.n_rules, choice.n_chosen_on) == (("cut", "", 80.0), 1, 4)
    (alone,) = choose([a for a in make_line([], saved=0.9) if a.question_id in few])
    assert (alone.rule, alone.n_rules, alone.n_chosen_on) == (("cut", "", 10.0), 1, 2)


def test_of_rules_that_save_as_much_the_better_one_is_chosen():
    attempts = make_line(CHOSEN_ON[:1], "early-exit", 0.5, variant="2 probes", level=0.9)
    attempts += make_line([], "early-exit", 0.5, variant="3 probes", level=0.5)
    (choice,) = choose(attempts, tolerance=1)
    assert choice.rule == ("early-exit", "3 probes", 0.5)


def test_a_chosen_rule_that_writes_more_on_the_other_half_is_said_to():
    attempts = [
        make_attempt(t, True, n_generated=(50 if name in CHOSEN_ON else 110 + 10 * i))
        for i, (name, t) in enumerate(FULLS.items())
    ]
    sentence = describe_choice(choose(attempts)[0])
    more = sum(10 + 10 * i for i, name in enumerate(IDS) if name in REPORTED_ON) / 4
    assert f": {more:.0f} % more tokens generated [" in sentence


NAMES = st.lists(st.text(st.characters(codec="ascii"), max_size=3), unique=True, max_size=24)


@given(NAMES, st.integers(0, 9), st.randoms(use_true_random=False))
def test_halves_are_a_fair_split_that_depends_on_nothing_but_seed_and_ids(names, seed, random):
    questions = [
        Question(name, "?", "1", domain=random.choice(["a", "b", None]), source=random.choice(["x", None]))
        for name in names
    ]
    first, second = split_questions(questions, seed)
    assert sorted(first + second) == sorted(names)
    assert 0 <= len(first) - len(second) <= 1
    strata = {}
    for question in questions:
        strata.setdefault((question.domain, question.source), []).append(question.id)
    for ids in strata.values():
        assert abs(len(set(ids) & set(first)) - len(set(ids) & set(second))) <= 1
    shuffled = split_questions(random.sample(questions, len(questions)), seed)
    assert [set(half) for half in shuffled] == [set(first), set(second)]


def test_another_seed_splits_otherwise():
    assert len({tuple(split_questions(QUESTIONS, seed)[0]) for seed in range(10)}) > 5


@pytest.mark.parametrize("tolerance", [-0.01, 1.5, float("nan")])
def test_a_tolerance_that_is_no_share_is_refused(tolerance):
    with pytest.raises(DataError, match="The tolerance is"):
        choose(make_line([]), tolerance=tolerance)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (FULL, "full"),
        (("no-thinking", "", 0.0), "no-thinking"),
        (("cut", "", 64.0), "cut at 64 tokens"),
        (("wait", "", 96.0), "wait up to 96 tokens"),
        (("summary", "helper", 0.0), "summary by helper"),
        (("early-exit", "2 probes, every sentence", 0.9), "early-exit, 2 probes, every sentence, at 0.9"),
        (("prune", "own", 0.5), "prune (own), 50 % kept"),
        (("prune", "gold", 0.25), "prune (gold, an oracle), 25 % kept"),
        (("random", "gold", 0.25), "random (gold), 25 % kept"),
    ],
)
def test_points_are_named_in_plain_words(key, name):
    assert name_point(key) == name
