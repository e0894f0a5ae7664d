"""The fenced blocks of a Markdown page, and the command lines in them."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("src/raml/**/*.md")])
FENCE = re.compile(r"^(?P<fence>`{3,})(?P<language>\w*)\n(?P<text>.*?)^(?P=fence)$", flags=re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """Command lines, without comments; `a && b` is two of them."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [part.strip() for line in lines for part in line.split("#")[0].split("&&") if part.strip()]


def read_blocks(page: Path, *languages: str) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    blocks = [
        Block(page, text.count("\n", 0, found.start()) + 1, *found.group("language", "text"))
        for found in FENCE.finditer(text)
    ]
    return [block for block in blocks if not languages or block.language in languages]
