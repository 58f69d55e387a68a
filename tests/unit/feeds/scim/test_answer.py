"""One request, when somebody else's comes in between; and how errors are told."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from mintwarden.feeds.scim import answer as module
from mintwarden.feeds.scim.answer import answer
from mintwarden.feeds.scim.dialects import Service
from mintwarden.feeds.scim.messages import Asked, Told
from tests.unit.feeds.scim.memory import Feed

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
