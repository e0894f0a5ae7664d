"""Read the columns that a source needs from a row, and say which one is missing."""

from __future__ import annotations

from raml.errors import DataError
from raml.questions.sources.settings import Row

Columns = tuple[tuple[str, ...], ...]
"""The columns that every row of a source needs, each with its spellings, of which one is enough."""


def find_column(row: Row, names: tuple[str, ...], place: str) -> object:
    """Return the value in the first of several spellings of a column.

    Raises:
        DataError: the row has none of them; the message has the place and the columns that are there.
    """
    for name in names:
        if name in row:
            return row[name]
    wanted = " or ".join(repr(name) for name in names)
    there = ", ".join(repr(name) for name in list(row)[:12]) or "none"
    more = ", …" if len(row) > 12 else ""
    raise DataError(f"{place} has no column {wanted}; its columns are {there}{more}.")


def read_text(row: Row, *names: str, place: str) -> str:
    """Read a column of text, or of numbers as text; blanks around it don't count.

    Raises:
        DataError: the column is missing, empty or holds something else.
    """
    value = find_column(row, names, place)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        what = "is empty" if value is None or isinstance(value, str) else "is no text"
        raise DataError(f"{place}: column {names[0]!r} {what}.")
    return value.strip()


def read_texts(row: Row, columns: Columns, place: str) -> list[str]:
    """Read several columns of text, each as `read_text` does."""
    return [read_text(row, *names, place=place) for names in columns]


def read_notes(row: Row, *names: str) -> dict[str, str | int]:
    """Collect the columns that are only kept as notes, where they are there, under names in snake case."""
    return {
        name.lower().replace(" ", "_").replace("-", "_"): row[name]
        for name in names
        if isinstance(row.get(name), str | int) and row[name] != ""
    }
