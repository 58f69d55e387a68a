"""One request, when somebody else's comes in between; and how errors are told."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintwarden.feeds.scim import answer as module
from mintwarden.feeds.scim.answer import answer
from mintwarden.feeds.scim.dialects import Service
from mintwarden.feeds.scim.messages import Asked, Told
from mintwarden.model.scim import ENTERPRISE
from tests.unit.feeds.scim.memory import Feed

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


def ask(feed: Feed, method: str, path: str, content: Any = None, **headers: str) -> Told:
    return answer(
        Asked(
            method=method,
            path=path,
            query={},
            headers=[(name.replace("_", "-"), value) for name, value in headers.items()],
            body=b"" if content is None else json.dumps(content).encode(),
        ),
        service=Service(feed.provider),
        shelf=feed.shelf,
        base_url="https://tokens.example.com/scim/v2",
    )


def interrupt(feed: Feed, id_: str, times: int) -> None:
    """So many times, somebody else changes the resource between the look at it and its change."""
    asked = feed.store.revision

    async def revision(source: str) -> int:
        nonlocal times
        if times:
            times -= 1
            kept = feed.store.kept[id_]
            feed.store.kept[id_] = msgspec.structs.replace(kept, version=kept.version + 1)
        return await asked(source)

    feed.store.revision = revision  # type: ignore[method-assign]


def titled(title: str) -> dict[str, Any]:
    return {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "title", "value": title}]}


def test_a_patch_that_somebody_comes_between_is_done_all_the_same() -> None:
    feed = Feed()
    ann = feed.make("User", userName="ann")
    interrupt(feed, ann.id, 2)
    assert ask(feed, "PATCH", f"/Users/{ann.id}", titled("T")).status == 204
    assert json.loads(feed.store.kept[ann.id].document)["title"] == "T"
    interrupt(feed, ann.id, 100)
    assert ask(feed, "PATCH", f"/Users/{ann.id}", titled("U")).status == 412
    assert json.loads(feed.store.kept[ann.id].document)["title"] == "T"


def test_one_that_says_which_version_it_is_about_is_told() -> None:
    feed = Feed()
    ann = feed.make("User", userName="ann")
    interrupt(feed, ann.id, 1)
    assert ask(feed, "PATCH", f"/Users/{ann.id}", titled("T"), if_match='W/"1"').status == 412
    assert "title" not in json.loads(feed.store.kept[ann.id].document)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("1 validation error for User\nactive\n  Input should be a boolean [type=bool]\n    For further information x",
         "active: Input should be a boolean"),
        ("plain", "plain"),
        ("", ""),
        ("x" * 600, "x" * 500),
    ],
)  # fmt: skip
def test_details_are_in_plain_words(said: str, told: str) -> None:
    assert module._plain(said) == told


NAMES = st.sampled_from(
    ["schemas", "userName", "displayName", "members", "value", "$ref", "type", "active", "emails", "name", "id", "meta",
     "Operations", "op", "path", "externalId", "groups", "password", ENTERPRISE, "manager", "department", "x509Certificates",
     "filter", "startIndex", "count", "attributes", "x"]
)  # fmt: skip
TEXTS = st.sampled_from(
    [USER, GROUP, PATCH, ENTERPRISE, SEARCH, "add", "Replace", "remove", "members", "active", "emails[type eq \"work\"].value",
     'members[value eq "x"]', f"{ENTERPRISE}:manager", "False", "", "x", "\u0000", "name.givenName", "schemas", "meta", "[", "User",
     'userName eq "ann"', "2026-11-26T00:00:00Z", "00000000-0000-4000-8000-000000000001"]
)  # fmt: skip
VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-2, 2**70), st.floats(allow_nan=False, allow_infinity=False), TEXTS
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=12,
)
BODIES = st.one_of(
    st.dictionaries(NAMES, VALUES, max_size=6),
    st.builds(lambda more: {"schemas": [USER], "userName": "new", **more}, st.dictionaries(NAMES, VALUES, max_size=3)),
    st.builds(
        lambda more: {"schemas": [GROUP], "displayName": "new", **more}, st.dictionaries(NAMES, VALUES, max_size=3)
    ),
    st.builds(
        lambda operations: {"schemas": [PATCH], "Operations": operations},
        st.lists(
            st.fixed_dictionaries(
                {"op": st.sampled_from(["add", "Replace", "REMOVE"])}, optional={"path": TEXTS, "value": VALUES}
            ),
            max_size=3,
        ),
    ),
    st.builds(lambda more: {"schemas": [SEARCH], **more}, st.dictionaries(NAMES, VALUES, max_size=3)),
)


@given(
    st.sampled_from(["POST", "PUT", "PATCH"]),
    st.sampled_from(["/Users", "/Groups", "/Users/ann", "/Groups/staff", "/Users/.search", "/Groups/.search"]),
    BODIES,
)
def test_whatever_is_sent_is_answered_and_leaves_everything_whole(method: str, path: str, body: Any) -> None:
    feed = Feed()
    ann = feed.make("User", userName="ann", emails=[{"value": "a@b.example", "type": "work"}])
    staff = feed.make("Group", displayName="staff", members=[{"value": ann.id}])
    path = path.replace("ann", ann.id).replace("staff", staff.id)
    told = ask(feed, method, path, body)
    assert told.status in (200, 201, 204, 400, 403, 404, 405, 409, 413, 501), told
    content = json.loads(told.body) if told.body else {}
    if told.status >= 400:
        assert content["status"] == str(told.status)
    # what is kept is read again, and is what is said
    for kind in ("User", "Group"):
        for kept in [one for one in feed.store.kept.values() if one.kind == kind]:
            assert ask(feed, "GET", f"/{kind}s/{kept.id}").status == 200
    for group, user in feed.store.pairs:
        name = json.loads(feed.store.kept[group].document)["displayName"]
        entity = feed.store.kept[user].entity
        document = json.loads(feed.store.kept[user].document)
        assert (name in (feed.groups(entity) or [])) is (document.get("active") is not False)
