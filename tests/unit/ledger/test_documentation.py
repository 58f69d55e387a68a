"""`docs/ledger.md` lists every member, kind and finding, and no other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from mintwarden.ledger.audit import FindingKind
from mintwarden.ledger.entry import GOVERNANCE_KINDS, DecisionEntry, GovernanceEntry, ScopeMember
from tools.findings import ROOT

PAGE = (Path(__file__).parents[3] / "docs" / "ledger.md").read_text(encoding="utf-8")


def rows(heading: str) -> set[str]:
    """The first cells of the table that starts with that heading cell, behind that text."""
    text = PAGE.partition(heading)[2]
    table = re.search(r"\n((?:\|[^\n]*\n)+)", text)
    assert table is not None
    return {line.split("|")[1].strip(" `") for line in table[1].splitlines()[2:]}


def test_members_of_a_decision():
    assert rows("## The entry of a decision") == set(DecisionEntry.__struct_fields__)


def test_members_of_a_scope():
    assert rows("Each of `scopes`:") == set(ScopeMember.__struct_fields__)


def test_members_and_kinds_of_an_act():
    sentence = PAGE.partition("## The entry of an act that governs")[2].partition("| kind")[0]
    assert set(re.findall(r"`(\w+)`", sentence)) - {"subject"} == set(GovernanceEntry.__struct_fields__)
    assert rows("## The entry of an act that governs") == set(GOVERNANCE_KINDS)


def test_findings():
    assert rows("## Auditing") == set(get_args(FindingKind))


def test_the_kinds_that_are_written_are_said_to_be():
    sentence = PAGE.partition("This version writes ")[2].partition(";")[0]
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    governing = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src/mintwarden/govern").rglob("*.py"))
    named = (*re.findall(r'\bkind="(\w+)"', source), *re.findall(r'\.write\(\s*"(\w+)"', source))
    written = {*named, *re.findall(r'"(\w+)"', governing)} & set(GOVERNANCE_KINDS)
    assert written == set(re.findall(r"`(\w+)`", sentence))
