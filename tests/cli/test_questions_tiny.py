"""`raml questions tiny`: expressions of a chosen size."""

import re

import pytest

from raml.store import Run
from raml.tiny import make_questions


def count_numbers(prompt):
    return len(re.findall(r"\d+", prompt))


@pytest.mark.parametrize(("size", "sizes"), [("7-8", {7, 8}), ("7", {7}), ("7-7", {7}), ("2-3", {2, 3})])
def test_questions_have_as_many_operands_as_asked_for(raml, tmp_path, size, sizes):
    assert raml("questions", "tiny", "--size", size, "--limit", 20, "--out", tmp_path)[0] == 0
    questions = Run(tmp_path).read_questions()
    assert len(questions) == 20
    assert {count_numbers(question.prompt) for question in questions} == sizes
    assert all(question.meta["size"] == count_numbers(question.prompt) for question in questions)
    (stage,) = Run(tmp_path).read_manifest().stages
    assert stage.config["size"] == [min(sizes), max(sizes)]


def test_without_a_size_the_questions_are_those_of_the_trained_sizes_to_the_byte(raml, tmp_path):
    flags = ("--seed", 3, "--split", "train", "--family", "lists")
    assert raml("questions", "tiny", *flags, "--out", tmp_path / "plain")[0] == 0
    assert raml("questions", "tiny", *flags, "--size", "4-6", "--out", tmp_path / "asked")[0] == 0
    plain, asked = Run(tmp_path / "plain"), Run(tmp_path / "asked")
    assert plain.questions_path.read_bytes() == asked.questions_path.read_bytes()
    assert plain.read_questions() == make_questions(8, split="train", family="lists", seed=3)
    assert plain.read_manifest().stages[0].config["size"] == [4, 6]


def test_the_oracle_solves_larger_questions(raml, tmp_path):
    assert raml("questions", "tiny", "--size", "9-12", "--limit", 4, "--out", tmp_path)[0] == 0
    assert "Of 8: 8 right" in raml("sample", "oracle", tmp_path, "--n", 2)[1]


def test_a_config_file_can_say_the_size(raml, tmp_path):
    (tmp_path / "raml.toml").write_text("[questions]\nsize = 7\n")
    run = tmp_path / "run"
    assert raml("--config", tmp_path / "raml.toml", "questions", "tiny", "--out", run)[0] == 0
    assert {question.meta["size"] for question in Run(run).read_questions()} == {7}


@pytest.mark.parametrize(
    ("size", "message"),
    [
        *((size, f"--size is '{size}'; expected fewest and most operands") for size in ("seven", "7-", "-7", "7--8")),
        *(
            (size, f"--size is '{size}'; expected fewest and most operands")
            for size in ("", "7.5", "7-8-9", "٧", "7 - 8")
        ),
        ("8-7", "Size 8 to 7 is out of range; expected 2 <= low <= high <= 12."),
        ("1", "Size 1 to 1 is out of range"),
        ("4-13", "Size 4 to 13 is out of range"),
    ],
)
def test_a_wrong_size_is_one_line_and_nothing_is_written(raml, tmp_path, size, message):
    code, out, error = raml("questions", "tiny", "--size", size, "--out", tmp_path / "run")
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert message in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("source", ["aime24", "my.jsonl", "reasoning-gym:chain_sum"])
def test_only_tiny_has_sizes(raml, tmp_path, source):
    code, _, error = raml("questions", source, "--size", "7", "--out", tmp_path / "run")
    assert code == 2
    assert f"--size is for tiny; {source} has no use for it here." in error
