"""The sealed document: what it takes, what it refuses, and that it is deterministic."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import msgspec
import pytest

from mintwarden.ledger.document import (
    decision_document,
    facts_document,
    governance_document,
    read_act,
    read_document,
    read_facts,
)
from mintwarden.model.decision import ClaimDecision
from mintwarden.model.errors import MintwardenError
from mintwarden.model.facts import Facts, Reading
from mintwarden.model.values import Datetime, Decimal4, Entity, EntityUid, Record
from tests.unit.ledger import samples


def with_attrs(attrs: Any) -> Facts:
    return Facts(subject=Entity(samples.ALICE, attrs), context=Record({}))


def test_the_order_of_members_and_elements_does_not_show():
    one = with_attrs({"a": frozenset(["x", "y", "z"]), "b": frozenset([Datetime(2), Datetime(1)])})
    two = with_attrs({"b": frozenset([Datetime(1), Datetime(2)]), "a": frozenset(["z", "y", "x"])})
    assert facts_document(one) == facts_document(two)


def test_read_only_mappings_are_taken():
    facts = Facts(
        subject=Entity(samples.ALICE, MappingProxyType({"a": 1})),
        context=Record({}),
        readings=MappingProxyType({"subject/directory": Reading("missing")}),
        ends=MappingProxyType({"subject/groups": MappingProxyType({"g": 7})}),
    )
    assert read_facts(facts_document(facts)) == facts


def test_how_values_look():
    facts = with_attrs(
        {
            "e": EntityUid("User", "bob"),
            "d": Decimal4(12_500),
            "t": Datetime(5),
            "s": frozenset([3, 1, 2]),
            "r": Record({"$ip": "x"}),
            "n": Record({}),
        }
    )
    attrs = msgspec.json.decode(facts_document(facts))[0][1]
    assert attrs == {
        "e": {"$entity": ["User", "bob"]},
        "d": {"$decimal": 12_500},
        "t": {"$datetime": 5},
        "s": [1, 2, 3],
        "r": {"$record": {"$ip": "x"}},
        "n": {},
    }


def test_claim_values_are_kept_as_json():
    claims = (ClaimDecision("a", frozenset(["y", "x"]), "", ""), ClaimDecision("b", {"c": [1, 0.5, None]}, "", ""))
    document = decision_document(samples.asked(), samples.facts(), samples.decision(claims=claims))
    assert read_document(document).claims == {"a": ["x", "y"], "b": {"c": [1, 0.5, None]}}


@pytest.mark.parametrize("value", [object(), "\ud800"])
def test_a_claim_that_cannot_be_written_is_refused(value):
    claims = (ClaimDecision("a", value, "", ""),)
    with pytest.raises(MintwardenError, match="cannot be written down"):
        decision_document(samples.asked(), samples.facts(), samples.decision(claims=claims))


def test_a_fact_of_no_known_kind_is_refused():
    with pytest.raises(MintwardenError, match="cannot be written down"):
        decision_document(samples.asked(), with_attrs({"a": 0.5}), samples.decision())


@pytest.mark.parametrize(
    "value", [b"0.5", b"null", b'{"$unknown":1}', b'{"$ip":1}', b'{"$ip":"x"}', b'{"$entity":[1]}']
)
def test_a_document_with_an_unknown_value_is_refused(value):
    document = decision_document(samples.asked(), with_attrs({"a": "here"}), samples.decision())
    with pytest.raises(MintwardenError, match="cannot be read"):
        read_document(document.replace(b'"here"', value))


def test_another_version_is_refused():
    document = decision_document(samples.asked(), samples.facts(), samples.decision())
    with pytest.raises(MintwardenError, match="cannot be read"):
        read_document(document.replace(b'"v":1', b'"v":2'))


def test_the_private_part_of_an_act():
    document = governance_document(samples.ALICE, {"ticket": "T-1"})
    assert read_act(document) == {"actor": ["User", "alice@example.com"], "private": {"ticket": "T-1"}}
    with pytest.raises(MintwardenError):
        governance_document(samples.ALICE, {"share": 0.5})
