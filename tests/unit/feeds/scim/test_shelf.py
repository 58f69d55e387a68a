"""Reading and changing while others do, and how much is looked through."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from scim2_models import PreconditionFailedException, SearchRequest, TooManyException

from mintwarden.feeds.scim import shelf
from mintwarden.feeds.scim.ports import Kept
from mintwarden.model.errors import MintwardenError
from tests.unit.feeds.scim.memory import Feed


def asked(feed: Feed, filter_: str, **more: Any) -> Any:
    model: Any = feed.provider.model_for("User")
    with feed.provider:
        request = SearchRequest[model].model_validate({"filter": filter_, **more})
        return feed.shelf.search([feed.type_of("User")], request)


def test_a_change_that_others_come_between_begins_again() -> None:
    feed = Feed()
    feed.store.moving = 3
    feed.make("User", userName="ann")
    assert [one.name for one in feed.store.kept.values()] == ["ann"]
    feed.store.moving = 100
    with pytest.raises(MintwardenError, match="keeps changing"):
        feed.make("User", userName="bob")
    assert len(feed.store.kept) == 1


def test_a_version_that_is_not_the_one_any_more_changes_nothing() -> None:
    feed = Feed()
    ann = feed.make("User", userName="ann")
    feed.shelf.update(feed.type_of("User"), ann, expected_version=ann.meta.version)
    for change in (feed.shelf.update, feed.shelf.delete):
        what = ann if change == feed.shelf.update else ann.id
        with pytest.raises(PreconditionFailedException):
            change(feed.type_of("User"), what, expected_version=ann.meta.version)
    assert feed.store.kept[ann.id].version == 2


def test_a_filter_that_no_index_helps_is_refused_where_there_is_too_much(feed_of_many: Feed) -> None:
    with pytest.raises(TooManyException):
        asked(feed_of_many, 'title eq "x"')
    with pytest.raises(TooManyException):
        asked(feed_of_many, 'userName eq "u1" or title pr')
    assert [one.user_name for one in asked(feed_of_many, 'userName eq "U1" and title ne "x"').resources] == ["u1"]


def test_a_value_that_too_many_share(feed_of_many: Feed) -> None:
    with pytest.raises(TooManyException):
        asked(feed_of_many, 'externalId eq "same"')


def listed(feed: Feed, **more: Any) -> Any:
    model: Any = feed.provider.model_for("Group")
    with feed.provider:
        request = SearchRequest[model].model_validate({"count": 50, **more})
        return feed.shelf.search([feed.type_of("Group")], request)


def test_members_that_are_too_many_for_one_answer() -> None:
    """Two hundred groups of ten thousand are gigabytes: whoever wants to see them asks for fewer of them."""
    feed = Feed()
    groups = [feed.make("Group", displayName=f"g{number}").id for number in range(6)]
    feed.store.pairs = {(group, f"{user:036}") for group in groups for user in range(shelf.MOST_RELATED // 5 - 1)}
    with pytest.raises(TooManyException, match="excludedAttributes"):
        listed(feed)
    assert len(listed(feed, filter='displayName eq "g1"').resources[0].members) == shelf.MOST_RELATED // 5 - 1
    assert len(listed(feed, excludedAttributes=["members"]).resources) == 6
    assert len(listed(feed, count=5).resources) == 5


def test_pages_of_what_a_filter_finds(feed_of_few: Feed) -> None:
    found = asked(feed_of_few, 'title eq "x"', startIndex=151, count=20)
    assert (found.total, len(found.resources)) == (230, 20)
    assert [one.id for one in found.resources] == sorted(f"{number}" for number in range(230))[150:170]
    beyond = asked(feed_of_few, 'title eq "x"', startIndex=231, count=20)
    assert (beyond.total, beyond.resources) == (230, [])


def test_a_filter_that_takes_too_long(feed_of_few: Feed) -> None:
    """How long it takes is what is in the resources and in the filter, times how many there are."""
    feed_of_few.times = itertools.count(0, shelf.LONGEST_LOOK // 230)
    assert asked(feed_of_few, 'title eq "x"').total == 230
    feed_of_few.times = itertools.count(0, shelf.LONGEST_LOOK // 230 + 1)
    with pytest.raises(TooManyException):
        asked(feed_of_few, 'title eq "x"')


@pytest.fixture
def feed_of_few() -> Feed:
    feed = Feed()
    for number in range(230):
        feed.store.kept[f"{number}"] = Kept(
            id=f"{number}", kind="User", name=f"u{number}", external="", entity=f"User:u{number}",
            document=b'{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "u%d", "title": "x"}'
            % number, version=1, created=0, changed=0,
        )  # fmt: skip
    return feed


@pytest.fixture(scope="module")
def feed_of_many() -> Feed:
    feed = Feed()
    for number in range(shelf.MOST_LOOKED_AT + 1):
        feed.store.kept[f"{number}"] = Kept(
            id=f"{number}", kind="User", name=f"u{number}", external="same", entity=f"User:u{number}",
            document=b'{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "u%d"}' % number,
            version=1, created=0, changed=0,
        )  # fmt: skip
    return feed
