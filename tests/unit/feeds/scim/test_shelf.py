"""Reading and changing while others do, and how much is looked through."""

from __future__ import annotations

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
