from __future__ import annotations

import json

from mintwarden.context.documents import DocumentReader
from mintwarden.context.ports import FactDocument, Span
from mintwarden.model.catalogue import Source
from mintwarden.model.fact_type import Fact, FactType

NOW = 1_795_000_000_000
SPANS: dict[str, dict[str, Span]] = {"groups": {"admins": (None, NOW + 5)}}


def reader(*, groups: bool) -> DocumentReader:
    facts = {"risk": Fact(name="risk", type=FactType(kind="long"))}
    return DocumentReader(Source(id="risk", kind="store", about=("User",), facts=facts, groups=groups))


def test_groups_of_a_source_that_names_none_are_left_aside():
    document = FactDocument(facts={"risk": 3}, groups=["admins"], spans=SPANS)
    stored = json.dumps({"facts": {"risk": 3}, "groups": ["admins"], "spans": SPANS}).encode()
    for said in (reader(groups=False).convert(document, NOW), reader(groups=False).decode(stored, NOW)):
        assert (said.facts, said.groups, said.ends) == ({"risk": 3}, frozenset(), None)
    said = reader(groups=True).convert(document, NOW)
    assert (said.groups, said.ends) == (frozenset({"admins"}), {"groups": {"admins": NOW + 5}})
