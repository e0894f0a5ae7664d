from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.errors import DataError
from raml.training.examples import (
    NO_LOSS,
    Example,
    TrajectoryEncoder,
    balance_examples,
    read_row_files,
    select_trajectories,
)


def respond(answer, thought="", wrong=False):
    value = int(answer) + 1 if wrong else answer
    return f"<think>\n{thought}\n</think>\n\n**Final Answer**\n\\boxed{{{value}}}"


def example(n_targets, tag=0):
    return Example((tag,) * (n_targets + 2), (NO_LOSS,) * 2 + (tag,) * n_targets)


def test_only_right_trajectories_are_kept_and_copies_fall_together(train_questions, answer):
    first, second, third = train_questions[:3]
    trajectories = [
        answer(first, respond(first.answer, "So"), 0),
        answer(first, respond(first.answer, "So"), 1),
        answer(first, respond(first.answer, "Then"), 2),
        answer(first, respond(first.answer, wrong=True), 3),
        answer(second, respond(second.answer, wrong=True), 0),
        answer(third, respond(third.answer), 0),
    ]
    selection = select_trajectories([first, second, third], trajectories, None, seed=0)
    assert [t.repeat for t in selection.chosen[first.id]] == [0, 2]
    assert [t.repeat for t in selection.right[first.id]] == [0, 1, 2]
    assert selection.n_copies == 1
    assert selection.without == (second.id,)


def test_the_choice_of_n_follows_the_seed_and_not_the_order_of_the_questions(train_questions, answer):
    question, other = train_questions[:2]
    trajectories = [answer(question, respond(question.answer, f"Then {i}"), i) for i in range(8)]
    trajectories.append(answer(other, respond(other.answer)))

    def choose(questions, seed):
        return [t.repeat for t in select_trajectories(questions, trajectories, 3, seed).chosen[question.id]]

    assert len(choose([question, other], 0)) == 3
    assert choose([question, other], 0) == choose([other, question], 0)
    assert len({tuple(choose([question], seed)) for seed in range(20)}) > 5


def test_without_any_right_trajectory_there_is_nothing_to_learn(train_questions, answer):
    question = train_questions[0]
    with pytest.raises(DataError, match="None of 1 questions has a right trajectory"):
        select_trajectories([question], [answer(question, respond(question.answer, wrong=True))], None, 0)


def test_the_paper_s_balance_repeats_until_a_question_occurs_as_often_as_it_has_right_trajectories():
    # Question A has 5 right trajectories of which 2 were chosen, question B 2 of which 1: 5 and 2 examples.
    a, b, c = example(3, 1), example(4, 2), example(5, 3)
    made = balance_examples([([a, b], [a, b, a, b, a]), ([c], [c, c])], "paper")
    assert made == [a, b, a, b, a, c, c]
    assert balance_examples([([a, b], [a, b, a, b, a]), ([c], [c, c])], "once") == [a, b, c]


def test_the_token_balance_takes_as_many_tokens_for_every_n():
    # Right trajectories of 10, 20 and 30 tokens, 60 in all: the first alone six times, or the last alone twice.
    ten, twenty, thirty = example(10, 1), example(20, 2), example(30, 3)
    right = [ten, twenty, thirty]
    assert balance_examples([([ten], right)], "tokens") == [ten] * 6
    assert balance_examples([([thirty], right)], "tokens") == [thirty] * 2
    assert balance_examples([(right, right)], "tokens") == right


@given(
    st.lists(st.lists(st.integers(5, 40), min_size=1, max_size=8), min_size=1, max_size=20),
    st.integers(1, 8),
)
def test_under_the_token_balance_the_total_does_not_depend_on_n(lens, n):
    groups = [[example(length, i) for i, length in enumerate(group)] for group in lens]
    everything = sum(e.n_targets for group in groups for e in group)
    made = balance_examples([(group[:n], group) for group in groups], "tokens")
    assert abs(sum(e.n_targets for e in made) - everything) <= 20  # half of the longest


@pytest.mark.parametrize("loss_on", ["response", "answer"])
def test_loss_is_taken_on_the_response_or_on_what_follows_its_reasoning(base, train_questions, answer, loss_on):
    question = train_questions[0]
    text = respond(question.answer, "First things first")
    made = TrajectoryEncoder(base).make_example(question, answer(question, text), loss_on)
    read = base.tokenizer.decode([i for i, label in zip(made.input_ids, made.labels, strict=True) if label == NO_LOSS])
    learnt = base.tokenizer.decode([label for label in made.labels if label != NO_LOSS])
    prompt, _, _ = (read + learnt).partition("<think>")
    assert question.prompt in prompt
    assert read + learnt == prompt + text + "<|im_end|>"
    if loss_on == "response":
        assert read == prompt
    else:
        assert learnt == f"</think>\n\n**Final Answer**\n\\boxed{{{question.answer}}}<|im_end|>"


def test_a_trajectory_keeps_its_own_ids_and_its_own_prompt(base, train_questions, answer):
    question = train_questions[0]
    trajectory = answer(question, f"**Final Answer**\n\\boxed{{{question.answer}}}", mode="nothink")
    prompt, response, _ = TrajectoryEncoder(base).encode(question, trajectory)
    assert tuple(prompt) == trajectory.prompt_ids
    assert tuple(response) == (*trajectory.token_ids, base.stop_ids[0])


def test_ids_of_a_foreign_tokenizer_are_made_anew_from_the_text(base, train_questions, answer):
    from dataclasses import replace

    question = train_questions[0]
    trajectory = answer(question, respond(question.answer))
    foreign = replace(trajectory, token_ids=tuple(i + 1000 for i in trajectory.token_ids))
    assert TrajectoryEncoder(base).encode(question, foreign) == TrajectoryEncoder(base).encode(question, trajectory)


def test_a_response_that_was_cut_off_gets_no_end_mark(base, train_questions, answer):
    from dataclasses import replace

    trajectory = replace(answer(train_questions[0], respond(train_questions[0].answer)), finish="length")
    _, response, _ = TrajectoryEncoder(base).encode(train_questions[0], trajectory)
    assert tuple(response) == trajectory.token_ids


def write_rows(path, ids, labels):
    pq.write_table(pa.table({"input_ids": ids, "labels": labels}), path)
    return path


def test_rows_are_read_as_they_were_written(tmp_path):
    path = write_rows(tmp_path / "rows.parquet", [[1, 2, 3], [4]], [[-100, 2, 3], [4]])
    assert read_row_files([path], 10) == [Example((1, 2, 3), (-100, 2, 3)), Example((4,), (4,))]


@pytest.mark.parametrize(
    ("ids", "labels", "what"),
    [
        ([[1, 2]], [[1]], "row 1 has 2 input_ids and 1 labels"),
        ([[]], [[]], "row 1 has 0 input_ids"),
        ([[1], [10]], [[1], [10]], "row 2 has a token id outside of 0…9"),
        ([[1, 2]], [[-100, 3]], "row 1 has a label that is neither its token nor -100"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, ids, labels, what):
    with pytest.raises(DataError, match=what):
        read_row_files([write_rows(tmp_path / "rows.parquet", ids, labels)], 10)


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "rows.parquet").write_text("no parquet")
    with pytest.raises(DataError, match="can't be read as parquet with input_ids and labels"):
        read_row_files([tmp_path / "rows.parquet"], 10)
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(DataError, match="input_ids"):
        read_row_files([tmp_path / "other.parquet"], 10)


def test_repeats_come_in_turn():
    chosen = [example(2, i) for i in range(3)]
    made = balance_examples([(chosen, chosen * 2 + chosen[:1])], "paper")
    assert Counter(e.input_ids[0] for e in made) == {0: 3, 1: 2, 2: 2}
