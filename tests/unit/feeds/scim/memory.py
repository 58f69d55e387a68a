"""A feed whose store is a dictionary, and what draws up its changes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from typing import Any, Literal

from mintwarden.feeds.scim.changes import Drafts
from mintwarden.feeds.scim.description import described
from mintwarden.feeds.scim.ports import Bounds, Kept, Kind, Said, ScimChange
from mintwarden.feeds.scim.shelf import Shelf
from mintwarden.model.scim import ScimFeed

PROVIDER = described()


class Memory:
    """See `ScimStore`; one feed. `moving`: so many changes of others come in between."""

    def __init__(self) -> None:
        self.kept: dict[str, Kept] = {}
        self.pairs: set[tuple[str, str]] = set()
        self.said: dict[str, bytes | None] = {}
        self.at = 0
        self.moving = 0

    async def revision(self, source: str) -> int:
        return self.at

    async def get(self, source: str, ids: Sequence[str]) -> Mapping[str, Kept]:
        return {id_: self.kept[id_] for id_ in ids if id_ in self.kept}

    async def find(self, source: str, kind: Kind, by: Literal["name", "external"], value: str) -> Sequence[Kept]:
        return [one for one in self.kept.values() if one.kind == kind and getattr(one, by) == value][:100]

    async def count(self, source: str, kind: Kind) -> int:
        return sum(one.kind == kind for one in self.kept.values())

    async def page(self, source: str, kind: Kind, offset: int, limit: int) -> Sequence[Kept]:
        found = sorted((one for one in self.kept.values() if one.kind == kind), key=lambda one: one.id)
        return found[offset : offset + limit]

    async def members(self, source: str, groups: Sequence[str]) -> Mapping[str, Sequence[str]]:
        found: dict[str, list[str]] = {}
        for group, user in sorted(self.pairs):
            if group in groups:
                found.setdefault(group, []).append(user)
        return found

    async def groups_of(self, source: str, users: Sequence[str]) -> Mapping[str, Sequence[str]]:
        found: dict[str, list[str]] = {}
        for group, user in sorted(self.pairs):
            if user in users:
                found.setdefault(user, []).append(group)
        return found

    async def commit(self, source: str, change: ScimChange) -> bool:
        if self.moving:
            self.moving -= 1
            self.at += 1
        if change.revision != self.at:
            return False
        self.at += 1
        for id_ in change.gone:
            del self.kept[id_]
        self.pairs = {pair for pair in self.pairs if not set(pair) & set(change.gone)}
        self.pairs = (self.pairs - set(change.left)) | set(change.joined)
        self.kept |= {one.id: one for one in change.put}
        self.said |= {one.entity: one.document for one in change.said}
        return True


def waited(work: Awaitable[Any]) -> Any:
    """What an awaitable comes to that never waits."""
    step = work.__await__()
    try:
        next(step)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


def written(name: str, facts: Mapping[str, object] | None, groups: Sequence[str]) -> Said:
    """A document whose shape is a test's."""
    said = None if facts is None else json.dumps({"facts": facts, "groups": list(groups)}).encode()
    return Said(f"User:{name}", said)


class Feed:
    """A shelf over such a memory."""

    def __init__(self, feed: ScimFeed | None = None, bounds: Bounds | None = None) -> None:
        self.store = Memory()
        self.provider = PROVIDER
        self.times: Iterator[int] = itertools.repeat(1_000)
        self.use(feed or ScimFeed(facts={"department": "department"}), bounds or Bounds())

    def use(self, feed: ScimFeed, bounds: Bounds) -> None:
        """The same resources under another version of the bundle."""
        drafts = Drafts(source="directory", feed=feed, bounds=bounds, store=self.store, writer=written, wait=waited)
        ids = iter(f"00000000-0000-4000-8000-{number:012}" for number in range(len(self.store.kept) + 1, 10**6))
        self.shelf = Shelf(
            source="directory",
            provider=self.provider,
            store=self.store,
            drafts=drafts,
            commit=lambda drawn: bool(waited(self.store.commit("directory", drawn.change))),
            wait=waited,
            new_id=lambda: next(ids),
            now=lambda: next(self.times),
        )

    def type_of(self, kind: Kind) -> Any:
        return next(one for one in self.provider.resource_types if one.name == kind)

    def make(self, kind: Kind, **content: Any) -> Any:
        model: Any = self.provider.model_for(kind)
        with self.provider:
            return self.shelf.create(
                self.type_of(kind), model.model_validate({"schemas": [str(model.__schema__)], **content})
            )

    def groups(self, entity: str) -> list[str] | None:
        document = self.store.said[entity]
        return None if document is None else json.loads(document)["groups"]
