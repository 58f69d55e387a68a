"""`docs/standards-by-line.md`: every line is held by tests that are there, or says why it is not."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.docs.pages import prose
from tools.findings import ROOT

PAGE = ROOT / "docs" / "standards-by-line.md"
HEAD = "| what comes in | what comes of it | held by |"
ROWS = [
    line for line in prose(PAGE).splitlines() if line.startswith("| ") and line not in (HEAD, "| --- | --- | --- |")
]
TEST = re.compile(r"`([\w/]+\.py)::(test_\w+)(?:\[([^,|]+?)\])?`(?=,| \|)")


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().removeprefix("|").removesuffix("|").split(" | ")]


@cache
def known(path: Path) -> tuple[frozenset[str], frozenset[str]]:
    """The functions of a file, and every text in it."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    functions = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return frozenset(functions), frozenset(texts)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: cells(row)[0][:60])
def test_every_line_is_held_by_tests_that_are_there(row: str):
    assert row.count(" | ") == 2, row
    held = row.rpartition(" | ")[2]
    found = TEST.findall(row)
    if not found:
        assert held.startswith("not here: "), "it is held by nothing and gives no reason"
        return
    assert held.count("::") == len(found), f"not understood: {held}"
    for name, test, case in found:
        path = ROOT / name if name.startswith("interop/") else ROOT / "tests" / name
        assert path.exists(), name
        functions, texts = known(path)
        assert test in functions, f"{name} has no {test}"
        assert not case or case in texts, f"{name} has no case `{case}`"


def test_no_line_stands_twice_and_none_was_lost():
    assert len(ROWS) == len(set(ROWS)) >= 200
    assert prose(PAGE).count(HEAD) == prose(PAGE).count("\n## ")
