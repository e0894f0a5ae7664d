"""Take the final answer out of a response."""

from collections.abc import Sequence

BOX = "\\boxed{"


def extract_answer(text: str) -> str | None:
    r"""Return what the last closed `\boxed{…}` of a response holds, or None.

    If the response closes its thinking, only what follows counts: a box inside the thinking is no final answer. Braces
    are matched, `\{` and `\}` are not counted. An empty box is no answer.
    """
    statement = find_statement(text)
    start = statement.rfind(BOX)
    while start >= 0:
        content = _read_braced(statement, start + len(BOX))
        if content is not None:
            return content.strip() or None
        start = statement.rfind(BOX, 0, start)
    return None


def find_statement(text: str) -> str:
    """Return the part of a response that may state its answer: what follows the closed thinking, else all of it."""
    _, closed, after = text.partition("</think>")
    return after if closed else text


def find_answer_end(text: str, bridge: str, stop: Sequence[str] = ()) -> int | None:
    r"""Find where an answer that was written after a bridge ends in the text; None while it goes on.

    That is the first of the stop texts. Without any, it is the brace that closes the bridge's open one (`\boxed{`) or,
    after a bridge without, the end of the first line that has something on it.
    """
    if stop:
        return min((place for place in map(text.find, stop) if place >= 0), default=None)
    if bridge.rstrip().endswith("{"):
        content = _read_braced(text, 0)
        return None if content is None else len(content)
    start = len(text) - len(text.lstrip())
    end = text.find("\n", start)
    return None if end < 0 else end


def _read_braced(text: str, start: int) -> str | None:
    """Return text[start:] up to the brace that closes the one before start; None if nothing closes it."""
    depth, i = 1, start
    while i < len(text):
        if text[i] == "\\":
            i += 1  # the next character is escaped
        elif text[i] == "{":
            depth += 1
        elif text[i] == "}":
            depth -= 1
            if depth == 0:
                return text[start:i]
        i += 1
    return None
