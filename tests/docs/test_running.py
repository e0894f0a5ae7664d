"""Everything that the documentation tells people to type works when it is typed, page by page and in order."""

import contextlib
import io
import json
import shlex
from pathlib import Path

import pytest

from raml.cli import run
from raml.tiny import make_questions
from tests.docs.reading import PAGES, ROOT, read_blocks
from tests.docs.stand_ins import BEFORE, NOT_RUN, REPEATED, ROWS, STAND_INS, find_reason, put_stand_ins

LANGUAGES = ("sh", "python")


def has_something_to_run(page):
    blocks = read_blocks(page, *LANGUAGES)
    return any(block.language == "python" or not all(map(find_reason, block.commands)) for block in blocks)


RUN_PAGES = [page for page in PAGES if has_something_to_run(page)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to type in. Its examples/ ask what tiny can answer, as tiny stands in for real models."""
    monkeypatch.chdir(tmp_path)
    rows = [{"prompt": question.prompt, "answer": question.answer} for question in make_questions(3, split="test")]
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "word_problems.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def run_page(page, *, smaller):
    names = {"__name__": "page"}
    for command in BEFORE.get(page.name, ()):
        run_command(command, "before", smaller=smaller)
    if page.name in ROWS:
        (row,) = read_blocks(page, "json")
        Path(ROWS[page.name]).write_text(row.text)
    for block in read_blocks(page, *LANGUAGES):
        if block.language == "python":
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(block.text, block.name, "exec"), names)
        else:
            for command in block.commands:
                if find_reason(command) is None:
                    run_command(command, block.name, smaller=smaller)
    return names


def run_command(command, place, *, smaller):
    errors = io.StringIO()
    words = put_stand_ins(command, smaller=smaller)
    assert words[0] == "raml", f"{place}: say in NOT_RUN why this is not run: {command}"
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        code = run(words[1:])
    assert code == 0, f"{place}: {command}\n{errors.getvalue()}"


@pytest.mark.parametrize("page", [page for page in RUN_PAGES if page.name not in REPEATED], ids=lambda page: page.stem)
def test_what_a_page_says_to_type_works_with_small_numbers(page, folder):
    run_page(page, smaller=True)


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN_PAGES, ids=lambda page: page.stem)
def test_what_a_page_says_to_type_works_as_it_is_written(page, folder):
    run_page(page, smaller=False)


def test_the_readmes_example_draws_each_question(folder):
    names = {}
    (block,) = read_blocks(ROOT / "README.md", "python")
    exec(compile(block.text, block.name, "exec"), names)
    assert len(names["traces"]) == 32
    assert len(names["figure"].axes) == 8


def list_uses(page):
    """Which commands with which options a page's runnable command lines have; an option of `raml` itself is one too."""
    uses = set()
    for command in (command for block in read_blocks(page, "sh") for command in block.commands):
        if find_reason(command) is None:
            words = shlex.split(command)[1:]
            name = " ".join(words[2:4]) if words[0] == "--config" else words[0]
            uses |= {(name, word) for word in ("", *words) if not word or word.startswith("--")}
    return uses


@pytest.mark.parametrize("name", REPEATED)
def test_what_a_page_of_repeated_commands_says_is_run_on_other_pages(name):
    elsewhere = set().union(*(list_uses(page) for page in RUN_PAGES if page.name not in REPEATED))
    (page,) = [page for page in RUN_PAGES if page.name == name]
    assert list_uses(page)
    assert list_uses(page) - elsewhere == set()


def test_each_stand_in_and_each_reason_is_needed():
    commands = [command for page in PAGES for block in read_blocks(page, "sh") for command in block.commands]
    for pattern, reason in NOT_RUN.items():
        assert reason in map(find_reason, commands), pattern
    for word in STAND_INS:
        assert any(word in command.split() for command in commands if find_reason(command) is None), word
    assert {*BEFORE, *REPEATED, *ROWS} <= {page.name for page in RUN_PAGES}
