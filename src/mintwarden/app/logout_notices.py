"""Tells clients that a session of theirs has ended: kept in the store until each was told, or its time is over.

At least once: whichever node finds a notice due takes it for itself for a while, and takes it away once the client has
it. A node that dies over it leaves it to the others, and to itself after its restart.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from mintwarden.app.foundation import Foundation
from mintwarden.app.governing import Governing
from mintwarden.authn.ports import FormPoster
from mintwarden.authn.sessions import Session
from mintwarden.authn.shelf import Held, Shelf
from mintwarden.issue.logout_token import logout_claims
from mintwarden.mint.statement import sign_statement
from mintwarden.model.catalogue import Catalogue
from mintwarden.model.errors import ErrorKind, MintwardenError
from mintwarden.model.values import EntityUid

KIND: Final = "logout_notice"
"""The kind of their shelf."""
WAITING: Final = "waiting"
"""By what all of them are found: no entity's key, so that nobody's erasure finds them. They end by time."""

PAUSES: Sequence[int] = (1, 5, 30, 120, 600, 3_600)
"""Seconds before each further attempt."""
KEPT: Final = 2 * 3_600_000
"""Milliseconds after which a notice is given up, however often it was tried."""
TAKEN: Final = 10_000
"""Milliseconds for which a node has a notice to itself: longer than any attempt takes."""
AT_ONCE: Final = 16
ROUNDS: Final = 64
"""Attempts at once, and so often in a row: what is left over has its turn in the next run."""
SHARE: Final = 4
"""Attempts at once to one client: one that lets us wait leaves room for others."""


class LogoutNotice(Struct, frozen=True, kw_only=True):
    """What one client is to be told.

    Attributes:
        session: the public name of the session that ended.
        ends: `Millis` when it is given up.
        due: `Millis` of the next attempt.
        attempts: how many there were.
    """

    client_id: str
    subject: EntityUid
    session: str
    ends: int
    due: int
    attempts: int = 0

    @property
    def handle(self) -> str:
        """One session ends once, for each of its clients."""
        return f"{self.session} {self.client_id}"


class Told(Protocol):
    """Hears what becomes of notices."""

    def logout_notice(self, outcome: str) -> None:
        """One was `delivered`, an attempt `failed`, or one was `given_up`."""
        ...

    def logout_notices(self, waiting: int) -> None:
        """So many are kept."""
        ...

    def stumbled(self, task: str, error: BaseException) -> None:
        """Something went wrong for good."""
        ...


class LogoutNotices:
    """Keeps and sends them; any number of nodes on one store. `now` is the time in `Millis`."""

    def __init__(
        self,
        base: Foundation,
        *,
        governing: Governing,
        poster: FormPoster,
        told: Told,
        now: Callable[[], int],
    ) -> None:
        self._base = base
        self._governing = governing
        self._poster = poster
        self._told = told
        self._now = now
        self._shelf = Shelf(KIND, LogoutNotice, states=base.store.states, seal=base.master)
        self._soon: asyncio.Task[None] | None = None
        self._again = False
        self._after = b""
        self._seen = 0

    async def keep(self, session: Session) -> None:
        """Keep what the session's clients are to be told, durably. Safe to run again: one notice for each of them."""
        now = self._now()
        clients = self._governing.current.bundle.catalogue.clients
        for client_id in session.clients:
            known = clients.get(client_id)
            if known is not None and not known.backchannel_logout_uri:
                continue
            sign_in = session.sign_in
            notice = LogoutNotice(
                client_id=client_id, subject=sign_in.subject, session=sign_in.session, ends=now + KEPT, due=now
            )
            # The store forgets it some time after it should have been given up, which is to be told.
            await self._shelf.add(notice.handle, notice, ends=now + 2 * KEPT, owner=WAITING)

    def tell(self) -> None:
        """Send what is due without waiting for the next run; returns at once."""
        if self._soon is None or self._soon.done():
            self._soon = asyncio.create_task(self._until_quiet(), name="logout")
        else:
            self._again = True

    async def close(self) -> None:
        """Stop; what was not sent stays in the store."""
        if self._soon is not None:
            self._soon.cancel()
            await asyncio.gather(self._soon, return_exceptions=True)

    async def run(self) -> None:
        """Send what is due. Of several nodes, and of several runs at once, each notice is one's at a time."""
        for _ in range(ROUNDS):
            now = self._now()
            turn = turn_of(await self._page(now), now)
            if not turn and not self._after:
                return
            done = await asyncio.gather(*(self._deliver(held) for held in turn), return_exceptions=True)
            for failed in done:
                if isinstance(failed, BaseException):
                    raise failed

    async def _page(self, now: int) -> Sequence[Held[LogoutNotice]]:
        """The next of those that wait. INVARIANT: however many wait for one client, each has its turn."""
        waiting, self._after = await self._shelf.page(WAITING, now, self._after)
        self._seen += len(waiting)
        if not self._after:
            self._told.logout_notices(self._seen)
            self._seen = 0
        return waiting

    async def _until_quiet(self) -> None:
        self._again = True
        while self._again:
            self._again = False
            try:
                await self.run()
            except Exception as error:  # noqa: BLE001 - nobody waits for this; the next run finds what is left
                self._told.stumbled("logout", error)

    async def _deliver(self, held: Held[LogoutNotice]) -> None:
        notice, now = held.value, self._now()
        if notice.ends <= now:
            late = MintwardenError(ErrorKind.SOURCE, f"client `{notice.client_id}` was not told of a logout in time")
            await self._give_up(held, late)
            return
        taken = replace(notice, attempts=notice.attempts + 1, due=now + TAKEN)
        if not await self._shelf.replace(held, taken):
            return  # another node has it
        try:
            await self._send(notice)
        except MintwardenError as error:
            await self._failed(taken, error)
        except Exception as error:  # noqa: BLE001 - nobody foresaw it: another attempt would be none the better
            await self._give_up(held, error)
        else:
            self._told.logout_notice("delivered")
            await self._shelf.remove(held)

    async def _failed(self, taken: LogoutNotice, error: MintwardenError) -> None:
        self._told.logout_notice("failed")
        held = await self._shelf.get(taken.handle, 0)
        if held is None or held.value != taken:
            return  # it took too long, and another node has it by now
        if taken.attempts > len(PAUSES):
            await self._give_up(held, error)
            return
        await self._shelf.replace(held, replace(taken, due=self._now() + PAUSES[taken.attempts - 1] * 1000))

    async def _give_up(self, held: Held[LogoutNotice], error: Exception) -> None:
        if await self._shelf.remove(held):
            self._told.logout_notice("given_up")
            self._told.stumbled("logout", error)

    async def _send(self, notice: LogoutNotice) -> None:
        """Each attempt with a token of its own: the one before may have been used up by a client that then failed."""
        base, now = self._base, self._now()
        client = await self._governing.current.authenticator.find(notice.client_id, now)
        if client is None or not client.backchannel_logout_uri:
            return
        claims = logout_claims(
            notice.subject,
            notice.session,
            client.id,
            issuer=base.issuer,
            token_id=secrets.token_urlsafe(16),
            now=now,
        )
        algorithm = identity_algorithm(self._governing.current.bundle.catalogue)
        token = await sign_statement("logout", claims, base.ring.signer_for(algorithm))
        answer = await self._poster.post(client.backchannel_logout_uri, {"logout_token": token})
        if answer.status not in (200, 204):
            raise MintwardenError(ErrorKind.SOURCE, f"client `{client.id}` did not take a logout token")


def turn_of(waiting: Sequence[Held[LogoutNotice]], now: int) -> list[Held[LogoutNotice]]:
    """Whose turn it is: those due for longest, and of one client only so many."""
    shares: dict[str, int] = {}
    turn: list[Held[LogoutNotice]] = []
    for held in sorted(waiting, key=lambda one: one.value.due):
        notice = held.value
        taken = shares.get(notice.client_id, 0)
        if notice.due > now or len(turn) == AT_ONCE or taken == SHARE:
            continue
        shares[notice.client_id] = taken + 1
        turn.append(held)
    return turn


def identity_algorithm(catalogue: Catalogue) -> str:
    """What is signed with that clients read about people: the identity audience's, or else the first one's."""
    own = catalogue.identity
    return (catalogue.audiences[own] if own else next(iter(catalogue.audiences.values()))).algorithm
