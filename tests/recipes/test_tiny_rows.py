import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "recipes"))

from raml.prompts import encode_text
from raml.tiny import make_questions, write_trajectories
from raml.tiny.expressions import evaluate_expression, parse_expression
from raml.tiny.tokenizer import build_tokenizer
from tiny import make_model
from tiny_data import BASE_NOISY, SFT, encode_response, make_solution_rows, write_facts, write_rewrites
from tiny_train import Branch, Row, Schedule, batch_loss, collate, make_batches, train_model

tokenizer = build_tokenizer()
questions = make_questions(12, split="train")
SPOILT = replace(BASE_NOISY, slip=0.0, wrong=0.5, early=8)


def calculate(text: str) -> int:
    return evaluate_expression(parse_expression(text))


@pytest.fixture(scope="module")
def model():
    return make_model(tokenizer, seed=0).eval()


def test_a_branch_has_the_loss_of_a_row_of_its_own(model):
    row = next(row for row in make_solution_rows(tokenizer, questions, SFT, random.Random(0)) if row.branches)
    alone = [Row(row.ids, row.targets)]
    for branch in row.branches:
        ids = row.ids[: branch.start] + branch.ids
        alone.append(Row(ids, [False] * branch.start + branch.targets))
    counts = [sum(part.targets) for part in alone]
    losses = [batch_loss(model, collate([part], tokenizer.pad_token_id)).item() for part in alone]
    expected = sum(n * loss for n, loss in zip(counts, losses, strict=True)) / sum(counts)
    assert batch_loss(model, collate([row], tokenizer.pad_token_id)).item() == pytest.approx(expected, abs=1e-5)


def test_padding_and_neighbours_do_not_change_a_rows_loss(model):
    rows = [Row([5, 6, 7, 8], [False, True, True, True]), Row(list(range(20, 50)), [False] * 30)]
    alone = batch_loss(model, collate(rows[:1], 0)).item()
    assert batch_loss(model, collate(rows, 0)).item() == pytest.approx(alone, abs=1e-5)


def test_a_branch_is_laid_out_after_its_row_at_the_positions_it_continues():
    batch = collate([Row([1, 2, 3], [False, True, True], (Branch(2, [8, 9], [False, True]),))], 0)
    assert batch.input_ids.tolist() == [[1, 2, 3, 8, 9]]
    assert batch.positions.tolist() == [[0, 1, 2, 2, 3]]
    assert batch.targets.tolist() == [[-100, 2, 3, -100, 9]]
    # The branch sees the first two tokens of the row and itself, never the third.
    assert batch.visible[0, 4].tolist() == [True, True, False, True, True]
    assert batch.visible[0, 2].tolist() == [True, True, True, False, False]


def test_loss_is_taken_on_every_token_of_a_response_but_those_of_slips():
    oracle = write_trajectories(questions[0], 1, seed=1, slip=0.9)[0]
    assert any(line.slip for line in oracle.lines)
    ids, loss = encode_response(tokenizer, oracle)
    assert tuple(ids) == encode_text(tokenizer, oracle.text)
    unread = tokenizer.decode([token for token, wanted in zip(ids, loss, strict=True) if not wanted])
    assert unread == "".join(line.text + "\n" for line in oracle.lines if line.slip)


def test_early_answers_are_true_and_leave_before_the_first_mistake():
    for row in make_solution_rows(tokenizer, questions, SPOILT, random.Random(3)):
        for branch in row.branches:
            prompt = tokenizer.decode(row.ids[: branch.start])
            question = next(question for question in questions if question.prompt in prompt)
            assert tokenizer.decode(branch.ids) == f"\n\n**Final Answer**\n\\boxed{{{question.answer}}}<|im_end|>"
            lines = prompt.rpartition("<think>\n")[2].split("\n")[:-1]  # the last one may be cut
            assert all(
                calculate(line.rpartition(" so ")[2]) == int(question.answer) for line in lines if " so " in line
            )


def test_facts_and_rewrites_are_true():
    rng = random.Random(0)
    for line in write_facts(rng, n_lines=200).split("\n"):
        left, _, right = line.partition("=")
        assert calculate(left) == int(right)
    for question in questions:
        first, *steps = write_rewrites(question, rng).split("\n")
        assert all(calculate(step.split(" so ")[1]) == calculate(first) for step in steps)


def test_batches_hold_every_row_once_within_the_limit():
    lens = [random.Random(0).randint(5, 120) for _ in range(300)]
    batches = make_batches(lens, 512, random.Random(1))
    assert sorted(i for batch in batches for i in batch) == list(range(300))
    assert all(len(batch) * max(lens[i] for i in batch) <= 512 for batch in batches)


def test_training_is_fixed_by_its_seeds_and_lowers_the_loss():
    rows = make_solution_rows(tokenizer, questions, SFT, random.Random(0)) * 4

    def run():
        model = make_model(tokenizer, seed=1)
        before = batch_loss(model, collate(rows[:12], 0)).item()
        train_model(model, rows, Schedule(warmup_steps=2), seed=0, pad_id=0, report=lambda line: None)
        return before, batch_loss(model, collate(rows[:12], 0)).item(), model.lm_head.weight

    before, after, weights = run()
    assert after < before
    assert torch.equal(weights, run()[2])
