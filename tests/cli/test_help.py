"""Help texts and errors read well at 80 columns, and what they name is there."""

import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from raml.cli import app
from raml.cli.help_format import write_default
from raml.cli.help_pages import PAGES, Page, find_pages, prepare_page
from raml.cli.study_commands import parse_words
from raml.cli.train import SECTIONS

SOURCE = Path(__file__).parents[2] / "src" / "raml"


def list_commands(parent=app, path=()):
    yield path
    for name in parent:
        if not name.startswith("-"):
            yield from list_commands(parent[name], (*path, name))


COMMANDS = list(list_commands())
every_command = pytest.mark.parametrize("command", COMMANDS, ids=lambda path: " ".join(("raml", *path)))


def print_help(path, columns):
    file = io.StringIO()
    app.meta([*path, "--help"], console=Console(file=file, width=columns), result_action="return_value")
    return file.getvalue()


@pytest.fixture(scope="module")
def help_texts():
    """What `--help` prints at 80 columns, by command."""
    return {path: print_help(path, 80) for path in COMMANDS}


def list_examples(text):
    block = re.search(r"^Examples?:\n((?:  .*\n)+)", text, flags=re.MULTILINE)
    return block[1].replace("\\\n", " ").splitlines() if block else []


def list_arguments(path):
    chosen = app
    for name in path:
        chosen = chosen[name]
    if chosen.default_command is None:
        return []
    return [argument for argument in chosen.assemble_argument_collection(parse_docstring=True) if argument.show]


def find_options(path):
    names = {argument.name for argument in list_arguments(path) if argument.index is None}
    return {name for name in names if not name.startswith("--cold-start.")}


def test_all_commands_are_looked_at():
    assert {path[0] for path in COMMANDS if path} == {*PAGES, "help"}
    assert ("train", "grpo") in COMMANDS


@every_command
def test_no_line_is_longer_than_the_terminal_is_wide(help_texts, command):
    assert [line for line in help_texts[command].splitlines() if cell_len(line) > 80] == []


@every_command
def test_no_column_is_so_narrow_that_letters_stand_alone(help_texts, command):
    """A name is whole, and a description has at least half of the line."""
    text = help_texts[command]
    assert [line for line in text.splitlines() if 0 < len(line.strip()) < 3] == []
    assert [name for name in find_options(command) if not re.search(rf"{re.escape(name)}(?![\w-])", text)] == []
    starts = {len(line) - len(line.lstrip()) for line in text.splitlines() if line.startswith(" " * 5)}
    assert max(starts, default=0) <= 40


@every_command
def test_each_help_text_has_examples_that_are_understood(help_texts, command):
    examples = list_examples(help_texts[command])
    assert examples
    for example in examples:
        words = shlex.split(example.split("|")[0])
        if words[0] != "raml":  # another program that starts ours; its words are placeholders
            assert command == ("train",)
            continue
        parsed = parse_words(words[1:])
        name = parsed.command.__name__.removesuffix("_file").replace("show_help", "help")
        assert not command or name in (command[-1], "sft")


@every_command
def test_each_argument_and_option_is_described(command):
    assert [argument.name for argument in list_arguments(command) if not argument.parameter.help] == []


@every_command
def test_nothing_of_python_is_shown(help_texts, command):
    words = r"default: (True|False|\(|\[)|\bNone\b|\bSTR\b|\bINT\b|\bFLOAT\b|CHOICE|docs/"
    assert re.search(words, help_texts[command]) is None


def test_commands_come_in_the_order_of_the_flow(help_texts):
    order = re.findall(r"^  ([a-z]+)  ", help_texts[()], flags=re.MULTILINE)
    assert order[:4] == ["demo", "questions", "sample", "import"]
    assert sorted(order) == sorted([*PAGES, "help"])
    assert order.index("sample") < order.index("trace") < order.index("update") < order.index("report")


def test_each_command_has_one_line_in_the_overview(help_texts):
    """A second line would begin under the first one's description, in column 16."""
    commands = help_texts[()].partition("For all commands")[0]
    assert re.findall(r"^ {16}\S.*", commands, flags=re.MULTILINE) == []


def test_choices_flags_and_defaults_are_written_as_they_are_typed(help_texts):
    text = help_texts[("trace",)]
    assert "--target gold|own|both" in text
    assert "--every N|sentence" in text
    assert r'[default: "\n\n**Final Answer**\n\\boxed{"]' in text
    assert "--no-readout" not in text
    assert re.search(r"--nulls, --no-nulls(.|\n)*?\[default: yes\]", help_texts[("align",)])
    assert "[default: 0.75 0.5 0.25]" in help_texts[("compress",)]
    assert re.search(r"^ +- early-exit: ", help_texts[("compress",)], flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (False, None),
        ((), None),
        (600.0, "600"),
        (1e-5, "1e-5"),
        (1e-10, "1e-10"),
        ("auto", "auto"),
        ("two words", '"two words"'),
        ("a\n\\b", r'"a\n\\b"'),
    ],
)
def test_a_default_is_written_so(value, text):
    assert write_default(value) == text


def test_headings_of_training_name_options_that_there_are():
    named = [name for names in SECTIONS.values() for name in names]
    assert len(named) == len(set(named))
    assert set(named) <= find_options(("train", "sft")) | find_options(("train", "grpo"))


def test_a_cold_start_is_not_listed_but_understood(help_texts):
    text = help_texts[("train", "grpo")]
    assert text.count("--cold-start.") == 1
    words = ["train", "grpo", "--model", "tiny", "--questions", "q", "--out", "o"]
    settings = parse_words([*words, "--cold-start.model", "tiny", "--cold-start.trajectories", "r"]).arguments[
        "settings"
    ]
    assert settings.cold_start.trajectories == (Path("r"),)
    assert parse_words(words).arguments["settings"].cold_start is None


def test_a_wide_terminal_gets_lines_that_can_be_read():
    assert 80 < max(map(len, print_help(("sample",), 200).splitlines())) <= 100


def test_a_help_text_needs_no_torch():
    code = "import sys\nfrom raml.cli import run\nrun(['sample', '--help'])\nsys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


def test_each_page_that_is_named_exists(help_texts):
    """In help texts, in the table of pages, and in messages."""
    texts = [*help_texts.values(), *(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))]
    named = {name for text in texts for name in re.findall(r"raml help ([a-z][a-z-]+)", text)}
    assert {"scoring", "interchange", "code-execution"} <= named
    assert named | set(PAGES.values()) <= {*find_pages(), *PAGES}


@pytest.mark.parametrize(
    ("words", "pointer"),
    [
        (("trace", "none"), "raml help runs"),
        (("trace", "none", "--limit", "0"), "raml trace --help"),
        (("trace", "none", "--frob"), "raml trace --help"),
        (("trace",), "raml trace --help"),
        (("train", "sft", "--model", "tiny", "--out", "o"), "raml help training"),
        (("train", "sft", "--out", "o"), "raml train sft --help"),
        (("frob",), "raml --help"),
        (("help", "frob"), "raml --help"),
    ],
)
def test_an_error_ends_with_where_to_read_on(raml, words, pointer):
    code, out, err = raml(*words)
    assert (code, out) == (2, "")
    assert re.fullmatch(rf"raml: .*[.!?…] More: {pointer}\n", err), err
    code, out, _ = raml(*shlex.split(pointer)[1:])
    assert code == 0
    assert out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("sample",), "`raml sample` needs MODEL."),
        (("questions", "tiny"), "`raml questions` needs --out."),
        (("sample", "tiny", "run", "--n"), "--n needs a value."),
        (("sample", "tiny", "run", "--n", "many"), 'unable to convert "many" into a whole number.'),
        (("questions", "tiny", "--lmit", "3", "--out", "x"), "Did you mean --limit?"),
        (("help", "paper"), "Did you mean paper-errors or paper-index?"),
        (("help", "trainig"), "Did you mean training?"),
    ],
)
def test_what_is_wrong_with_a_command_line_is_said_in_its_own_words(raml, words, message):
    assert message in raml(*words)[2]


def test_help_lists_the_pages_and_prints_one(raml):
    code, out, _ = raml("help")
    assert code == 0
    assert re.search(r"^  runs +Files$", out, flags=re.MULTILINE)
    code, page, _ = raml("help", "runs")
    assert code == 0
    assert page.startswith("# Files\n")
    assert raml("help", "trace")[1] == raml("help", "scoring")[1]


def test_links_of_a_page_become_what_a_terminal_can_follow():
    text = (
        "See [files](runs.md#a), [code](../src/x.py), [here](#b), [Eq. 4](https://arxiv.org). ![A curve](images/c.png)"
    )
    seen = "See files (`raml help runs`), code, here, [Eq. 4](https://arxiv.org). *Picture: A curve*"
    assert prepare_page(text, {"runs"}) == seen


def test_a_table_of_a_page_is_whole_on_a_terminal():
    """A word of 80 digits needs three lines at 60 columns; none of it may be cut."""
    file = io.StringIO()
    page = Page(f"| a | b |\n|---|---|\n| {'0123456789' * 8} | x |\n")
    Console(file=file, force_terminal=True, width=60, color_system=None).print(page)
    assert "".join(re.findall(r"\d", file.getvalue())) == "0123456789" * 8
