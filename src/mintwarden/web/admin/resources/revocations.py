"""Tokens that shall be good no more before their end."""

from __future__ import annotations

from typing import Annotated, Protocol

from msgspec import Meta, Struct

from mintwarden.authn.ports import About, Revocation
from mintwarden.govern.revocations import named
from mintwarden.model.caller import Evidence
from mintwarden.model.values import EntityUid
from mintwarden.web.admin.access import ScopeLacking
from mintwarden.web.admin.operation import Answer, Call, Operation, Strict
from mintwarden.web.admin.resources.keys import MANAGE
from mintwarden.web.admin.times import Time, shown

REVOKE_TOKENS = "mintwarden:tokens.revoke"
NAMED = ("token", "client", "subject", "actor", "session", "grant", "key", "bundle")
Which = Annotated[str, Meta(max_length=500)]


class RevocationAsked(Strict, frozen=True, kw_only=True):
    """What to revoke, by one member; or what an actor does for a subject, by both. A token goes by its `jti`."""

    token: Which = ""
    client: Which = ""
    subject: Which = ""
    actor: Which = ""
    session: Which = ""
    grant: Which = ""
    key: Which = ""
    bundle: Which = ""
    reason: Annotated[str, Meta(min_length=1, max_length=1000)]


class RevocationMade(Struct, frozen=True, kw_only=True):
    """What was revoked: every such token that was issued by then."""

    about: str
    issued_by: Time


class Revoke(Protocol):
    """Revokes, once it is written down; see `Revoker.revoke`."""

    async def __call__(self, about: About, value: str, *, reason: str, by: EntityUid) -> Revocation: ...


class Revocations:
    """Revoking."""

    def __init__(self, *, revoke: Revoke) -> None:
        self._revoke = revoke

    async def guard(self, who: Evidence, body: RevocationAsked) -> None:
        """Raise `ScopeLacking` for whoever ends a signing key and may not manage keys."""
        if body.key and MANAGE not in (who.scopes or ()):
            raise ScopeLacking(MANAGE)

    async def make(self, call: Call) -> Answer:
        """Every such token is good no more, on every node."""
        about, value = named({name: getattr(call.body, name) for name in NAMED})
        made = await self._revoke(about, value, reason=call.body.reason, by=call.who.principal)
        return Answer(content=RevocationMade(about=made.about, issued_by=shown(made.before)))


MAKE = Operation(
    id="revocations.make",
    method="POST",
    path="/revocations",
    summary="Revoke a token and what came of it, or every token that has something in common",
    scopes=(REVOKE_TOKENS,),
    of=Revocations,
    handler=Revocations.make,
    body=RevocationAsked,
    answer=RevocationMade,
    guard=Revocations.guard,
    problems=("conflict", "not_found"),
)
