"""What a person allowed and has not taken back, for whoever may end it in their stead."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from mintwarden.issue.granted import Granted
from mintwarden.model.ids import entity_key
from mintwarden.web.admin.operation import Answer, Call, EntityKey, Operation, Strict
from mintwarden.web.admin.resources.revocations import REVOKE_TOKENS
from mintwarden.web.admin.times import Time, shown

Live = Callable[[str], Awaitable[Sequence[Granted]]]
"""Awaits the live grants of a person, by entity key, the newest first."""


class GrantQuery(Strict, frozen=True, kw_only=True):
    """Whose."""

    subject: EntityKey


class GrantTold(Struct, frozen=True, kw_only=True):
    """One grant: scopes of all audiences, types of authorization details, entity keys of actors."""

    grant: str
    client: str
    scopes: tuple[str, ...]
    details: tuple[str, ...]
    actors: tuple[str, ...]
    session: str
    offline: bool
    granted_at: Time
    used_at: Time
    ends_at: Time


class GrantList(Struct, frozen=True):
    """What still holds, the newest first."""

    grants: tuple[GrantTold, ...]


class Grants:
    """Grants of people; they are ended by `POST /revocations`."""

    def __init__(self, *, live: Live) -> None:
        self._live = live

    async def list_grants(self, call: Call) -> Answer:
        """Every live grant of a person."""
        return Answer(content=GrantList(tuple(_told(one) for one in await self._live(call.query.subject))))


def _told(granted: Granted) -> GrantTold:
    scopes = (*(name for names in granted.scopes.values() for name in names), *granted.identity)
    return GrantTold(
        grant=granted.grant_id,
        client=granted.client_id,
        scopes=scopes,
        details=tuple(dict.fromkeys(detail.type for detail in granted.details)),
        actors=tuple(entity_key(actor) for actor in granted.actors),
        session=granted.sign_in.session,
        offline=granted.offline,
        granted_at=shown(granted.granted_at),
        used_at=shown(granted.used_at or granted.granted_at),
        ends_at=shown(granted.ends),
    )


LIST = Operation(
    id="grants.list",
    method="GET",
    path="/grants",
    summary="List what a person allowed and still holds",
    scopes=(REVOKE_TOKENS,),
    of=Grants,
    handler=Grants.list_grants,
    query=GrantQuery,
    answer=GrantList,
    person="subject",
)
