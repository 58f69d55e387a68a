"""What a person allowed, as they see it, and how they take it back: one grant, or everything of a client.

INVARIANT: each of it is written down before it counts, and counts on every node then; nobody reaches what is another
person's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from mintwarden.authn.ports import Place
from mintwarden.authn.sessions import Session
from mintwarden.authn.shelf import Held
from mintwarden.authn.sign_in import SignIn
from mintwarden.issue.authorization.authorizing import InForce, client_shown
from mintwarden.issue.authorization.consent import Consent, Consents
from mintwarden.issue.granted import Granted, acting, as_of_now
from mintwarden.issue.memory import Memory
from mintwarden.model.catalogue import Catalogue, Client
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.ids import entity_key
from mintwarden.model.values import EntityUid

REASON = "withdrawn by the person"
PAGE = 100
"""Grants that are shown at once."""


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
        grants: those of the page that have not ended, the newest first.
    """

    client_id: str
    client: Client | None
    consent: Consent | None
    grants: tuple[Granted, ...]


class Overview(Struct, frozen=True, kw_only=True):
    """One page of what a person allowed: clients by id, sessions with the present one first.

    `newer`, `older`: the places that the page before and the page after it are read from, or None. What need not be
    asked again of clients without grants stands on the first page, of those that were allowed last; the others come up
    as these are taken back. So do the sessions that began earlier, which are `more_sessions`.
    """

    catalogue: Catalogue
    clients: tuple[Allowed, ...]
    sessions: tuple[Session, ...]
    more_sessions: bool = False
    newer: Place | None = None
    older: Place | None = None


class Turn(Struct, frozen=True):
    """Which page: the one beyond a place, or, with `back`, the one before it."""

    place: Place
    back: bool = False


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

    async def overview(self, sign_in: SignIn, now: int, turn: Turn | None = None) -> Overview:
        """What the person has allowed, and where they are signed in. Reads one page of it, however much there is."""
        force = await self._now_in_force()
        person, newer, older = sign_in.subject, None, None
        place, back = (turn.place, turn.back) if turn is not None else (None, False)
        held = await self._memory.grants.lasting(entity_key(person), now, PAGE + 1, place, back=back)
        more, held = len(held) > PAGE, held[-PAGE:] if back else held[:PAGE]
        if held and (more if back else turn is not None):
            newer = held[0].place
        if held and (more or back):
            older = held[-1].place
        grants = await self._memory.live([one.value for one in held], now)
        consents = await self._consents.of(person, now)
        names = {granted.client_id for granted in grants}
        bare = [] if newer is not None else [consent for consent in consents if consent.client_id not in names]
        last = sorted(bare, key=lambda consent: -consent.given_at)[:PAGE]
        consents = [consent for consent in consents if consent.client_id in names] + last
        sessions = [held.value for held in await force.sessions.of_person(sign_in.subject, now)]
        sessions.sort(key=lambda one: (one.sign_in.session != sign_in.session, -one.began_at))
        return Overview(
            catalogue=force.catalogue,
            clients=tuple(await _by_client(force, grants, consents, now)),
            sessions=tuple(sessions[:PAGE]),
            more_sessions=len(sessions) > PAGE,
            newer=newer,
            older=older,
        )

    async def withdraw(self, person: EntityUid, grant_id: str, now: int) -> None:
        """Take one grant back. Raises `NOT_FOUND` for what is none of the person's, or not any more."""
        held = await self._memory.grants.get(grant_id, now)
        if held is None or held.value.sign_in.subject != person or not await self._memory.live([held.value], now):
            raise _gone()
        await self._end_grants({grant_id: held.value.ends}, reason=REASON, by=person)

    async def withdraw_client(self, person: EntityUid, client_id: str, seen: int, now: int) -> None:
        """Take everything back that the client has, and, of an agent, that it acts for the person at all.

        Raises `NOT_FOUND` for a client that has nothing, `INVALID_REQUEST` where something was allowed after `seen`
        (`Millis`): nothing ends that whoever looked then cannot have known.
        """
        force = await self._now_in_force()
        grants = [granted for granted in await self._memory.of(person, now) if granted.client_id == client_id]
        consents = [one for one in await self._consents.of(person, now) if one.client_id == client_id]
        found = await _by_client(force, grants, consents, now)
        if not found:
            raise _gone()
        (has,) = found
        if max([one.granted_at for one in has.grants] + [one.given_at for one in consents]) > seen:
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


async def _by_client(force: InForce, grants: Sequence[Granted], consents: Sequence[Consent], now: int) -> list[Allowed]:
    """What is there, client by client: the newest first."""
    told = {consent.client_id: consent for consent in consents}
    found = []
    names = sorted({*told, *(granted.client_id for granted in grants)})
    # At once: a client that describes itself may have to be fetched.
    clients = await asyncio.gather(*(client_shown(force.clients, name, now) for name in names))
    for client_id, client in zip(names, clients, strict=True):
        own = sorted((one for one in grants if one.client_id == client_id), key=lambda one: -one.granted_at)
        if client is not None:
            own = [granted for one in own if (granted := as_of_now(one, client)).ends > now]
        if own or client_id in told:
            found.append(Allowed(client_id=client_id, client=client, consent=told.get(client_id), grants=tuple(own)))
    return found


def _gone() -> MintwardenError:
    return MintwardenError(ErrorKind.NOT_FOUND, "there is nothing like that (any more)", hint="look again")
