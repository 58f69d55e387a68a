"""CONTRIBUTING's table leads to places that are there."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import prose
from tools.findings import ROOT

PLACE = re.compile(r"`([\w./<>]+(?:/|\.py|\.md|\.toml))`")
ROWS = re.findall(r"^\| (?!kind of change|---)([^|]+) \|(.+)\|$", prose(ROOT / "CONTRIBUTING.md"), flags=re.MULTILINE)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_place_of_a_row_is_there(row: tuple[str, str]):
    places = PLACE.findall(row[1])
    missing = []
    for place in places:
        pattern = re.sub(r"<\w+>", "*", place).rstrip("/")
        if not any(any(folder.glob(pattern)) for folder in (ROOT, ROOT / "src" / "mintwarden")):
            missing.append(place)
    assert missing == []


def test_the_table_is_found():
    assert len(ROWS) >= 15
    assert sum(len(PLACE.findall(cells)) for _, cells in ROWS) >= 30
