"""What SCIM in needs from storage, and from whoever writes facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from msgspec import Struct

Kind = Literal["User", "Group"]


class Kept(Struct, frozen=True, kw_only=True):
    """A resource as it is kept.

    Attributes:
        id: given here, and to nothing else ever.
        name: `userName` or `displayName` as they are compared; unique among the resources of a kind.
        external: `externalId`, or empty.
        entity: the entity key that a user's facts are about, or empty; unique.
        document: JSON of the resource, without what this holds, and without members.
        version: 1 at first, and one more with every change.
        created, changed: `Millis`.
    """

    id: str
    kind: Kind
    name: str
    external: str
    entity: str
    document: bytes
    version: int
    created: int
    changed: int


class Said(Struct, frozen=True):
    """What the source says about an entity from now on: a document of facts, or None for nothing any more."""

    entity: str
    document: bytes | None


class ScimChange(Struct, frozen=True, kw_only=True):
    """What one request changes, all or nothing.

    Attributes:
        revision: that of the feed, as it was before anything was read for this change.
        put: resources as they are from now on.
        gone: ids of resources that are no more; they are in no group, and nobody is in them.
        joined, left: a group's id, and a user's.
        said: facts.
        at: `Millis`; when the facts were observed.
    """

    revision: int
    put: Sequence[Kept] = ()
    gone: Sequence[str] = ()
    joined: Sequence[tuple[str, str]] = ()
    left: Sequence[tuple[str, str]] = ()
    said: Sequence[Said] = ()
    at: int = 0


class ScimStore(Protocol):
    """Keeps the resources of feeds; `source` names the feed everywhere.

    Nothing is cached: what was committed is seen by the next read on every node. Raises
    `MintwardenError(UNAVAILABLE)` when the store does not answer, and where its schema is from before SCIM.
    """

    async def revision(self, source: str) -> int:
        """A number that grows by one with every change; 0 at first."""
        ...

    async def get(self, source: str, ids: Sequence[str]) -> Mapping[str, Kept]:
        """Those of `ids` that there are."""
        ...

    async def find(self, source: str, kind: Kind, by: Literal["name", "external"], value: str) -> Sequence[Kept]:
        """Those whose name, or external id, is exactly this; at most 100, by id."""
        ...

    async def count(self, source: str, kind: Kind) -> int:
        """How many there are."""
        ...

    async def page(self, source: str, kind: Kind, offset: int, limit: int) -> Sequence[Kept]:
        """Up to `limit` by id, behind the first `offset`."""
        ...

    async def members(self, source: str, groups: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """By group, the ids of its users in their order; groups without any are left out."""
        ...

    async def groups_of(self, source: str, users: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """By user, the ids of the groups; users without any are left out."""
        ...

    async def commit(self, source: str, change: ScimChange) -> bool:
        """Make the change, with the facts that come of it, in one transaction.

        False, and nothing is changed, where the feed is not at `change.revision` any more.
        """
        ...


class UnfitError(Exception):
    """What would be said cannot be a document of the source; the text says why, and holds no value of it."""


class Writer(Protocol):
    """Makes documents of the source that SCIM feeds."""

    def __call__(self, name: str, facts: Mapping[str, object] | None, groups: Sequence[str]) -> Said:
        """What is said of the `User` called `name`: these facts and groups, or nothing where `facts` is None.

        Raises `UnfitError` for a name that nobody can have, and for what is not of the source's shape.
        """
        ...


class Bounds(Struct, frozen=True, kw_only=True):
    """What a feed may not say, since rules about administration look at it.

    Attributes:
        groups: nobody is put into these.
        every_group: a rule may look at any group at all.
        why: why nothing may be said of people, or empty.
    """

    groups: frozenset[str] = frozenset()
    every_group: bool = False
    why: str = ""
