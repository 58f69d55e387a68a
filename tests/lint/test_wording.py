"""What errors say: lower case, no full stop, one line (`model/errors.py`)."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tools.findings import ROOT

NAMES = frozenset(
    {"MintwardenError", "HttpError", "FatalLedgerError", "JoseError", "LyingError", "_invalid", "_refused"}
)


def text_of(node: ast.AST) -> str:
    """The literal parts of a text, `x` for what is put in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return "x"
    return ""


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in NAMES:
            said = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg in ("public", "hint"))]
            yield from ((node.lineno, text) for text in map(text_of, said) if text)


def wrong(text: str) -> bool:
    first = text.partition(" ")[0]
    shouted = first.isalpha() and first[0].isupper() and not first[1:2].isupper() and first != "Cedar"
    return shouted or text.endswith((".", "!")) or "\n" in text or text != text.strip()


@pytest.mark.parametrize("text", ["The store is gone", "the store is gone.", "gone!", "two\nlines", " gone"])
def test_a_planted_sentence_is_found(text: str):
    (found,) = texts(ast.parse(f"raise MintwardenError(ErrorKind.STORE, {text!r})"))
    assert wrong(found[1])


@pytest.mark.parametrize("text", ["the store is gone", "`x` is gone", "JSON is expected", "Cedar disagrees"])
def test_what_is_said_as_agreed_is_left_alone(text: str):
    assert not wrong(text)


def test_every_error_is_said_as_agreed():
    said = [
        (path.relative_to(ROOT), line, text)
        for path in sorted((ROOT / "src").rglob("*.py"))
        for line, text in texts(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert len(said) > 300
    assert [found for found in said if wrong(found[2])] == []
