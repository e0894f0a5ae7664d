"""What MkDocs is told beyond mkdocs.yml: reference pages made from the code, and links that leave docs/.

The reference is not kept as files, so that it can't grow old and `raml help` lists only pages that can be read as text.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import griffe
from cyclopts.docs.markdown import generate_markdown_docs
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import raml
from raml.cli import app

logger = get_plugin_logger("pages")

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
INNER_ROOMS = {"raml.cli"}
"""Rooms that no program should import."""
FURTHER_MODULES = ("raml.answers.code", "raml.questions.sources", "raml.training.maml", "raml.updates.proposition")
"""Modules inside of rooms that stand for themselves."""


LINK_OUT = re.compile(r"(?<!!)\[([^\]]+)\]\(((?:\.\./)+[^)#]+)(?:#[^)]*)?\)")
FOR_ALL = re.compile(r"\*\*For all commands\*\*:\n\n(?:[* ] .*(?:\n|$))+\n?")
NAME = re.compile(r"(?<![\[`])`(raml(?:\.\w+)+)`(?![\]`])")
"""A dotted name in backticks that is not the text of a link."""
INTERVAL = re.compile(r"\[([−+-]?[\d.,]+(?:e[−+-]?\d+)?), ([−+-]?[\d.,]+(?:e[−+-]?\d+)?)\]")
"""Stays on one line, also in a narrow column."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the modules' pages to the menu."""
    if config.nav is None:
        raise PluginError("mkdocs.yml has no nav for the pages of modules.")
    (reference,) = (entry["Reference"] for entry in config.nav if "Reference" in entry)
    reference.append({"Modules": [{name: f"reference/{name}.md"} for name in list_modules()]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the reference: the commands, the names of `raml`, and a page for each public module."""
    modules = list_modules()
    pages = {"reference/commands.md": write_commands(), "reference/python.md": write_names(modules)}
    pages |= {f"reference/{name}.md": write_module(name) for name in modules}
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Link names of functions to the reference, and turn links that leave docs/ into mentions of the path.

    The repository has no public address that such a link could lead to.
    """
    if page.file.generated_by is not None:
        return markdown
    lines, is_code = markdown.split("\n"), False
    for i, line in enumerate(lines):
        is_code ^= line.lstrip().startswith("```")
        if not is_code and not line.startswith(("#", "    ")):
            line = LINK_OUT.sub(lambda found: _mention(found, page), line)
            lines[i] = INTERVAL.sub("[\\1,\N{NO-BREAK SPACE}\\2]", NAME.sub(_link, line))
    return "\n".join(lines)


def list_modules() -> list[str]:
    """List the modules that have a page: every room, what stands beside the rooms, and `FURTHER_MODULES`."""
    package = SOURCE / "raml"
    names = {f"raml.{path.stem}" for path in package.glob("[a-z]*.py")}
    names |= {f"raml.{path.parent.name}" for path in package.glob("*/__init__.py")}
    return sorted((names - INNER_ROOMS) | set(FURTHER_MODULES))


def write_commands() -> str:
    """Write all commands as the command line's own help has them."""
    help_texts = generate_markdown_docs(app, no_root_title=True, heading_level=2, generate_toc=False)
    first = FOR_ALL.search(help_texts)
    if first is None:
        raise PluginError(f"No help text has the options for all commands: {FOR_ALL.pattern}")
    # Said once, not after each command.
    help_texts = help_texts[: first.end()] + FOR_ALL.sub("", help_texts[first.end() :])
    return f"# Commands\n\nWhat `raml COMMAND --help` says, for all of them.\n\n{help_texts}"


def write_names(modules: list[str]) -> str:
    """Write what `import raml` offers: each name with its first line, linked to the page of its module."""
    lines = ["# Python", "", "`import raml` has the names below; they come from the rooms, which have more.", ""]
    homes: dict[str, list[str]] = {}
    for name in raml.__all__:
        if not name.startswith("_"):
            homes.setdefault(raml._HOMES[name], []).append(name)
    for module in modules:
        lines += [f"## [{module}]({module}.md)", "", read_first_line(module), ""]
        if module in homes:
            lines += ["| name | |", "|---|---|"]
        for name in homes.get(module, ()):
            lines.append(f"| [`{name}`][{module}.{name}] | {read_first_line(f'{module}.{name}')} |")
        lines.append("")
    return "\n".join(lines)


def write_module(name: str) -> str:
    """Write the page of a module: all that its `__all__` lists, or all that it defines without an underscore."""
    exported = read_exports(name)
    lines = [f"# {name} {{ #{name} }}", "", f"::: {name}"]
    if exported:
        lines += ["    options:", "      members:", *(f"        - {member}" for member in exported)]
    return "\n".join(lines)


def read_exports(name: str) -> list[str]:
    """Read a module's `__all__` from its source; an empty list where it has none."""
    path = SOURCE / Path(*name.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(getattr(target, "id", "") == "__all__" for target in node.targets):
            return ast.literal_eval(node.value)
    return []


@cache
def read_package() -> griffe.Object | griffe.Alias:
    """Read the package's source. Nothing is imported for it, so the site is built without loading torch."""
    return griffe.load("raml", search_paths=[SOURCE])


def find_object(name: str) -> griffe.Object | griffe.Alias:
    """Find a module, function, class or value by its full name."""
    _, _, path = name.partition(".")
    return read_package()[path]


def read_first_line(name: str) -> str:
    """Read the first line of an object's docstring, for a cell of a table."""
    docstring = find_object(name).docstring
    return "" if docstring is None else docstring.value.split("\n")[0].replace("|", "\\|")


def _link(found: re.Match[str]) -> str:
    """Link a name to where the reference has it, which autorefs looks up; what isn't public stays as it is."""
    name = found[1]
    home, _, last = name.rpartition(".")
    if home == "raml" and last in raml._HOMES:
        return f"[`{name}`][{raml._HOMES[last]}.{last}]"
    modules = list_modules()
    if name in modules or (home in modules and last in (read_exports(home) or find_object(home).members)):
        return f"[`{name}`][{name}]"
    return found[0]


def _mention(found: re.Match[str], page: Page) -> str:
    label, target = found[1], unquote(found[2])
    path = (ROOT / "docs" / Path(page.file.src_uri).parent / target).resolve()
    if not path.exists():
        logger.warning("%s links to %s, which does not exist.", page.file.src_uri, target)
    named = f"`{path.relative_to(ROOT)}`"
    return named if label.strip("`") == named.strip("`") else f"{label} ({named})"
