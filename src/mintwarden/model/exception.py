"""A time-boxed grant outside the rules, as a decision sees it: no reason, no names of those who approved."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from mintwarden.model.values import EntityUid

ROUTE = "exception:"
"""Before the id in the route that an exception made; no rule's id holds a colon."""


class ExceptionGrant(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One exception that is in force.

    Evolution: it lies in sealed documents, by the names of its fields. A new field has a default.

    Attributes:
        id: a UUIDv7 as text.
        principal: the one who may have the scope (`issue`), or act with it (`act`).
        audience, tier: of the scope when it was asked for; where the bundle says otherwise by now, it counts no more.
        starts_at, expires_at: `Millis`; the end is exclusive.
        approvals: how many people approved it; fewer than the tier wants now, and it counts no more.
        client, environment: only through this client, only there; empty for any.
        waives: obligations by name that every rule demands and the exception does not.
    """

    id: str
    principal: EntityUid
    action: Literal["issue", "act"] = "issue"
    scope: str
    audience: str
    tier: str
    starts_at: int
    expires_at: int
    approvals: int
    client: str = ""
    environment: str = ""
    waives: tuple[str, ...] = ()

    @property
    def route(self) -> str:
        """Its name among the routes and bounds of a decision."""
        return f"{ROUTE}{self.id}"
