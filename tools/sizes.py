"""Functions stay under 80 lines and files under 600, so that each can be read in one sitting."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tools.findings import Finding, Source, sources

FUNCTION_LINES = 80
FILE_LINES = 600
FOLDERS = ("src/mintwarden", "tests", "tools", "interop", "bench", "examples")
EXEMPT = ("src/mintwarden/store/contract/", "tests/contract/")
"""Contract suites: one list of promises, long by nature."""


def check(source: Source, lines: int) -> Iterator[Finding]:
    """What of one file is too long."""
    if source.path.as_posix().startswith(EXEMPT):
        return
    if lines > FILE_LINES:
        yield Finding(
            source.path, 1, f"file of {lines} lines, more than {FILE_LINES}: split it where the halves have names"
        )
    for node in ast.walk(source.tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES:
                yield Finding(source.path, node.lineno, f"`{node.name}` has {length} lines, more than {FUNCTION_LINES}")


def findings(root: Path) -> Iterator[Finding]:
    """What is too long in the repository under `root`."""
    for folder in FOLDERS:
        for source in sources(root, Path(folder)):
            if "node_modules" not in source.path.parts:
                lines = (root / source.path).read_text(encoding="utf-8").count("\n")
                yield from check(source, lines)
