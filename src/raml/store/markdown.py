"""Tables as Markdown text."""

from collections.abc import Sequence


def write_markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table, a line a row; what cells hold is shown as it is."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(map(escape_markdown, line))} |\n" for line in lines)


def escape_markdown(text: str) -> str:
    """Keep a name from ending its cell or being read as HTML."""
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").split())
