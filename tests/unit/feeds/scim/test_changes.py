"""What a request comes to: memberships, facts, and what a feed may not say."""

from __future__ import annotations

from typing import Any

import pytest
from scim2_models import ForbiddenException, InvalidValueException, UniquenessException

from mintwarden.feeds.scim.ports import Bounds
from mintwarden.model.scim import ScimFeed
from tests.unit.feeds.scim.memory import Feed


def test_a_group_is_said_of_its_members_and_of_nobody_else() -> None:
    feed = Feed()
    ann, bob = feed.make("User", userName="ann"), feed.make("User", userName="bob")
    one = feed.make("Group", displayName="one", members=[{"value": ann.id}])
    feed.make("Group", displayName="two", members=[{"value": ann.id}, {"value": bob.id}])
    assert (feed.groups("User:ann"), feed.groups("User:bob")) == (["one", "two"], ["two"])
    feed.shelf.delete(feed.type_of("Group"), one.id)
    assert (feed.groups("User:ann"), feed.groups("User:bob")) == (["two"], ["two"])


def test_a_group_that_was_there_before_a_rule_looked_at_it_is_said_no_more() -> None:
    """What was said under an earlier version ends with the next word about the person; leaving it is always taken."""
    feed = Feed()
    ann = feed.make("User", userName="ann")
    chiefs = feed.make("Group", displayName="chiefs", members=[{"value": ann.id}])
    assert feed.groups("User:ann") == ["chiefs"]
    feed.use(ScimFeed(), Bounds(groups=frozenset({"chiefs"})))
    feed.make("Group", displayName="staff", members=[{"value": ann.id}])
    assert feed.groups("User:ann") == ["staff"]
    bob = feed.make("User", userName="bob")
    group: Any = feed.shelf.get(feed.type_of("Group"), chiefs.id)
    group.members = [{"value": ann.id}, {"value": bob.id}]
    with pytest.raises(ForbiddenException):
        feed.shelf.update(feed.type_of("Group"), group)
    group.members = []
    feed.shelf.update(feed.type_of("Group"), group)
    assert (chiefs.id, ann.id) not in feed.store.pairs


def test_where_a_rule_may_look_at_any_group_none_is_said() -> None:
    feed = Feed(bounds=Bounds(every_group=True))
    ann = feed.make("User", userName="ann")
    with pytest.raises(ForbiddenException):
        feed.make("Group", displayName="staff", members=[{"value": ann.id}])
    assert feed.groups("User:ann") == []


def test_nothing_is_said_of_people_where_a_rule_looks_at_what_is_said() -> None:
    feed = Feed(bounds=Bounds(why="rule `x` looks"))
    with pytest.raises(ForbiddenException, match="rule `x` looks"):
        feed.make("User", userName="ann")
    assert feed.store.kept == {}


def test_by_the_external_id() -> None:
    feed = Feed(ScimFeed(identifier="externalId"))
    ann = feed.make("User", userName="ann", externalId="00u1")
    assert list(feed.store.said) == ["User:00u1"]
    with pytest.raises(InvalidValueException, match="externalId is required"):
        feed.make("User", userName="bob")
    with pytest.raises(UniquenessException):
        feed.make("User", userName="bob", externalId="00u1")
    ann.external_id = "00u2"
    feed.shelf.update(feed.type_of("User"), ann)
    assert feed.store.said["User:00u1"] is None
    assert feed.store.said["User:00u2"] is not None


def test_whoever_is_barred_is_in_no_group_and_in_them_again_afterwards() -> None:
    feed = Feed(ScimFeed(facts={"enabled": "active"}))
    ann = feed.make("User", userName="ann")
    feed.make("Group", displayName="staff", members=[{"value": ann.id}])
    for active, groups in ((False, []), (True, ["staff"])):
        found: Any = feed.shelf.get(feed.type_of("User"), ann.id)
        found.active = active
        feed.shelf.update(feed.type_of("User"), found)
        assert feed.groups("User:ann") == groups
        assert f'"enabled": {str(active).lower()}'.encode() in (feed.store.said["User:ann"] or b"")


def test_with_a_prefix_it_speaks_of_nobody_without_it() -> None:
    feed = Feed(ScimFeed(subject_prefix="corp/"))
    ann = feed.make("User", userName="ann")
    feed.make("User", userName="corp/ann")
    feed.shelf.delete(feed.type_of("User"), ann.id)
    assert sorted(feed.store.said) == ["User:corp/ann", "User:corp/corp/ann"]
    assert feed.store.said["User:corp/ann"] is None
