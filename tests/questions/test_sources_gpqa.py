"""GPQA: options in an order that seed and record id decide, and text that must not be shown."""

import csv
import random
from collections import Counter

import pytest

from raml.questions import SourceSettings, load_source
from raml.questions.sources.gpqa import order_options

ROWS = [
    {
        "Pre-Revision Question": "An older text.",
        "Question": "Which of these numbers is even?\n",
        "Correct Answer": "two",
        "Incorrect Answer 1": "one",
        "Incorrect Answer 2": "three\n",
        "Incorrect Answer 3": "five",
        "Explanation": "Two is.",
        "Subdomain": "Number theory",
        "Record ID": f"rec{i}",
        "High-level domain": "Mathematics",
        "Canary String": "made up",
    }
    for i in range(6)
]


def load(tmp_path, rows, **changes):
    path = tmp_path / "gpqa_diamond.csv"
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return load_source("gpqa-diamond", SourceSettings(files=(path,), **changes)).questions


def make_distinct(rows):
    return [row | {"Question": f"{row['Record ID']}: {row['Question']}"} for row in rows]


def test_the_prompt_has_the_question_and_four_lettered_options(tmp_path):
    (question,) = load(tmp_path, ROWS[:1])
    columns = question.meta["options"]
    texts = {letter: ROWS[0][column].strip() for letter, column in columns.items()}
    assert question.prompt == (
        f"Which of these numbers is even?\n\nA) {texts['A']}\nB) {texts['B']}\nC) {texts['C']}\nD) {texts['D']}"
    )
    assert columns[question.answer] == "Correct Answer"
    assert sorted(texts.values()) == ["five", "one", "three", "two"]


def test_it_is_a_choice_that_is_not_shown_with_its_seed_on_record(tmp_path):
    (question,) = load(tmp_path, ROWS[:1], seed=3)
    assert (question.kind, question.redacted, question.instruction) == ("choice", True, None)
    assert question.domain == "Mathematics"
    assert {key: question.meta[key] for key in ("record_id", "seed", "subdomain")} == {
        "record_id": "rec0",
        "seed": 3,
        "subdomain": "Number theory",
    }
    assert "Canary" not in str(question)


def test_the_order_of_the_rows_does_not_matter(tmp_path):
    rows = make_distinct(ROWS)
    straight = {q.meta["record_id"]: q for q in load(tmp_path, rows)}
    random.Random(1).shuffle(rows)
    assert {q.meta["record_id"]: q for q in load(tmp_path, rows)} == straight
    alone = load(tmp_path, rows[:1])[0]
    assert alone == straight[alone.meta["record_id"]]


def test_the_seed_decides_the_order_and_the_same_seed_gives_it_again(tmp_path):
    rows = make_distinct(ROWS)
    by_seed = [[q.answer for q in load(tmp_path, rows, seed=seed)] for seed in range(6)]
    assert by_seed[2] == [q.answer for q in load(tmp_path, rows, seed=2)]
    assert len({tuple(answers) for answers in by_seed}) > 3


def test_every_order_of_the_options_is_as_likely_as_another():
    orders = Counter(tuple(order_options(0, f"rec{i}")) for i in range(2400))
    assert len(orders) == 24
    assert all(60 < n < 145 for n in orders.values())  # 100 expected, standard deviation 9.8


def test_a_question_without_record_id_is_an_error(tmp_path):
    with pytest.raises(Exception, match="line 4 has no column 'Record ID'"):  # the texts hold two line breaks
        load(tmp_path, [{k: v for k, v in ROWS[0].items() if k != "Record ID"}])
