"""`raml help`: the documentation's pages, and which of them helps with what.

The pages come with the package as Markdown, so that whoever has `raml` has them, in the same version.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import ClassVar

from cyclopts import CoercionError, CycloptsError, MissingArgumentError
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import Markdown, TableElement
from rich.table import Table

from raml.cli.help_format import MAX_WIDTH
from raml.cli.stage import console, say, show_controls
from raml.errors import DataError, RunError

PAGES = {
    "demo": "tiny",
    "questions": "questions",
    "sample": "own-model",
    "import": "interchange",
    "grade": "code-execution",
    "export": "interchange",
    "trace": "scoring",
    "influence": "influence",
    "curves": "curves",
    "faithfulness": "faithfulness",
    "compress": "efficiency",
    "landscape": "landscapes",
    "update": "updates",
    "align": "updates",
    "adapt": "updates",
    "train": "training",
    "evaluate": "evaluation",
    "report": "report",
    "study": "studies",
    "check": "runs",
}
"""The page about each command."""
RUN_PAGE = "runs"
"""The page about what lies in a run folder."""
FOLDERS_OF_THEIR_OWN = ("train", "study")
"""Commands that write folders which are no runs."""
OUTPUT_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}
"""How writing to standard output fails, but for a reader that has gone."""
MESSAGE_CHARACTERS = 1000
"""Longest message; what a file holds may be quoted in it."""
KINDS = {"int": "a whole number", "float": "a number", "date": "a date such as 2025-02-01"}
"""What values are called where one can't be read."""


def show_help(topic: str | None = None) -> None:
    """Read the documentation: the list of pages, or one of them.

    Examples: `raml help`, `raml help runs`, `raml help training | less`

    A pipe gets the page as Markdown. The options of a command are not here but in `raml COMMAND --help`.

    Parameters
    ----------
    topic
        A page of the list, or a command that has one.
    """
    pages = find_pages()
    if topic is None:
        width = max(map(len, pages)) + 4
        for name, path in pages.items():
            say(f"  {name}".ljust(width) + read_title(path))
        say("\nRead one with `raml help PAGE`; `raml help index` says where to begin.")
        return
    name = topic if topic in pages else PAGES.get(topic, topic)
    if name not in pages:
        near = [page for page in pages if topic in page] or get_close_matches(topic, pages)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise DataError(f"There is no page {topic!r}.{hint} `raml help` lists the pages, `raml --help` the commands.")
    text = prepare_page(pages[name].read_text(encoding="utf-8"), pages)
    if console.is_terminal:
        console.print(Page(text), width=min(console.width, MAX_WIDTH), soft_wrap=False)
    else:
        say(text)


class WholeTable(TableElement):
    """A table whose long words are broken; rich would cut them."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render it."""
        for table in super().__rich_console__(console, options):
            if isinstance(table, Table):
                for column in table.columns:
                    column.overflow = "fold"
            yield table


class Page(Markdown):
    """A page of the documentation on a terminal."""

    elements: ClassVar = Markdown.elements | {"table_open": WholeTable}


def find_pages() -> dict[str, Path]:
    """Find the documentation's pages by name: in the package, or beside its source.

    Raises:
        DataError: there are none, as in a package that was made without them.
    """
    package = Path(__file__).parents[1]
    for folder in (package / "docs", package.parents[1] / "docs"):
        pages = {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.md"))}
        if pages:
            return pages
    raise DataError("This installation of raml has no pages. `raml COMMAND --help` explains each command.")


def read_title(path: Path) -> str:
    """Read the heading of a page."""
    found = re.search(r"^# (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return found[1].strip() if found else path.stem


def prepare_page(text: str, pages: Collection[str]) -> str:
    """Turn links to other pages into their names, and pictures into what they show."""
    text = re.sub(r"!\[([^\]]*)\]\([^)]*\)", r"*Picture: \1*", text)

    def name_target(found: re.Match[str]) -> str:
        name = found[2].partition("#")[0].removesuffix(".md")
        return f"{found[1]} (`raml help {name}`)" if name in pages else found[1]

    return re.sub(r"\[([^\]]+)\]\((?![a-z]+:)([^)]*)\)", name_target, text)


def name_command(words: Sequence[str]) -> str | None:
    """Name the command of a command line, if it has one."""
    return next((word for word in words if word in PAGES), None)


def explain_error(error: Exception, words: Sequence[str]) -> str:
    """Write an error of a command line as one line that ends with where to read on."""
    message = show_controls(" ".join(_describe(error).split()))
    if len(message) > MESSAGE_CHARACTERS:
        message = f"{message[:MESSAGE_CHARACTERS]}…"
    if not message.endswith((".", "!", "?", "…")):
        message += "."
    command = name_command(words)
    if command is None:
        return f"{message} More: raml --help"
    if isinstance(error, CycloptsError) or message.startswith("--"):
        chain = error.command_chain if isinstance(error, CycloptsError) else None
        return f"{message} More: raml {' '.join(chain or (command,))} --help"
    is_about_run = isinstance(error, RunError) and command not in FOLDERS_OF_THEIR_OWN
    return f"{message} More: raml help {RUN_PAGE if is_about_run else PAGES[command]}"


def is_about_output(error: Exception) -> bool:
    """Whether standard output could not be written; what is still to be written there is lost."""
    return isinstance(error, OSError) and error.filename is None and error.errno in OUTPUT_ERRORS


def _describe(error: Exception) -> str:
    """Say what is wrong with a command line in words of the command line."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename} can't be read or written: {error.strerror}"
    if isinstance(error, OSError) and is_about_output(error):
        return f"Standard output can't be written: {error.strerror}"
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        if error.keyword:
            return f"{error.keyword} needs a value."
        name = error.argument.name
        label = name if error.argument.index is None else name.lstrip("-").upper()
        return f"`{' '.join(('raml', *(error.command_chain or ())))}` needs {label}."
    if isinstance(error, CoercionError):
        return re.sub(r"\binto (int|float|date)\b", lambda found: f"into {KINDS[found[1]]}", str(error))
    return str(error)
