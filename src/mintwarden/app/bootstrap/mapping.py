"""What an older system gives whom, in no system's own words."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Holder = Literal["group", "role", "everyone", "program"]
"""Members of a group, holders of a role, whoever signs in, or the client for itself."""


class Gap(Struct, frozen=True, kw_only=True):
    """Something that was not carried over, or not as it was.

    Attributes:
        kind: a short word to sort by.
        where: its place in what was read.
        what: what is not carried over.
        remedy: what somebody has to do.
    """

    kind: str
    where: str
    what: str
    remedy: str


class ScopeFound(Struct, frozen=True, kw_only=True):
    """One scope by its name in the older system."""

    name: str
    meaning: str = ""
    default: bool = False


class AudienceFound(Struct, frozen=True, kw_only=True):
    """One resource server.

    Attributes:
        key: its name in what was read, unique there.
        identifier: the `aud` of its tokens, or empty where nothing says it.
        lifetime: seconds that its tokens live; 0 where nothing says it.
    """

    key: str
    name: str
    identifier: str = ""
    scopes: tuple[ScopeFound, ...] = ()
    lifetime: int = 0


class ClientFound(Struct, frozen=True, kw_only=True):
    """One client.

    Attributes:
        key: its `client_id`, or its name where what was read has no id.
        kind: as in a bundle.
        method: how it authenticates.
        for_itself, for_people: it may ask about itself; it asks for people who are signed in to it.
    """

    key: str
    name: str
    kind: str
    method: str
    for_itself: bool = False
    for_people: bool = False


class Give(Struct, frozen=True, kw_only=True):
    """One thing that the older system gives.

    Attributes:
        audience, scope: keys.
        holder, name: to whom; `name` is empty for `everyone` and the client's key for `program`.
        through: only through these clients; None for any of those that may have the scope.
    """

    audience: str
    scope: str
    holder: Holder
    name: str = ""
    through: frozenset[str] | None = None


class Mapping(Struct, frozen=True, kw_only=True):
    """Everything that was read.

    Attributes:
        name: of the older system's realm, server or tenant.
        shape: what it was read as, for people.
        issuer: the older system's issuer identifier, where it is known.
        ceilings: audience key and scope name to the clients that may have it; None in `Give` refers to these.
    """

    name: str
    shape: str
    issuer: str = ""
    audiences: tuple[AudienceFound, ...] = ()
    clients: tuple[ClientFound, ...] = ()
    gives: tuple[Give, ...] = ()
    ceilings: dict[tuple[str, str], frozenset[str]] = {}
    gaps: tuple[Gap, ...] = ()
