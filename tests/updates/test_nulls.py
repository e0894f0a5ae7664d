"""Texts in a trajectory's place."""

import pytest

from raml.errors import DataError
from raml.records import AlignmentSettings, ModelIdentity, Question
from raml.updates.nulls import NULLS, list_plain_tokens, make_null

SETTINGS = AlignmentSettings()
QUESTIONS = {name: Question(name, "?", answer) for name, answer in (("q", "1"), ("r", "1"), ("s", "2"), ("t", "3"))}


@pytest.fixture
def make(make_trajectory):
    """A trajectory whose tokens are numbered from `first`; the last one states the answer."""

    def make_here(question_id, first=0, n=5, repeat=0, **changes):
        values = {"token_ids": tuple(range(first, first + n)), "reasoning_len": n - 1}
        return make_trajectory(" ".join(["x"] * n), question_id, repeat, **values | changes)

    return make_here


@pytest.fixture
def choose_other(tiny):
    def choose(trajectory, others, **changes):
        return make_null("other question", tiny, trajectory, AlignmentSettings(**changes), QUESTIONS, others).ids

    return choose


@pytest.mark.parametrize("kind", NULLS)
def test_each_has_the_length_of_the_trajectory_s_span_and_depends_on_seed_and_id_alone(tiny, make, kind):
    own, others = make("q", n=40), [make("s", 50, n=3), make("t", 60, n=90)]

    def draw(trajectory, **changes):
        return make_null(kind, tiny, trajectory, AlignmentSettings(**changes), QUESTIONS, others).ids

    assert len(draw(own)) == 39
    assert len(draw(own, span="all")) == 40
    assert draw(own) == draw(own)
    variants = {draw(own, seed=seed) for seed in range(8)} | {draw(make("q", n=40, repeat=i)) for i in range(8)}
    assert len(variants) > 1


def test_shuffled_tokens_are_the_span_s_own(tiny, make):
    shuffled = make_null("shuffled", tiny, make("q", n=40), SETTINGS, QUESTIONS, []).ids
    assert shuffled != tuple(range(39))
    assert sorted(shuffled) == list(range(39))


@pytest.mark.parametrize("ids", [(7,), (7, 7, 7)])
def test_a_span_that_shuffling_leaves_as_it_is_has_no_such_null(tiny, make, ids):
    own = make("q", n=len(ids) + 1, token_ids=(*ids, 8))
    with pytest.raises(
        DataError, match=rf"q-0: 'shuffled' in its place would be the trajectory itself, {len(ids)} tok"
    ):
        make_null("shuffled", tiny, own, SETTINGS, QUESTIONS, [])


def test_two_tokens_are_always_exchanged(tiny, make):
    for seed in range(8):
        ids = make_null("shuffled", tiny, make("q", n=3), AlignmentSettings(seed=seed), QUESTIONS, []).ids
        assert ids == (1, 0)


def test_another_question_s_text_that_begins_alike_is_no_null(make, choose_other):
    with pytest.raises(DataError, match="'other question' in its place would be the trajectory itself"):
        choose_other(make("q", n=2), [make("t", n=9)])


def test_random_tokens_are_plain_text(tiny, make):
    plain = set(list_plain_tokens(tiny))
    marks = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")
    special = {tiny.tokenizer.convert_tokens_to_ids(mark) for mark in marks}
    assert plain == set(range(len(tiny.tokenizer))) - special
    drawn = make_null("random tokens", tiny, make("q", n=3000), SETTINGS, QUESTIONS, []).ids
    assert set(drawn) <= plain
    assert len(set(drawn)) > 0.9 * len(plain)


def test_a_right_trajectory_with_another_answer_is_preferred(make, choose_other):
    """Of r (same answer, right), s (another, wrong) and t (another, right) it is t; without t, r; then s."""
    own, r, s, t = make("q"), make("r", 10), make("s", 20, correct=False), make("t", 30)
    assert choose_other(own, [own, r, s, t]) == (30, 31, 32, 33)
    assert choose_other(own, [own, r, s]) == (10, 11, 12, 13)
    assert choose_other(own, [own, s]) == (20, 21, 22, 23)


def test_one_that_is_too_short_is_continued_by_the_next_and_by_itself_if_need_be(make, choose_other):
    own = make("q", n=8)
    assert choose_other(own, [make("t", 30, n=4), make("r", 10)]) == (30, 31, 32, 10, 11, 12, 13)
    assert choose_other(own, [make("t", 30, n=4)]) == (30, 31, 32, 30, 31, 32, 30)


def test_what_was_chosen_stays_when_others_come_in_that_are_no_better(make, choose_other):
    own, many = make("q"), [make("t", 100 + 10 * i, repeat=i) for i in range(6)]
    first = choose_other(own, many)
    assert choose_other(own, [make("r", 10), *many[::-1], make("s", 20, correct=None)]) == first
    assert len({choose_other(own, many, seed=seed) for seed in range(9)}) > 1


def test_texts_of_the_same_question_or_of_another_tokenizer_do_not_count(make, choose_other):
    other_model = ModelIdentity("another", None, "11", "float32", "cpu")
    others = [make("q", 10, repeat=1), make("t", 20, model=other_model), make("s", 30, n=1)]
    with pytest.raises(DataError, match=r"q-0: no other question has a trajectory .*--no-nulls"):
        choose_other(make("q"), others)


def test_the_trajectory_itself_is_no_null(tiny, make):
    with pytest.raises(DataError, match="'trajectory' is no text in a trajectory's place; choose shuffled, random"):
        make_null("trajectory", tiny, make("q"), SETTINGS, QUESTIONS, [])
