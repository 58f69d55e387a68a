"""What a person allowed and has not taken back, for whoever may end it in their stead."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from mintwarden.authn.ports import Place
from mintwarden.issue.granted import Granted
from mintwarden.model.ids import entity_key
from mintwarden.web.admin.operation import Answer, Call, EntityKey, Operation, Paged
from mintwarden.web.admin.resources.revocations import REVOKE_TOKENS
from mintwarden.web.admin.times import Time, shown

Page = Callable[[str, int, Place | None], Awaitable[tuple[Sequence[Granted], Place | None]]]
"""Awaits up to so many grants of a person, by entity key, beyond a place: those that are live, and where to go on."""


class GrantQuery(Paged, frozen=True, kw_only=True):
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


class GrantPage(Struct, frozen=True, kw_only=True):
    """Some of what still holds, what lasts longest first; `cursor` is where to go on, empty at the end.

    What was revoked is left out, so that a page may hold less than was asked for.
    """

    grants: tuple[GrantTold, ...]
    cursor: str


class Grants:
    """Grants of people; they are ended by `POST /revocations`."""

    def __init__(self, *, page: Page) -> None:
        self._page = page

    async def list_grants(self, call: Call) -> Answer:
        """A page of the live grants of a person. Costs what it answers, however many there are."""
        query = call.query
        beyond = _read(call.cursors.position(query.cursor)) if query.cursor else None
        listed, after = await self._page(query.subject, query.limit, beyond)
        return Answer(
            content=GrantPage(
                grants=tuple(_told(one) for one in listed),
                cursor=call.cursors.make(_written(after)) if after is not None else "",
            )
        )


def _written(place: Place) -> str:
    return f"{place[0]} {place[1].hex()}"


def _read(position: str) -> Place:
    ends, _, key = position.partition(" ")
    return int(ends), bytes.fromhex(key)


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
    answer=GrantPage,
    person="subject",
)
