"""Take the program out of a response."""

from __future__ import annotations

import re

from raml.answers.extract import find_statement

_FENCE = re.compile(r"([ \t]*)(`{3,}(?=[^`]*$)|~{3,})(.*)")
_PYTHON = re.compile(r"(?:python|py|pypy)[0-9.]*", re.IGNORECASE)


def extract_code(text: str) -> str | None:
    """Return what the last closed fenced code block of a response holds; None without one.

    Only blocks labelled as Python or not labelled count. If the response closes its thinking, only what follows counts.
    Fences are three or more backticks or tildes; a block whose fence is indented loses that much of its indentation.
    """
    found, opening, lines = None, None, []
    for line in find_statement(text).replace("\r\n", "\n").split("\n"):
        match = _FENCE.fullmatch(line)
        if opening is None:
            if match is not None:
                opening, lines = match, []
        elif match is not None and match[2].startswith(opening[2]) and not match[3].strip():
            if _is_python(opening[3]):
                found = "\n".join(lines) + "\n"
            opening = None
        else:
            lines.append(_remove_indentation(line, len(opening[1])))
    return found


def _is_python(label: str) -> bool:
    words = label.strip().strip("{}").split()
    return not words or _PYTHON.fullmatch(words[0].removeprefix(".")) is not None


def _remove_indentation(line: str, n: int) -> str:
    return line[min(n, len(line) - len(line.lstrip(" \t"))) :]
