"""Tables as Markdown text."""

import re
from collections.abc import Sequence

_SIGNS = re.compile(r"[\\|*]|(?<!\w)_|_(?!\w)")
"""What Markdown reads as more than itself; an underscore inside a word it does not."""


def write_markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table, a line a row; what cells hold is shown as it is."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(map(escape_markdown, line))} |\n" for line in lines)


def escape_markdown(text: str) -> str:
    """Keep a name from ending its cell or being read as HTML or emphasis."""
    return " ".join(_SIGNS.sub(r"\\\g<0>", text).replace("&", "&amp;").replace("<", "&lt;").split())
