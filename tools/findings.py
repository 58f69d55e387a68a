"""One thing that a lint found, and the names that a file's imports give to other modules' things."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = Path("src/mintwarden")


class Finding(NamedTuple):
    """Where and what."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


class Source(NamedTuple):
    """A parsed file; `path` is relative to the repository."""

    path: Path
    tree: ast.Module

    @property
    def room_path(self) -> str:
        """`mint/prepare.py` for `src/mintwarden/mint/prepare.py`."""
        return self.path.relative_to(PACKAGE).as_posix()


def sources(root: Path, folder: Path = PACKAGE) -> Iterator[Source]:
    """Every Python file under `folder`, parsed, in path order."""
    for file in sorted((root / folder).rglob("*.py")):
        yield Source(file.relative_to(root), ast.parse(file.read_text(encoding="utf-8"), str(file)))


def imported_names(tree: ast.Module) -> dict[str, str]:
    """Local name to the dotted name that it stands for, from every import of the file, wherever it stands."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                local = alias.asname or alias.name.split(".", maxsplit=1)[0]
                names[local] = alias.name if alias.asname else local
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def dotted(node: ast.expr, names: dict[str, str]) -> str:
    """The full dotted name that `a.b.c` stands for; empty when it does not start at a name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([names.get(node.id, node.id), *reversed(parts)])
