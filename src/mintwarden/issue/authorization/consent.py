"""What people allowed clients, remembered so that they need not be asked again for the same.

INVARIANT: it is written down before it counts; and what was revoked (the grant that it was given with, the client, the
person) is allowed no more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from mintwarden.authn.ports import RevocationReader
from mintwarden.authn.revoked import is_ended
from mintwarden.authn.shelf import Shelf
from mintwarden.model.ids import entity_key
from mintwarden.model.values import EntityUid

KIND: Final = "consent"
"""The kind of its shelf."""

Record = Callable[[EntityUid, Mapping[str, object], Mapping[str, object]], Awaitable[object]]
"""Writes down, durably, what a person said: for everybody, and sealed."""

_ATTEMPTS = 5
_MOST_GRANTS = 20
_MOST_TOLD = 1_000
"""Grants that one entry of the ledger names: an entry has its bounds."""


class Consent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one person allowed one client.

    Attributes:
        scopes: all of them, of whatever audience.
        confines: where: purpose, environment, tenant, workspace, project.
        grants: the grants that it was given with: revoking one of them takes it back.
        given_at, ends: `Millis`.
    """

    client_id: str
    scopes: tuple[str, ...]
    confines: tuple[str, ...]
    grants: tuple[str, ...]
    given_at: int
    ends: int


class Consents:
    """Gives, finds and takes back."""

    def __init__(self, *, shelf: Shelf[Consent], revocations: RevocationReader, record: Record) -> None:
        self._shelf = shelf
        self._revocations = revocations
        self._record = record

    async def covers(
        self, person: EntityUid, client_id: str, scopes: Sequence[str], confines: tuple[str, ...], now: int
    ) -> bool:
        """Did the person allow the client all of `scopes`, there, and is that still so."""
        held = await self._shelf.get(_handle(person, client_id), now)
        if held is None or held.value.confines != confines or not set(scopes) <= set(held.value.scopes):
            return False
        return await self._stands(person, held.value)

    async def of(self, person: EntityUid, now: int) -> list[Consent]:
        """What the person need not be asked again, of every client."""
        found = [held.value for held in await self._shelf.owned(entity_key(person), now)]
        return [consent for consent in found if await self._stands(person, consent)]

    async def _stands(self, person: EntityUid, consent: Consent) -> bool:
        names = [("client", consent.client_id), ("subject", entity_key(person))]
        found = await self._revocations.revoked([*names, *(("grant", name) for name in consent.grants)])
        return not any(is_ended(name, before, consent.given_at) for name, before in found.items())

    async def give(
        self,
        person: EntityUid,
        consent: Consent,
        shown: Sequence[str],
        detail: Mapping[str, object],
        private: Mapping[str, object],
    ) -> None:
        """The person allowed it. What they allowed before, and were not shown this time, stays allowed."""
        await self._record(person, {"what": "allowed", "client": consent.client_id, **detail}, private)
        if consent.ends <= consent.given_at:
            return
        handle = _handle(person, consent.client_id)
        for _ in range(_ATTEMPTS):
            held = await self._shelf.get(handle, 0)
            if held is None:
                if await self._shelf.add(handle, consent, ends=consent.ends, owner=entity_key(person)):
                    return
            else:
                more = await self._with_kept(person, held.value, consent, frozenset(shown))
                if await self._shelf.replace(held, more, ends=more.ends):
                    return
        # Another window of the same person was faster each time: at worst they are asked again.

    async def _with_kept(self, person: EntityUid, before: Consent, now: Consent, shown: frozenset[str]) -> Consent:
        """`now` and what of `before` was not asked again, which ends no later for that."""
        left = tuple(scope for scope in before.scopes if scope not in shown)
        if not left or len(before.grants) >= _MOST_GRANTS:
            return now
        if not await self.covers(person, now.client_id, left, now.confines, now.given_at):
            return now
        ends = min(now.ends, before.ends)
        return replace(now, scopes=(*now.scopes, *left), grants=(*before.grants, *now.grants), ends=ends)

    async def refuse(self, person: EntityUid, client_id: str, scopes: Sequence[str]) -> None:
        """The person did not allow it, and takes back what they allowed the client before."""
        await self._record(person, {"what": "refused", "client": client_id, "scopes": list(scopes)}, {})
        await self._forget(person, client_id)

    async def withdraw(self, person: EntityUid, client_id: str, grants: Sequence[str]) -> None:
        """The person takes back what they allowed the client; `grants` are those that end with it."""
        for first in range(0, max(len(grants), 1), _MOST_TOLD):
            part = list(grants[first : first + _MOST_TOLD])
            await self._record(person, {"what": "withdrawn", "client": client_id, "grants": part}, {})
        await self._forget(person, client_id)

    async def _forget(self, person: EntityUid, client_id: str) -> None:
        held = await self._shelf.get(_handle(person, client_id), 0)
        if held is not None:
            await self._shelf.remove(held)


def _handle(person: EntityUid, client_id: str) -> str:
    return f"{entity_key(person)} {client_id}"
