import random
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "recipes"))

from raml.prompts import encode_text
from raml.tiny import make_questions, write_trajectories
from raml.tiny.expressions import evaluate_expression, parse_expression
from raml.tiny.tokenizer import build_tokenizer
from raml.training.examples import NO_LOSS, read_row_files
from tiny import write_rows
from tiny_data import BASE_NOISY, SFT, encode_response, make_solution_rows, make_text_rows, write_facts, write_rewrites

tokenizer = build_tokenizer()
questions = make_questions(12, split="train")
SPOILT = replace(BASE_NOISY, slip=0.0, wrong=0.5, early=8)
BRIDGE = "\n\n**Final Answer**\n\\boxed{"


def calculate(text: str) -> int:
    return evaluate_expression(parse_expression(text))


def split(row):
    """What a row only reads and what it takes the loss on, as text."""
    read = [token for token, label in zip(row.input_ids, row.labels, strict=True) if label == NO_LOSS]
    return tokenizer.decode(read), tokenizer.decode([label for label in row.labels if label != NO_LOSS])


def test_loss_is_taken_on_every_token_of_a_response_but_those_of_slips():
    oracle = write_trajectories(questions[0], 1, seed=1, slip=0.9)[0]
    assert any(line.slip for line in oracle.lines)
    ids, loss = encode_response(tokenizer, oracle)
    assert tuple(ids) == encode_text(tokenizer, oracle.text)
    unread = tokenizer.decode([token for token, wanted in zip(ids, loss, strict=True) if not wanted])
    assert unread == "".join(line.text + "\n" for line in oracle.lines if line.slip)


def test_early_answers_are_true_and_leave_before_the_first_mistake():
    n_early = 0
    for row in make_solution_rows(tokenizer, questions, SPOILT, random.Random(3)):
        if not split(row)[0].endswith(BRIDGE):
            continue
        before, _, stated = tokenizer.decode(row.input_ids).partition(BRIDGE)
        n_early += 1
        question = next(question for question in questions if question.prompt in before)
        assert stated == f"{question.answer}}}<|im_end|>"
        prompt, _, reasoning = before.partition("<|im_start|>assistant\n")
        assert split(row) == (f"{prompt}<|im_start|>assistant\n{BRIDGE}", reasoning + stated)
        lines = reasoning.split("\n")[:-1]  # the last one may be cut
        assert all(calculate(line.rpartition(" so ")[2]) == int(question.answer) for line in lines if " so " in line)
    assert n_early == 8 * len(questions)


def test_a_question_brings_its_solution_an_early_answer_and_sometimes_one_without_thinking():
    rows = make_solution_rows(tokenizer, questions, replace(SFT, slip=0.0, nothink=1.0), random.Random(0))
    for question, whole, early, direct in zip(questions, rows[::3], rows[1::3], rows[2::3], strict=True):
        assert all(question.prompt in split(row)[0] for row in (whole, early, direct))
        assert split(whole)[1].startswith("<think>\n")
        assert tokenizer.decode(early.input_ids).endswith(f"{BRIDGE}{question.answer}}}<|im_end|>")
        assert split(whole)[1].endswith(f"\\boxed{{{question.answer}}}<|im_end|>")
        assert split(direct)[0].endswith("<think>\n\n</think>\n\n")
        assert split(direct)[1] == f"**Final Answer**\n\\boxed{{{question.answer}}}<|im_end|>"


def test_rows_survive_their_file(tmp_path):
    rows = make_text_rows(tokenizer, ["1+2=3", "3*4=12"])
    assert split(rows[0]) == ("", "1+2=3<|im_end|>")
    write_rows(tmp_path / "rows.parquet", rows)
    assert read_row_files([tmp_path / "rows.parquet"], len(tokenizer)) == rows


def test_facts_and_rewrites_are_true():
    rng = random.Random(0)
    for line in write_facts(rng, n_lines=200).split("\n"):
        left, _, right = line.partition("=")
        assert calculate(left) == int(right)
    for question in questions:
        first, *steps = write_rewrites(question, rng).split("\n")
        assert all(calculate(step.split(" so ")[1]) == calculate(first) for step in steps)
