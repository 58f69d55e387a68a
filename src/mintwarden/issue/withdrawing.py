"""What a person allowed, as they see it, and how they take it back: one grant, or everything of a client.

INVARIANT: each of it is written down before it counts, and counts on every node then; nobody reaches what is another
person's.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec import Struct

from mintwarden.authn.sessions import Session
from mintwarden.authn.shelf import Held
from mintwarden.authn.sign_in import SignIn
from mintwarden.issue.authorization.authorizing import InForce
from mintwarden.issue.authorization.consent import Consent, Consents
from mintwarden.issue.granted import Granted, acting, as_of_now
from mintwarden.issue.memory import Memory
from mintwarden.model.catalogue import Catalogue, Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid

REASON = "withdrawn by the person"


class EndGrants(Protocol):
    """Ends grants, by when they would have ended (`Millis`), with everything that came of them."""

    async def __call__(self, grants: Mapping[str, int], *, reason: str, by: EntityUid) -> None: ...


EndLink = Callable[[EntityUid, EntityUid], Awaitable[object]]
"""Ends what an actor (the second) does for a person (the first), with everything that hangs below it."""


class Allowed(Struct, frozen=True, kw_only=True):
    """What one client has of a person.

    Attributes:
        client: None for one that is not to be had now.
        consent: what the person is not asked again, or None.
        grants: those that have not ended, the newest first.
    """

    client_id: str
    client: Client | None
    consent: Consent | None
    grants: tuple[Granted, ...]

    @property
    def seen(self) -> str:
        """Changes whenever something is allowed or ends: what somebody saw is what they take back."""
        given = self.consent.given_at if self.consent is not None else 0
        names = sorted(granted.grant_id for granted in self.grants)
        return hashlib.sha256(msgspec.json.encode([self.client_id, given, names])).hexdigest()


class Overview(Struct, frozen=True, kw_only=True):
    """Everything of one person: clients by id, sessions with the present one first."""

    catalogue: Catalogue
    clients: tuple[Allowed, ...]
    sessions: tuple[Session, ...]


class Withdrawing:
    """See the module.

    Args:
        now_in_force: what governs, as the store says now.
        end_grants, end_link: end what was allowed, once that is written down.
        sign_out: ends a session.
    """

    def __init__(
        self,
        *,
        issuer: str,
        now_in_force: Callable[[], Awaitable[InForce]],
        memory: Memory,
        consents: Consents,
        end_grants: EndGrants,
        end_link: EndLink,
        sign_out: Callable[[Held[Session], str], Awaitable[None]],
    ) -> None:
        self.issuer = issuer
        self._now_in_force = now_in_force
        self._memory = memory
        self._consents = consents
        self._end_grants = end_grants
        self._end_link = end_link
        self._sign_out = sign_out

    async def present(self, cookies: Mapping[str, str], now: int) -> SignIn | None:
        """Who is signed in in this browser."""
        return await (await self._now_in_force()).sessions.current(cookies, now)

    async def overview(self, sign_in: SignIn, now: int) -> Overview:
        """What the person has allowed, and where they are signed in."""
        force = await self._now_in_force()
        sessions = [held.value for held in await force.sessions.of_person(sign_in.subject, now)]
        sessions.sort(key=lambda one: (one.sign_in.session != sign_in.session, -one.began_at))
        return Overview(
            catalogue=force.catalogue,
            clients=tuple(await self._allowed(sign_in.subject, force, now)),
            sessions=tuple(sessions),
        )

    async def withdraw(self, person: EntityUid, grant_id: str, now: int) -> None:
        """Take one grant back. Raises `NOT_FOUND` for what is none of the person's, or not any more."""
        for granted in await self._memory.of(person, now):
            if granted.grant_id == grant_id:
                await self._end_grants({grant_id: granted.ends}, reason=REASON, by=person)
                return
        raise _gone()

    async def withdraw_client(self, person: EntityUid, client_id: str, seen: str, now: int) -> None:
        """Take everything back that the client has, and, of an agent, that it acts for the person at all.

        Raises `NOT_FOUND` for a client that has nothing, `INVALID_REQUEST` where that is not what was `seen`.
        """
        force = await self._now_in_force()
        found = [one for one in await self._allowed(person, force, now) if one.client_id == client_id]
        if not found:
            raise _gone()
        (has,) = found
        if has.seen != seen:
            raise MintwardenError(
                ErrorKind.INVALID_REQUEST, "what you allowed has changed since you looked", hint="look again"
            )
        await self._consents.withdraw(person, client_id, [granted.grant_id for granted in has.grants])
        await self._end_grants({granted.grant_id: granted.ends for granted in has.grants}, reason=REASON, by=person)
        own = acting(has.client, person) if has.client is not None else ()
        for actor in dict.fromkeys([*own, *(actor for granted in has.grants for actor in granted.actors)]):
            await self._end_link(person, actor)

    async def end_session(self, sign_in: SignIn, session: str, now: int) -> None:
        """Sign the person out elsewhere, in one session. Raises `NOT_FOUND` for what is none of theirs."""
        for held in await self._elsewhere(sign_in, now):
            if held.value.sign_in.session == session:
                await self._sign_out(held, "signed out from another session")
                return
        raise _gone()

    async def end_sessions(self, sign_in: SignIn, now: int) -> None:
        """Sign the person out everywhere but here."""
        for held in await self._elsewhere(sign_in, now):
            await self._sign_out(held, "signed out from another session")

    async def _elsewhere(self, sign_in: SignIn, now: int) -> list[Held[Session]]:
        sessions = (await self._now_in_force()).sessions
        found = await sessions.of_person(sign_in.subject, now)
        return [held for held in found if held.value.sign_in.session != sign_in.session]

    async def _allowed(self, person: EntityUid, force: InForce, now: int) -> list[Allowed]:
        grants = await self._memory.of(person, now)
        consents = {consent.client_id: consent for consent in await self._consents.of(person, now)}
        found = []
        names = sorted({*consents, *(granted.client_id for granted in grants)})
        # At once: a client that describes itself may have to be fetched.
        clients = await asyncio.gather(*(_client(force, name, now) for name in names))
        for client_id, client in zip(names, clients, strict=True):
            own: Sequence[Granted] = [granted for granted in grants if granted.client_id == client_id]
            if client is not None:
                own = [granted for one in own if (granted := as_of_now(one, client)).ends > now]
            if own or client_id in consents:
                consent = consents.get(client_id)
                found.append(Allowed(client_id=client_id, client=client, consent=consent, grants=tuple(own)))
        return found


async def _client(force: InForce, client_id: str, now: int) -> Client | None:
    try:
        known = await force.clients.known(client_id, now)
    except MintwardenError:
        return None
    return None if known is None else known.client


def _gone() -> MintwardenError:
    return MintwardenError(ErrorKind.NOT_FOUND, "there is nothing like that (any more)", hint="look again")
