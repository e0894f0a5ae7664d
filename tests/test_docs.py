"""What the documentation tells people to type and to open is there."""

import re
import shlex
from pathlib import Path

import pytest
from cyclopts.config import Toml

from raml.cli import app
from raml.configs import find_config, list_configs

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("src/raml/**/*.md")]


def list_commands():
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                for part in line.split("#")[0].split("&&"):
                    if part.strip():
                        yield pytest.param(part.strip(), id=f"{page.name}: {part.strip()}")


@pytest.mark.parametrize("command", list(list_commands()))
def test_each_command_in_the_documentation_is_understood(command, monkeypatch):
    words = shlex.split(command)
    if words[0] == "accelerate":  # launches a command of ours, with a file of ours
        (name,) = re.findall(r"^\$\(python -m raml\.configs (\S+)\)$", words[words.index("--config_file") + 1])
        assert name in list_configs(".yaml")
        words = words[words.index("-m") + 1 :]
    if words[0] == "raml":
        if words[1] == "--config":
            config = find_config(Path(words[2]), ".toml")
            assert config.is_file()
            monkeypatch.setattr(app, "config", (Toml(config),))
            words = ["raml", *words[3:]]
        chosen, bound, unused, *_ = app.parse_known_args(words[1:])
        assert unused == []
        assert chosen.__name__.removesuffix("_file") == words[2 if words[1] == "train" else 1]
        assert bound.arguments
    else:
        assert words[0] == "make"
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_relative_link_and_picture_exists(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_python_example_on_evaluation_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "evaluation.md").read_text(), flags=re.DOTALL)
    exec(compile(code, "evaluation.md", "exec"), {})
    assert "Pass@8 difference" in capsys.readouterr().out


def test_the_readmes_python_example_runs():
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    assert len(names["traces"]) == 32
    assert len(names["figure"].axes) == 8
