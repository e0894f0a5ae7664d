import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from raml.efficiency.contexts import Context
from raml.efficiency.pruning import PruneSettings, key_prune, measure_contributions, prune_trajectories
from raml.efficiency.shortened import Shortened, count_tokens, drop_by_chance, merge_spans, place_spans
from raml.errors import DataError, ModelError, NumericsError
from raml.prompts import encode_answer, encode_text, split_sentences
from raml.records import Question, ReadoutSettings
from raml.scoring import answer_nll_by_definition

BRIDGE = ReadoutSettings.bridge


@pytest.fixture(scope="module")
def chosen(pairs):
    """Two trajectories of different questions, the first with the most sentences."""
    first = max(pairs, key=lambda pair: len(split_sentences(pair[0])))
    return [first, next(pair for pair in pairs if pair[1].id != first[1].id)]


@pytest.fixture(scope="module")
def attempts(tiny, chosen):
    made, failures = prune_trajectories(tiny, chosen, PruneSettings(n_draws=3))
    assert failures == []
    return made


def loss_by_definition(loaded, trajectory, spans, target):
    """L̂ of an answer after some stretches of a trajectory, by a full forward pass over the joined ids."""
    ids = [*trajectory.prompt_ids]
    for start, stop in spans:
        ids += trajectory.token_ids[start:stop]
    answer = encode_answer(loaded.tokenizer, BRIDGE, target)
    parts = [
        torch.tensor(part, dtype=torch.long) for part in (ids, (), encode_text(loaded.tokenizer, BRIDGE), answer, [0])
    ]
    return float(answer_nll_by_definition(loaded.model, *parts).mean())


def prune_by_definition(loaded, trajectory, share, left, target):
    """Leave sentences out one by one: least contribution first, all of it from single forward passes."""
    opening = (0, split_sentences(trajectory)[0][0])
    whole = loss_by_definition(loaded, trajectory, [opening, *left], target)
    contributions = {
        gone: loss_by_definition(loaded, trajectory, [opening, *(s for s in left if s != gone)], target) - whole
        for gone in left
    }
    for gone in sorted(left, key=contributions.__getitem__):
        n_kept = opening[1] + sum(stop - start for start, stop in left)
        if n_kept <= share * trajectory.reasoning_len or len(left) == 1:
            break
        left = [sentence for sentence in left if sentence != gone]
    return left


def find(attempts, trajectory, method, level):
    return [a for a in attempts if (a.trajectory_id, a.method, a.level) == (trajectory.id, method, level)]


def test_contributions_are_the_losses_of_leaving_each_stretch_out(tiny, chosen):
    asked, expected = [], []
    for trajectory, question in chosen:
        spans = split_sentences(trajectory)
        reasoning = trajectory.token_ids[: trajectory.reasoning_len]
        asked.append((Context(trajectory.prompt_ids, reasoning, question, question.answer), spans))
        opening = (0, spans[0][0])
        whole = loss_by_definition(tiny, trajectory, [opening, *spans], question.answer)
        expected.append([
            loss_by_definition(tiny, trajectory, [opening, *(s for s in spans if s != gone)], question.answer) - whole
            for gone in spans
        ])  # fmt: skip
    for measured, slow in zip(measure_contributions(tiny, asked), expected, strict=True):
        assert measured == pytest.approx(slow, abs=1e-4)


def test_what_is_kept_at_each_share_is_what_the_definition_keeps(tiny, chosen, attempts):
    trajectory, _ = chosen[0]
    sentences = split_sentences(trajectory)
    left = sentences
    for share in (0.75, 0.5, 0.25):
        left = prune_by_definition(tiny, trajectory, share, left, trajectory.answer)
        [pruned] = find(attempts, trajectory, "prune", share)
        kept = [(0, sentences[0][0]), *left]
        assert [i for span in pruned.kept for i in range(*span)] == [i for span in kept for i in range(*span)]
        assert pruned.loss == pytest.approx(loss_by_definition(tiny, trajectory, kept, trajectory.answer), abs=1e-4)
    assert len(left) < len(sentences)


def test_pruning_keeps_at_most_the_share_unless_one_sentence_is_left(chosen, attempts):
    for trajectory, _ in chosen:
        for share in (0.75, 0.5, 0.25):
            [pruned] = find(attempts, trajectory, "prune", share)
            sentences = [s for s in split_sentences(trajectory) if any(a <= s[0] < b for a, b in pruned.kept)]
            assert pruned.n_thinking <= share * trajectory.reasoning_len or len(sentences) == 1
            assert pruned.n_thinking == sum(stop - start for start, stop in pruned.kept)
            assert pruned.kept[0][0] == 0, "the opening <think> stays"


def test_the_control_keeps_exactly_as_many_tokens(chosen, attempts):
    for trajectory, _ in chosen:
        for share in (0.75, 0.5, 0.25):
            [pruned], controls = (find(attempts, trajectory, method, share) for method in ("prune", "random"))
            assert [control.draw for control in controls] == [0, 1, 2]
            for control in controls:
                assert control.n_thinking == pruned.n_thinking == sum(b - a for a, b in control.kept)
                assert control.variant == pruned.variant == "own"
    assert len({a.kept for a in attempts if a.method == "random"}) > 10


def test_all_of_the_reasoning_counts_as_generated(tiny, chosen, attempts):
    """The answer to the first question is written as its digits and the closing brace."""
    for attempt in attempts:
        trajectory = next(t for t, _ in chosen if t.id == attempt.trajectory_id)
        n_answer = len(encode_text(tiny.tokenizer, attempt.answer or "")) + 1
        assert attempt.answer is None or attempt.n_generated == len(trajectory.token_ids) + n_answer


def test_a_share_that_cannot_be_reached_leaves_one_sentence_and_says_how_much(tiny, chosen):
    trajectory, _ = chosen[0]
    [pruned], failures = prune_trajectories(tiny, chosen[:1], PruneSettings((0.001,), n_draws=0))
    assert failures == []
    kept = {i for span in pruned.kept for i in range(*span)}
    assert [s for s in split_sentences(trajectory) if s[0] in kept] == [
        s for s in split_sentences(trajectory) if kept.issuperset(range(*s))
    ]
    assert len([s for s in split_sentences(trajectory) if s[0] in kept]) == 1
    assert pruned.level == 0.001
    assert pruned.n_thinking > 0.001 * trajectory.reasoning_len


def test_a_share_of_one_keeps_everything_and_is_the_whole_reasoning(tiny, chosen):
    trajectory, question = chosen[0]
    made, _ = prune_trajectories(tiny, chosen[:1], PruneSettings((1.0,), target="gold", n_draws=1))
    expected = loss_by_definition(tiny, trajectory, [(0, trajectory.reasoning_len)], question.answer)
    for attempt in made:
        assert attempt.kept == ((0, trajectory.reasoning_len),)
        assert attempt.loss == pytest.approx(expected, abs=1e-4)


def test_the_gold_answer_decides_other_sentences_than_a_wrong_answer_of_its_own(tiny, chosen):
    trajectory, question = chosen[0]
    wrong = (replace(trajectory, answer="-3", correct=False), question)
    losses = {}
    for target, answer in (("gold", question.answer), ("own", "-3")):
        [made], _ = prune_trajectories(tiny, [wrong], PruneSettings((0.4,), target=target, n_draws=0))
        assert made.variant == target
        assert made.loss == pytest.approx(loss_by_definition(tiny, trajectory, made.kept, answer), abs=1e-4)
        losses[target] = made.kept
    assert losses["gold"] != losses["own"]


def test_attempts_come_in_the_order_of_their_planned_ids(tiny, chosen, attempts):
    settings = PruneSettings(n_draws=3)
    planned = [key for pair in chosen for key in key_prune(tiny, *pair, settings)]
    assert [a.id for a in attempts] == planned
    assert len(set(planned)) == 2 * 3 * 4


def test_an_id_changes_with_what_came_before_it_and_with_nothing_after(tiny, chosen):
    def keys(*shares, **settings):
        return key_prune(tiny, *chosen[0], PruneSettings(shares, **settings))

    usual = keys(0.75, 0.5, n_draws=1)
    assert keys(0.5, 0.75, 0.1, n_draws=1)[:4] == usual, "smaller shares come later"
    assert set(keys(0.5, n_draws=1)).isdisjoint(usual), "without 0.75 before, other sentences are left at 0.5"
    assert set(keys(0.75, n_draws=2)) > set(usual[:2])
    other_seed = keys(0.75, 0.5, n_draws=1, seed=1)
    assert [a == b for a, b in zip(usual, other_seed, strict=True)] == [True, False, True, False]
    assert set(keys(0.75, 0.5, n_draws=1, target="gold")).isdisjoint(usual)


@pytest.mark.parametrize(("target", "changes"), [("own", True), ("gold", False)])
def test_an_id_changes_with_the_own_answer_where_that_decides(tiny, chosen, target, changes):
    trajectory, question = chosen[0]
    settings = PruneSettings(target=target)
    other = key_prune(tiny, replace(trajectory, answer="-3"), question, settings)
    assert set(other).isdisjoint(key_prune(tiny, trajectory, question, settings)) == changes


def test_what_cannot_be_pruned_is_named_and_the_others_go_on(tiny, chosen, import_text):
    trajectory, question = chosen[0]
    pairs = [
        (replace(trajectory, id="mute", answer=None), question),
        (import_text(question, "<think>\nFirst 3+4=7\n</think>\n\\boxed{7}"), question),
        (replace(trajectory, id="blank", reasoning_len=0), question),
        (replace(trajectory, id="program"), replace(question, kind="code")),
        (replace(trajectory, id="foreign", token_ids=(9999, *trajectory.token_ids[1:])), question),
        chosen[1],
    ]
    made, failures = prune_trajectories(tiny, pairs, PruneSettings((0.5,), n_draws=0))
    assert [a.trajectory_id for a in made] == [chosen[1][0].id]
    assert [id for id, _ in failures] == [t.id for t, _ in pairs[:5]]
    messages = [str(error) for _, error in failures]
    assert [type(error) for _, error in failures] == [DataError] * 4 + [ModelError]
    for message, expected in zip(
        messages,
        ("no answer of its own", "one sentence", "no sentences", "asks for a program", "another tokenizer"),
        strict=True,
    ):
        assert expected in message


def test_without_an_answer_of_its_own_the_gold_one_can_still_decide(tiny, chosen):
    trajectory, question = chosen[0]
    mute = (replace(trajectory, answer=None, correct=False), question)
    made, failures = prune_trajectories(tiny, [mute], PruneSettings((0.5,), target="gold", n_draws=0))
    assert (len(made), failures) == (1, [])


def test_a_loss_that_breaks_down_is_an_error_that_names_the_trajectory(broken, chosen):
    made, failures = prune_trajectories(broken, chosen, PruneSettings((0.5,), n_draws=1))
    assert made == []
    assert [id for id, _ in failures] == [t.id for t, _ in chosen]
    assert all(isinstance(error, NumericsError) and id in str(error) for id, error in failures)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shares": ()}, "Shares"),
        ({"shares": (0.5, 0.0)}, "Shares"),
        ({"shares": (1.2,)}, "Shares"),
        ({"shares": (math.nan,)}, "Shares"),
        ({"n_draws": -1}, "n_draws is -1"),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(DataError, match=message):
        PruneSettings(**changes)


SENTENCE_LENS = st.lists(st.integers(1, 9), min_size=2, max_size=8)


@given(lens=SENTENCE_LENS, opening=st.integers(0, 2), data=st.data())
def test_dropping_by_chance_keeps_the_length_and_cuts_at_most_one_sentence(make_shortened, lens, opening, data):
    sentences = place_spans(opening, [(0, n) for n in lens])
    left = data.draw(st.lists(st.sampled_from(sentences), min_size=1, unique=True))
    shortened = make_shortened(sentences, left)
    kept = drop_by_chance(shortened, 0, 0.5, 0)
    assert count_tokens(kept) == count_tokens(left)
    assert list(kept) == sorted(kept)
    whole = [span for span in kept if span in sentences]
    partial = [span for span in kept if span not in sentences]
    assert len(partial) <= 1
    assert all(any(span[0] == start and span[1] < stop for start, stop in sentences) for span in partial)
    assert drop_by_chance(shortened, 0, 0.5, 0) == kept
    assert len(whole) + len(partial) == len(kept)


def test_seed_share_draw_and_trajectory_each_change_what_is_dropped(make_shortened):
    sentences = [(i, i + 1) for i in range(40)]
    shortened = make_shortened(sentences, sentences[:20])
    other = make_shortened(sentences, sentences[:20], id="another")
    kept = {
        drop_by_chance(shortened, 0, 0.5, 0),
        drop_by_chance(shortened, 1, 0.5, 0),
        drop_by_chance(shortened, 0, 0.4, 0),
        drop_by_chance(shortened, 0, 0.5, 1),
        drop_by_chance(other, 0, 0.5, 0),
    }
    assert len(kept) == 5


def test_chance_is_even_over_sentences(make_shortened):
    """Half of 10 sentences are kept in each of 400 draws: each one 200 times, give or take 10 (standard deviation)."""
    sentences = [(i, i + 1) for i in range(10)]
    shortened = make_shortened(sentences, sentences[:5])
    draws = [drop_by_chance(shortened, 0, 0.5, draw) for draw in range(400)]
    for sentence in sentences:
        assert 150 < sum(sentence in kept for kept in draws) < 250


def test_stretches_that_touch_are_joined_and_empty_ones_left_out():
    assert merge_spans([(0, 0), (1, 3), (3, 4), (6, 6), (6, 9)]) == ((1, 4), (6, 9))
    assert place_spans(2, [(5, 8), (9, 10)]) == [(2, 5), (5, 6)]


@pytest.fixture(scope="module")
def make_shortened():
    class Named:
        def __init__(self, id):
            self.id = id

    def make(sentences, left, id="t"):
        return Shortened((Named(id), Question("q", "", "1")), "1", tuple(sentences), tuple(left))

    return make
