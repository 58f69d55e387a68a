"""Attributes as facts: those that are named, and nothing else."""

from __future__ import annotations

from mintwarden.feeds.scim.meaning import facts_of
from mintwarden.model.scim import ATTRIBUTES, ENTERPRISE, ScimFeed

USER = {
    "userName": "ann",
    "externalId": "00u1",
    "title": "Clerk",
    "name": {"givenName": "Ann", "familyName": "Lee"},
    "emails": [{"value": "b@x"}, {"value": "a@x", "primary": True}, {"type": "work"}, {"value": "b@x"}],
    "roles": [{"value": "admin"}],
    ENTERPRISE: {"department": "finance", "manager": {"value": "boss"}},
}


def test_every_attribute_that_can_be_one() -> None:
    facts = facts_of(USER, ScimFeed(facts={name: name for name in ATTRIBUTES}))
    assert facts == {
        "active": True,
        "userName": "ann",
        "externalId": "00u1",
        "title": "Clerk",
        "givenName": "Ann",
        "familyName": "Lee",
        "emails": ["a@x", "b@x"],
        "roles": ["admin"],
        "department": "finance",
        "manager": "boss",
        "entitlements": [],
        "phoneNumbers": [],
    }


def test_nothing_that_is_not_named() -> None:
    assert facts_of(USER, ScimFeed(facts={"team": "department"})) == {"team": "finance"}
    assert facts_of(USER, ScimFeed()) == {}


def test_of_a_barred_account_nothing_is_said_but_that() -> None:
    barred = {**USER, "active": False}
    assert facts_of(barred, ScimFeed(facts={"team": "department"})) is None
    told = facts_of(barred, ScimFeed(facts={"team": "department", "enabled": "active"}))
    assert told == {"team": "finance", "enabled": False}


def test_parts_that_are_not_what_they_should_be_are_no_facts() -> None:
    feed = ScimFeed(facts={"manager": "manager", "given": "givenName", "mail": "emails"})
    assert facts_of({"name": "Ann", ENTERPRISE: {"manager": None}, "emails": None}, feed) == {"mail": []}
