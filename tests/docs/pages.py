"""README, CONTRIBUTING and the pages of the documentation, taken apart into blocks of code.

A block may have a line of its own right above it:
- `` `NAME`: `` writes it into a file of that name, which the blocks below it use;
- ``<!-- not run: REASON -->`` keeps it from being run; REASON is one of `REASONS`.
A ``text`` block right below Python is what that prints; any other one is output to read.
"""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

import lightning_hash

ROOT = Path(lightning_hash.__file__).parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "examples/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
LANGUAGES = ("python", "shell", "yaml", "text")
REASONS = (
    "needs the network", "needs SLURM", "needs several machines", "needs several devices",
    "needs a GPU", "needs the papers' data", "needs your files", "starts a server", "takes minutes",
    "a fragment",
)  # fmt: skip
FENCE = re.compile(r"^([ \t]*)(`{3,}|~{3,})(.*)$")
FILE = re.compile(r"^`([\w.]+)`:$")
MARKER = re.compile(r"^<!-- (.*?) ?-->$")


class Block(NamedTuple):
    """A block of code of a page."""

    page: Path
    line: int
    language: str
    code: str
    above: str  # the last line above it that is not empty
    adjacent: bool  # whether only an empty line is between it and the block before

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def marker(self) -> str | None:
        found = MARKER.match(self.above)
        return found[1] if found else None

    @property
    def reason(self) -> str | None:
        """Why it is not run; ``None`` where it is."""
        marker = self.marker
        return None if marker is None else marker.removeprefix("not run: ")

    @property
    def file(self) -> str | None:
        found = FILE.match(self.above)
        return found[1] if found else None

    def commands(self) -> list[list[str]]:
        """Return the words of each line of a shell block, comments left out."""
        joined = self.code.replace("\\\n", " ")
        lines = (shlex.split(line, comments=True) for line in joined.splitlines())
        return [words for words in lines if words]


def read_blocks(page: Path) -> list[Block]:
    """Take a page apart; a fence that is not closed is an error."""
    blocks: list[Block] = []
    above, fence, start, code, adjacent = "", None, 0, [], False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        found = FENCE.match(line)
        if fence is None and found:
            fence, start, code = found, number, []
        elif fence is not None and line.strip() == fence[2]:
            body = "".join(f"{each.removeprefix(fence[1])}\n" for each in code)
            blocks.append(Block(page, start, fence[3].strip(), body, above, adjacent))
            fence, above, adjacent = None, "", True
        elif fence is not None:
            code.append(line)
        elif line.strip():
            above, adjacent = line.strip(), False
    assert fence is None, f"{page}:{start}: the block has no end"
    return blocks


def without_blocks(page: Path) -> str:
    """Return the text of a page without its code."""
    return re.sub(r"^[ \t]*(`{3,}).*?^[ \t]*\1$", "", page.read_text(), flags=re.M | re.S)


def arguments(words: list[str]) -> list[str] | None:
    """Return what stands behind the program's name; ``None`` where another program is called."""
    for start in (["python", "-m", "lightning_hash"], ["-m", "lightning_hash"], ["lightning_hash"]):
        for place in range(len(words)):
            if words[place : place + len(start)] == start:
                return words[place + len(start) :]
    return None
