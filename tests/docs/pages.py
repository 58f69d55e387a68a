"""The repository's Markdown, taken apart as far as the checks need."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tools.findings import ROOT

_FENCE = re.compile(r"^( {0,3})(`{3,}|~{3,})(.*)$")
_HEADING = re.compile(r"^(#{1,6}) +(.*?)(?: +#+)?$")


class Block(NamedTuple):
    """A fenced block: where it starts, the words of its info string, its lines."""

    page: Path
    line: int
    info: tuple[str, ...]
    lines: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """The command lines of a `bash` or `console` block, comments and continuation lines folded away."""
        text = "\n".join(self.lines).replace("\\\n", " ")
        if self.info[0] == "console":
            return [line[2:] for line in text.splitlines() if line.startswith("$ ")]
        return [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def pages() -> list[Path]:
    """Every page, in order."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    return sorted(page for page in found if "node_modules" not in page.parts)


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page."""
    opened: tuple[int, str, tuple[str, ...]] | None = None
    body: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if opened is None and fence:
            opened, body = (number, fence[2], tuple(fence[3].split()) or ("",)), []
        elif opened is not None and fence and fence[2].startswith(opened[1]) and not fence[3].strip():
            yield Block(page, opened[0], opened[2], tuple(body))
            opened = None
        elif opened is not None:
            body.append(line)


def prose(page: Path) -> str:
    """The page without its fenced blocks and without indented ones."""
    inside, kept = "", []
    for line in page.read_text(encoding="utf-8").splitlines():
        fence = _FENCE.match(line)
        if fence and not inside:
            inside = fence[2]
        elif fence and fence[2].startswith(inside) and not fence[3].strip():
            inside = ""
        elif not inside and not line.startswith("    "):
            kept.append(line)
    return "\n".join(kept)


def headings(page: Path) -> list[str]:
    """The headings of a page, without their marks."""
    found = (_HEADING.match(line) for line in prose(page).splitlines())
    return [match[2].replace("`", "") for match in found if match]


def anchors(page: Path) -> set[str]:
    """The fragments that links may name: GitHub's rule, as far as our headings need it."""
    written = re.findall(r'<a (?:id|name)="([^"]+)"', page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings(page)} | set(written)


def first_cells(page: Path) -> set[str]:
    """The first cell of every table row, without backticks."""
    rows = re.findall(r"^\| *([^|]*?) *\|", prose(page), flags=re.MULTILINE)
    return {row.replace("`", "") for row in rows}
