from dataclasses import replace

import pytest

from raml.errors import DataError
from raml.training.examples import TrajectoryEncoder
from raml.training.pairs import choose_pairs, encode_pairs


@pytest.fixture(scope="module")
def answered(train_questions, answer):
    """One question with three right and three wrong responses of different lengths."""
    question = train_questions[0]
    wrong = str(int(question.answer) + 1)

    def respond(value, n_words, repeat):
        return answer(question, f"<think>\n{'Then ' * n_words}\n</think>\n\n\\boxed{{{value}}}", repeat)

    right = [respond(question.answer, n, i) for i, n in enumerate((2, 20, 40))]
    wrongs = [respond(wrong, n, i + 3) for i, n in enumerate((41, 3, 60))]
    return question, right, wrongs


def list_repeats(pairs):
    return [(right.repeat, wrong.repeat) for _, right, wrong in pairs]


@pytest.mark.parametrize("choice", ["random", "shortest", "length"])
def test_a_pair_is_a_right_and_a_wrong_trajectory_and_none_is_used_twice(answered, choice):
    question, right, wrong = answered
    pairs, without = choose_pairs([question], [*wrong, *right], choice, 8, 0)
    assert without == ()
    assert all(chosen.correct and not rejected.correct for _, chosen, rejected in pairs)
    assert sorted(a for a, _ in list_repeats(pairs)) == [0, 1, 2]
    assert sorted(b for _, b in list_repeats(pairs)) == [3, 4, 5]


def test_the_shortest_right_ones_come_first(answered):
    question, right, wrong = answered
    pairs, _ = choose_pairs([question], [*right, *wrong], "shortest", 2, 0)
    assert [a for a, _ in list_repeats(pairs)] == [0, 1]


def test_length_matched_pairs_join_the_nearest_lengths(answered):
    # Words right 2, 20, 40 and wrong 41, 3, 60: 40-41 and 2-3 are one apart, which leaves 20-60.
    question, right, wrong = answered
    pairs, _ = choose_pairs([question], [*right, *wrong], "length", 8, 0)
    assert sorted(list_repeats(pairs)) == [(0, 4), (1, 5), (2, 3)]


def test_at_most_n_pairs_are_made_and_the_seed_decides_which(answered):
    question, right, wrong = answered
    drawn = {tuple(list_repeats(choose_pairs([question], [*right, *wrong], "random", 1, seed)[0])) for seed in range(9)}
    assert all(len(pairs) == 1 for pairs in drawn)
    assert len(drawn) > 3


def test_questions_without_both_are_named_and_none_at_all_is_an_error(answered, train_questions):
    question, right, wrong = answered
    pairs, without = choose_pairs([question, train_questions[1]], [*right, *wrong], "random", 1, 0)
    assert len(pairs) == 1
    assert without == (train_questions[1].id,)
    with pytest.raises(DataError, match="None of 1 questions has both a right and a wrong"):
        choose_pairs([question], right, "random", 1, 0)


def test_responses_to_different_prompts_make_no_pair(answered):
    question, right, wrong = answered
    with pytest.raises(DataError, match="both a right and a wrong"):
        choose_pairs([question], [right[0], replace(wrong[0], mode="nothink")], "random", 1, 0)


def test_undecided_responses_are_on_neither_side(answered):
    question, right, wrong = answered
    with pytest.raises(DataError, match="both a right and a wrong"):
        choose_pairs([question], [right[0], replace(wrong[0], correct=None)], "random", 1, 0)


def test_encoded_pairs_share_the_prompt_and_end_with_the_end_mark(base, answered):
    question, right, wrong = answered
    (pair,) = encode_pairs(TrajectoryEncoder(base), [(question, right[0], wrong[0])])
    assert pair.prompt_ids == right[0].prompt_ids
    assert pair.chosen_ids == (*right[0].token_ids, base.stop_ids[0])
    assert pair.rejected_ids == (*wrong[0].token_ids, base.stop_ids[0])
    assert len(pair) == len(pair.prompt_ids) + max(len(pair.chosen_ids), len(pair.rejected_ids))
