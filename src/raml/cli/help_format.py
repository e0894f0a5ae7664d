"""How help texts look: two columns without boxes, whole words, and examples that can be copied."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cyclopts.help import HelpEntry, HelpPanel, InlineText
from rich.console import Console, ConsoleOptions
from rich.text import Text

MAX_WIDTH = 100
"""Longer lines are hard to follow, however wide the terminal is."""
COMMAND_COLUMN, OPTION_COLUMN = 16, 27
"""Where descriptions begin; a name that reaches further has a line of its own."""
CHOICES_IN_NAME = 40
"""Up to so many characters of choices stand in the place of the value: `--mode think|nothink`."""
METAVARS = {"STR": "TEXT", "INT": "N", "FLOAT": "X"}
"""What a value is called, by what the command line calls it."""
NO_BREAK = "\N{NO-BREAK SPACE}"
"""The only blank at which `textwrap` doesn't break a line."""


@dataclass(frozen=True)
class PlainHelp:
    """A help formatter for cyclopts; a section's options get a heading of their own after those that have none."""

    sections: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Options by heading, where their dataclass can't say it."""
    left_out: str | None = None
    """How options begin that are not listed, since they repeat those of another command."""

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Print the commands or options of a group."""
        owners = {name: heading for heading, names in self.sections.items() for name in names}
        title = str(panel.title)
        parts: dict[str, list[HelpEntry]] = {heading: [] for heading in ("Arguments", title, *self.sections)}
        for entry in panel.entries:
            if self.left_out and any(name.startswith(self.left_out) for name in entry.positive_names):
                continue
            own = next((owners[name] for name in entry.positive_names if name in owners), title)
            parts["Arguments" if entry.positional_label else own].append(entry)
        for heading, entries in parts.items():
            if entries:
                _print(console, Text(f"\n{heading}", style="bold"))
            for entry in entries:
                is_command = panel.format == "command"
                _print_entry(console, entry, COMMAND_COLUMN if is_command else OPTION_COLUMN)

    def render_usage(self, console: Console, options: ConsoleOptions, usage: object) -> None:
        """Print how the command is called."""
        words = _rename(str(usage).removeprefix("Usage:").strip())
        # An option and its value stay together.
        words = re.sub(r"(--\S+) ([A-Z])", rf"\1{NO_BREAK}\2", words)
        for line in _wrap(f"Usage: {words}", _find_width(console), "       "):
            _print(console, Text(line, style="bold"))

    def render_description(self, console: Console, options: ConsoleOptions, description: object) -> None:
        """Print what the command does, with its examples on lines of their own."""
        for paragraph in _split_paragraphs(_read(description)):
            _print(console, Text())
            if paragraph.startswith("Example"):
                commands = re.findall("`([^`]+)`", paragraph)
                _print(console, Text("Example:" if len(commands) == 1 else "Examples:", style="bold"))
                for command in commands:
                    for line in _wrap_command(command, _find_width(console)):
                        _print(console, Text(line, style="cyan"))
            else:
                for line in _wrap(paragraph, _find_width(console)):
                    _print(console, _color(line))


def write_default(value: object) -> str | None:
    """Write a default as one would type it; nothing where there is none or it is no."""
    if isinstance(value, bool):
        return "yes" if value else None
    if isinstance(value, float):
        return re.sub(r"e([+-])0", r"e\1", f"{value:g}")
    if isinstance(value, str):
        text = value.replace("\\", "\\\\").replace("\n", "\\n") if "\n" in value else value
        return f'"{text}"' if " " in text or "\\" in text else text
    if isinstance(value, (tuple, list)):
        return " ".join(str(write_default(item)) for item in value) or None
    return None if value is None else str(value)


def _print(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=True)


def _find_width(console: Console) -> int:
    return min(console.width, MAX_WIDTH)


def _print_entry(console: Console, entry: HelpEntry, column: int) -> None:
    """Print a name and, beside or below it, what it means."""
    name, choices = _write_name(entry)
    paragraphs = _split_paragraphs(_read(entry.description)) or [""]
    notes = [f"[{choices}]" if choices else "", f"[default: {entry.default}]" if entry.default else ""]
    if entry.required and not entry.positional_label:
        notes.append("[required]")
    width = _find_width(console) - column
    # A list keeps its items to itself: notes follow on a line of their own.
    if paragraphs[-1].startswith("- "):
        paragraphs.append("")
    paragraphs[-1] = " ".join(filter(None, (paragraphs[-1], *(_keep_together(note, width) for note in notes))))
    lines = [line for text in paragraphs for line in _wrap(text, width, "  " if text.startswith("- ") else "")]
    label = Text.assemble((f"  {name}", "cyan"))
    if lines and len(label) + 2 <= column:
        label = label + Text(" " * (column - len(label))) + _color(lines.pop(0))
    _print(console, label)
    for line in lines:
        _print(console, Text(" " * column) + _color(line))


def _write_name(entry: HelpEntry) -> tuple[str, str]:
    """Write what is typed, and the choices where they don't fit there."""
    choices = entry.choices or ()
    if entry.positional_label:
        return entry.positional_label, ""
    names = [*entry.positive_names, *entry.positive_shorts]
    if entry.default == "yes":
        names += entry.negative_names
    if not entry.metavar:
        return ", ".join(names), ""
    joined = "|".join(choices)
    metavar, rest = _rename(entry.metavar), ""
    if choices and len(joined) <= CHOICES_IN_NAME:
        metavar = metavar.replace("CHOICE", joined)
    elif choices:
        metavar, rest = metavar.replace("CHOICE", "NAME"), f"one of {', '.join(choices)}"
    return f"{', '.join(names)} {metavar}", rest


def _rename(text: str) -> str:
    return re.sub(r"\b[A-Z]+\b", lambda found: METAVARS.get(found[0], found[0]), text)


def _read(renderable: object) -> str:
    """Get back the text that cyclopts made something printable of."""
    if isinstance(renderable, InlineText):
        return _read(renderable.primary_renderable)
    return renderable.plain if isinstance(renderable, Text) else str(renderable or "")


def _split_paragraphs(text: str) -> list[str]:
    """Undo the line breaks of a docstring; paragraphs and items of a list (`- …`) stay apart."""
    parts = re.split(r"\n\s*\n|\n(?=\s*- )", text.strip())
    return [joined for part in parts if (joined := " ".join(part.split()))]


def _keep_together(text: str, width: int) -> str:
    return text.replace(" ", NO_BREAK) if len(text) <= width else text


def _wrap(text: str, width: int, indent: str = "") -> list[str]:
    """Break text into lines, not inside short commands in backticks."""
    kept = re.sub("`[^`]{1,30}`", lambda found: _keep_together(found[0], width), text)
    lines = textwrap.wrap(kept, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return [line.replace(NO_BREAK, " ") for line in lines]


def _wrap_command(command: str, width: int) -> Iterator[str]:
    """Break a command line between its options, so that a shell takes it as it stands."""
    words = re.sub(r"(--\S+) (?!--)", rf"\1{NO_BREAK}", " ".join(command.split()))
    lines = _wrap(words, width - 6, "  ")
    for i, line in enumerate(lines):
        yield f"  {line}" + (" \\" if i < len(lines) - 1 else "")


def _color(line: str) -> Text:
    text = Text(line)
    text.highlight_regex("`[^`]+`", "cyan")
    text.highlight_regex(r"\[(?:default|one of|required)[^\]]*\]?$", "dim")
    return text
