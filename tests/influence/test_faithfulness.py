import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from raml.errors import DataError
from raml.influence import agreement
from raml.influence.agreement import correlate_pairs, correlate_ranks, list_agreements, list_leads
from raml.influence.faithfulness import predict_reliability, summarize_faithfulness
from raml.influence.faithfulness_table import (
    describe_summary,
    judge_faithfulness,
    list_reliabilities,
    write_json,
    write_markdown,
)
from raml.influence.sentences import (
    CONTRAST,
    DISTANCE,
    DIVERGENCE,
    FALL,
    GOLD,
    LENGTH,
    OWN,
    PLACE,
    SHARE,
    SentenceImportance,
)
from raml.influence.subsample import choose_trajectories
from tests.influence.resamplings import make_resampling


def make_sentences(question, resampled, probe, *, repeat=0, length=None, correct=True):
    """A trajectory whose sentences resampling and probe, in all their measures, call so important."""
    a, b = np.array(resampled, float), np.array(probe, float)
    lens = np.ones(len(a)) if length is None else np.array(length, float)
    resampled = dict.fromkeys((SHARE, CONTRAST, DISTANCE, DIVERGENCE), a)
    values = resampled | {FALL: b, OWN: b, GOLD: b, PLACE: np.arange(len(a)), LENGTH: lens}
    return SentenceImportance(f"{question}-{repeat}", question, correct, values)


def find(rows, measure, text="all", resampled=DISTANCE):
    (row,) = [r for r in rows if (r.text, r.resampled, r.measure) == (text, resampled, measure)]
    return row


@pytest.fixture
def fewer(monkeypatch):
    """So few permutations that a test may make many of them."""
    monkeypatch.setattr(agreement, "N_PERMUTATIONS", 199)


def test_rank_correlations_of_four_sentences_by_hand():
    """One neighbouring pair swapped: Spearman 1 − 6·2/(4·15) = 0.8; Kendall (5 − 1)/6."""
    a, b = np.array([1.0, 2, 3, 4]), np.array([10.0, 30, 20, 40])
    assert correlate_ranks(a, b) == pytest.approx(0.8)
    assert correlate_pairs(a, b) == pytest.approx(2 / 3)


def test_sentences_without_a_value_are_left_out_and_constant_ones_have_no_rank():
    a, b = np.array([1.0, 2, 3, 4, math.nan]), np.array([10.0, 30, 20, 40, 0])
    assert correlate_ranks(a, b) == pytest.approx(0.8)
    for correlate in (correlate_ranks, correlate_pairs):
        assert math.isnan(correlate(a, np.ones(5)))
        assert math.isnan(correlate(np.array([1, math.nan]), np.array([1, 2])))


def test_means_are_over_questions_and_what_has_no_order_is_counted():
    """Question a has correlations 1 and −1, b has 1: (0 + 1)/2 over questions, where trajectories would give 1/3."""
    sentences = [
        make_sentences("a", [1, 2, 3], [1, 2, 3]),
        make_sentences("a", [1, 2, 3], [3, 2, 1], repeat=1),
        make_sentences("b", [1, 2, 3], [1, 2, 3]),
        make_sentences("c", [0, 0, 0], [1, 2, 3]),
        make_sentences("d", [1, 2, 3], [math.nan] * 3),
        make_sentences("e", [1, 2, 3], [5, 5, 5]),
        make_sentences("f", [math.nan] * 3, [1, 2, 3]),
        make_sentences("g", [1, math.nan, math.nan], [1, 2, 3]),
    ]
    row = find(list_agreements(sentences, 0), OWN)
    assert row.spearman.value == pytest.approx(0.5)
    assert row.kendall.value == pytest.approx(0.5)
    assert (row.n_trajectories, row.spearman.n_questions, row.n_constant, row.n_unranked) == (3, 2, 1, 4)


def test_right_and_wrong_trajectories_have_rows_of_their_own_where_there_are_both(fewer):
    right = [make_sentences(q, [1, 2, 3], [1, 2, 3]) for q in "ab"]
    wrong = [make_sentences(q, [1, 2, 3], [3, 2, 1], correct=False) for q in "cd"]
    rows = list_agreements(right + wrong, 0)
    assert [find(rows, OWN, text).spearman.value for text in ("all", "right", "wrong")] == pytest.approx([0, 1, -1])
    assert {row.text for row in list_agreements(right, 0)} == {"all"}


def test_the_permutation_test_equals_going_through_all_orders():
    """Two trajectories of 3 and 4 sentences: 6 · 24 ways to shuffle both."""
    pairs = [([1, 2, 3], [2, 1, 3]), ([1, 2, 3, 4], [1, 2, 4, 3])]
    row = find(list_agreements([make_sentences(q, *pair) for q, pair in zip("ab", pairs, strict=True)], 0), OWN)

    def mean(first, second):
        return np.corrcoef(pairs[0][0], first)[0, 1] + np.corrcoef(pairs[1][0], second)[0, 1]

    orders = itertools.product(*(itertools.permutations(probe) for _, probe in pairs))
    means = np.round([mean(*order) for order in orders], 9)
    observed = np.round(mean(pairs[0][1], pairs[1][1]), 9)
    expected = 2 * min((means >= observed).mean(), (means <= observed).mean())
    assert row.p == pytest.approx(expected, abs=0.02)


def test_p_values_are_uniform_where_the_probe_says_nothing(fewer):
    generator = np.random.default_rng(0)
    p_values = []
    for _ in range(150):
        sentences = [make_sentences(q, generator.random(5), generator.random(5)) for q in "abc"]
        p_values.append(agreement.compute_permutation_p_value(sentences, DISTANCE, OWN, 0))
    # Three standard errors of a share of 150.
    for level in (0.1, 0.5):
        assert np.mean(np.array(p_values) <= level) == pytest.approx(
            level, abs=3 * math.sqrt(level * (1 - level) / 150)
        )


def test_a_planted_agreement_is_found():
    generator = np.random.default_rng(0)
    values = [generator.random(6) for _ in range(8)]
    sentences = [make_sentences(str(q), v, v + 0.1 * generator.random(6)) for q, v in enumerate(values)]
    row = find(list_agreements(sentences, 0), OWN)
    assert row.spearman.low > 0.5
    assert row.p_holm < 0.01


def test_intervals_of_correlations_do_not_leave_their_bounds(fewer):
    sentences = [make_sentences("a", [1, 2, 3], [1, 2, 3]), make_sentences("b", [1, 2, 3], [1, 3, 2])]
    row = find(list_agreements(sentences, 0), OWN)
    assert row.spearman.high == 1
    assert -1 <= row.spearman.low < 0.75


def test_a_baseline_is_turned_the_way_that_suits_it():
    """Importance falls from sentence to sentence, as the probe says: it is no better than "earlier ones matter"."""
    sentences = [make_sentences(q, [3, 2, 1, 0], [9, 5, 4, 1], length=[4, 3, 1, 2]) for q in "abc"]
    leads = {lead.baseline: lead for lead in list_leads(sentences) if (lead.resampled, lead.measure) == (DISTANCE, OWN)}
    assert set(leads) == {"earlier", "longer"}
    assert leads["earlier"].difference.value == pytest.approx(0)
    # Lengths have ranks 4, 3, 1, 2 beside 4, 3, 2, 1: 1 − 6·2/60.
    assert leads["longer"].difference.value == pytest.approx(1 - 0.8)


def test_a_baseline_without_an_order_makes_no_lead():
    sentences = [make_sentences(q, [3, 2, 1], [3, 2, 1]) for q in "ab"]  # all of one length
    assert {lead.baseline for lead in list_leads(sentences)} == {"earlier"}


def test_twice_as_many_continuations_make_a_correlation_of_a_half_two_thirds():
    assert predict_reliability(0.5, 2) == pytest.approx(2 / 3)
    assert predict_reliability(0.5, 1) == 0.5
    assert (predict_reliability(1.2, 2), predict_reliability(-3, 2)) == (1, -1)


def make_pair(make, question, shares, probe, *, n=4, correct=True, prefix_lens=None):
    """A trajectory and its resampling: so many of n right at each border, and L̂ of both answers."""
    trajectory = make(question_id=question, correct=correct)
    rows = [["1"] * k + ["5"] * (n - k) for k in shares]
    lens = np.cumsum([0, *range(1, len(shares))]) if prefix_lens is None else prefix_lens
    record = make_resampling(trajectory.id, rows, right="1", loss=probe, own_loss=probe, prefix_lens=lens)
    return trajectory, record


def plant(sign, n_questions=10):
    """Questions in which L̂ of both answers follows the share of right continuations, with a sign."""
    generator = np.random.default_rng(0)
    for _ in range(n_questions):
        shares = generator.permutation([0, 1, 3, 6, 10])
        yield shares, 9 - sign * (shares + generator.random(5) / 9) / 2 if sign else generator.random(5)


@pytest.fixture
def summarize(make_trajectory, fewer):
    def make(*pairs, **options):
        made = [make_pair(make_trajectory, str(i), *pair) for i, pair in enumerate(pairs)]
        return summarize_faithfulness([t for t, _ in made], [r for _, r in made], **options)

    return make


def test_where_all_continuations_agree_resampling_is_perfectly_reliable(summarize):
    """All wrong, all right, all right, all wrong: any half says the same as any other."""
    summary = summarize(([0, 4, 4, 0], [1, 2, 3, 4]), ([0, 0, 4, 4], [1, 2, 3, 5]))
    assert [row.value for row in summary.reliabilities] == pytest.approx([1] * 4)
    assert [row.ceiling for row in summary.reliabilities] == pytest.approx([1] * 4)
    assert summary.chance.value < summary.distance.value


def test_one_odd_continuation_is_never_in_both_halves_so_they_agree_by_nothing(summarize):
    summary = summarize(([4, 4, 3, 4], [1, 2, 3, 4]), ([4, 3, 4, 4], [1, 2, 3, 5]))
    assert [row.value for row in summary.reliabilities] == [0, 0, 0]
    assert list_reliabilities(summary)[1][0][-1] == "0.00"


def test_halves_of_one_continuation_say_nothing_of_the_contrast(make_trajectory, fewer):
    made = [make_pair(make_trajectory, q, [0, 2, 1, 2], [1, 2, 3, 4], n=2) for q in "ab"]
    summary = summarize_faithfulness([t for t, _ in made], [r for _, r in made])
    assert [row.resampled for row in summary.reliabilities] == [SHARE, DISTANCE, DIVERGENCE]


def test_counts_say_what_was_compared_and_what_not(summarize):
    pairs = [([0, 4, 2, 4], [9, 1, 2, 8]), ([4, 4, 4, 4], [9, 1, 2, 8]), ([0, 4, 1], [3, 2, 1])]
    summary = summarize(*pairs)
    assert (summary.n_trajectories, summary.n_short, summary.n_questions) == (2, 1, 2)
    assert (summary.n_sentences, summary.n_continuations, summary.n) == (6, 32, 4)
    assert (summary.n_right, summary.n_wrong, summary.n_silent, summary.n_undecided) == (2, 0, 0, 0)
    row = summary.find_agreement(SHARE, FALL)
    assert (row.n_trajectories, row.n_constant, row.n_unranked) == (1, 1, 0)
    assert any("1 trajectories have fewer than 3 sentences" in line for line in describe_summary(summary))


def test_the_order_of_the_records_does_not_matter(make_trajectory, fewer):
    made = [make_pair(make_trajectory, str(i), *pair, n=10) for i, pair in enumerate(plant(1, 4))]
    trajectories, records = [t for t, _ in made], [r for _, r in made]
    texts = {
        write_json([summarize_faithfulness(trajectories[::step], [records[i] for i in order])])
        for step, order in ((1, [0, 1, 2, 3]), (-1, [2, 0, 3, 1]))
    }
    assert len(texts) == 1


def test_all_right_from_everywhere_is_a_result_that_says_nothing(summarize):
    summary = summarize(([4] * 4, [1, 2, 3, 4]), ([4] * 4, [4, 2, 3, 1]))
    assert judge_faithfulness(summary).count("nothing can be said") == 2
    assert summary.reliabilities == ()
    assert json.loads(write_json([summary]))[0]["agreements"][0]["spearman"] is None
    assert "| all | share right |" in write_markdown([summary])


def test_one_question_says_nothing_about_others(summarize):
    assert "one question tells nothing about others" in judge_faithfulness(summarize(([0, 4, 2, 4], [9, 1, 2, 3])))


@pytest.mark.parametrize(
    ("sign", "words"),
    [(1, "agree on which sentences matter"), (-1, "probe and resampling disagree"), (0, "are not shown to agree")],
)
def test_the_sentence_says_what_was_found(make_trajectory, sign, words):
    made = [make_pair(make_trajectory, str(i), *pair, n=10) for i, pair in enumerate(plant(sign))]
    summary = summarize_faithfulness([t for t, _ in made], [r for _, r in made])
    first = judge_faithfulness(summary).split("made-up, change")[0]
    assert words in first
    assert first.startswith("made-up, fall of L̂ of the gold answer against rise of the share")
    assert ("better guide" in first) is (sign == 1)
    if sign == 1:
        assert "It is a better guide than place and length" in first


def test_what_is_not_shown_to_agree_is_never_called_a_better_guide(make_trajectory, monkeypatch):
    """An interval above 0 does not suffice where the permutation test says otherwise."""
    monkeypatch.setattr(agreement, "compute_permutation_p_value", lambda *_: 0.5)
    made = [make_pair(make_trajectory, str(i), *pair, n=10) for i, pair in enumerate(plant(1))]
    summary = summarize_faithfulness([t for t, _ in made], [r for _, r in made])
    assert summary.find_agreement(SHARE, FALL).spearman.low > 0
    assert "are not shown to agree" in judge_faithfulness(summary)
    assert "guide" not in judge_faithfulness(summary)


def test_what_can_t_be_compared_is_refused(make_trajectory):
    trajectory, record = make_pair(make_trajectory, "q", [0, 4, 2, 4], [1, 2, 3, 4])
    with pytest.raises(DataError, match="nothing to compare"):
        summarize_faithfulness([], [record])
    with pytest.raises(DataError, match="under several settings"):
        summarize_faithfulness([trajectory], [record, replace(record, id="again")])
    other, second = make_pair(make_trajectory, "r", [0, 2, 2, 4], [1, 2, 3, 4])
    for changed in (
        replace(second, settings=replace(second.settings, n=9)),
        replace(second, model=replace(second.model, dtype="bfloat16")),
    ):
        with pytest.raises(DataError, match="differ in model, n or probe"):
            summarize_faithfulness([trajectory, other], [record, changed])
    short = make_pair(make_trajectory, "q", [0, 4], [1, 2])
    with pytest.raises(DataError, match="None of 1 trajectories has 3 sentences"):
        summarize_faithfulness([short[0]], [short[1]])


@pytest.fixture
def many(make_trajectory):
    """Ten questions with three right and three wrong trajectories each."""
    text = "One is. Two is. Three is."
    return [
        make_trajectory(text, f"q{question}", repeat, correct=repeat % 2 == 0)
        for question in range(10)
        for repeat in range(6)
    ]


def test_a_subsample_is_even_and_takes_no_more_than_two_of_a_question(many):
    chosen = choose_trajectories(many, 14).chosen
    assert [sum(t.correct is side for t in chosen) for side in (True, False)] == [7, 7]
    questions = [t.question_id for t in chosen]
    assert max(map(questions.count, questions)) == 2
    assert len(set(questions)) == 10
    assert len(choose_trajectories(many, 99).chosen) == 20


def test_a_smaller_subsample_begins_a_larger_one_whatever_the_lists_order(many):
    large = choose_trajectories(many, 20, seed=3).chosen
    for n in range(1, 20):
        assert choose_trajectories(many[::-1], n, seed=3).chosen == large[:n]
    assert choose_trajectories(many, 20, seed=4).chosen != large


def test_a_side_that_runs_out_leaves_the_rest_to_the_other(many):
    few = [t for t in many if t.correct is (t.question_id != "q0")]
    chosen = choose_trajectories(few, 12).chosen
    assert sum(t.correct is False for t in chosen) == 2
    assert len(chosen) == 12


def test_what_can_t_be_written_again_is_counted_by_reason(make_trajectory):
    text = "One is. Two is. Three is."
    trajectories = [
        make_trajectory(text, "a"),
        make_trajectory(text, "b", correct=None),
        make_trajectory(text, "c", finish="length"),
        make_trajectory(text, "d", mode="nothink"),
        make_trajectory("One is. Two is.", "e"),
        make_trajectory(text, "f", correct=False),
    ]
    drawn = choose_trajectories(trajectories, 9, only="right")
    assert [t.question_id for t in drawn.chosen] == ["a"]
    assert drawn.left_out == dict.fromkeys(
        ("cut off", "fewer than 3 sentences", "undecided", "without thinking", "wrong"), 1
    )
