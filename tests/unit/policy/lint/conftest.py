"""The starter bundle as texts, changed and looked over."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import pytest

from mintwarden.policy.bundle.load import build_bundle
from mintwarden.policy.lint.finding import Finding
from mintwarden.policy.lint.lint import lint

STARTER = Path(__file__).parents[4] / "src/mintwarden/app/starter/bundle"
TODAY = datetime.date(2026, 11, 24)

Change = tuple[str, str, str]


def looked_over(*changes: Change, today: datetime.date = TODAY) -> tuple[Finding, ...]:
    """Findings on the starter with (file, old, new) changes; an empty `old` appends."""
    texts = {p.relative_to(STARTER).as_posix(): p.read_text() for p in STARTER.rglob("*") if p.is_file()}
    for file, old, new in changes:
        assert old in texts[file], f"{old!r} is not in {file}"
        texts[file] = texts[file].replace(old, new, 1) if old else texts[file] + new
    return lint(build_bundle(texts), texts, today)


@pytest.fixture
def found() -> Callable[..., list[tuple[str, str]]]:
    """(file:line, message) of the findings of one kind."""

    def look(kind: str, *changes: Change) -> list[tuple[str, str]]:
        return [(f"{f.file}:{f.line}", f.message) for f in looked_over(*changes) if f.id == kind]

    return look
